"""Distractors: bright or dark structures that resemble tumor and that the network must learn to ignore."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.images.masks import large_components
from training.phantoms.anatomy import Anatomy
from training.phantoms.atlas import CHOROID_CENTERS
from training.phantoms.fields import Shape, smooth_noise, smoothstep, upsample

#: Connected components of the brain mask below this size (3 mL) are dropped.
MIN_BRAIN_VOXELS = 3000


@dataclass
class Distractor:
    """A bright or dark structure that is not tumor.

    Attributes:
        index: Flat voxel indices into the output grid.
        weight: Its opacity in each voxel, 0-1.
        kind: Key of its brightness in :class:`training.phantoms.contrast.Contrast`.
    """

    index: np.ndarray
    weight: np.ndarray
    kind: str


def draw_distractors(rng: np.random.Generator, anatomy: Anatomy, *, every: bool = False) -> list[Distractor]:
    """Draw vessels, sinuses, dura, choroid plexus, white-matter lesions, caps and microbleeds, some of them by chance.

    ``every`` draws all of them. Sinuses may extend ``anatomy.brain``, where skull stripping did not remove them.
    """
    found = [_small_vessels(rng, anatomy), _large_vessels(rng, anatomy)]
    makers = (
        (_choroid, 0.9),
        (_dura, 0.6),
        (_edge, 0.6),
        (_falx, 0.6),
        (_white_matter_lesions, 0.5),
        (_caps, 0.6),
        (_microbleeds, 0.25),
        (_flow_artifacts, 0.35),
    )
    found += [make(rng, anatomy) for make, chance in makers if rng.random() < chance or every]
    anatomy.brain = large_components(anatomy.brain, MIN_BRAIN_VOXELS)
    return [item for item in found if item.index.size]


def _sparse(weight: np.ndarray, brain: np.ndarray, kind: str) -> Distractor:
    index = np.flatnonzero((weight > 0.04) & brain)
    return Distractor(index, weight.ravel()[index], kind)


def _small_vessels(rng: np.random.Generator, anatomy: Anatomy) -> Distractor:
    """Small vessels: thin curves where two noise fields are both zero, mostly in the sulci."""
    shape: Shape = anatomy.csf.shape  # type: ignore[assignment]
    scale = rng.uniform(9, 16)
    radius = rng.uniform(0.5, 1.35) / scale
    first, second = smooth_noise(rng, shape, scale), smooth_noise(rng, shape, scale)
    weight = np.exp(-(np.square(first) + np.square(second)) / np.float32((1.4 * radius) ** 2))
    outside = np.clip(anatomy.csf * 1.5 + anatomy.cortex * np.float32(0.25), 0, 1)
    weight *= np.maximum(outside, np.float32(rng.uniform(0, 0.5)))
    return _sparse(weight, anatomy.brain, "vessel")


def _large_vessels(rng: np.random.Generator, anatomy: Anatomy) -> Distractor:
    """Sagittal and transverse sinus, torcula, deep veins, circle of Willis, of varying caliber."""
    shape: Shape = anatomy.csf.shape  # type: ignore[assignment]
    caliber = rng.uniform(0.8, 3.0) + smooth_noise(rng, shape, 16) * np.float32(0.7)
    weight = smoothstep((caliber - anatomy.vessel) / np.float32(1.2) + np.float32(0.5))
    # most skull stripping removes the sinus; in some heads it remains
    if rng.random() < 0.5:
        anatomy.brain |= (weight > 0.5) & (anatomy.depth > -3)
    return _sparse(weight, anatomy.brain, "sinus")


def _choroid(rng: np.random.Generator, anatomy: Anatomy) -> Distractor:
    shape: Shape = anatomy.csf.shape  # type: ignore[assignment]
    near = np.full(anatomy.mni_half.shape[1:], -9, np.float32)
    for center in CHOROID_CENTERS:
        offset = anatomy.mni_half - np.array(center, np.float32)[:, None, None, None]
        reach = np.array([6.0, 11.0, 7.0], np.float32)[:, None, None, None] * rng.uniform(0.6, 1.3)
        near = np.maximum(near, 1 - np.square(offset / reach).sum(axis=0))
    weight = upsample(np.maximum(near, -2), shape) * 0.9 + smooth_noise(rng, shape, 3) * np.float32(0.6)
    weight = smoothstep(weight) * smoothstep(1.0 - anatomy.ventricle)
    return _sparse(weight, anatomy.brain, "choroid")


def _dura(rng: np.random.Generator, anatomy: Anatomy) -> Distractor:
    """Remnants of dura and fat along the rim of the mask."""
    shape: Shape = anatomy.csf.shape  # type: ignore[assignment]
    weight = smoothstep((np.float32(rng.uniform(1.5, 3.5)) - anatomy.depth) / 1.5)
    weight *= smoothstep(smooth_noise(rng, shape, 22) * 1.5 - np.float32(rng.uniform(-0.5, 1.5)))
    return _sparse(weight, anatomy.brain, "dura")


def _edge(rng: np.random.Generator, anatomy: Anatomy) -> Distractor:
    """Bone and air at the surface, which are dark on T2: skull stripping rarely removes exactly the brain."""
    shape: Shape = anatomy.csf.shape  # type: ignore[assignment]
    weight = smoothstep((np.float32(rng.uniform(1.0, 3.0)) - anatomy.depth) / 1.2)
    weight *= smoothstep(smooth_noise(rng, shape, 14) * 1.5 + np.float32(rng.uniform(-0.8, 0.8)))
    return _sparse(weight, anatomy.brain, "edge")


def _falx(rng: np.random.Generator, anatomy: Anatomy) -> Distractor:
    """The falx and the tentorium: thin sheets that enhance."""
    shape: Shape = anatomy.csf.shape  # type: ignore[assignment]
    x, y, z = anatomy.mni_half
    falx = np.where((z > 12) | (y > 30) | (y < -70), np.abs(x), np.float32(9))
    tentorium = np.where(
        (y < -42) & (np.abs(x) < 50), np.abs(z + 10 + 0.42 * np.abs(x) - 0.1 * (y + 60)), np.float32(9)
    )
    sheet = upsample(np.minimum(np.minimum(falx, tentorium), 9), shape)
    weight = smoothstep((rng.uniform(0.5, 1.3) - sheet) + 0.5) * (0.3 + 0.7 * anatomy.csf)
    weight *= smoothstep(smooth_noise(rng, shape, 18) + np.float32(0.8))
    return _sparse(weight, anatomy.brain, "falx")


def _white_matter_lesions(rng: np.random.Generator, anatomy: Anatomy) -> Distractor:
    """White-matter hyperintensities: small spots, more frequent near the ventricles."""
    shape: Shape = anatomy.csf.shape  # type: ignore[assignment]
    field = smooth_noise(rng, shape, rng.uniform(4, 8)) + np.exp(-np.abs(anatomy.ventricle) / 8)
    weight = smoothstep((field - np.float32(rng.uniform(1.9, 3.2))) * 2.5) * smoothstep(anatomy.white * 1.6 - 0.5)
    return _sparse(weight, anatomy.brain, "lesion")


def _caps(rng: np.random.Generator, anatomy: Anatomy) -> Distractor:
    """Periventricular caps and bands."""
    shape: Shape = anatomy.csf.shape  # type: ignore[assignment]
    reach = rng.uniform(1.5, 5) * (1 + 0.5 * smooth_noise(rng, shape, 14))
    weight = smoothstep((reach.astype(np.float32) - anatomy.ventricle) / 3) * (1 - anatomy.csf)
    return _sparse(weight * np.float32(rng.uniform(0.3, 1)), anatomy.brain, "lesion")


def _microbleeds(rng: np.random.Generator, anatomy: Anatomy) -> Distractor:
    """A few microbleeds or calcifications."""
    shape: Shape = anatomy.csf.shape  # type: ignore[assignment]
    field = smooth_noise(rng, shape, rng.uniform(3, 6))
    weight = smoothstep((field - np.float32(rng.uniform(3.3, 4.2))) * 3) * (1 - anatomy.csf)
    return _sparse(weight, anatomy.brain, "spot")


def _flow_artifacts(rng: np.random.Generator, anatomy: Anatomy) -> Distractor:
    """Fluid that FLAIR does not suppress: inflow at the skull base, around the third and fourth ventricle."""
    shape: Shape = anatomy.csf.shape  # type: ignore[assignment]
    low = upsample(smoothstep((-anatomy.mni_half[2] - 5) / 25), shape)
    weight = anatomy.csf * np.clip(low + smooth_noise(rng, shape, 15) * np.float32(0.4), 0, 1)
    return _sparse(weight, anatomy.brain, "flow")
