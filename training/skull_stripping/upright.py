"""The brain found roughly, in a head that may be tilted.

The network was trained on upright heads. In a head tilted by more than about 20 degrees, it takes face and neck for
brain as well. So what it finds is too large unless the head is upright, and the turn with the smallest brain is right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from training.errors import InputError
from training.images.grid import Grid, Volume
from training.images.masks import large_components
from training.images.resample import Shape, index_map, resample_linear

if TYPE_CHECKING:
    import keras

#: Voxels a side of the network's input.
_SIDE = 128
#: Percentiles of the whole image between which intensities are kept, and the mean and standard deviation that they then
#: get; as in the training of the networks.
_PERCENTILES = (0.5, 99.5)
_MEAN, _DEVIATION = 0.449, 0.226
#: Up to this volume in mL, the brain that was found in the unturned head is taken as right.
_CERTAIN_ML = 1600.0
#: What a turn must leave of it to be better, as fractions: measured 0.7 to 0.8 at 35 degrees; below half is no brain.
_BETTER, _NOTHING = 0.93, 0.4
#: Degrees of the turns that are tried, about the axes to the right, front and top: large ones of the unturned head,
#: then more of the best one so far.
_LARGE, _SMALL = 25, 12
_STAGES = (
    [(x, y, 0) for x in (0, _LARGE, -_LARGE) for y in (0, _LARGE, -_LARGE) if x or y]
    + [(0, 0, _LARGE), (0, 0, -_LARGE)],
    [(0, 0, _LARGE), (0, 0, -_LARGE)],
    [(sign * x, sign * y, sign * z) for x, y, z in _SMALL * np.eye(3, dtype=int) for sign in (1, -1)],
)
#: Above this fraction of the range of intensities is tissue.
_TISSUE = 0.15
#: Logits nearer to 0 are in doubt: probabilities from 0.05 to 0.95.
_DOUBT = 2.94
#: A head is upside down if the other way up leaves less than this fraction in doubt: measured 0.53 to 0.70 in heads
#: that are, 1.1 to 2.9 in those that are not.
_CLEARER = 0.8


@dataclass(frozen=True)
class Intensities:
    """The range of intensities of a head."""

    low: float
    high: float

    @classmethod
    def of(cls, head: np.ndarray) -> Intensities:
        """Return the range of the intensities of ``head`` ``(x, y, z)``.

        Raises:
            InputError: If there is none.
        """
        low, high = (float(each) for each in np.percentile(head[::2, ::2, ::2], _PERCENTILES))
        if high <= low:
            raise InputError("The image holds one value nearly everywhere; there is no brain in it.", field="image")
        return cls(low, high)

    def normalized(self, image: np.ndarray) -> np.ndarray:
        """Return ``image`` as the networks expect it, float32."""
        image = np.clip((image - self.low) / (self.high - self.low), 0, 1)
        return (_DEVIATION * (image - image.mean()) / max(float(image.std()), 1e-6) + _MEAN).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Rough:
    """The brain, found roughly.

    Attributes:
        inside: ``(128, 128, 128)`` bool: the brain over the extent of :attr:`grid`.
        grid: 1 mm: that of the head, or one on which the head is upright.
        doubtful: Number of voxels of which the network is not certain.
    """

    inside: np.ndarray
    grid: Grid
    doubtful: int

    @property
    def to_grid(self) -> np.ndarray:
        """From voxels of :attr:`inside` to those of :attr:`grid`, 4x4."""
        return scaled_to(self.grid.shape)

    @property
    def ml(self) -> float:
        """Volume of the brain in mL."""
        return float(np.count_nonzero(self.inside)) * abs(np.linalg.det(self.to_grid[:3, :3])) * self.grid.voxel_ml


def find_roughly(head: Volume, intensities: Intensities, model: keras.Model) -> Rough:
    """Find the brain roughly, and turn the head upright.

    Args:
        head: 1 mm, with axes nearest to R, A, S.
        intensities: Of ``head``.
        model: The network that finds the brain.

    Returns:
        The brain in the upright head; empty if there is none.
    """
    unturned = _asked(head, head.grid, intensities, model)
    if unturned.ml <= _CERTAIN_ML:
        return unturned
    center = _center(head, intensities)
    best, place = unturned, np.zeros(3)
    for stage in _STAGES:
        before = place
        for turn in stage:
            found = _asked(head, _turned(head.grid, center, before + turn), intensities, model)
            if _NOTHING * unturned.ml < found.ml < best.ml:
                best, place = found, before + turn
        if best.ml > _BETTER * unturned.ml:
            return unturned
    return best


def upside_down(head: Volume, brain_ml: float, intensities: Intensities, model: keras.Model) -> bool:
    """Return whether a head stands on its crown, since its file is wrong about the orientation.

    Args:
        head: As for :func:`find_roughly`.
        brain_ml: Volume of the brain that was found.
        intensities: As for :func:`find_roughly`.
        model: As for :func:`find_roughly`.
    """
    given = _asked(head, head.grid, intensities, model)
    x, y, z = head.grid.shape
    turn = np.diag([1.0, -1.0, -1.0, 1.0])
    turn[:3, 3] = (0, y - 1, z - 1)
    other = _asked(head, Grid((x, y, z), head.grid.affine @ turn), intensities, model)
    if other.doubtful > _CLEARER * given.doubtful:
        return False
    # a tilted head is doubtful either way up, and was turned by the tilt
    return given.ml <= brain_ml / _BETTER or other.ml < _BETTER * brain_ml


def scaled_to(shape: Shape, side: int = _SIDE) -> np.ndarray:
    """Return the affine from voxels of a cube of ``side`` voxels to those of ``shape`` over the same extent."""
    scale = np.asarray(shape) / side
    result = np.diag([*scale, 1.0])
    result[:3, 3] = (scale - 1) / 2
    return result


def _center(head: Volume, intensities: Intensities) -> np.ndarray:
    """Return the voxel in the middle of what is not air."""
    tissue = head.data[::4, ::4, ::4] > intensities.low + _TISSUE * (intensities.high - intensities.low)
    return 4 * np.argwhere(tissue).mean(axis=0) if tissue.any() else np.asarray(head.data.shape) / 2


def _turned(grid: Grid, center: np.ndarray, degrees: np.ndarray) -> Grid:
    """Return a cube around a voxel that is turned about the axes to the right, front and top."""
    from scipy.spatial.transform import Rotation

    side = max(grid.shape)
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    turn[:3, 3] = center - turn[:3, :3] @ np.full(3, (side - 1) / 2)
    return Grid((side, side, side), grid.affine @ turn)


def _asked(head: Volume, grid: Grid, intensities: Intensities, model: keras.Model) -> Rough:
    """Return what the network takes for the brain on ``grid``."""
    to_head = index_map(head.grid.affine, grid.affine) @ scaled_to(grid.shape)
    image = intensities.normalized(resample_linear(head.data, to_head, (_SIDE,) * 3, intensities.low))
    logits = model.predict_on_batch(image[None, ..., None])[0, ..., 0]
    return Rough(large_components(logits > 0, np.inf), grid, int(np.count_nonzero(np.abs(logits) < _DOUBT)))
