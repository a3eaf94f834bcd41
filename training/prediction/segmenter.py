"""From four volumes to a labelmap on the reference volume's grid, and to maps of how sure the network is.

The network sees the whole brain at once; only where memory is short it is cut into overlapping tiles. A tumor
is never cut off, and outside the brain there is none.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from training.hardware import best_policy, free_memory_bytes, prepare_backend
from training.images.grid import Volume
from training.labels import LABELS, REGIONS, region_mask
from training.models.store import ModelVersion
from training.prediction.postprocess import MIN_CORELESS_ML, MIN_LESION_ML, decide
from training.prediction.tiles import predict_in_tiles
from training.prediction.uncertainty import uncertainty
from training.preparation.prepare import Prepared, prepare

#: Called with the share done (0-1) and the stage, for people. May raise to stop the work.
ProgressCallback = Callable[[float, str], None]

#: The maps that can be asked for, in this order.
MAP_NAMES: tuple[str, ...] = (*(f"probability_{region.lower()}" for region in REGIONS), "entropy")

#: Told with an empty answer, which must not be read as a healthy brain.
NOTHING_FOUND = (
    f"No tumor is reported. That does not mean that there is none: a lesion below {MIN_LESION_ML:g} mL is left out, "
    f"and below {MIN_CORELESS_ML:g} mL one in which no tumor core was found. Look at the images, or at the "
    "probability maps."
)

#: Peak memory of one pass, in bytes per voxel and base filter: measured 35 in bfloat16, twice that in float32.
_BYTES_PER_VOXEL_AND_FILTER = 80


@dataclass(frozen=True)
class Segmentation:
    """What the network answered for one case.

    Attributes:
        labelmap: ``uint8`` values of :mod:`training.labels`, on exactly the reference volume's grid.
        volumes_ml: Volume of each label (by name) and region (``WT``, ``TC``, ``ET``), in mL.
        seconds: Time of each stage: ``prepare``, ``network``, ``restore``.
        warnings: What a reader of the result should know, one sentence each.
        model_version: Id of the version that answered.
        reference: The role on whose grid everything lies.
        missing: Roles that were not there.
        maps: By name of :data:`MAP_NAMES`, float32 in 0-1 on the labelmap's grid, 0 outside the brain; empty unless
            asked for. See :func:`output_maps`.
        uncertainty: How unsure the network is of the answer, 0-1
        (:func:`training.prediction.uncertainty.uncertainty`); ``None``
            if it was not measured.
    """

    labelmap: Volume
    volumes_ml: dict[str, float]
    seconds: dict[str, float]
    warnings: tuple[str, ...]
    model_version: str
    reference: str = "t1ce"
    missing: tuple[str, ...] = ()
    maps: dict[str, Volume] = field(default_factory=dict)
    uncertainty: float | None = None


class Segmenter:
    """A loaded model version. Building one imports Keras and loads the weights; keep it.

    Args:
        version: From :class:`training.models.store.ModelStore`.
        policy: Keras dtype policy; ``None`` takes what suits the hardware.
        memory_bytes: Most memory one pass may take; ``None`` looks at what is free at each call.
        mirror: Answer with the mean over the head and its mirror image (left and right exchanged); takes twice the
            time.
    """

    def __init__(
        self,
        version: ModelVersion,
        *,
        policy: str | None = None,
        memory_bytes: int | None = None,
        mirror: bool = False,
    ) -> None:
        prepare_backend()
        import keras

        from training.models.weights import set_weights
        from training.network.unet import build_unet, with_softmax

        self.version = version
        self.mirror = mirror
        self._memory_bytes = memory_bytes
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(policy or best_policy())
        try:
            network = build_unet(version.card.network)
        finally:
            keras.config.set_dtype_policy(before)
        set_weights(network, version.load_weights())
        self._model = with_softmax(network)

    @property
    def stride(self) -> int:
        """Sides of the network's input must be multiples of this."""
        return self.version.card.network.stride

    def probabilities(self, image: np.ndarray, on_progress: ProgressCallback | None = None) -> np.ndarray:
        """Return class probabilities for a prepared image.

        Args:
            image: ``(x, y, z, 4)`` float32, z-scored, sides multiples of :attr:`stride`.
            on_progress: Told the share of tiles done.

        Returns:
            ``(x, y, z, 4)`` float32, sums of 1 over the classes.
        """
        tell = on_progress or (lambda share, stage: None)
        if not self.mirror:
            return self._probabilities(image, tell)
        result = self._probabilities(image, lambda share, stage: tell(share / 2, stage))
        # The first axis of the working grid runs from left to right.
        mirrored = self._probabilities(image[::-1], lambda share, stage: tell(0.5 + share / 2, stage))
        result = result + mirrored[::-1]
        result *= 0.5
        return result

    def labels(self, prepared: Prepared, on_progress: ProgressCallback | None = None) -> np.ndarray:
        """Return the label of each voxel of a prepared case, ``uint8 (x, y, z)``; see :func:`labels_of`."""
        return labels_of(self.probabilities(prepared.image, on_progress), prepared)

    def segment(
        self,
        volumes: Mapping[str, Volume],
        *,
        reference: str | None = None,
        allow_missing: bool = False,
        maps: bool = False,
        on_progress: ProgressCallback | None = None,
        on_probabilities: Callable[[np.ndarray, Prepared], None] | None = None,
    ) -> Segmentation:
        """Segment one case.

        Args:
            volumes: The four modalities by role, each on its own grid.
            reference: The role on whose grid the result lies; ``None`` takes T1ce, or what there is instead.
            allow_missing: Take what there is of the four, at least one; the warnings name what was missing.
            maps: Make the maps of :data:`MAP_NAMES` as well.
            on_progress: Told the share done and the stage: preparing, computing, restoring.
            on_probabilities: Handed the class probabilities ``(x, y, z, class)`` on the working grid and what they
                were computed from, for measuring.

        Raises:
            InputError: If a modality is missing or unusable; see :func:`training.preparation.prepare.prepare`.
        """
        tell = on_progress or (lambda share, stage: None)
        started = time.perf_counter()
        tell(0.0, "preparing")
        prepared = prepare(volumes, reference=reference, stride=self.stride, allow_missing=allow_missing)
        at_network = time.perf_counter()
        tell(0.2, "computing")
        probabilities = self.probabilities(prepared.image, lambda share, stage: tell(0.2 + 0.7 * share, stage))
        if on_probabilities is not None:
            on_probabilities(probabilities, prepared)
        at_restore = time.perf_counter()
        tell(0.9, "restoring")
        labels = labels_of(probabilities, prepared)
        labelmap = prepared.frame.to_reference(labels)
        unsure = uncertainty(probabilities, labels, prepared.brain)
        made = output_maps(probabilities, prepared) if maps else {}
        ended = time.perf_counter()
        tell(1.0, "done")
        return Segmentation(
            labelmap=labelmap,
            volumes_ml=volumes_ml(labelmap),
            seconds={
                "prepare": round(at_network - started, 3),
                "network": round(at_restore - at_network, 3),
                "restore": round(ended - at_restore, 3),
            },
            warnings=prepared.warnings if labelmap.data.any() else (*prepared.warnings, NOTHING_FOUND),
            model_version=self.version.id,
            reference=prepared.reference,
            missing=prepared.missing,
            maps=made,
            uncertainty=round(unsure, 4),
        )

    def _probabilities(self, image: np.ndarray, tell: ProgressCallback) -> np.ndarray:
        result: np.ndarray | None = None
        for share, merged in self._passes(image):
            result = merged
            tell(share, "computing")
        assert result is not None
        return result

    def _passes(self, image: np.ndarray) -> Iterator[tuple[float, np.ndarray | None]]:
        voxels = image.shape[0] * image.shape[1] * image.shape[2]
        filters = self.version.card.network.base_filters
        budget = self._memory_bytes if self._memory_bytes is not None else free_memory_bytes() // 2
        fitting = budget // (_BYTES_PER_VOXEL_AND_FILTER * filters)
        if voxels <= fitting:
            yield 1.0, self._predict(image[None])[0]
            return
        side = max(2 * self.stride, int(fitting ** (1 / 3)) // self.stride * self.stride)
        tile = (min(side, 128),) * 3
        yield from predict_in_tiles(image, self._predict, classes=self.version.card.network.classes, tile=tile)

    def _predict(self, batch: np.ndarray) -> np.ndarray:
        return np.asarray(self._model.predict_on_batch(np.asarray(batch, np.float32)), np.float32)


def labels_of(probabilities: np.ndarray, prepared: Prepared) -> np.ndarray:
    """Decide for a label in each voxel, less what is too small to be meant (:mod:`training.prediction.postprocess`).

    Args:
        probabilities: ``(x, y, z, class)``, of :meth:`Segmenter.probabilities`.
        prepared: The case they were computed for.

    Returns:
        ``uint8 (x, y, z)`` on the working grid, 0 outside the brain.
    """
    return decide(probabilities, prepared.brain, voxel_ml=prepared.frame.working.voxel_ml)


def output_maps(probabilities: np.ndarray, prepared: Prepared) -> dict[str, Volume]:
    """Put on the reference grid how sure the network is, before anything is cleaned away.

    Args:
        probabilities: ``(x, y, z, class)``, of :meth:`Segmenter.probabilities`.
        prepared: The case they were computed for.

    Returns:
        By name of :data:`MAP_NAMES`, float32 in 0-1, 0 outside the brain: the probability of each region, which is
        the sum over its labels, and the entropy over the classes divided by its largest value (0 sure, 1 no idea).
    """
    maps = {}
    for name, region in zip(MAP_NAMES, REGIONS, strict=False):
        maps[name] = _on_reference_grid(probabilities[..., list(REGIONS[region])].sum(axis=-1), prepared)
    maps["entropy"] = _on_reference_grid(_entropy(probabilities), prepared)
    return maps


def _on_reference_grid(values: np.ndarray, prepared: Prepared) -> Volume:
    np.clip(values, 0.0, 1.0, out=values)  # sums of a float32 softmax miss 1 by some 1e-7
    values[~prepared.brain] = 0
    return prepared.frame.to_reference_map(values)


def _entropy(probabilities: np.ndarray) -> np.ndarray:
    """Shannon's entropy over the last axis, as a share of that of equal probabilities."""
    total = np.zeros(probabilities.shape[:-1], np.float32)
    for number in range(probabilities.shape[-1]):  # one class at a time: a whole head has four million voxels
        share = probabilities[..., number]
        total -= share * np.log(np.maximum(share, np.finfo(np.float32).tiny))
    total /= np.float32(np.log(probabilities.shape[-1]))
    return total


def volumes_ml(labelmap: Volume) -> dict[str, float]:
    """Return the volume of each label, by name, and of each region, by key, in mL."""
    voxel = labelmap.grid.voxel_ml
    volumes = {label.name: float((labelmap.data == label.value).sum()) * voxel for label in LABELS}
    volumes |= {region: float(region_mask(labelmap.data, region).sum()) * voxel for region in REGIONS}
    return {name: round(value, 3) for name, value in volumes.items()}
