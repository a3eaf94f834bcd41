"""Synthetic gliomas: whole heads in four modalities with labels, generated from a seed without patient data.

Anatomy comes from the deformed and refolded tissue maps of :mod:`training.phantoms.atlas`, tumors from
:mod:`training.phantoms.tumor`; appearance, distractors and scanner effects are random. A seed gives the same phantom on
every machine with the same versions of numpy and scipy, up to rounding, and with any number of threads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from training.errors import InputError
from training.parallel import with_one_blas_thread
from training.phantoms.anatomy import Anatomy, MassEffect, Warp, build_anatomy, head_box, random_pose
from training.phantoms.appearance import render
from training.phantoms.atlas import Atlas, load_atlas
from training.phantoms.contrast import Contrast, draw_contrast
from training.phantoms.distractors import Distractor, draw_distractors
from training.phantoms.fields import Shape
from training.phantoms.tumor import Focus, Tumor, draw_foci, grow

#: Increment when a seed gives a different phantom; stored phantoms are then generated again.
GENERATOR_VERSION = 6

#: Fraction of heads without tumor.
HEALTHY_SHARE = 0.08

#: Tumor of a phantom: ``True`` for any (one head in twelve has none), ``"small"`` for one of a few mL, ``False`` for
#: none.
TumorOption = Literal[True, False, "small"]


@dataclass(frozen=True)
class Phantom:
    """One synthetic examination on a 1 mm RAS grid.

    Attributes:
        image: ``(x, y, z, 4)`` float32, raw intensities in the order of :data:`training.modalities.ROLES`;
            at least 1 in the brain, exactly 0 outside of it and where the series does not reach.
        label: ``(x, y, z)`` uint8, values of :mod:`training.labels`.
        brain: ``(x, y, z)`` boolean, the brain mask after skull stripping.
        affine: 4 x 4, voxel to RAS millimeters.
        seed: Its seed.
        kind: ``"ring"``, ``"solid"``, ``"low"``, ``"patchy"`` or ``"healthy"``.
    """

    image: np.ndarray
    label: np.ndarray
    brain: np.ndarray
    affine: np.ndarray
    seed: int
    kind: str


@dataclass(frozen=True)
class Parts:
    """What a phantom consists of before its images are made.

    Attributes:
        rng: Random generator, ready to draw the images.
        warp: Pose and deformation of the brain, on the grid of the phantom.
        anatomy: Tissue.
        tumor: ``None`` in a healthy head.
        distractors: Structures that resemble tumor.
        contrast: Brightness of each tissue.
        kind: As in :class:`Phantom`.
    """

    rng: np.random.Generator
    warp: Warp
    anatomy: Anatomy
    tumor: Tumor | None
    distractors: list[Distractor]
    contrast: Contrast
    kind: str


def phantom_id(seed: int) -> str:
    """Return the id of a whole-head phantom in stores and reports."""
    return f"phantom-{seed:08d}"


@with_one_blas_thread  # a second one would save a tenth of the time and take twice the work
def generate(
    seed: int, shape: Shape | None = None, tumor: TumorOption = True, distractors: Literal["some", "all"] = "some"
) -> Phantom:
    """Generate one phantom.

    Args:
        seed: Non-negative; determines everything.
        shape: Size of a patch around the tumor (with a random offset; anywhere in the brain if there is none); ``None``
            gives the whole head, about 145 x 185 x 160.
        tumor: ``True`` gives a healthy head in one of twelve, ``False`` always; ``"small"`` a core of 5 to 10 mm
            radius.
        distractors: ``"all"`` for every kind of distractor, ``"some"`` for a random selection.

    Raises:
        InputError: If ``seed`` is negative or ``shape`` is not three numbers of at least 16.
    """
    if seed < 0:
        raise InputError(f"A phantom's seed must not be negative; it is {seed}.", field="seed")
    if shape is not None and (len(shape) != 3 or min(shape) < 16):
        raise InputError(f"A phantom's shape needs three sizes of at least 16; it is {shape}.", field="shape")
    parts = draw_parts(seed, shape, tumor, distractors)
    anatomy = parts.anatomy
    image = render(parts.rng, anatomy, parts.tumor, parts.distractors, parts.contrast)
    label = np.zeros(anatomy.brain.shape, np.uint8)
    if parts.tumor is not None:
        # The brain mask may have lost components since.
        label[parts.tumor.box] = parts.tumor.label * anatomy.brain[parts.tumor.box]
    affine = np.eye(4)
    affine[:3, 3] = parts.warp.origin
    return Phantom(image, label, anatomy.brain, affine, seed, parts.kind)


def draw_parts(seed: int, shape: Shape | None, tumor: TumorOption, distractors: Literal["some", "all"]) -> Parts:
    """Draw the anatomy, tumor and contrast of a phantom, not yet its images; arguments as for :func:`generate`."""
    rng = np.random.default_rng([seed, 20260])
    atlas = load_atlas()
    pose = random_pose(rng)
    has_tumor = tumor == "small" or (tumor and rng.random() >= HEALTHY_SHARE)
    center = pose.to_output(_start(rng, atlas))
    foci = draw_foci(rng, center, small=tumor == "small")
    origin, size = _patch(rng, center, shape) if shape is not None else head_box(atlas, pose)
    warp = Warp.draw(rng, pose, origin, size)
    mass_effects = _mass_effects(rng, foci) if has_tumor else []
    anatomy = build_anatomy(rng, atlas, warp, mass_effects)
    grown_tumor = grow(rng, anatomy, foci, origin) if has_tumor else None
    drawn = draw_distractors(rng, anatomy, every=distractors == "all")
    kind = grown_tumor.kind if grown_tumor is not None else "healthy"
    contrast = draw_contrast(rng, low_grade=kind in ("low", "patchy"))
    return Parts(rng, warp, anatomy, grown_tumor, drawn, contrast, kind)


def _start(rng: np.random.Generator, atlas: Atlas) -> np.ndarray:
    """Draw the MNI position where a tumor starts: cerebral tissue, mostly white matter, rarely the brainstem."""
    while True:
        voxel = rng.integers(0, atlas.csf.shape)
        at = tuple(voxel)
        place = voxel + atlas.origin
        if atlas.depth[at] < 5 or atlas.csf[at] > 0.3 or atlas.ventricle[at] < 3:
            continue
        likely = 0.35 + 0.65 * float(atlas.white[at])
        if place[2] < -25 or (place[2] < -8 and place[1] < -35):  # infratentorial gliomas are rare in adults
            likely *= 0.15
        if rng.random() < likely:
            return place.astype(np.float64)


def _patch(rng: np.random.Generator, center: np.ndarray, shape: Shape) -> tuple[np.ndarray, Shape]:
    size = np.array(shape)
    return np.round(center + rng.uniform(-0.3, 0.3, 3) * size - size / 2), (int(size[0]), int(size[1]), int(size[2]))


def _mass_effects(rng: np.random.Generator, foci: list[Focus]) -> list[MassEffect]:
    first = foci[0]
    strength = rng.uniform(0.0, 0.35) if first.kind == "low" else rng.uniform(0.0, 0.8)
    return [MassEffect(first.center, first.radius, float(strength))]
