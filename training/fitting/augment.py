"""Mild augmentation of training patches: orientation, intensity, bias field, noise, and modality dropout.

Voxels outside the brain stay exactly 0, as in prepared cases.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.phantoms.fields import smooth_noise

Shape = tuple[int, int, int]

#: Modalities that are dropped together, and how often. FLAIR carries the most information, so it is dropped most often;
#: examinations of T1ce and FLAIR alone are common.
_DROPPED = ([0], [1], [2], [3], [0, 2], [0, 3], [2, 3])
_SHARES = (0.18, 0.2, 0.16, 0.3, 0.12, 0.02, 0.02)


@dataclass(frozen=True)
class AugmentationProbabilities:
    """Probability of each augmentation per patch (``gamma``: per modality).

    Left-right mirroring gives a plausible head; other mirrorings and rotations give unusual orientations and are rarer.
    """

    mirror_sides: float = 0.5
    mirror_others: float = 0.15
    turn: float = 0.15
    scale: float = 0.8
    gamma: float = 0.3
    bias: float = 0.4
    noise: float = 0.25
    dropout: float = 0.35


@dataclass(frozen=True)
class Orientation:
    """A permutation of the axes followed by flips.

    Attributes:
        axes: Output axis ``k`` is input axis ``axes[k]``.
        mirrored: Whether output axis ``k`` is flipped.
    """

    axes: tuple[int, int, int] = (0, 1, 2)
    mirrored: tuple[bool, bool, bool] = (False, False, False)

    def source_shape(self, shape: Shape) -> Shape:
        """Return the input shape that gives the output ``shape``."""
        source = [0, 0, 0]
        for axis, size in zip(self.axes, shape, strict=True):
            source[axis] = size
        return source[0], source[1], source[2]

    def apply(self, array: np.ndarray) -> np.ndarray:
        """Reorient ``(x, y, z, ...)``; returns a view."""
        rest = range(3, array.ndim)
        turned = array.transpose(*self.axes, *rest)
        return turned[tuple(slice(None, None, -1 if flip else 1) for flip in self.mirrored)]


def draw_orientation(
    rng: np.random.Generator, chances: AugmentationProbabilities = AugmentationProbabilities()
) -> Orientation:
    """Draw the orientation of a patch."""
    draws = rng.random(4)
    axes = rng.permutation(3) if draws[3] < chances.turn else np.arange(3)
    mirrored = (draws[0] < chances.mirror_sides, draws[1] < chances.mirror_others, draws[2] < chances.mirror_others)
    return Orientation(
        (int(axes[0]), int(axes[1]), int(axes[2])), (bool(mirrored[0]), bool(mirrored[1]), bool(mirrored[2]))
    )


def vary_intensities(
    rng: np.random.Generator, image: np.ndarray, chances: AugmentationProbabilities = AugmentationProbabilities()
) -> np.ndarray:
    """Vary the intensities of a z-scored patch like different scanners and examinations.

    Args:
        rng: Random generator.
        image: ``(x, y, z, channel)`` float32, 0 outside the brain; changed in place.
        chances: Probabilities.

    Returns:
        ``image``.
    """
    channels = image.shape[-1]
    brain = np.any(image != 0, axis=-1)
    for channel in range(channels):
        if rng.random() < chances.gamma:
            _gamma(rng, image[..., channel], brain)
    if rng.random() < chances.scale:
        image *= rng.uniform(0.82, 1.2, channels).astype(np.float32)
        image += rng.uniform(-0.2, 0.2, channels).astype(np.float32)
    if rng.random() < chances.bias:
        _bias_field(rng, image, brain)
    if rng.random() < chances.noise:
        image += rng.standard_normal(image.shape, dtype=np.float32) * np.float32(rng.uniform(0.02, 0.12))
    image *= brain[..., None]
    if rng.random() < chances.dropout:
        image[..., _DROPPED[rng.choice(len(_DROPPED), p=_SHARES)]] = 0
    return image


def _bias_field(rng: np.random.Generator, image: np.ndarray, brain: np.ndarray) -> None:
    """Apply a bias field: the signal falls off toward one side, with a different strength in each modality.

    Without it, a network mistakes a shaded cerebellum for a tumor.
    """
    if not brain.any():
        return
    shape: Shape = (image.shape[0], image.shape[1], image.shape[2])
    way = rng.standard_normal(3)
    way /= np.linalg.norm(way)
    slope = np.zeros(shape, np.float32)
    for axis, length in enumerate(shape):
        line = np.linspace(-1, 1, length, dtype=np.float32) * np.float32(way[axis])
        slope += line.reshape([-1 if axis == k else 1 for k in range(3)])
    field = slope + np.float32(0.4) * smooth_noise(rng, shape, 40.0)
    for channel in range(image.shape[-1]):
        values = image[..., channel]
        if not values.any():
            continue
        low = np.float32(np.percentile(values[brain][::7], 0.5))  # approximately the zero of the raw signal
        strength = np.float32(min(abs(rng.normal(0, 0.22)), 0.6))
        values[...] = (values - low) * np.exp(strength * (field - 0.3)) + low


def _gamma(rng: np.random.Generator, channel: np.ndarray, brain: np.ndarray) -> None:
    """Apply a gamma curve to one modality, keeping its mean and deviation, since scans are z-scored afterwards."""
    values = channel[brain]
    if values.size == 0:
        return
    low, high = float(values.min()), float(values.max())
    if high - low < 1e-3:
        return
    exponent = np.float32(np.exp(rng.normal(0, 0.15)))
    bent = ((values - low) / (high - low)) ** exponent
    bent = (bent - bent.mean()) / max(float(bent.std()), 1e-6)
    channel[brain] = bent * values.std() + values.mean()
