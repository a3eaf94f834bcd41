"""The position of the slices of a volume: their order, the affine, and whether they can be one volume at all.

Coordinates are DICOM's, LPS, until :attr:`Geometry.affine`, which is RAS.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.dicom.image import Image
from training.dicom.split import SAME_POSITION, normal_of, places_of
from training.images.grid import LPS_TO_RAS

#: Fewer slices are a localizer or a single picture, and no volume of a head.
FEWEST_SLICES = 4
#: Shares of the distance between slices by which a slice may lie elsewhere than equally spaced ones: told, refused.
_TOLD, _REFUSED = 0.02, 0.1
#: Cosines of the images of one volume differ by less.
_SAME_DIRECTION = 1e-2
#: The tilt up to which slices are taken to be stacked at right angles (0.06 degrees): headers are rounded.
_NO_TILT = 1e-3


@dataclass(frozen=True, eq=False)
class Geometry:
    """Where the slices of a volume lie.

    Attributes:
        order: The images in the order of the slices, along the normal (as ITK and 3D Slicer order them).
        affine: 4x4, index (column, row, slice) to RAS millimeters; with shear if the slices are stacked obliquely.
        spacing: Of columns, rows and slices, in millimeters.
        problem: Why these images are no volume; empty if they are one.
        notes: What was repaired or is unusual.
    """

    order: tuple[Image, ...]
    affine: np.ndarray
    spacing: tuple[float, float, float]
    problem: str = ""
    notes: tuple[str, ...] = ()

    @property
    def extent(self) -> float:
        """The height of the stack of slices in millimeters."""
        return self.spacing[2] * len(self.order)


def geometry_of(images: Sequence[Image]) -> Geometry:
    """Return the geometry of the images of one volume; what is wrong with it is in ``problem``."""
    problem = _unusable(images)
    if problem:
        return Geometry(tuple(images), np.eye(4), (0.0, 0.0, 0.0), problem)
    first = images[0]
    spacing = first.pixel_spacing or (0.0, 0.0)
    normal = normal_of(first.orientation or ())
    places = np.array([image.position for image in images], np.float64)
    order = np.argsort(places @ normal, kind="stable")
    places = places[order]
    step = (places[-1] - places[0]) / (len(places) - 1)
    problem, notes = _stacking(places, normal, [images[place] for place in order])
    along = float(step @ normal)
    tilt = float(np.arctan2(np.linalg.norm(step - along * normal), along))
    origin = places[0]
    if not problem and tilt > _NO_TILT:
        notes = (
            *notes,
            f"its slices are stacked {np.degrees(tilt):.1f} degrees obliquely (tilt), which the affine holds",
        )
    else:
        upright = along * normal
        origin, step = origin + (step - upright) * (len(places) - 1) / 2, upright
    affine = affine_of(first.orientation or (), spacing, step, origin)
    ordered = tuple(images[place] for place in order)
    sizes = (spacing[1], spacing[0], float(np.linalg.norm(step)))
    return Geometry(ordered, affine, sizes, problem, notes)


def affine_of(
    orientation: Sequence[float] | np.ndarray, pixel_spacing: Sequence[float], step: np.ndarray, origin: np.ndarray
) -> np.ndarray:
    """Return the affine of evenly stacked slices: 4x4, index (column, row, slice) to RAS millimeters.

    Args:
        orientation: ImageOrientationPatient.
        pixel_spacing: PixelSpacing.
        step: From one slice to the next, ``(3,)``, LPS millimeters.
        origin: ImagePositionPatient of the first slice.
    """
    along_row, along_column = np.asarray(orientation, np.float64).reshape(2, 3)
    between_rows, between_columns = (float(value) for value in pixel_spacing)
    affine = np.eye(4)
    affine[:3] = np.column_stack([along_row * between_columns, along_column * between_rows, step, origin])
    return np.asarray(LPS_TO_RAS @ affine)


def _unusable(images: Sequence[Image]) -> str:
    """Return why images cannot be stacked, whatever their positions."""
    first = images[0]
    without = [image for image in images if image.orientation is None or image.position is None]
    if without:
        return "it does not say where its images lie (ImagePositionPatient and ImageOrientationPatient are missing)"
    if first.pixel_spacing is None or min(first.pixel_spacing) <= 0:
        return "it does not say how large its pixels are (PixelSpacing is missing)"
    axes = np.array(first.orientation).reshape(2, 3)
    if np.abs(axes @ axes.T - np.eye(2)).max() > 1e-2:
        return "the directions of its rows and columns are not at right angles (ImageOrientationPatient is damaged)"
    directions = np.array([image.orientation for image in images])
    if np.abs(directions - directions[0]).max() > _SAME_DIRECTION:
        return "its images lie in many directions"
    if len(images) < FEWEST_SLICES:
        return f"it has only {len(images)} image{'s' if len(images) > 1 else ''}, which is no volume of a head"
    same = len(images) - len(set(places_of(images)))
    if same:
        return (
            f"{same} of its {len(images)} images lie where another one does, and nothing in their headers tells which "
            "belong together"
        )
    return ""


def _stacking(places: np.ndarray, normal: np.ndarray, ordered: Sequence[Image]) -> tuple[str, tuple[str, ...]]:
    """Return what is wrong with the positions of ordered slices, and what is unusual.

    Args:
        places: ``(slices, 3)``, millimeters.
        normal: Of the slices.
        ordered: Their images.
    """
    gaps = np.diff(places @ normal)
    usual = float(np.median(gaps))
    steps = np.rint(gaps / usual)
    if steps.max() > 1 and np.abs(gaps / usual - steps).max() <= _REFUSED:
        where = [place for place, count in enumerate(steps) if count > 1]
        missing = int(steps.sum()) - len(gaps)
        return _missing_slices(missing, ordered, where), ()
    line = places[0] + np.arange(len(places))[:, None] * (places[-1] - places[0]) / (len(places) - 1)
    off = float(np.linalg.norm(places - line, axis=1).max())
    if off > max(_REFUSED * usual, 2 * SAME_POSITION):
        return (
            f"the distances between its slices vary from {gaps.min():.2f} to {gaps.max():.2f} mm, or its slices are "
            f"shifted against each other (up to {off:.2f} mm from an even stack)"
        ), ()
    if off > max(_TOLD * usual, 2 * SAME_POSITION):
        return "", (f"its slices lie up to {off:.2f} mm from an even stack, which is not corrected",)
    return "", ()


def _missing_slices(missing: int, ordered: Sequence[Image], where: Sequence[int]) -> str:
    shown = ", ".join(_between(ordered[place], ordered[place + 1]) for place in where[:3])
    more = f" and {len(where) - 3} more gaps" if len(where) > 3 else ""
    return f"{missing} slice{'s are' if missing > 1 else ' is'} missing ({shown}{more})"


def _between(one: Image, other: Image) -> str:
    numbers = sorted(number for number in (one.instance_number, other.instance_number) if number is not None)
    return f"between images {numbers[0]} and {numbers[1]}" if len(numbers) == 2 else "in the middle"
