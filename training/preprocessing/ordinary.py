"""Whether volumes need no preprocessing for certain, told at the cost of counting their voxels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from training.images.grid import Volume
from training.images.tissue import LARGEST_BRAIN_ML

#: Largest part of a stripped volume that is brain. A slab of a raw head holds little, but hardly any background.
_MOST_BRAIN = 0.6


def surely_ordinary(volumes: Mapping[str, Volume]) -> bool:
    """Return whether volumes share one grid and show no more than a brain; others may be ordinary as well.

    Args:
        volumes: By role, at least one.
    """
    first = next(iter(volumes.values())).grid
    return all(volume.grid.matches(first) and _has_plain_background(volume) for volume in volumes.values())


def _has_plain_background(volume: Volume) -> bool:
    """Return whether all but a brain's volume holds the value of the first voxel."""
    differing = int(np.count_nonzero(volume.data != volume.data.flat[0]))
    return differing <= min(_MOST_BRAIN * volume.data.size, LARGEST_BRAIN_ML / volume.grid.voxel_ml)
