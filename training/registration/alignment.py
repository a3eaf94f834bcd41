"""The result of a registration, and moving a volume by it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.images.grid import Grid, Volume

#: An alignment is trusted from this normalized mutual information on ...
MIN_SIMILARITY = 1.02
#: ... if at least this share of the information above 1 is lost when the head is moved by 6 mm or 6 degrees.
MIN_SHARPNESS = 0.15


@dataclass(frozen=True, eq=False)
class Alignment:
    """Where a series lies in the frame of another.

    Attributes:
        matrix: 4x4 float64, RAS mm of the fixed frame to RAS mm of the moving frame.
        similarity: Normalized mutual information of both series under ``matrix``; 1 if they share nothing.
        similarity_before: The same from the headers alone.
        sharpness: Share of ``similarity - 1`` that is lost, on average, when the head is moved by 6 mm or 6 degrees.
        degrees: Angle of the rotation.
        mm: Displacement of the center of the head.
        seconds: Time of the registration.
    """

    matrix: np.ndarray
    similarity: float
    similarity_before: float
    sharpness: float
    degrees: float
    mm: float
    seconds: float

    @property
    def trusted(self) -> bool:
        """Whether the series fit: they share information, and less of it in every other position."""
        return self.similarity >= MIN_SIMILARITY and self.sharpness >= MIN_SHARPNESS


def move(volume: Volume, alignment: Alignment) -> Volume:
    """Return the moving volume in the frame of the fixed one: the same voxels with another affine.

    Args:
        volume: The one that was registered, or one in the same frame.
        alignment: Of :func:`training.registration.rigid.register`.
    """
    affine = np.linalg.inv(alignment.matrix) @ volume.grid.affine
    return Volume(volume.data, Grid(volume.grid.shape, affine))
