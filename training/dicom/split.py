"""The volumes of one series: some series hold several, for instance two echoes, or three planes of a localizer."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence

import numpy as np

from training.dicom.image import Image

#: Cosines that differ by less are equal: 0.06 degrees.
_SAME_DIRECTION = 1e-3
#: Positions that are closer are equal, in millimeters.
SAME_POSITION = 0.01
#: A frame of reference of fewer images is an error of de-identification, which gave each image another one.
_FEWEST_PER_FRAME = 4
_MOST_PLANES = 200
#: What tells volumes at the same positions apart, in this order.
_KEYS: tuple[Callable[[Image], Hashable], ...] = (
    lambda image: image.image_type,
    lambda image: image.echo_time,
    lambda image: image.echo_number,
    lambda image: image.stack,
    lambda image: image.temporal_position,
    lambda image: image.b_value,
    lambda image: image.inversion_time,
    lambda image: image.acquisition_number,
    lambda image: image.acquired,
)


def split(images: Sequence[Image]) -> list[list[Image]]:
    """Return the volumes of a series, each in the order of its instance numbers.

    Images that differ in matrix, pixel spacing, orientation, or frame of reference are never of one volume. What else
    differs splits them only where several images lie at the same position: the acquisition number, for instance, may
    differ between the slices of one volume.
    """
    shared_frames = len({image.frame_of_reference for image in images}) * _FEWEST_PER_FRAME <= len(images)
    images = sorted(images, key=lambda image: (image.instance_number or 0, image.frame or 0, str(image.path)))
    groups = _same_plane(images, shared_frames)
    if not groups and images:
        return [images]  # no head was scanned like this: geometry_of refuses it
    return [volume for group in groups for volume in _by_position(group)]


def normal_of(orientation: Sequence[float]) -> np.ndarray:
    """Return the unit vector at right angles to the rows and columns (LPS)."""
    normal = np.cross(orientation[:3], orientation[3:])
    return normal / max(float(np.linalg.norm(normal)), 1e-12)


def places_of(images: Sequence[Image]) -> list[int]:
    """Return for each image the number of its position along the normal: equal positions have equal numbers."""
    normal = normal_of(images[0].orientation or (1.0, 0.0, 0.0, 0.0, 1.0, 0.0))
    heights = np.array([float(np.dot(normal, image.position or (0.0, 0.0, 0.0))) for image in images])
    order = np.argsort(heights, kind="stable")
    numbers = np.concatenate([[0], np.cumsum(np.diff(heights[order]) > SAME_POSITION)])
    places = np.empty(len(images), int)
    places[order] = numbers
    return [int(place) for place in places]


def _same_plane(images: Sequence[Image], shared_frames: bool) -> list[list[Image]]:
    """Group images by matrix, pixel spacing, orientation and frame of reference; return none if there are too many."""
    groups: list[list[Image]] = []
    for image in images:
        for group in groups:
            same_frame = not shared_frames or group[0].frame_of_reference == image.frame_of_reference
            if same_frame and _are_parallel(group[0], image):
                group.append(image)
                break
        else:
            if len(groups) == _MOST_PLANES:
                return []
            groups.append([image])
    return groups


def _are_parallel(one: Image, other: Image) -> bool:
    if (one.rows, one.columns, one.samples) != (other.rows, other.columns, other.samples):
        return False
    return _close(one.pixel_spacing, other.pixel_spacing, 1e-3) and _close(
        one.orientation, other.orientation, _SAME_DIRECTION
    )


def _close(one: Sequence[float] | None, other: Sequence[float] | None, tolerance: float) -> bool:
    if one is None or other is None:
        return one is other
    return max(abs(a - b) for a, b in zip(one, other, strict=True)) <= tolerance


def _by_position(images: list[Image]) -> list[list[Image]]:
    """Split images of one plane until no two lie at the same position, as far as their headers differ."""
    doubles, most = _doubles(images)
    if not doubles:
        return [images]
    for key in _KEYS:
        parts: dict[Hashable, list[Image]] = defaultdict(list)
        for image in images:
            parts[key(image)].append(image)
        # Otherwise it is something that differs from slice to slice.
        few = len(parts) <= most or min(map(len, parts.values())) > 3
        if len(parts) > 1 and few and sum(_doubles(part)[0] for part in parts.values()) < doubles:
            return [volume for part in parts.values() for volume in _by_position(part)]
    return [images]


def _doubles(images: Sequence[Image]) -> tuple[int, int]:
    """Return how many images lie where another one does, and the largest number at one position."""
    counts = Counter(places_of(images))
    return len(images) - len(counts), max(counts.values())
