"""Alterations of a phantom: how the heads of a made hospital differ from those of the generator.

Each lies outside the range of :mod:`training.phantoms`, from which every training phantom comes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from training.images.masks import bounding_box, near
from training.labels import ED, ET, NCR, region_mask
from training.modalities import ROLES
from training.phantoms.fields import Shape, apply_axes, scan_matrix, smooth_noise
from training.phantoms.generate import Phantom

T1, T1CE, T2, FLAIR = (ROLES.index(role) for role in ("t1", "t1ce", "t2", "flair"))

#: Gamma of T1 and T1ce; the generator's stays within 0.6 to 1.7 (three deviations).
_GAMMA = {T1: 2.3, T1CE: 0.5}
#: Slice axis and thickness in mm: FLAIR sagittal, T2 coronal; the generator's slices are at most 7 mm thick.
_SLICES = {FLAIR: (0, 9.0), T2: (1, 8.0)}

#: Margin of healthy tissue that the labeling habit includes in the edema, in mm.
_GENEROUS_MM = 3.0

#: Radius of a cavity and thickness of its rim, in mm.
_CAVITY_MM = (12.0, 19.0)
_RIM_MM = 2.5
#: Centers tried for a cavity that leaves enough tumor.
_TRIES = 30
#: Brightness of the fluid and of the rim (blood), as percentiles of the brain and a factor, by role.
_FLUID = {T1: (4, 1.0), T1CE: (4, 1.0), T2: (98, 1.0), FLAIR: (4, 1.0)}
_BLOOD = {T1: (85, 1.35), T1CE: (85, 1.35), T2: (15, 0.8), FLAIR: (85, 1.0)}

#: The poor FLAIR: voxel size and blur in voxels, strength of the ghost (the generator's is at most 0.05), and the
#: deviation of the noise relative to bright tissue (the generator's is at most 0.05).
_POOR_VOXEL, _POOR_BLUR, _POOR_GHOST, _POOR_NOISE = 2.0, 1.3, 0.15, 0.1

#: Volume of each label that a head must hold, in mL.
ENOUGH_ML = 1.0


def holds_enough(label: np.ndarray, values: tuple[int, ...]) -> bool:
    """Return whether each of the label values fills at least :data:`ENOUGH_ML` (on voxels of 1 mm)."""
    return all(np.count_nonzero(label == value) >= 1000 * ENOUGH_ML for value in values)


def other_protocol(phantom: Phantom, rng: np.random.Generator) -> Phantom:
    """Other contrast curves of T1 and T1ce, FLAIR in thick sagittal and T2 in thick coronal slices."""
    image = phantom.image.copy()
    for channel, gamma in _GAMMA.items():
        values, inside = image[..., channel], _scanned_part(phantom, channel)
        top = np.float32(np.percentile(values[inside], 98))
        values[inside] = np.maximum((values[inside] / top) ** np.float32(gamma) * top, 1)
    for channel, (axis, thickness) in _SLICES.items():
        matrices: list[np.ndarray | None] = [None, None, None]
        phase = float(rng.random())
        matrices[axis] = scan_matrix(image.shape[axis], blur=0.4, thickness=thickness, phase=phase)
        image[..., channel] = _resampled(image[..., channel], _scanned_part(phantom, channel), matrices)
    return replace(phantom, image=image)


def labeling_habit(phantom: Phantom, rng: np.random.Generator) -> Phantom:
    """Labels with a generous edema and without necrosis, which counts as enhancing tumor; the images are the same."""
    label = np.where(phantom.label == NCR.value, ET.value, phantom.label).astype(np.uint8)
    tumor = label > 0
    if tumor.any():
        label[near(tumor, _GENEROUS_MM) & ~tumor & phantom.brain] = ED.value
    return replace(phantom, label=label)


def after_surgery(phantom: Phantom, rng: np.random.Generator) -> Phantom:
    """A resection cavity in or beside the core: fluid within a rim of blood that is bright on T1; neither is labeled.

    It leaves enough of each label if one of some tried places does; otherwise the last one is taken.
    """
    core = np.argwhere(region_mask(phantom.label, "TC"))
    if not len(core):
        return phantom
    for _ in range(_TRIES):
        depth = _cavity(phantom, core[rng.integers(len(core))], rng)
        label = np.where(depth > 0, 0, phantom.label).astype(np.uint8)
        if holds_enough(label, (NCR.value, ED.value, ET.value)):
            break
    return replace(phantom, image=_with_cavity(phantom, depth, rng), label=label)


def poor_flair(phantom: Phantom, rng: np.random.Generator) -> Phantom:
    """FLAIR of low quality: half the resolution, blur, ghosts of motion, and noise."""
    image = phantom.image.copy()
    inside = _scanned_part(phantom, FLAIR)
    matrices = [
        scan_matrix(
            length,
            blur=_POOR_BLUR,
            thickness=_POOR_VOXEL,
            phase=float(rng.random()),
            ghost=_POOR_GHOST if axis == 1 else 0.0,
        )
        for axis, length in enumerate(inside.shape)
    ]
    values = _resampled(image[..., FLAIR], inside, matrices)
    shape: Shape = inside.shape  # type: ignore[assignment]
    top = np.float32(np.percentile(values[inside], 98))
    values[inside] += (rng.standard_normal(shape, dtype=np.float32) * np.float32(_POOR_NOISE) * top)[inside]
    image[..., FLAIR] = np.where(inside, np.maximum(np.abs(values), 1), 0)
    return replace(phantom, image=image)


def _scanned_part(phantom: Phantom, channel: int) -> np.ndarray:
    """Return the part of the brain that a series covers."""
    return phantom.brain & (phantom.image[..., channel] > 0)


def _resampled(values: np.ndarray, inside: np.ndarray, matrices: Sequence[np.ndarray | None]) -> np.ndarray:
    """Apply one matrix per axis inside a mask, whose outside does not darken its border."""
    weight = apply_axes(inside.astype(np.float32), matrices)
    mixed = apply_axes(np.where(inside, values, np.float32(0)), matrices) / np.maximum(weight, np.float32(0.05))
    return np.where(inside, np.maximum(mixed, 1), np.float32(0))


def _cavity(phantom: Phantom, center: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the depth below the surface of a cavity with its rim, in mm; negative outside, and out of the brain."""
    radius = rng.uniform(*_CAVITY_MM)
    depth = np.full(phantom.label.shape, -9, np.float32)
    reach = int(1.6 * radius)
    low = np.maximum(center - reach, 0)
    high = np.minimum(center + reach + 1, depth.shape)
    box = tuple(slice(int(first), int(last)) for first, last in zip(low, high, strict=True))
    grid = np.stack(np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij"), axis=-1)
    shape: Shape = depth[box].shape  # type: ignore[assignment]
    size = radius * (1 + 0.15 * smooth_noise(rng, shape, 10))
    depth[box] = np.where(phantom.brain[box], size - np.linalg.norm(grid - center, axis=-1), -9)
    return depth


def _with_cavity(phantom: Phantom, depth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    from scipy import ndimage

    image = phantom.image.copy()
    box = bounding_box(depth > 0, margin=4)
    if box is None:
        return image
    shape: Shape = depth[box].shape  # type: ignore[assignment]
    texture = 1 + np.float32(0.06) * smooth_noise(rng, shape, 3)
    for levels, part in ((_BLOOD, depth[box] > 0), (_FLUID, depth[box] > _RIM_MM)):
        weight = ndimage.gaussian_filter(part.astype(np.float32), 0.7)
        for channel, (percentile, factor) in levels.items():
            inside = _scanned_part(phantom, channel)
            level = np.float32(factor * np.percentile(phantom.image[..., channel][inside], percentile))
            here = image[(*box, channel)]
            here += np.where(inside[box], weight * (level * texture - here), 0)
            here[inside[box]] = np.maximum(here[inside[box]], 1)
    return image
