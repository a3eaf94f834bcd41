"""Segmentation of four volumes: a labelmap on the grid of the reference volume, and probability maps.

The network sees the whole brain at once; if memory is short, it is split into overlapping tiles. A tumor is never cut
off, and there is none outside the brain.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from training.hardware import free_memory_bytes
from training.images.grid import Volume
from training.label_schemes import value_counts
from training.labels import LABELS, REGIONS
from training.models.store import ModelVersion
from training.prediction.engine import load_engine
from training.prediction.postprocess import MIN_CORELESS_ML, MIN_LESION_ML, decide
from training.prediction.quality import expected_dice, quality_warning, uncertainty
from training.prediction.tiles import predict_in_tiles
from training.preparation.prepare import Prepared, check_volumes, prepare
from training.preprocessing.preprocess import Preprocessed, preprocess
from training.spans import span

#: Called with the fraction done (0-1) and the name of the stage. May raise to stop the work.
ProgressCallback = Callable[[float, str], None]

#: Names of the optional output maps, in this order.
MAP_NAMES: tuple[str, ...] = (*(f"probability_{region.lower()}" for region in REGIONS), "entropy")

#: Warning for an empty result, which must not be read as a healthy brain.
NOTHING_FOUND = (
    f"No tumor is reported. That does not mean that there is none: lesions below {MIN_LESION_ML:g} mL are left out, "
    f"and so are lesions below {MIN_CORELESS_ML:g} mL without a tumor core. Review the images or the probability maps."
)

#: Warning for a result that was computed in tiles; takes their side in voxels.
IN_TILES = (
    "Little memory was free, so the head was computed in overlapping parts of up to {side} voxels a side. Borders can "
    "differ a little from those of a computation in one piece. Close other programs and segment again to be sure."
)

#: Share of the progress that preprocessing takes, if there is any.
_PREPROCESSING = 0.6


@dataclass(frozen=True)
class Segmentation:
    """The result for one case.

    Attributes:
        labelmap: ``uint8`` values of :mod:`training.labels`, on exactly the reference volume's grid.
        volumes_ml: Volume of each label (by name) and region (``WT``, ``TC``, ``ET``), in mL.
        seconds: Time of each stage: ``preprocess``, ``prepare``, ``network``, ``restore``.
        warnings: Warnings about the input and the result, one sentence each.
        model_version: Id of the model version.
        engine: What computed it, and in which precision, as ``openvino int8``; empty if that is not known.
        reference: The role whose grid the result uses.
        missing: Missing roles.
        maps: By name of :data:`MAP_NAMES`, float32 0-1 on the grid of the labelmap, 0 outside the brain; empty unless
            requested. See :func:`output_maps`.
        expected_dice: Expected Dice by region (:func:`training.prediction.quality.expected_dice`); empty if it was not
            computed.
        uncertainty: 1 minus their mean: 0 (certain) to 1; ``None`` if it was not computed.
        preprocessed: What registering and stripping found, with the volumes on which the labelmap lies; ``None`` if it
            is not known.
    """

    labelmap: Volume
    volumes_ml: dict[str, float]
    seconds: dict[str, float]
    warnings: tuple[str, ...]
    model_version: str
    engine: str = ""
    reference: str = "t1ce"
    missing: tuple[str, ...] = ()
    maps: dict[str, Volume] = field(default_factory=dict)
    expected_dice: dict[str, float] = field(default_factory=dict)
    uncertainty: float | None = None
    preprocessed: Preprocessed | None = None


class Segmenter:
    """A loaded model version. Creating one loads the inference engine and the weights, so keep it.

    Args:
        version: From :class:`training.models.store.ModelStore`.
        policy: Keras dtype policy; ``None`` for what is best with the engine on this hardware.
        memory_bytes: Maximum memory of one forward pass; ``None`` for three quarters of what is free at each call.
        mirror: Average the predictions for the head and its left-right mirror image; takes twice the time.
        engine: See :func:`training.prediction.engine.load_engine`.
    """

    #: Side of the tiles of the last image; 0 if it was computed in one piece.
    _tile_side = 0

    def __init__(
        self,
        version: ModelVersion,
        *,
        policy: str | None = None,
        memory_bytes: int | None = None,
        mirror: bool = False,
        engine: str | None = None,
    ) -> None:
        self.version = version
        self.mirror = mirror
        self._memory_bytes = memory_bytes
        self._engine = load_engine(version.load_weights(), version.card.network, engine=engine, policy=policy)

    @property
    def engine(self) -> str:
        """What computes, and in which precision."""
        return self._engine.name

    @property
    def stride(self) -> int:
        """The sides of the network input must be multiples of this."""
        return self.version.card.network.stride

    def probabilities(self, image: np.ndarray, on_progress: ProgressCallback | None = None) -> np.ndarray:
        """Return class probabilities for a prepared image.

        Args:
            image: ``(x, y, z, 4)`` float32, z-scored, sides multiples of :attr:`stride`.
            on_progress: Called with the fraction of tiles done.

        Returns:
            ``(x, y, z, 4)`` float32, summing to 1 over the classes.
        """
        report = on_progress or (lambda share, stage: None)
        if not self.mirror:
            return self._probabilities(image, report)
        result = self._probabilities(image, lambda share, stage: report(share / 2, stage))
        # The first axis of the working grid runs from left to right.
        mirrored = self._probabilities(image[::-1], lambda share, stage: report(0.5 + share / 2, stage))
        result = result + mirrored[::-1]
        result *= 0.5
        return result

    def segment(
        self,
        volumes: Mapping[str, Volume],
        *,
        reference: str | None = None,
        allow_missing: bool = False,
        allow_whole_head: bool = False,
        as_scanned: bool | None = None,
        force: bool = False,
        brain: Volume | None = None,
        maps: bool = False,
        on_progress: ProgressCallback | None = None,
        on_preprocessed: Callable[[Preprocessed], None] | None = None,
        on_prepared: Callable[[Prepared], None] | None = None,
        on_probabilities: Callable[[np.ndarray, Prepared], None] | None = None,
    ) -> Segmentation:
        """Segment one case.

        Volumes as they were scanned are registered and stripped first, as far as they need it.

        Args:
            volumes: The four modalities by role, each on its own grid.
            reference: The role whose grid the result uses; ``None`` for T1ce, or the first one present.
            allow_missing: Accept missing modalities (at least one is needed); a warning names them.
            allow_whole_head: Segment volumes with skull as they are; a warning says so. Nothing is registered or
                stripped, unless ``as_scanned`` says otherwise.
            as_scanned: As for :func:`training.preprocessing.preprocess.preprocess`.
            force: The same.
            brain: The same.
            maps: Whether to compute the maps of :data:`MAP_NAMES`.
            on_progress: Called with the fraction done and the stage: registering, stripping, preparing, computing,
                restoring.
            on_preprocessed: Called with the registered and stripped volumes before they are prepared.
            on_prepared: Called with the prepared case, and so its warnings, before the network runs.
            on_probabilities: Called with the class probabilities ``(x, y, z, class)`` on the working grid and the
                prepared case.

        Raises:
            InputError: If a modality is missing or unusable; see :func:`training.preparation.prepare.prepare`, and
                :func:`training.preprocessing.preprocess.preprocess` for those that do not fit.
        """
        report = on_progress or (lambda share, stage: None)
        started = time.perf_counter()
        report(0.0, "preparing")
        check_volumes(volumes, reference, allow_missing=allow_missing)
        with span("preprocess"):
            preprocessed = preprocess(
                volumes,
                reference=reference,
                as_scanned=False if allow_whole_head and as_scanned is None else as_scanned,
                force=force,
                brain=brain,
                on_progress=lambda share, stage: report(_PREPROCESSING * share, stage),
            )
        if on_preprocessed is not None:
            on_preprocessed(preprocessed)
        at_prepare = time.perf_counter()
        if preprocessed.changed:
            report = _later(report, _PREPROCESSING)
            report(0.0, "preparing")
        prepared = prepare(
            preprocessed.volumes,
            reference=reference,
            stride=self.stride,
            allow_missing=allow_missing,
            allow_whole_head=allow_whole_head,
        )
        if on_prepared is not None:
            on_prepared(prepared)
        at_network = time.perf_counter()
        report(0.2, "computing")
        with span("network"):
            probabilities = self.probabilities(prepared.image, lambda share, stage: report(0.2 + 0.7 * share, stage))
        if on_probabilities is not None:
            on_probabilities(probabilities, prepared)
        at_restore = time.perf_counter()
        report(0.9, "restoring")
        with span("labelmap"):
            labels = labels_of(probabilities, prepared)
            labelmap = prepared.frame.to_reference(labels)
            expected = expected_dice(
                probabilities,
                labels,
                prepared.brain,
                voxel_ml=prepared.frame.working.voxel_ml,
                missing=prepared.missing,
            )
        with span("maps"):
            output = output_maps(probabilities, prepared) if maps else {}
        ended = time.perf_counter()
        report(1.0, "done")
        return Segmentation(
            labelmap=labelmap,
            volumes_ml=volumes_ml(labelmap),
            seconds={
                "preprocess": round(at_prepare - started, 3),
                "prepare": round(at_network - at_prepare, 3),
                "network": round(at_restore - at_network, 3),
                "restore": round(ended - at_restore, 3),
            },
            warnings=(*_warnings(labelmap, expected, prepared, preprocessed), *self._tile_warning()),
            model_version=self.version.id,
            engine=self.engine,
            reference=prepared.reference,
            missing=prepared.missing,
            maps=output,
            expected_dice={region: round(value, 4) for region, value in expected.items()},
            uncertainty=round(uncertainty(expected), 4),
            preprocessed=preprocessed,
        )

    def _tile_warning(self) -> tuple[str, ...]:
        return (IN_TILES.format(side=self._tile_side),) if self._tile_side else ()

    def _probabilities(self, image: np.ndarray, report: ProgressCallback) -> np.ndarray:
        result: np.ndarray | None = None
        for share, merged in self._passes(image):
            result = merged
            report(share, "computing")
        assert result is not None
        return result

    def _passes(self, image: np.ndarray) -> Iterator[tuple[float, np.ndarray | None]]:
        voxels = image.shape[0] * image.shape[1] * image.shape[2]
        filters = self.version.card.network.base_filters
        budget = self._memory_bytes if self._memory_bytes is not None else free_memory_bytes() * 3 // 4
        fitting = budget // (self._engine.bytes_per_voxel_and_filter * filters)
        self._tile_side = 0
        if voxels <= fitting:
            yield 1.0, self._engine.predict(image[None])[0]
            return
        side = max(2 * self.stride, int(fitting ** (1 / 3)) // self.stride * self.stride)
        self._tile_side = min(side, 128)
        tile = (self._tile_side,) * 3
        yield from predict_in_tiles(image, self._engine.predict, classes=self.version.card.network.classes, tile=tile)


def _later(report: ProgressCallback, share: float) -> ProgressCallback:
    """Return a callback for what follows after a share of the work is done."""
    return lambda rest, stage: report(share + (1 - share) * rest, stage)


def _warnings(
    labelmap: Volume, expected: Mapping[str, float], prepared: Prepared, preprocessed: Preprocessed
) -> tuple[str, ...]:
    """Return the warnings about the input and the result, a poor result first."""
    poor = quality_warning(expected, labelmap.data, prepared.missing)
    found = (*(() if poor is None else (poor,)), *preprocessed.warnings, *prepared.warnings)
    return found if labelmap.data.any() else (*found, NOTHING_FOUND)


def labels_of(probabilities: np.ndarray, prepared: Prepared) -> np.ndarray:
    """Turn probabilities into labels by :mod:`training.prediction.postprocess`.

    Args:
        probabilities: ``(x, y, z, class)`` from :meth:`Segmenter.probabilities`.
        prepared: The case they were computed for.

    Returns:
        ``uint8 (x, y, z)`` on the working grid, 0 outside the brain.
    """
    return decide(probabilities, prepared.brain, voxel_ml=prepared.frame.working.voxel_ml)


def output_maps(probabilities: np.ndarray, prepared: Prepared) -> dict[str, Volume]:
    """Return region probabilities and entropy on the reference grid, before postprocessing.

    Args:
        probabilities: ``(x, y, z, class)`` from :meth:`Segmenter.probabilities`.
        prepared: The case they were computed for.

    Returns:
        By name of :data:`MAP_NAMES`, float32 0-1, 0 outside the brain: the probability of each region (the sum over its
        labels), and the entropy over the classes relative to its maximum (0 certain, 1 undecided).
    """
    maps = {}
    for name, region in zip(MAP_NAMES, REGIONS, strict=False):
        maps[name] = _on_reference_grid(probabilities[..., list(REGIONS[region])].sum(axis=-1), prepared)
    maps["entropy"] = _on_reference_grid(_entropy(probabilities), prepared)
    return maps


def _on_reference_grid(values: np.ndarray, prepared: Prepared) -> Volume:
    np.clip(values, 0.0, 1.0, out=values)  # sums of a float32 softmax differ from 1 by about 1e-7
    values[~prepared.brain] = 0
    return prepared.frame.to_reference_map(values)


def _entropy(probabilities: np.ndarray) -> np.ndarray:
    """Return Shannon's entropy over the last axis, relative to that of equal probabilities."""
    total = np.zeros(probabilities.shape[:-1], np.float32)
    for number in range(probabilities.shape[-1]):  # one class at a time: a whole head has four million voxels
        share = probabilities[..., number]
        total -= share * np.log(np.maximum(share, np.finfo(np.float32).tiny))
    total /= np.float32(np.log(probabilities.shape[-1]))
    return total


def volumes_ml(labelmap: Volume) -> dict[str, float]:
    """Return the volume of each label, by name, and of each region, by key, in mL."""
    voxel, counts = labelmap.grid.voxel_ml, value_counts(labelmap.data)
    volumes = {label.name: float(counts.get(label.value, 0)) * voxel for label in LABELS}
    volumes |= {region: float(sum(counts.get(value, 0) for value in REGIONS[region])) * voxel for region in REGIONS}
    return {name: round(value, 3) for name, value in volumes.items()}
