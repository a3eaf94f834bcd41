"""Mild variation of training patches: turned and mirrored, brighter and darker, noisier, seldom short of a modality.

All of it keeps what preparation promises: what lies outside the brain stays exactly 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.phantoms.fields import smooth_noise

Shape = tuple[int, int, int]


#: Which modality is dropped, when one is: FLAIR shows most, so doing without it takes most practice.
_DROPPED = (0.2, 0.2, 0.2, 0.4)


@dataclass(frozen=True)
class AugmentationProbabilities:
    """How often each variation happens, per patch (``gamma``: per modality).

    Mirroring left and right makes another plausible head; the other mirrorings and the turns make one that lies
    unusually, so they are rarer.
    """

    mirror_sides: float = 0.5
    mirror_others: float = 0.15
    turn: float = 0.15
    scale: float = 0.8
    gamma: float = 0.2
    bias: float = 0.4
    noise: float = 0.25
    dropout: float = 0.3


@dataclass(frozen=True)
class Orientation:
    """A permutation of the axes followed by mirrorings.

    Attributes:
        axes: Output axis ``k`` is input axis ``axes[k]``.
        mirrored: Whether output axis ``k`` runs backwards.
    """

    axes: tuple[int, int, int] = (0, 1, 2)
    mirrored: tuple[bool, bool, bool] = (False, False, False)

    def source_shape(self, shape: Shape) -> Shape:
        """Return the shape an input must have to come out with ``shape``."""
        source = [0, 0, 0]
        for axis, size in zip(self.axes, shape, strict=True):
            source[axis] = size
        return source[0], source[1], source[2]

    def apply(self, array: np.ndarray) -> np.ndarray:
        """Turn ``(x, y, z, ...)``; returns a view."""
        rest = range(3, array.ndim)
        turned = array.transpose(*self.axes, *rest)
        return turned[tuple(slice(None, None, -1 if flip else 1) for flip in self.mirrored)]


def draw_orientation(
    rng: np.random.Generator, chances: AugmentationProbabilities = AugmentationProbabilities()
) -> Orientation:
    """Draw how a patch is turned and mirrored."""
    draws = rng.random(4)
    axes = rng.permutation(3) if draws[3] < chances.turn else np.arange(3)
    mirrored = (draws[0] < chances.mirror_sides, draws[1] < chances.mirror_others, draws[2] < chances.mirror_others)
    return Orientation(
        (int(axes[0]), int(axes[1]), int(axes[2])), (bool(mirrored[0]), bool(mirrored[1]), bool(mirrored[2]))
    )


def vary_intensities(
    rng: np.random.Generator, image: np.ndarray, chances: AugmentationProbabilities = AugmentationProbabilities()
) -> np.ndarray:
    """Vary a z-scored patch as scanners and examinations differ.

    Args:
        rng: Source of randomness.
        image: ``(x, y, z, channel)`` float32, 0 outside the brain; is changed in place.
        chances: How often what happens.

    Returns:
        ``image``.
    """
    channels = image.shape[-1]
    brain = np.any(image != 0, axis=-1)
    for channel in range(channels):
        if rng.random() < chances.gamma:
            _gamma(rng, image[..., channel], brain)
    if rng.random() < chances.scale:
        image *= rng.uniform(0.88, 1.14, channels).astype(np.float32)
        image += rng.uniform(-0.12, 0.12, channels).astype(np.float32)
    if rng.random() < chances.bias:
        _shade(rng, image, brain)
    if rng.random() < chances.noise:
        image += rng.standard_normal(image.shape, dtype=np.float32) * np.float32(rng.uniform(0.02, 0.12))
    image *= brain[..., None]
    if rng.random() < chances.dropout:
        image[..., int(rng.choice(channels, p=_DROPPED))] = 0
    return image


def _shade(rng: np.random.Generator, image: np.ndarray, brain: np.ndarray) -> None:
    """Let the signal fall off toward one side and waver, as far from a coil: a factor, in each modality another.

    Without it, a network takes a shaded cerebellum for a tumor.
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
        low = np.float32(np.percentile(values[brain][::7], 0.5))  # about where the raw signal was 0
        strength = np.float32(min(abs(rng.normal(0, 0.22)), 0.6))
        values[...] = (values - low) * np.exp(strength * (field - 0.3)) + low


def _gamma(rng: np.random.Generator, channel: np.ndarray, brain: np.ndarray) -> None:
    """Bend the gray values of one modality, keeping their mean and deviation: a bent scan would be z-scored too."""
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
