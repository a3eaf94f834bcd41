"""Training heads derived from corrected cases: each head is moved, scanned differently, and given a tumor of another.

A few corrected cases show few tumors, in few places, from one or two scanners. A derived head is one of them (the host)
rotated, scaled and mirrored, often with the tumor of another one (the donor) transplanted into it, and then with other
contrast, sharpness and slice thickness. Transplanting labeled lesions between heads: Zhang et al. 2021, "CarveMix"
(doi:10.1007/978-3-030-87193-2_19); Yang et al. 2021, "TumorCP" (doi:10.1007/978-3-030-87193-2_55).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.images.masks import Box, bounding_box
from training.parallel import map_unordered
from training.phantoms.fields import Shape, apply_axes, scan_matrix
from training.preparation.normalize import zscore
from training.preparation.store import PreparedCase, PreparedStore

_VERSION = 1
#: Every n-th head of a host keeps its own tumors only.
_WITHOUT_DONOR = 3
#: Width of the border over which a transplanted tumor fades into the host, and of the margin that holds it, in voxels.
_FADE, _MARGIN = 4.0, 8
#: Places that are tried for a transplanted tumor.
_PLACES = 8


@dataclass(frozen=True)
class Derivation:
    """One derived head: its host, its donor if it has one, and which of the heads of this host it is."""

    host: PreparedCase
    donor: PreparedCase | None
    number: int

    @property
    def key(self) -> str:
        """What decides its content."""
        parts = [f"{case.id} {case.key}" for case in (self.host, self.donor) if case is not None]
        return f"derived {_VERSION} {' | '.join(parts)} | {self.number}"

    @property
    def digest(self) -> bytes:
        """A hash of :attr:`key`."""
        return hashlib.sha256(self.key.encode()).digest()

    @property
    def id(self) -> str:
        """Name of the derived head in a store."""
        return f"derived-{self.digest.hex()[:24]}"


def derivations(cases: Sequence[PreparedCase], per_case: int) -> list[Derivation]:
    """Choose the derived heads of some cases.

    The choice is stable: another case more or less changes only those heads whose donor it becomes or was.

    Args:
        cases: Corrected cases.
        per_case: Number of heads derived from each.
    """
    return [Derivation(host, _donor(host, cases, number), number) for number in range(per_case) for host in cases]


def prepare_derived(
    store: PreparedStore,
    wanted: Sequence[Derivation],
    workers: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[PreparedCase]:
    """Make and store derived heads on all cores, unless they are already stored.

    Args:
        store: Store of prepared cases.
        wanted: From :func:`derivations`.
        workers: Processes; ``None`` for one per core.
        on_progress: Called with the number done and the total.

    Returns:
        The heads, in the order of ``wanted``.
    """
    todo = [derivation for derivation in wanted if not store.has(derivation.id, derivation.key)]
    done = len(wanted) - len(todo)
    if todo:
        for _ in map_unordered(_prepare_one, [(store.folder, derivation) for derivation in todo], workers):
            done += 1
            if on_progress is not None:
                on_progress(done, len(wanted))
    return [store.get(derivation.id) for derivation in wanted]


def derive(
    rng: np.random.Generator, host: tuple[np.ndarray, np.ndarray], donor: tuple[np.ndarray, np.ndarray] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Derive a head.

    Args:
        rng: Random generator.
        host: Image ``(x, y, z, channel)``, z-scored, 0 outside the brain; and label ``(x, y, z)``.
        donor: The same of another head whose tumors are transplanted, or ``None``.

    Returns:
        Image float32, z-scored, and label uint8, on a grid of the host's shape.
    """
    image, label, brain = _moved_head(rng, *host)
    if donor is not None:
        _transplant(rng, image, label, brain, *donor)
    _rescan(rng, image, brain)
    shown = [channel for channel in range(image.shape[-1]) if host[0][..., channel].any()]
    result = np.zeros_like(image)
    result[..., shown] = zscore(image[..., shown], brain)
    return result, label


