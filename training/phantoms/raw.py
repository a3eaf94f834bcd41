"""Raw phantoms: what a scanner delivers of a synthetic head, on several grids, with skull, and moved between series.

The brain, its tumor and their contrasts are those of :func:`training.phantoms.generate.generate` for the same seed; the
rest of the head is painted around them, and each series is acquired on its own grid. What is true is known: the motion,
the brain, and the label.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from training.errors import InputError
from training.images.grid import Grid, Volume, transform_points
from training.images.resample import index_map, resample_labels, resample_linear, resample_mask
from training.modalities import ROLES
from training.parallel import with_one_blas_thread
from training.phantoms.anatomy import Anatomy
from training.phantoms.appearance import CHANNELS, SharedTextures, blend
from training.phantoms.atlas import load_atlas
from training.phantoms.distractors import Distractor
from training.phantoms.generate import Parts, TumorOption, draw_parts
from training.phantoms.raw_head import Head, build_head, face, paint_head
from training.phantoms.raw_series import PROTOCOLS, Protocol, coarse, cut, scan, series_grid, shading
from training.phantoms.tumor import Tumor

#: Increment when a seed gives a different raw study.
RAW_VERSION = 1

#: The series in whose frame the truth is given.
REFERENCE = "t1ce"

#: Distractors that belong to an imperfect skull stripping.
_OF_STRIPPING = {"dura", "edge"}


@dataclass(frozen=True, eq=False)
class RawStudy:
    """One raw study. All positions are RAS millimeters.

    Attributes:
        volumes: Role to series on its native grid, as acquired, with skull; float32 with whole numbers.
        protocols: Role to how it was acquired.
        transforms: Role to 4x4 float64, from the frame of T1ce to that of the series: how the head moved. That of T1ce
            is the identity.
        label: uint8, values of :mod:`training.labels`, on the grid of T1ce.
        brain: uint8 0/1 on the grid of T1ce: all inside the pial surface.
        intracranial: uint8 0/1 on the grid of T1ce: the brain with all fluid around it, up to the dura.
        head: uint8 0/1 on the grid of T1ce: all inside the skin.
        seed: Its seed.
        kind: As of :class:`training.phantoms.generate.Phantom`.
    """

    volumes: Mapping[str, Volume]
    protocols: Mapping[str, Protocol]
    transforms: Mapping[str, np.ndarray]
    label: Volume
    brain: Volume
    intracranial: Volume
    head: Volume
    seed: int
    kind: str

    def brain_points(self, count: int = 5000) -> np.ndarray:
        """Return about ``count`` positions spread over the brain, ``(n, 3)`` in the frame of T1ce."""
        voxels = np.argwhere(self.brain.data > 0)
        return transform_points(self.brain.grid.affine, voxels[:: max(1, len(voxels) // count)])

    def error(self, role: str, matrix: np.ndarray) -> float:
        """Return the mean distance in mm over the brain between a registration and the truth.

        Args:
            role: The moving series.
            matrix: 4x4, from the frame of T1ce to that of the series, as in :attr:`transforms`.
        """
        points = self.brain_points()
        difference = transform_points(matrix, points) - transform_points(self.transforms[role], points)
        return float(np.linalg.norm(difference, axis=1).mean())

    def aligned(self, onto: Grid) -> dict[str, Volume]:
        """Return the series stripped and aligned with the true brain and motion, for comparison.

        T1ce stays on its own grid; the others are interpolated once.

        Args:
            onto: Grid of the others, in the frame of T1ce.
        """
        grids = {role: self.volumes[role].grid if role == REFERENCE else onto for role in self.volumes}
        result = {}
        for role, volume in self.volumes.items():
            to_series = np.linalg.inv(volume.grid.affine) @ self.transforms[role] @ grids[role].affine
            data = resample_linear(volume.data, to_series, grids[role].shape)
            brain = resample_mask(
                self.brain.data > 0, index_map(self.brain.grid.affine, grids[role].affine), grids[role].shape
            )
            result[role] = Volume(np.where(brain, data, np.float32(0)), grids[role])
        return result


@with_one_blas_thread
def raw_study(
    seed: int,
    *,
    degrees: float = 12.0,
    mm: float = 15.0,
    tilt: float = 8.0,
    tumor: TumorOption = True,
    defaced: bool = False,
    partial: Iterable[str] = (),
    small: bool = False,
) -> RawStudy:
    """Make a raw study of four series.

    Args:
        seed: Non-negative; determines everything, together with the other arguments. The head, its tumor and their
            contrasts are those of the phantom of this seed.
        degrees: Maximum rotation of the head between T1ce and another series.
        mm: Maximum displacement of the head's center between T1ce and another series.
        tilt: Maximum rotation of the head in the scanner during T1ce.
        tumor: As for :func:`training.phantoms.generate.generate`.
        defaced: Whether the face is removed, in all series.
        partial: Roles of series that cover only a part of the brain.
        small: Whether voxels are 2 mm and more, to be fast: for tests.

    Raises:
        InputError: If ``seed``, ``degrees``, ``mm`` or ``tilt`` is negative, or a role of ``partial`` is unknown.
    """
    partial = tuple(partial)
    _check(seed, {"degrees": degrees, "mm": mm, "tilt": tilt}, partial)
    parts = draw_parts(seed, None, tumor, "some")
    rng = np.random.default_rng([seed, 20261])
    spacing = 2 if small else 1
    head = build_head(rng, load_atlas(), parts.warp, parts.anatomy.depth, spacing)
    thin = parts if not small else _every_second(parts)
    images = paint_head(rng, head, _brain_images(parts.rng, thin), thin.anatomy.vessel, parts.contrast)
    if defaced:
        images *= ~face(head)
    to_ras = np.diag([spacing, spacing, spacing, 1.0])
    to_ras[:3, 3] = head.origin
    surface, center = _surface(head, to_ras)
    placed = _motion(rng, tilt, 10.0, center)
    transforms, volumes, protocols = {}, {}, {}
    for channel, role in enumerate(ROLES):
        motion = np.eye(4) if role == REFERENCE else _motion(rng, degrees, mm, transform_points(placed, center))
        protocol = PROTOCOLS[role][rng.integers(len(PROTOCOLS[role]))]
        protocol = coarse(protocol) if small else protocol
        grid = _grid(rng, protocol, motion @ placed, center, surface)
        grid = cut(grid, rng) if role in partial else grid
        image = images[channel] * shading(rng, head.shape, spacing, head.mni[2])
        volumes[role] = scan(rng, image, motion @ placed @ to_ras, grid, protocol)
        transforms[role], protocols[role] = motion, protocol
    truth = _on_reference(head, thin.tumor, placed @ to_ras, volumes[REFERENCE].grid)
    return RawStudy(volumes, protocols, transforms, **truth, seed=seed, kind=parts.kind)


def _check(seed: int, amounts: Mapping[str, float], partial: tuple[str, ...]) -> None:
    if seed < 0:
        raise InputError(f"A phantom's seed must not be negative; it is {seed}.", field="seed")
    for name, amount in amounts.items():
        if not amount >= 0:
            raise InputError(f"The amount of motion must not be negative; {name} is {amount}.", field=name)
    for role in partial:
        if role not in ROLES:
            raise InputError(f"There is no series {role!r} to cut; known are {', '.join(ROLES)}.", field="partial")


def _brain_images(rng: np.random.Generator, parts: Parts) -> np.ndarray:
    """Paint brain, distractors and tumor without any effect of a scanner, ``(4, x, y, z)``."""
    looks = SharedTextures(rng, parts.anatomy, parts.tumor)
    images = []
    for channel in range(CHANNELS):
        image = looks.tissue(rng, parts.anatomy, parts.contrast, channel)
        for item in parts.distractors:
            if item.kind not in _OF_STRIPPING:
                blend(image, item, parts.contrast.distractor[item.kind][channel], rng)
        if parts.tumor is not None:
            looks.add_tumor(rng, image, parts.tumor, parts.contrast, channel)
        images.append(image)
    return np.stack(images)


def _every_second(parts: Parts) -> Parts:
    """Return the parts with every second voxel along each axis."""
    shape = parts.anatomy.brain.shape
    fields = {name: field[..., ::2, ::2, ::2] for name, field in vars(parts.anatomy).items() if name != "mni_half"}
    anatomy = Anatomy(**{name: field.copy() for name, field in fields.items()}, mni_half=parts.anatomy.mni_half)
    tumor = parts.tumor
    if tumor is not None:  # its box begins at an even voxel
        x, y, z = (slice(part.start // 2, -(-part.stop // 2)) for part in tumor.box)
        weight = {name: field[::2, ::2, ::2].copy() for name, field in tumor.weight.items()}
        tumor = Tumor((x, y, z), tumor.label[::2, ::2, ::2].copy(), weight, tumor.kind, tumor.foci)
    distractors = []
    for item in parts.distractors:
        place = np.array(np.unravel_index(item.index, shape))
        even = ~np.any(place % 2, axis=0)
        index = np.ravel_multi_index(tuple(place[:, even] // 2), anatomy.brain.shape)
        distractors.append(Distractor(index, item.weight[even], item.kind))
    return replace(parts, anatomy=anatomy, tumor=tumor, distractors=distractors)


def _surface(head: Head, to_ras: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return positions on the surface of the brain ``(n, 3)``, and the middle of the brain, before any motion."""
    step = 4 // head.spacing
    near = np.abs(head.outside[::step, ::step, ::step]) < 4
    points = transform_points(to_ras, np.argwhere(near) * step)
    return points, (points.min(axis=0) + points.max(axis=0)) / 2


