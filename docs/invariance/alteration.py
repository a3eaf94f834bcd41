"""What an alteration of the input is, and how a labelmap of the altered head is mapped back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from docs.invariance.formats import Head, Writer, as_nifti
from training.images.grid import Grid, Volume, transform_points

#: A voxel of the altered grid must fall on one of the unaltered grid; the rest is rounding of float32 headers.
_ON_LATTICE = 0.01


@dataclass(frozen=True, eq=False)
class Alteration:
    """A change of the input files that must not change the answer.

    Attributes:
        key: Short name for the command line.
        group: What is changed; a heading of the table.
        title: One line for the table.
        change: Changes voxels, and crops, pads, flips or permutes the grids; the voxels that remain keep their place.
        write: Writes the changed head.
        motion: 4x4, how the head is moved in RAS millimeters by the headers alone.
    """

    key: str
    group: str
    title: str
    change: Callable[[Head], Head] = field(default=lambda head: head)
    write: Writer = field(default_factory=as_nifti)
    motion: np.ndarray = field(default_factory=lambda: np.eye(4))

    def apply(self, head: Head) -> dict[str, Volume]:
        """Return the altered head; ``head`` is left as it is."""
        changed = self.change(head)
        return {role: _moved(volume, self.motion) for role, volume in changed.items()}


def map_back(labelmap: Volume, onto: Grid, motion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Map a labelmap of the altered head back to the unaltered grid, voxel to voxel, without interpolation.

    Args:
        labelmap: Labels on the altered grid.
        onto: The unaltered grid.
        motion: :attr:`Alteration.motion`.

    Returns:
        The labels on ``onto``, ``uint8 (x, y, z)``; and the labels ``(n,)`` of the voxels that lie outside of it.

    Raises:
        ValueError: If the voxels of the altered grid do not fall on voxels of ``onto``.
    """
    index = np.linalg.inv(motion @ onto.affine) @ labelmap.grid.affine
    corners = np.array([[0, 0, 0], *np.diag(np.asarray(labelmap.grid.shape) - 1)])
    moved = transform_points(index, corners)
    if np.abs(moved - np.round(moved)).max() > _ON_LATTICE:
        raise ValueError("the voxels of the labelmap do not fall on those of the unaltered grid")
    labeled = np.argwhere(labelmap.data)
    values = labelmap.data[tuple(labeled.T)]
    places = np.round(transform_points(index, labeled)).astype(int)
    inside = np.all((places >= 0) & (places < onto.shape), axis=1)
    result = np.zeros(onto.shape, np.uint8)
    result[tuple(places[inside].T)] = values[inside]
    return result, values[~inside]


def _moved(volume: Volume, motion: np.ndarray) -> Volume:
    return Volume(volume.data, Grid(volume.grid.shape, motion @ volume.grid.affine))
