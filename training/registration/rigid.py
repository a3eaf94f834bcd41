"""Rigid registration of one series of a head to another, of any modality.

A search of rotations and shifts at 5 mm, then refinement of the best positions at 5, 3 and 1 mm. All of it maximizes
the normalized mutual information, with Powell's method as SPM does (Collignon et al. 1995; Maes et al. 1997,
doi:10.1109/42.563664). It is our own code instead of the library picsl_greedy (Apache 2.0), which is as accurate but
takes three times the time, cannot be cancelled, and searches at random: in 1 of 8 trials it was off by 90 mm.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import numpy as np

from training.images.grid import Volume
from training.registration.alignment import STEP, Alignment
from training.registration.head import find_head
from training.registration.levels import coarsened
from training.registration.similarity import Comparison

#: Called with the fraction done (0-1) and the name of the stage. May raise to stop the work.
ProgressCallback = Callable[[float, str], None]

#: Rotations are measured in mm of arc at this distance from the center of the head, to be comparable with shifts.
_RADIUS_MM = 70.0
_DEGREE_MM = float(np.radians(1)) * _RADIUS_MM

#: The search: rotation vectors up to 45 degrees, and shifts of up to 24 mm along each axis.
_ANGLES = np.arange(-45.0, 46.0, 15.0)
_SHIFTS_MM = np.array([-24.0, 0.0, 24.0])

#: How many of the positions are refined at 5 mm, and how many of these at 3 mm.
_STARTS, _CANDIDATES = 24, 3


def register(
    fixed: Volume,
    moving: Volume,
    *,
    fixed_mask: Volume | None = None,
    on_progress: ProgressCallback | None = None,
) -> Alignment:
    """Find the rigid motion between two series of one head.

    Rotations up to about 50 degrees are found, and shifts up to about 35 mm along each axis from where either the
    headers or the centers of both heads coincide. The result is the same at each call.

    Args:
        fixed: The reference.
        moving: The series to align, with skull or without.
        fixed_mask: Where to compare, on any grid in the frame of ``fixed``; non-zero is inside. By default, the head.
        on_progress: Called with the fraction done and ``"registering"``.

    Returns:
        The most similar position, whatever it is: look at :attr:`Alignment.trusted`.
    """
    begin = time.perf_counter()
    report = on_progress or (lambda share, stage: None)
    report(0.0, "registering")
    whole = find_head(fixed)
    heads = whole if fixed_mask is None else find_head(fixed, fixed_mask), find_head(moving)
    center = heads[0].center

    def compared(spacing_mm: float, points: int, blur_mm: float = 0.0, bins: int = 32) -> Comparison:
        volumes = [coarsened(volume, spacing_mm, blur_mm) for volume in (fixed, moving)]
        return Comparison(volumes[0], volumes[1], heads, points, bins)

    coarse = compared(5.0, 1500, blur_mm=3.5, bins=20)
    report(0.1, "registering")
    starts = _best(coarse, center, _search_positions(heads[1].center - whole.center), _STARTS)
    found = []
    for number, start in enumerate(starts):
        report(0.25 + 0.3 * number / len(starts), "registering")
        found.append(_refined(coarse, center, start, step_mm=6.0))
    middle = compared(3.0, 20000, blur_mm=2.0)
    report(0.6, "registering")
    found = [_refined(middle, center, start, step_mm=2.0) for start in _best(middle, center, found, _CANDIDATES)]
    report(0.75, "registering")
    best = _refined(compared(1.0, 40000), center, _best(middle, center, found, 1)[0], step_mm=0.7)
    report(0.95, "registering")
    judge = compared(2.0, 20000, blur_mm=1.0)  # fine enough to tell anatomy from outlines, with little noise
    result = _alignment(judge, center, best, begin)
    report(1.0, "registering")
    return result


def _alignment(compared: Comparison, center: np.ndarray, position: np.ndarray, begin: float) -> Alignment:
    matrix = _matrix(position, center)
    similarity = compared.similarity(matrix)
    around = [
        compared.similarity(_matrix(sign * STEP * unit * (_DEGREE_MM if axis < 3 else 1.0), center) @ matrix)
        for axis, unit in enumerate(np.eye(6))
        for sign in (-1, 1)
    ]
    beside = [each for each in around if each > 1]  # where the volumes still overlap
    return Alignment(
        matrix=matrix,
        similarity=similarity,
        similarity_before=compared.similarity(np.eye(4)),
        sharpness=1 - float(np.mean(beside) - 1) / (similarity - 1) if beside and similarity > 1 else 0.0,
        degrees=float(np.degrees(np.arccos(np.clip((np.trace(matrix[:3, :3]) - 1) / 2, -1, 1)))),
        mm=float(np.linalg.norm(position[3:])),
        seconds=time.perf_counter() - begin,
    )


def _matrix(position: np.ndarray, center: np.ndarray) -> np.ndarray:
    """Return the 4x4 matrix of a rotation about a point followed by a shift.

    Args:
        position: Rotation vector times :data:`_RADIUS_MM`, then the shift in mm; 6 numbers.
        center: RAS mm.
    """
    from scipy.spatial.transform import Rotation

    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(position[:3] / _RADIUS_MM).as_matrix()
    matrix[:3, 3] = center + position[3:] - matrix[:3, :3] @ center
    return matrix


def _search_positions(between_centers: np.ndarray) -> list[np.ndarray]:
    """Return the positions to try.

    Args:
        between_centers: From the center of the fixed head to that of the moving one, in mm, by the headers. It is off
            where one series shows more of the neck or less of the skull; the headers are, where the patient moved.
    """
    rotations = _combinations(_ANGLES)
    rotations = rotations[np.linalg.norm(rotations, axis=1) <= _ANGLES.max()] * _DEGREE_MM
    shifts = _combinations(_SHIFTS_MM)
    shifts = np.concatenate([shifts, shifts + between_centers])
    return [np.concatenate([rotation, shift]) for rotation in rotations for shift in shifts]


def _combinations(values: np.ndarray) -> np.ndarray:
    return np.stack(np.meshgrid(values, values, values, indexing="ij"), -1).reshape(-1, 3)


def _best(compared: Comparison, center: np.ndarray, positions: Iterable[np.ndarray], count: int) -> list[np.ndarray]:
    """Return the ``count`` most similar positions, best first."""
    candidates = list(positions)
    order = np.argsort([-compared.similarity(_matrix(each, center)) for each in candidates], kind="stable")
    return [candidates[index] for index in order[:count]]


def _refined(compared: Comparison, center: np.ndarray, start: np.ndarray, step_mm: float) -> np.ndarray:
    """Return the position near ``start`` where the similarity is locally largest.

    Args:
        compared: What to compare.
        center: Of the rotation.
        start: Where to begin.
        step_mm: About how far that position may be.
    """
    from scipy.optimize import minimize

    result = minimize(
        lambda steps: -compared.similarity(_matrix(start + steps * step_mm, center)),
        np.zeros(6),
        method="Powell",
        options={"xtol": 0.05, "ftol": 1e-5, "maxiter": 4},
    )
    return np.asarray(start + result.x * step_mm)
