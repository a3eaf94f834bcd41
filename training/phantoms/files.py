"""Phantoms on disk, in the layout and on the grid of BraTS, usable like any downloaded case."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from training.atomic import write_with
from training.errors import InputError
from training.finished import Finished
from training.labels import to_brats_values
from training.modalities import ROLES
from training.parallel import Workers, map_unordered
from training.phantoms.generate import GENERATOR_VERSION, Phantom, generate

#: The grid of BraTS: 1 mm, x to the left, y to the back, z up.
BRATS_SHAPE = (240, 240, 155)
BRATS_AFFINE = np.array([[-1.0, 0, 0, 0], [0, -1, 0, 239], [0, 0, 1, 0], [0, 0, 0, 1]])

#: Distance of the first seeds of two batches of :func:`write_cases`, so that they do not overlap.
_SEEDS_PER_BATCH = 1_000_000


def on_brats_grid(array: np.ndarray) -> np.ndarray:
    """Center an RAS array ``(x, y, z)`` on the BraTS grid; a taller head loses its lowest slices."""
    array = array[::-1, ::-1]
    result = np.zeros(BRATS_SHAPE, array.dtype)
    source, target = [], []
    for axis, (have, want) in enumerate(zip(array.shape, BRATS_SHAPE, strict=True)):
        extra = have - want
        # only spinal cord lies below the brain
        cut = 0 if extra <= 0 else extra if axis == 2 else extra // 2
        start = max(0, -extra // 2)
        length = min(have, want)
        source.append(slice(cut, cut + length))
        target.append(slice(start, start + length))
    result[tuple(target)] = array[tuple(source)]
    return result


def write_case(phantom: Phantom, folder: Path, case_id: str) -> Path:
    """Write ``folder/case_id/case_id_{t1,t1ce,t2,flair,seg}.nii.gz``; the label has BraTS's values 1, 2, 4.

    Args:
        phantom: A whole head.
        folder: The studies folder; created if absent.
        case_id: Name of the case, such as ``phantom_0001``.

    Returns:
        The case's folder.
    """
    import nibabel

    place = Path(folder) / case_id
    arrays = {role: np.round(phantom.image[..., k]).astype(np.int16) for k, role in enumerate(ROLES)}
    arrays["seg"] = to_brats_values(phantom.label)
    for name, array in arrays.items():
        image = nibabel.Nifti1Image(on_brats_grid(array), BRATS_AFFINE)
        image.header.set_xyzt_units("mm", "sec")
        write_with(place / f"{case_id}_{name}.nii.gz", image.to_filename)
    return place


def write_cases(
    root: Path,
    n: int,
    seed: int = 0,
    workers: Workers = None,
    on_progress: Callable[[int, int], None] | None = None,
    *,
    resume: bool = False,
) -> list[Path]:
    """Write ``n`` phantoms ``phantom_0001`` ... below ``root``.

    Args:
        root: The studies folder; created if absent.
        n: Number of phantoms, at least 1.
        seed: Seed of the batch: the same seed gives the same cases with any number of workers.
        workers: Processes; ``None`` for one per core; or a cluster.
        on_progress: Called with the number done and ``n`` after each case.
        resume: Whether to record what is finished (:mod:`training.finished`), and to keep what a record says is.

    Returns:
        The folders of the cases, in order.

    Raises:
        InputError: If ``n`` or ``seed`` is out of range.
    """
    if n < 1:
        raise InputError(f"The number of phantoms must be at least 1; it is {n}.", field="n")
    if seed < 0:
        raise InputError(f"The seed must not be negative; it is {seed}.", field="seed")
    jobs = [(seed * _SEEDS_PER_BATCH + k, str(root), case_name(k), resume) for k in range(n)]
    for done, _ in enumerate(map_unordered(_write_one, jobs, workers), start=1):
        if on_progress is not None:
            on_progress(done, n)
    return [Path(root) / job[2] for job in jobs]


def case_name(number: int) -> str:
    """Return the name of a case of :func:`write_cases`, counted from 0."""
    return f"phantom_{number + 1:04d}"


def own_cases(root: Path, n: int, seed: int = 0) -> set[str]:
    """Return the names of the cases that a call of :func:`write_cases` with ``resume`` has written or begun."""
    names = {case_name(k): _key(seed * _SEEDS_PER_BATCH + k) for k in range(n)}
    return {name for name, key in names.items() if Finished(Path(root)).mine(name, key)}


def _write_one(job: tuple[int, str, str, bool]) -> None:
    seed, root, name, resume = job
    finished = Finished(Path(root))
    if not resume:
        write_case(generate(seed), Path(root), name)
    elif finished.facts(name, _key(seed)) is None:
        finished.begin(name, _key(seed))
        place = write_case(generate(seed), Path(root), name)
        finished.note(name, _key(seed), sorted(place.glob("*.nii.gz")))


def _key(seed: int) -> str:
    return f"phantom generator {GENERATOR_VERSION} seed {seed}"
