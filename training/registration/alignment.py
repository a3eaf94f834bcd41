"""The result of a registration, and moving a volume by it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.images.grid import Grid, Volume

#: How far the head is moved to see how much similarity that costs: in mm along each axis and degrees about each.
STEP = 4.0

#: Smallest sharpness of an alignment that is trusted. Measured: 0.16 and more of one head, at most 0.08 of two
#: (docs/raw.md). The similarity alone does not tell: the outlines of two heads make it as large.
MIN_SHARPNESS = 0.11
#: Smallest similarity: below, the images share nothing. Measured: 1.055 and more of one head.
MIN_SIMILARITY = 1.015
#: Largest rotation of a head between two series; if it is larger, a header is wrong.
MAX_DEGREES = 60.0


@dataclass(frozen=True, eq=False)
class Alignment:
    """Where a series lies in the frame of another.

    Attributes:
        matrix: 4x4 float64, RAS mm of the fixed frame to RAS mm of the moving frame.
        similarity: Normalized mutual information of both series under ``matrix``; 1 if they share nothing.
        similarity_before: The same from the headers alone.
        similarity_mirrored: The largest with the mirror image of one head.
        sharpness: Share of ``similarity - 1`` that is lost, on average, when the head is moved by 4 mm along or 4
            degrees around an axis, in the direction in which less is lost.
        degrees: Angle of the rotation.
        mm: Displacement of the center of the head.
        seconds: Time of the registration.
    """

    matrix: np.ndarray
    similarity: float
    similarity_before: float
    similarity_mirrored: float
    sharpness: float
    degrees: float
    mm: float
    seconds: float

    @property
    def trusted(self) -> bool:
        """Whether this is one head in two series: its anatomy coincides in one position only, outlines do in many."""
        fits = self.similarity >= MIN_SIMILARITY and self.sharpness >= MIN_SHARPNESS
        return fits and self.degrees <= MAX_DEGREES

    @property
    def mirrored(self) -> bool:
        """Whether the mirror image fits better: left and right are exchanged in the header of one of both."""
        return self.similarity_mirrored > self.similarity


def rotation_degrees(matrix: np.ndarray) -> float:
    """Return the angle by which a rigid motion, 4x4, turns."""
    return float(np.degrees(np.arccos(np.clip((np.trace(matrix[:3, :3]) - 1) / 2, -1, 1))))


def move(volume: Volume, alignment: Alignment) -> Volume:
    """Return the moving volume in the frame of the fixed one: the same voxels with another affine.

    Args:
        volume: The one that was registered, or one in the same frame.
        alignment: Of :func:`training.registration.rigid.register`.
    """
    affine = np.linalg.inv(alignment.matrix) @ volume.grid.affine
    return Volume(volume.data, Grid(volume.grid.shape, affine))
