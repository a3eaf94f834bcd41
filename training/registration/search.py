"""Rigid positions, and finding those of largest similarity."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

#: Rotations are measured in mm of arc at this distance from the center of the head, to be comparable with shifts.
_RADIUS_MM = 70.0
#: One degree, so measured.
DEGREE_MM = float(np.radians(1)) * _RADIUS_MM

#: Rotation vectors to try, and shifts along each axis.
_ANGLES = np.arange(-45.0, 46.0, 15.0)
_SHIFTS_MM = np.array([-24.0, 0.0, 24.0])

#: The similarity at a position: 6 numbers, the rotation vector times :data:`_RADIUS_MM` and the shift in mm.
Rating = Callable[[np.ndarray], float]


def position_matrix(position: np.ndarray, center: np.ndarray) -> np.ndarray:
    """Return the 4x4 matrix of a rotation about a point followed by a shift.

    Args:
        position: As for :data:`Rating`.
        center: The point, in mm.
    """
    from scipy.spatial.transform import Rotation

    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(position[:3] / _RADIUS_MM).as_matrix()
    matrix[:3, 3] = center + position[3:] - matrix[:3, :3] @ center
    return matrix


def rotations() -> list[np.ndarray]:
    """Return the positions to try without shifts: rotations up to 45 degrees, 15 degrees apart."""
    vectors = _combinations(_ANGLES)
    vectors = vectors[np.linalg.norm(vectors, axis=1) <= _ANGLES.max()] * DEGREE_MM
    return [np.concatenate([vector, np.zeros(3)]) for vector in vectors]


def search_positions(between_centers: np.ndarray) -> list[np.ndarray]:
    """Return the positions to try: rotations with shifts around two that are likely.

    Args:
        between_centers: From the center of the fixed head to that of the moving one, in mm, by the headers. It is off
            where one series shows more of the neck or less of the skull; the headers are, where the patient moved.
    """
    shifts = _combinations(_SHIFTS_MM)
    shifts = np.concatenate([shifts, shifts + between_centers])
    return [rotation + np.concatenate([np.zeros(3), shift]) for rotation in rotations() for shift in shifts]


def best(rating: Rating, positions: Iterable[np.ndarray], count: int) -> list[np.ndarray]:
    """Return the ``count`` most similar positions, best first."""
    candidates = list(positions)
    order = np.argsort([-rating(each) for each in candidates], kind="stable")
    return [candidates[index] for index in order[:count]]


def refined(rating: Rating, start: np.ndarray, step_mm: float) -> np.ndarray:
    """Return the position near ``start`` where the similarity is locally largest, by Powell's method.

    Args:
        rating: What to maximize.
        start: Where to begin.
        step_mm: About how far that position may be.
    """
    from scipy.optimize import minimize

    result = minimize(
        lambda steps: -rating(start + steps * step_mm),
        np.zeros(6),
        method="Powell",
        options={"xtol": 0.05, "ftol": 1e-5, "maxiter": 4},
    )
    return np.asarray(start + result.x * step_mm)


def _combinations(values: np.ndarray) -> np.ndarray:
    return np.stack(np.meshgrid(values, values, values, indexing="ij"), -1).reshape(-1, 3)