def _motion(rng: np.random.Generator, degrees: float, mm: float, center: np.ndarray) -> np.ndarray:
    """Draw a rigid motion: a rotation about ``center`` by up to ``degrees``, and a shift of up to ``mm``."""
    motion = np.eye(4)
    motion[:3, :3] = _rotation(rng, rng.uniform(0, degrees))
    way = rng.standard_normal(3)
    shift = way / np.linalg.norm(way) * rng.uniform(0, mm)
    motion[:3, 3] = center + shift - motion[:3, :3] @ center
    return motion


def _rotation(rng: np.random.Generator, degrees: float) -> np.ndarray:
    from scipy.spatial.transform import Rotation

    axis = rng.standard_normal(3)
    return Rotation.from_rotvec(axis / np.linalg.norm(axis) * np.radians(degrees)).as_matrix()


def _grid(
    rng: np.random.Generator, protocol: Protocol, motion: np.ndarray, center: np.ndarray, surface: np.ndarray
) -> Grid:
    """Plan a series as a technologist does: on the head as it lies now, oblique, not exactly in its middle."""
    turn = _rotation(rng, rng.uniform(0, 3.0 if protocol.is_3d else 15.0))
    middle = transform_points(motion, center) + rng.uniform(-4, 4, 3)
    return series_grid(protocol, middle, turn, transform_points(motion, surface))


def _on_reference(head: Head, tumor: Tumor | None, to_ras: np.ndarray, grid: Grid) -> dict[str, Volume]:
    """Bring the label and the masks to the grid of the reference."""
    label = np.zeros(head.shape, np.uint8)
    if tumor is not None:
        label[head.inner][tumor.box] = tumor.label
    label[~head.brain] = 0
    to_head = index_map(to_ras, grid.affine)
    masks = {"brain": head.brain, "intracranial": head.outside < head.gap, "head": head.skin > 0}
    truth = {name: resample_mask(mask, to_head, grid.shape) for name, mask in masks.items()}
    truth["label"] = resample_labels(label, to_head, grid.shape) * truth["brain"]
    return {name: Volume(data.astype(np.uint8), grid) for name, data in truth.items()}
