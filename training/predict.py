"""From four volumes to a labelmap on the reference volume's grid.

The network sees the whole brain at once; only where memory is short it is cut into overlapping tiles. A tumor
is never cut off, and outside the brain there is none.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from training.geometry import Prepared, prepare
from training.hardware import best_policy, free_memory_bytes, prepare_backend
from training.labels import LABELS, REGIONS, region_mask
from training.model_store import ModelVersion
from training.tiles import predict_in_tiles
from training.volumes import Volume

#: Called with the share done (0-1) and the stage, for people. May raise to stop the work.
ProgressCallback = Callable[[float, str], None]

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
    """

    labelmap: Volume
    volumes_ml: dict[str, float]
    seconds: dict[str, float]
    warnings: tuple[str, ...]
    model_version: str


class Segmenter:
    """A loaded model version. Building one imports Keras and loads the weights; keep it.

    Args:
        version: From :class:`training.model_store.ModelStore`.
        policy: Keras dtype policy; ``None`` takes what suits the hardware.
        memory_bytes: Most memory one pass may take; ``None`` looks at what is free at each call.
    """

    def __init__(self, version: ModelVersion, *, policy: str | None = None, memory_bytes: int | None = None) -> None:
        prepare_backend()
        import keras

        from training.unet import build_unet, with_softmax
        from training.weights import set_weights

        self.version = version
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
        result: np.ndarray | None = None
        for share, merged in self._passes(image):
            result = merged
            if on_progress is not None:
                on_progress(share, "computing")
        assert result is not None
        return result

    def labels(self, prepared: Prepared, on_progress: ProgressCallback | None = None) -> np.ndarray:
        """Return the most probable label of each voxel of a prepared case, ``uint8 (x, y, z)``; 0 outside the brain."""
        labels = np.argmax(self.probabilities(prepared.image, on_progress), axis=-1).astype(np.uint8)
        labels[~prepared.brain] = 0
        return labels

    def segment(
        self,
        volumes: Mapping[str, Volume],
        *,
        reference: str = "t1ce",
        on_progress: ProgressCallback | None = None,
    ) -> Segmentation:
        """Segment one case.

        Args:
            volumes: The four modalities by role, each on its own grid.
            reference: The role on whose grid the result lies.
            on_progress: Told the share done and the stage: preparing, computing, restoring.

        Raises:
            InputError: If a modality is missing or unusable; see :func:`training.geometry.prepare`.
        """
        tell = on_progress or (lambda share, stage: None)
        started = time.perf_counter()
        tell(0.0, "preparing")
        prepared = prepare(volumes, reference=reference, stride=self.stride)
        at_network = time.perf_counter()
        labels = self.labels(prepared, lambda share, stage: tell(0.2 + 0.7 * share, stage))
        at_restore = time.perf_counter()
        tell(0.9, "restoring")
        labelmap = prepared.frame.to_reference(labels)
        ended = time.perf_counter()
        tell(1.0, "done")
        seconds = {
            "prepare": round(at_network - started, 3),
            "network": round(at_restore - at_network, 3),
            "restore": round(ended - at_restore, 3),
        }
        return Segmentation(labelmap, volumes_ml(labelmap), seconds, prepared.warnings, self.version.id)

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


def volumes_ml(labelmap: Volume) -> dict[str, float]:
    """Return the volume of each label, by name, and of each region, by key, in mL."""
    voxel = labelmap.grid.voxel_ml
    volumes = {label.name: float((labelmap.data == label.value).sum()) * voxel for label in LABELS}
    volumes |= {region: float(region_mask(labelmap.data, region).sum()) * voxel for region in REGIONS}
    return {name: round(value, 3) for name, value in volumes.items()}
