"""Rigid registration: a search of rotations and shifts at low resolution, then refinement of the best."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import numpy as np

from training.images.grid import Volume, transform_points
from training.registration.alignment import Alignment
from training.registration.head import find_head
from training.registration.levels import coarsened
from training.registration.similarity import Comparison

#: Called with the fraction done (0-1) and the name of the stage. May raise to stop the work.
ProgressCallback = Callable[[float, str], None]

#: Rotations are measured in mm of arc at this distance from the center of the head, to be comparable with shifts.
_RADIUS_MM = 70.0


def register(
    fixed: Volume,
    moving: Volume,
    *,
    fixed_mask: Volume | None = None,
    on_progress: ProgressCallback | None = None,
) -> Alignment:
    """Find the rigid motion between two series of one head, of any modality.

    Args:
        fixed: The reference.
        moving: The series to align.
        fixed_mask: Where to compare, on any grid (non-zero is inside); by default the head is found.
        on_progress: Called with the fraction done and ``"registering"``.
    """
    begin = time.perf_counter()
    report = on_progress or (lambda share, stage: None)
    report(0.0, "registering")
    heads = find_head(fixed, fixed_mask), find_head(moving)
    center, to_center = heads[0].center, heads[1].center - heads[0].center

    def compared(spacing_mm: float, points: int, blur_mm: float = 0.0, bins: int = 32) -> Comparison:
        volumes = [coarsened(volume, spacing_mm, blur_mm) for volume in (fixed, moving)]
        return Comparison(volumes[0], volumes[1], heads, points, bins)

    coarse = compared(5.0, 1500, blur_mm=3.5, bins=20)
    report(0.1, "registering")
    starts = _best(coarse, center, _grid(to_center), 24)
    report(0.25, "registering")
    found = []
    for number, start in enumerate(starts):
        found.append(_refined(coarse, center, start, step=6.0))
        report(0.25 + 0.3 * (number + 1) / len(starts), "registering")
    middle = compared(3.0, 20000, blur_mm=2.0)
    found = [_refined(middle, center, start, step=2.0) for start in _best(middle, center, found, 3)]
    report(0.75, "registering")
    best = _refined(compared(1.0, 40000), center, _best(middle, center, found, 1)[0], step=0.7)
    report(1.0, "registering")
    return _alignment(middle, center, best, time.perf_counter() - begin)


def _alignment(compared: Comparison, center: np.ndarray, position: np.ndarray, seconds: float) -> Alignment:
    matrix = rigid_matrix(position, center)
    similarity = compared.similarity(matrix)
    around = []
    for axis in range(6):
        for step in (-6.0, 6.0):
            beside = np.zeros(6)
            beside[axis] = step * (np.radians(1) * _RADIUS_MM if axis < 3 else 1)
            around.append(compared.similarity(rigid_matrix(beside, center) @ matrix))
    lost = 1 - (np.mean(around) - 1) / max(similarity - 1, 1e-6)
    return Alignment(
        matrix=matrix,
        similarity=similarity,
        similarity_before=compared.similarity(np.eye(4)),
        sharpness=float(lost),
        degrees=float(np.degrees(np.linalg.norm(position[:3]) / _RADIUS_MM)),
        mm=float(np.linalg.norm(transform_points(matrix, center) - center)),
        seconds=seconds,
    )


def rigid_matrix(position: np.ndarray, center: np.ndarray) -> np.ndarray:
    """Return the 4x4 matrix of a rotation about ``center`` followed by a shift.

    Args:
        position: Rotation vector times :data:`_RADIUS_MM`, then the shift in mm; 6 numbers.
        center: RAS mm.
    """
    from scipy.spatial.transform import Rotation

    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(position[:3] / _RADIUS_MM).as_matrix()
    matrix[:3, 3] = center + position[3:] - matrix[:3, :3] @ center
    return matrix


def _grid(to_center: np.ndarray) -> list[np.ndarray]:
    """Return the positions of the search: rotations up to 45 degrees; shifts around the headers' and the centers'."""
    angles = np.radians(np.arange(-45, 46, 15)) * _RADIUS_MM
    shifts = np.array([-24.0, 0.0, 24.0])
    rotations = _combinations(angles)
    rotations = rotations[np.linalg.norm(rotations, axis=1) <= np.radians(46) * _RADIUS_MM]
    lattice = _combinations(shifts)
    moves = np.concatenate([lattice, lattice + to_center])
    return [np.concatenate([rotation, move]) for rotation in rotations for move in moves]


def _combinations(values: np.ndarray) -> np.ndarray:
    return np.stack(np.meshgrid(values, values, values, indexing="ij"), -1).reshape(-1, 3)


def _best(compared: Comparison, center: np.ndarray, positions: Iterable[np.ndarray], count: int) -> list[np.ndarray]:
    """Return the ``count`` most similar positions, best first."""
    rated = [
        (-compared.similarity(rigid_matrix(position, center)), n, position) for n, position in enumerate(positions)
    ]
    return [position for _, _, position in sorted(rated, key=lambda each: each[:2])[:count]]


def _refined(compared: Comparison, center: np.ndarray, start: np.ndarray, step: float) -> np.ndarray:
    """Return the nearest position of locally largest similarity (Powell's method)."""
    from scipy.optimize import minimize

    result = minimize(
        lambda x: -compared.similarity(rigid_matrix(start + x * step, center)),
        np.zeros(6),
        method="Powell",
        options={"xtol": 0.05, "ftol": 1e-5, "maxiter": 4},
    )
    return np.asarray(start + result.x * step)
