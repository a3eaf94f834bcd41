"""Tiled prediction for brains that do not fit into memory: extract, predict, merge.

Tiles overlap and are merged with Gaussian weights to avoid seams (Isensee et al. 2021,
doi:10.1038/s41592-020-01008-z). :func:`predict_in_tiles` is a generator, so that callers can report progress and stop.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator

import numpy as np

Box = tuple[slice, slice, slice]


def tile_boxes(shape: tuple[int, int, int], tile: tuple[int, int, int], overlap: float = 0.5) -> list[Box]:
    """Return boxes of side ``tile`` (or the whole axis if that is shorter) that cover ``shape``.

    Args:
        shape: Shape of the volume.
        tile: Sides of a tile.
        overlap: Minimum overlap of neighboring tiles as a fraction of a tile, 0-1.
    """
    starts = []
    for size, side in zip(shape, tile, strict=True):
        last = max(0, size - side)
        step = max(1, int(side * (1.0 - overlap)))
        count = int(np.ceil(last / step)) + 1
        starts.append([round(last * index / max(1, count - 1)) for index in range(count)])
    return [
        (
            slice(x, min(x + tile[0], shape[0])),
            slice(y, min(y + tile[1], shape[1])),
            slice(z, min(z + tile[2], shape[2])),
        )
        for x, y, z in itertools.product(*starts)
    ]


def predict_in_tiles(
    image: np.ndarray,
    predict: Callable[[np.ndarray], np.ndarray],
    *,
    classes: int,
    tile: tuple[int, int, int] = (128, 128, 128),
    overlap: float = 0.5,
) -> Generator[tuple[float, np.ndarray | None], None, None]:
    """Predict tile by tile.

    Args:
        image: ``(x, y, z, channel)``, sides multiples of the network stride.
        predict: Maps ``(1, x, y, z, channel)`` to probabilities ``(1, x, y, z, classes)``.
        classes: Number of classes.
        tile: Sides of a tile, multiples of the stride.
        overlap: See :func:`tile_boxes`.

    Yields:
        The fraction done, 0-1, and ``None``; the last item holds the probabilities ``(x, y, z, classes)``.
    """
    shape = (image.shape[0], image.shape[1], image.shape[2])
    total = np.zeros((*shape, classes), np.float32)
    weight = np.zeros(shape, np.float32)
    boxes = tile_boxes(shape, tile, overlap)
    for index, box in enumerate(boxes):
        probabilities = predict(image[box][None])[0]
        importance = _gaussian(probabilities.shape[:3])
        total[box] += probabilities * importance[..., None]
        weight[box] += importance
        if index < len(boxes) - 1:
            yield (index + 1) / len(boxes), None
    total /= weight[..., None]
    yield 1.0, total


def _gaussian(shape: tuple[int, ...]) -> np.ndarray:
    axes = [np.exp(-0.5 * ((np.arange(side) - (side - 1) / 2) / (side / 8)) ** 2) for side in shape]
    weight = axes[0][:, None, None] * axes[1][None, :, None] * axes[2][None, None, :]
    return np.maximum(weight, 1e-3).astype(np.float32)
