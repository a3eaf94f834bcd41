"""A brain mask that was made smaller by hand: the volumes are cut to it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from training.errors import InputError
from training.images.grid import Volume
from training.images.resample import index_map, resample_mask

#: Voxels outside the stored mask that do not count: an editor that smooths or resamples a mask moves its border.
_IGNORED = 0.002


def restrict(volumes: Mapping[str, Volume], brain: Volume, edited: Volume) -> tuple[dict[str, Volume], Volume]:
    """Cut stripped volumes to a smaller brain mask.

    Args:
        volumes: By role, stripped by ``brain``, each on its own grid.
        brain: The mask that they were stripped by, 0 and 1.
        edited: The smaller mask, in the same position, on any grid; everything but 0 counts.

    Returns:
        The volumes, 0 outside the smaller mask, and that mask on the grid of ``brain``, uint8.

    Raises:
        InputError: If the edited mask is empty, or holds what the other does not: what lies there is 0 in the volumes.
    """
    inside = brain.data > 0
    wanted = _on_grid_of(edited, brain)
    if not wanted.any():
        raise InputError("The brain mask is empty, or lies elsewhere than the images.", field="brain")
    added = np.count_nonzero(wanted & ~inside)
    if added > _IGNORED * np.count_nonzero(inside):
        raise InputError(
            f"The edited brain mask adds {added * brain.grid.voxel_ml:.1f} mL to the one that the volumes were "
            "stripped by. What lies there was not kept. Send the series again, with the mask as the file brain.",
            field="brain",
        )
    smaller = Volume((wanted & inside).astype(np.uint8), brain.grid)
    cut = {}
    for role, volume in volumes.items():
        cut[role] = Volume(np.where(_on_grid_of(smaller, volume), volume.data, np.float32(0)), volume.grid)
    return cut, smaller


def _on_grid_of(mask: Volume, other: Volume) -> np.ndarray:
    """Return a mask on the grid of another volume, bool."""
    if mask.grid.matches(other.grid):
        return mask.data > 0
    to_mask = index_map(mask.grid.affine, other.grid.affine)
    found: np.ndarray = resample_mask(mask.data > 0, to_mask, other.grid.shape)
    return found