def _donor(host: PreparedCase, cases: Sequence[PreparedCase], number: int) -> PreparedCase | None:
    """Return the case with the lowest hash: a choice that only changes with the case that is chosen."""
    others = [case for case in cases if case.id != host.id and len(case.tumor_index)]
    if not others or number % _WITHOUT_DONOR == 0:
        return None
    return min(others, key=lambda case: Derivation(host, case, number).digest)


def _prepare_one(job: tuple[Path, Derivation]) -> str:
    folder, derivation = job
    donor = None if derivation.donor is None else _arrays(derivation.donor)
    rng = np.random.default_rng(list(derivation.digest))
    image, label = derive(rng, _arrays(derivation.host), donor)
    return PreparedStore(folder).put(derivation.id, image, label, key=derivation.key).id


def _arrays(case: PreparedCase) -> tuple[np.ndarray, np.ndarray]:
    return np.asarray(case.image(), np.float32), np.asarray(case.label())


def _moved_head(
    rng: np.random.Generator, image: np.ndarray, label: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return image, label and brain of the head rotated, scaled and mirrored about its center."""
    shape: Shape = (label.shape[0], label.shape[1], label.shape[2])
    center = (np.array(shape) - 1) / 2
    matrix = _random_matrix(rng, angle=10, scale=(0.85, 1.1))
    brain = np.any(image != 0, axis=-1)
    offset = center - matrix @ center
    moved_brain = _resample(brain.astype(np.float32), matrix, offset, shape)
    inside = moved_brain > 0.5
    moved = np.zeros(image.shape, np.float32)
    for channel in range(image.shape[-1]):
        if image[..., channel].any():
            moved[..., channel] = _resample(image[..., channel], matrix, offset, shape)
    # Outside the brain images are 0: what was mixed with that at the border is scaled back.
    moved = np.where(inside[..., None], moved / np.maximum(moved_brain, 0.5)[..., None], np.float32(0))
    moved_label = _resample(label, matrix, offset, shape, order=0)
    moved_label[~inside] = 0
    return moved, moved_label, inside


def _transplant(
    rng: np.random.Generator,
    image: np.ndarray,
    label: np.ndarray,
    brain: np.ndarray,
    donor_image: np.ndarray,
    donor_label: np.ndarray,
) -> None:
    """Transplant the tumors of a donor into ``image`` and ``label``, in place, where they fit best."""
    from scipy import ndimage

    donor_brain = np.any(donor_image != 0, axis=-1)
    crop = bounding_box(donor_label > 0, _MARGIN)
    box, donor_box = bounding_box(brain), bounding_box(donor_brain)
    if crop is None or box is None or donor_box is None:
        return
    tumor = donor_label[crop]
    weight = np.clip(1 - (ndimage.distance_transform_edt(tumor == 0) - 1) / _FADE, 0, 1) * donor_brain[crop]
    middle = np.array([(part.start + part.stop - 1) / 2 for part in crop])
    share = _share_of(middle, donor_box)
    best: tuple[float, np.ndarray, np.ndarray] | None = None
    for _ in range(_PLACES):
        matrix = _random_matrix(rng, angle=20, scale=(0.7, 1.2))
        mirrored = matrix[0, 0] < 0
        target = np.array([part.start + at * (part.stop - part.start) for at, part in zip(share, box, strict=True)])
        if mirrored:
            target[0] = box[0].start + box[0].stop - target[0]
        target += rng.normal(0, 7, 3)
        offset = (middle - [part.start for part in crop]) - matrix @ target
        lost = _misplaced(tumor, matrix, offset, label, brain)
        if best is None or lost < best[0]:
            best = lost, matrix, offset
    assert best is not None
    _, matrix, offset = best
    shape: Shape = (label.shape[0], label.shape[1], label.shape[2])
    alpha = _resample(weight.astype(np.float32), matrix, offset, shape) * brain
    touched = bounding_box(alpha > 0)
    if touched is None:
        return
    offset = offset + matrix @ np.array([part.start for part in touched])
    size: Shape = tuple(part.stop - part.start for part in touched)
    share_here = alpha[touched]
    pasted = _resample(tumor, matrix, offset, size, order=0)
    healthy, donor_healthy = brain & (label == 0), donor_brain & (donor_label == 0)
    for channel in range(image.shape[-1]):
        if not image[..., channel].any() or not donor_image[..., channel].any():
            continue
        values = _resample(donor_image[..., channel][crop], matrix, offset, size)
        values = _matched(values, donor_image[..., channel][donor_healthy], image[..., channel][healthy])
        here = image[..., channel][touched]
        here += share_here * (values - here)
    part = label[touched]
    part[share_here > 0.5] = pasted[share_here > 0.5]


def _rescan(rng: np.random.Generator, image: np.ndarray, brain: np.ndarray) -> None:
    """Give each channel another contrast and often another sharpness or thick slices, in place."""
    solid = brain.astype(np.float32)
    for channel in range(image.shape[-1]):
        values = image[..., channel]
        if not values.any():
            continue
        if rng.random() < 0.6:
            low, high = np.percentile(values[brain][::5], (0.5, 99.5))
            width = np.float32(max(high - low, 1e-3))
            place = np.clip((values - np.float32(low)) / width, 0, 1.5)
            values[...] = place ** np.float32(np.exp(rng.normal(0, 0.25))) * brain
        if rng.random() < 0.4:
            thick = int(rng.integers(3)) if rng.random() < 0.5 else None
            matrices = [
                scan_matrix(
                    length,
                    blur=float(rng.uniform(0.3, 0.8)),
                    thickness=float(rng.uniform(2.5, 6.0)) if axis == thick else 1.0,
                    phase=float(rng.random()),
                )
                for axis, length in enumerate(brain.shape)
            ]
            values[...] = apply_axes(values, matrices) / np.maximum(apply_axes(solid, matrices), 0.3) * brain


def _random_matrix(rng: np.random.Generator, *, angle: float, scale: tuple[float, float]) -> np.ndarray:
    """Return a matrix from output to input offsets: rotation, scaling, and half the time mirroring of the sides."""
    from scipy.spatial.transform import Rotation

    turn = Rotation.from_euler("xyz", rng.normal(0, angle, 3).clip(-2 * angle, 2 * angle), degrees=True).as_matrix()
    size = rng.uniform(*scale) * np.exp(rng.normal(0, 0.05, 3))
    side = np.array([-1.0 if rng.random() < 0.5 else 1.0, 1.0, 1.0])
    return np.asarray(turn @ np.diag(side / size))


def _resample(
    values: np.ndarray, matrix: np.ndarray, offset: np.ndarray, shape: Shape, *, order: int = 1
) -> np.ndarray:
    """Resample ``(x, y, z)``: output voxel ``v`` takes the value at ``matrix @ v + offset``, 0 outside."""
    from scipy import ndimage

    return np.asarray(ndimage.affine_transform(values, matrix, offset, shape, order=order, prefilter=False))


def _share_of(point: np.ndarray, box: Box) -> np.ndarray:
    """Return where ``point`` lies in ``box``, 0 to 1 along each axis."""
    return np.array([(at - part.start) / (part.stop - part.start) for at, part in zip(point, box, strict=True)])


def _misplaced(
    tumor: np.ndarray, matrix: np.ndarray, offset: np.ndarray, label: np.ndarray, brain: np.ndarray
) -> float:
    """Return the share of the transplanted tumor that would lie outside the brain or on a tumor of the host."""
    voxels = np.argwhere(tumor > 0)[::50]
    placed = np.rint(np.linalg.solve(matrix, (voxels - offset).T).T).astype(int)
    within = np.all((placed >= 0) & (placed < brain.shape), axis=1)
    at = tuple(placed[within].T)
    return 1.0 - float(np.sum(brain[at] & (label[at] == 0))) / len(placed)


def _matched(values: np.ndarray, own: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Scale ``values`` as mean and deviation of ``own`` tissue must be scaled to those of ``wanted``."""
    factor = np.float32(wanted.std() / max(float(own.std()), 1e-3))
    return (values - np.float32(own.mean())) * factor + np.float32(wanted.mean())
