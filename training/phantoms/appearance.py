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
_TEXTURE = {"ed": 0.12, "ncr": 0.18, "inner": 0.1, "et": 0.24}

#: Probability that one series covers only a part of the brain.
_CUT_OFF = 0.1

#: Probability and maximum strength of coil shading, by modality. FLAIR is often acquired with surface coils and long
#: echo trains, and is shaded most.
_SHADED = ((0.35, 0.3), (0.35, 0.3), (0.35, 0.3), (0.45, 0.38))


def render(
    rng: np.random.Generator, anatomy: Anatomy, tumor: Tumor | None, found: list[Distractor], contrast: Contrast
) -> np.ndarray:
    """Return the four raw images ``(x, y, z, 4)`` float32, positive in the brain and 0 outside."""
    shape: Shape = anatomy.csf.shape  # type: ignore[assignment]
    image = np.zeros((*shape, CHANNELS), np.float32)
    looks = SharedTextures(rng, anatomy, tumor)
    # some releases hold images that were smoothed before
    smoothed = float(rng.uniform(0.6, 1.0)) if rng.random() < 0.08 else 0.0
    for channel in range(CHANNELS):
        plain = looks.tissue(rng, anatomy, contrast, channel)
        for item in found:
            blend(plain, item, contrast.distractor[item.kind][channel], rng)
        if tumor is not None:
            looks.add_tumor(rng, plain, tumor, contrast, channel)
        image[..., channel] = _scan(rng, plain, anatomy, channel, smoothed)
    if rng.random() < _CUT_OFF:
        _cut_off(rng, image, anatomy.brain)
    return image


class SharedTextures:
    """Random fields shared by the four modalities, so that tissue has the same texture in all of them."""

    def __init__(self, rng: np.random.Generator, anatomy: Anatomy, tumor: Tumor | None) -> None:
        shape: Shape = anatomy.csf.shape  # type: ignore[assignment]
        self.regional = smooth_noise(rng, shape, 24)
        self.fine = smooth_noise(rng, shape, 3)
        # cortex, the insula and the temporal pole are bright on FLAIR in many examinations
        shine = np.clip(0.6 + 0.6 * smooth_noise(rng, shape, 26), 0, 2)
        self.rim = anatomy.gray * (0.25 + 0.75 * anatomy.cortex) * shine
        self.rim_strength = float(rng.uniform(0, 0.5)) if rng.random() < 0.75 else 0.0
        # so is white matter of the temporal and occipital lobes
        self.white_shine = np.clip(smooth_noise(rng, shape, 24), 0, 2)
        self.white_strength = float(rng.uniform(0, 0.14)) if rng.random() < 0.5 else 0.0
        if tumor is not None:
            inner: Shape = tumor.label.shape  # type: ignore[assignment]
            self.coarse = smooth_noise(rng, inner, rng.uniform(7, 14))
            self.grain = smooth_noise(rng, inner, rng.uniform(3, 5))
            self.edema_cover = rng.uniform(0.7, 0.98)
            self.uneven = rng.uniform(0.1, 0.6)
            self.bleed = rng.random() < 0.12

    def tissue(self, rng: np.random.Generator, anatomy: Anatomy, contrast: Contrast, channel: int) -> np.ndarray:
        """Return one modality of the tissue without a tumor, ``(x, y, z)`` float32."""
        value = {name: np.float32(levels[channel]) for name, levels in contrast.tissue.items()}
        gray = value["gray"] + (value["deep"] - value["gray"]) * anatomy.deep
        if channel == 3:
            gray = gray * (1 + np.float32(self.rim_strength) * self.rim)
        shine = np.float32(self.white_strength) * self.white_shine if channel >= 2 else np.float32(0)
        white = value["white"] * (1 + shine)
        image = anatomy.csf * value["csf"] + anatomy.gray * gray + anatomy.white * white
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
            if name == "et" and channel == 1:
                # enhancement varies from bright to barely visible within one tumor
                faint = np.clip(1 + self.uneven * (0.7 * self.coarse + 0.5 * self.grain), 0.15, 1.7)
                texture = np.float32(0.85) + (level - np.float32(0.85)) * faint.astype(np.float32)
            if name == "ncr" and self.bleed and channel < 2:
                texture += np.float32(0.7) * (self.coarse > 1.3)
            here += np.float32(cover) * tumor.weight[name] * (texture - here)


def blend(image: np.ndarray, item: Distractor, level: float, rng: np.random.Generator) -> None:
    """Blend a distractor of the brightness ``level`` over ``image``, in place; NaN leaves it as it is."""
    if np.isnan(level):
        return
    flat = image.reshape(-1)
    weight = item.weight * np.float32(rng.uniform(0.6, 1.0))
    flat[item.index] += weight * (np.float32(level) - flat[item.index])


