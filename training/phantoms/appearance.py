"""The appearance of tissue and tumor in four images: contrast, texture, and scanner effects."""

from __future__ import annotations

import numpy as np

from training.phantoms.anatomy import Anatomy
from training.phantoms.contrast import Contrast
from training.phantoms.distractors import Distractor
from training.phantoms.fields import Shape, apply_axes, scan_matrix, smooth_noise, spline_matrix
from training.phantoms.tumor import Tumor

CHANNELS = 4

#: Maximum texture of the parts of a tumor, relative to their level.
_TEXTURE = {"ed": 0.1, "ncr": 0.16, "inner": 0.1, "et": 0.24}


def render(
    rng: np.random.Generator, anatomy: Anatomy, tumor: Tumor | None, found: list[Distractor], contrast: Contrast
) -> np.ndarray:
    """Return the four raw images ``(x, y, z, 4)`` float32, positive in the brain and 0 outside."""
    shape: Shape = anatomy.csf.shape  # type: ignore[assignment]
    image = np.zeros((*shape, CHANNELS), np.float32)
    looks = _SharedTextures(rng, anatomy, tumor)
    for channel in range(CHANNELS):
        plain = looks.tissue(rng, anatomy, contrast, channel)
        for item in found:
            _blend(plain, item, contrast.distractor[item.kind][channel], rng)
        if tumor is not None:
            looks.add_tumor(rng, plain, tumor, contrast, channel)
        image[..., channel] = _scan(rng, plain, anatomy.brain, channel)
    return image


class _SharedTextures:
    """Random fields shared by the four modalities, so that tissue has the same texture in all of them."""

    def __init__(self, rng: np.random.Generator, anatomy: Anatomy, tumor: Tumor | None) -> None:
        shape: Shape = anatomy.csf.shape  # type: ignore[assignment]
        self.regional = smooth_noise(rng, shape, 24)
        self.fine = smooth_noise(rng, shape, 3)
        # cortex, the insula and the temporal pole are bright on FLAIR in many examinations
        shine = np.clip(0.6 + 0.6 * smooth_noise(rng, shape, 26), 0, 2)
        self.rim = anatomy.gray * (0.25 + 0.75 * anatomy.cortex) * shine
        self.rim_strength = float(rng.uniform(0, 0.5)) if rng.random() < 0.75 else 0.0
        if tumor is not None:
            inner: Shape = tumor.label.shape  # type: ignore[assignment]
            self.coarse = smooth_noise(rng, inner, rng.uniform(7, 14))
            self.grain = smooth_noise(rng, inner, rng.uniform(3, 5))
            self.edema_cover = rng.uniform(0.6, 0.98)
            self.bleed = rng.random() < 0.12

    def tissue(self, rng: np.random.Generator, anatomy: Anatomy, contrast: Contrast, channel: int) -> np.ndarray:
        value = {name: np.float32(levels[channel]) for name, levels in contrast.tissue.items()}
        gray = value["gray"] + (value["deep"] - value["gray"]) * anatomy.deep
        if channel == 3:
            gray = gray * (1 + np.float32(self.rim_strength) * self.rim)
        image = anatomy.csf * value["csf"] + anatomy.gray * gray + anatomy.white * value["white"]
        amount = rng.uniform(0.0, (0.05, 0.025)).astype(np.float32)
        image *= 1 + amount[0] * self.regional + amount[1] * self.fine
        return image

    def add_tumor(
        self, rng: np.random.Generator, image: np.ndarray, tumor: Tumor, contrast: Contrast, channel: int
    ) -> None:
        """Blend edema, core and rim over the tissue, in this order; edema is partly transparent."""
        here = image[tumor.box]
        for name, cover in (("ed", self.edema_cover), ("ncr", 0.97), ("inner", 0.9), ("et", 0.97)):
            level = np.float32(contrast.lesion[name][channel])
            amount = rng.uniform(0.02, _TEXTURE[name], 2) * rng.choice([-1, 1], 2)
            texture = level * (1 + amount[0] * self.coarse + amount[1] * self.grain).astype(np.float32)
            if name == "ncr" and self.bleed and channel < 2:
                texture += np.float32(0.7) * (self.coarse > 1.3)
            here += np.float32(cover) * tumor.weight[name] * (texture - here)


def _blend(image: np.ndarray, item: Distractor, level: float, rng: np.random.Generator) -> None:
    if np.isnan(level):
        return
    flat = image.reshape(-1)
    weight = item.weight * np.float32(rng.uniform(0.6, 1.0))
    flat[item.index] += weight * (np.float32(level) - flat[item.index])


def _scan(rng: np.random.Generator, image: np.ndarray, brain: np.ndarray, channel: int) -> np.ndarray:
    """Apply bias field, noise, resolution, slices, misregistration and gamma; then skull stripping and scaling."""
    shape: Shape = image.shape  # type: ignore[assignment]
    image = image * _bias(rng, shape)
    matrices = _matrices(rng, shape)
    # resampling averages noise: draw it stronger, so that the chosen level remains
    kept = np.sqrt(np.prod([np.mean(np.sum(matrix**2, axis=1)) for matrix in matrices]))
    level = np.exp(rng.uniform(np.log(0.006), np.log(0.05))) * (1.2 if channel == 2 else 0.8)
    if rng.random() < 0.5:
        image += rng.standard_normal(shape, dtype=np.float32) * np.float32(level / max(float(kept), 0.45))
        image = apply_axes(image, matrices)
    else:
        image = apply_axes(image, matrices)
        image += rng.standard_normal(shape, dtype=np.float32) * np.float32(level)
    values = np.abs(image[brain])
    values /= np.float32(np.percentile(values[::7], 98) + 1e-6) if values.size else 1
    values **= np.float32(np.exp(rng.normal(0, 0.16)))
    result = np.zeros(shape, np.float32)
    result[brain] = np.maximum(values * np.float32(np.exp(rng.uniform(np.log(250), np.log(2500)))), 1)
    return result


def _bias(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    matrices = [spline_matrix(length, float(rng.uniform(45, 110))) for length in shape]
    controls = rng.standard_normal(tuple(matrix.shape[1] for matrix in matrices)).astype(np.float32)
    return apply_axes(np.exp(controls * np.float32(rng.uniform(0.02, 0.3))), matrices)


def _matrices(rng: np.random.Generator, shape: Shape) -> list[np.ndarray]:
    thick = int(rng.choice([0, 1, 2], p=[0.1, 0.1, 0.8])) if rng.random() < 0.5 else -1
    blur = rng.uniform(0.25, 0.8)
    shifts = rng.normal(0, 0.35, 3) if rng.random() < 0.4 else np.zeros(3)
    ghosts = [0.0, 0.0, 0.0]
    if rng.random() < 0.08:
        ghosts[int(rng.integers(2))] = rng.uniform(0.01, 0.05)
    return [
        scan_matrix(
            length,
            blur=blur if axis != thick else 0.4,
            thickness=float(np.exp(rng.uniform(np.log(1.5), np.log(6.0)))) if axis == thick else 1.0,
            shift=float(shifts[axis]),
            phase=float(rng.random()),
            ghost=ghosts[axis],
        )
        for axis, length in enumerate(shape)
    ]
