"""Training patches, streamed from prepared cases.

No case stays in memory between patches: files are memory-mapped, and a patch is copied out. A batch depends only on the
seed, the epoch and its index, not on threads or earlier reads.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from training.errors import InputError
from training.fitting.augment import Orientation, Shape, draw_orientation, vary_intensities
from training.labels import NUM_CLASSES
from training.preparation.store import PreparedCase


class PatchDataset(keras.utils.PyDataset):
    """Random patches, a given fraction of which is aimed at tumor.

    Batch ``i`` is ``(x, y)``: image ``(batch, *patch, 4)`` float32, z-scored, and one-hot label ``(batch, *patch, 4)``
    float32. A case smaller than the patch is padded with background.

    Args:
        cases: Source of the patches; at least one.
        patch: Sides in voxels.
        batch_size: Patches per batch.
        steps: Batches per epoch.
        tumor_fraction: Fraction of patches aimed at a tumor voxel, in cases that have any. Small classes are targeted
            as often as large ones; the voxel lies in the central half of the patch if the border of the case allows.
        weights: Relative sampling weight of each case; ``None`` for equal weights.
        augment: Whether to augment patches.
        seed: Random seed.
        workers, use_multiprocessing, max_queue_size: As in :class:`keras.utils.PyDataset`.

    Attributes:
        epoch: Index of the epoch. Keras advances it after each pass, including a dry pass before the first epoch;
            set it at the start of each epoch to make a training run reproducible.

    Raises:
        InputError: If there are no cases, or an argument is out of range.
    """

    def __init__(
        self,
        cases: Sequence[PreparedCase],
        *,
        patch: Sequence[int] = (128, 128, 128),
        batch_size: int = 2,
        steps: int = 50,
        tumor_fraction: float = 0.7,
        weights: Sequence[float] | None = None,
        augment: bool = True,
        seed: int = 0,
        workers: int = 1,
        use_multiprocessing: bool = False,
        max_queue_size: int = 8,
    ) -> None:
        super().__init__(workers=workers, use_multiprocessing=use_multiprocessing, max_queue_size=max_queue_size)
        if not cases:
            raise InputError("There is no case to train on.", field="cases")
        self.cases = tuple(cases)
        self.patch = _sides(patch)
        self.batch_size = _at_least_one(batch_size, "batch_size")
        self.steps = _at_least_one(steps, "steps")
        if not 0 <= tumor_fraction <= 1:
            raise InputError(f"tumor_fraction is a share from 0 to 1, not {tumor_fraction}.", field="tumor_fraction")
        self.tumor_fraction = tumor_fraction
        self.probabilities = _probabilities(weights, len(self.cases))
        self.augment = augment
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return batch ``index`` of the current epoch."""
        rng = np.random.default_rng([self.seed, self.epoch, index])
        x = np.empty((self.batch_size, *self.patch, 4), np.float32)
        y = np.zeros((self.batch_size, *self.patch, NUM_CLASSES), np.float32)
        for number in range(self.batch_size):
            self._draw(rng, x[number], y[number])
        return x, y

    def on_epoch_end(self) -> None:
        """Advance to the next epoch."""
        self.epoch += 1

    def _draw(self, rng: np.random.Generator, image: np.ndarray, one_hot: np.ndarray) -> None:
        """Fill one patch and its one-hot label, which must be 0 on entry."""
        case = self.cases[rng.choice(len(self.cases), p=self.probabilities)]
        orientation = draw_orientation(rng) if self.augment else Orientation()
        sides = orientation.source_shape(self.patch)
        start = self._start(rng, case, sides)
        image[...] = orientation.apply(read_patch(case.image(), start, sides))
        label = orientation.apply(read_patch(case.label(), start, sides))
        np.put_along_axis(one_hot, label[..., None].astype(np.intp), 1.0, axis=-1)
        if self.augment:
            vary_intensities(rng, image)

    def _start(self, rng: np.random.Generator, case: PreparedCase, sides: Shape) -> np.ndarray:
        """Draw the first voxel of a patch; it lies outside the case only if the case is smaller than the patch."""
        size = np.array(sides)
        spare = np.array(case.shape) - size
        aimed = len(case.tumor_index) > 0 and rng.random() < self.tumor_fraction
        if aimed:
            voxel = case.tumor_index[rng.integers(len(case.tumor_index))].astype(int)
            start = voxel - np.floor(rng.uniform(0.25, 0.75, 3) * size).astype(int)
        else:
            start = np.array([rng.integers(max(0, room) + 1) for room in spare])
        return np.where(spare >= 0, np.clip(start, 0, np.maximum(spare, 0)), spare // 2)


def read_patch(array: np.ndarray, start: np.ndarray, sides: Shape) -> np.ndarray:
    """Copy a box of ``sides`` voxels from ``start`` out of ``(x, y, z, ...)``, padded with 0 outside."""
    low = np.maximum(start, 0)
    high = np.minimum(start + np.array(sides), array.shape[:3])
    inside = array[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
    if inside.shape[:3] == tuple(sides):
        return np.array(inside)
    result = np.zeros((*sides, *array.shape[3:]), array.dtype)
    at = low - start
    to = at + np.array(inside.shape[:3])
    result[at[0] : to[0], at[1] : to[1], at[2] : to[2]] = inside
    return result


def _sides(patch: Sequence[int]) -> Shape:
    if len(patch) != 3 or min(patch) < 1:
        raise InputError(f"A patch has three positive sides; got {tuple(patch)}.", field="patch")
    return int(patch[0]), int(patch[1]), int(patch[2])


def _at_least_one(value: int, field: str) -> int:
    if value < 1:
        raise InputError(f"{field} must be at least 1; it is {value}.", field=field)
    return int(value)


def _probabilities(weights: Sequence[float] | None, count: int) -> np.ndarray:
    if weights is None:
        return np.full(count, 1 / count)
    array = np.asarray(weights, np.float64)
    if array.shape != (count,) or not np.all(np.isfinite(array)) or array.min() < 0 or array.sum() <= 0:
        raise InputError(
            f"There must be one non-negative weight for each of the {count} cases, and not all may be 0.",
            field="weights",
        )
    return array / array.sum()