def _scan(rng: np.random.Generator, image: np.ndarray, anatomy: Anatomy, channel: int, smoothed: float) -> np.ndarray:
    """Apply bias field, noise, resolution, slices, misregistration and curves; then skull stripping and scaling."""
    shape: Shape = image.shape  # type: ignore[assignment]
    brain = anatomy.brain
    image = image * _bias(rng, shape)
    chance, most = _SHADED[channel]
    if rng.random() < chance:
        image *= _shading(rng, anatomy, most)
    matrices = _matrices(rng, shape, smoothed)
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
    values = _curve(rng, values)
    result = np.zeros(shape, np.float32)
    result[brain] = np.maximum(values * np.float32(np.exp(rng.uniform(np.log(250), np.log(2500)))), 1)
    return result


def _bias(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    matrices = [spline_matrix(length, float(rng.uniform(45, 110))) for length in shape]
    controls = rng.standard_normal(tuple(matrix.shape[1] for matrix in matrices)).astype(np.float32)
    return apply_axes(np.exp(controls * np.float32(rng.uniform(0.02, 0.3))), matrices)


def _shading(rng: np.random.Generator, anatomy: Anatomy, most: float) -> np.ndarray:
    """Coil shading: the surface, or one region, is brighter than the rest."""
    strength = np.float32(rng.uniform(0.05, most))
    if rng.random() < 0.4:
        reach = np.float32(rng.uniform(12, 30))
        return 1 + strength * np.exp(-np.maximum(anatomy.depth, 0) / reach)
    shape: Shape = anatomy.depth.shape  # type: ignore[assignment]
    inside = np.argwhere(anatomy.brain[::8, ::8, ::8]) * 8
    center = inside[rng.integers(len(inside))] if len(inside) else np.array(shape) / 2
    near = np.ones(shape, np.float32)
    for axis, length in enumerate(shape):
        line = np.exp(-0.5 * ((np.arange(length) - center[axis]) / rng.uniform(15, 40)) ** 2).astype(np.float32)
        near *= line.reshape([-1 if axis == k else 1 for k in range(3)])
    return 1 + strength * near


def _curve(rng: np.random.Generator, values: np.ndarray) -> np.ndarray:
    """Change the contrast by a gamma curve, sometimes by any rising curve (histogram matching) or by clipping."""
    values = values ** np.float32(np.exp(rng.normal(0, 0.18)))
    if not values.size:
        return values
    if rng.random() < 0.12:
        from_values = np.percentile(values[::7], [0, 10, 35, 65, 90, 100])
        steps = np.diff(from_values) * np.exp(rng.normal(0, 0.3, 5))
        values = np.interp(values, from_values, np.concatenate([[0], np.cumsum(steps)])).astype(np.float32)
    if rng.random() < 0.1:
        values = np.minimum(values, np.float32(np.percentile(values[::7], rng.uniform(98.5, 99.9))))
    return values


def _cut_off(rng: np.random.Generator, image: np.ndarray, brain: np.ndarray) -> None:
    """Set one modality to 0 beyond a plane, or beyond two on opposite sides: its series did not reach farther."""
    channel = int(rng.choice(CHANNELS, p=[0.35, 0.15, 0.2, 0.3]))
    axis = int(rng.choice(3, p=[0.3, 0.1, 0.6]))
    filled = np.flatnonzero(brain.any(axis=tuple(k for k in range(3) if k != axis)))
    if not len(filled):
        return
    ends = ((False,), (True,), (False, True))[rng.integers(3)]
    for at_end in ends:
        width = int(rng.uniform(0.03, 0.2) * len(filled))
        part = slice(filled[-1] - width, None) if at_end else slice(0, filled[0] + width)
        image[(slice(None),) * axis + (part,)][..., channel] = 0


def _matrices(rng: np.random.Generator, shape: Shape, smoothed: float) -> list[np.ndarray]:
    """Draw resolution, slices, misregistration and ghosts: most series have thick slices, in any plane."""
    thick = int(rng.choice([0, 1, 2], p=[0.12, 0.12, 0.76])) if rng.random() < 0.8 else -1
    blur = max(rng.uniform(0.25, 0.85), smoothed)
    stairs = bool(rng.random() < 0.2)
    gains = np.exp(rng.normal(0, rng.uniform(0.005, 0.035), 12)) if rng.random() < 0.3 else None
    shifts = rng.normal(0, 0.45, 3) if rng.random() < 0.4 else np.zeros(3)
    ghosts = [0.0, 0.0, 0.0]
    if rng.random() < 0.08:
        ghosts[int(rng.integers(2))] = rng.uniform(0.01, 0.05)
    return [
        scan_matrix(
            length,
            blur=blur if axis != thick else 0.4,
            thickness=float(np.exp(rng.uniform(np.log(1.5), np.log(7.0)))) if axis == thick else 1.0,
            stairs=stairs,
            gains=gains,
            shift=float(shifts[axis]),
            phase=float(rng.random()),
            ghost=ghosts[axis],
        )
        for axis, length in enumerate(shape)
    ]
