"""The fly-through: an animated GIF of all axial slices, small enough for email."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from training import atomic
from training.images.grid import Volume
from training.labels import LABELS
from training.pictures.canvas import OPACITY, font, gray, outline
from training.pictures.planes import AxialView, tumor_area_per_slice, window

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

#: Palette: gray levels, and levels of each tinted label. Exact colors avoid dithering noise.
_GRAYS, _TINTS = 124, 42
_BAR = 14
#: Height of the lines above and below the picture.
_BAND = 30


def flythrough_gif(
    volume: Volume,
    labelmap: Volume,
    path: Path,
    *,
    title: str = "",
    step_mm: float = 2.0,
    frame_ms: int = 70,
    max_bytes: int = 4_000_000,
) -> Path:
    """Write a GIF that moves upward through the brain with the labels in color.

    It starts at the largest tumor area, so that its first frame is informative, and continues from below after the top.
    A bar on the right shows the height, and the heights with tumor.

    Args:
        volume: The image, for instance T1ce or FLAIR.
        labelmap: The segmentation, ``uint8`` internal values; its grid may differ from the image's.
        path: A ``.gif`` file to write.
        title: A few words above the picture.
        step_mm: Distance between frames; thicker slices are shown one by one.
        frame_ms: Duration of a frame.
        max_bytes: A larger file is drawn again at a smaller size.

    Returns:
        ``path``.
    """
    encoded = b""
    for width in (320, 250, 200, 150, 110):
        encoded = _encode(_frames(volume, labelmap, title, step_mm, width), frame_ms)
        if len(encoded) <= max_bytes:
            break
    return atomic.write_bytes(path, encoded)


def _frames(volume: Volume, labelmap: Volume, title: str, step_mm: float, width: int) -> list[Image.Image]:
    view = AxialView.around(volume, labelmap.grid, width=width, height=width * 6 // 5)
    low, high = window(volume)
    stride = max(1, round(step_mm / view.thickness))
    areas = tumor_area_per_slice(labelmap)
    backdrop, tinted = _backdrop(view, areas, title)
    frames = []
    for index in _order(view.slices[::stride], areas):
        plane, labels = gray(view.plane(volume, index), low, high), view.labels(labelmap, index)
        frames.append(_frame(view, index, plane, labels, backdrop, tinted))
    return frames


def _order(slices: range, areas: np.ndarray) -> list[int]:
    """Start with the slice of the largest tumor area and wrap around."""
    start = int(np.argmax(areas[slices.start : slices.stop : slices.step])) if slices else 0
    return [*slices[start:], *slices[:start]]


def _frame(
    view: AxialView, index: int, plane: np.ndarray, labels: np.ndarray, backdrop: np.ndarray, tinted: np.ndarray
) -> Image.Image:
    height, width = view.shape
    inner = (slice(_BAND, _BAND + height), slice(0, width))
    picture, tints, edge = backdrop.copy(), tinted.copy(), tinted > 0
    picture[inner] = np.maximum(picture[inner], plane)
    tints[inner] = labels
    edge[inner] = outline(labels)
    row = _BAND + _height_of(view, index)
    picture[max(row - 1, 0) : row + 2, width + 2 :] = 255
    return _paletted(picture, tints, edge)


def _height_of(view: AxialView, index: int) -> int:
    share = (index - view.low[2]) / max(view.high[2] - view.low[2], 1e-6)
    return round((1 - share) * (view.shape[0] - 1))


def _backdrop(view: AxialView, areas: np.ndarray, title: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the common part of all frames (text, legend, height bar) as a gray picture and its label values."""
    from PIL import Image, ImageDraw

    height, width = view.shape
    image = Image.new("L", (width + _BAR, height + 2 * _BAND), 14)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, _BAND, width - 1, _BAND + height - 1), fill=0)
    draw.text((6, _BAND / 2), title, fill=235, font=font(14), anchor="lm")  # type: ignore[arg-type]
    draw.text((6, _BAND + 12), "R", fill=150, font=font(13), anchor="lm")  # type: ignore[arg-type]
    draw.text((width - 6, _BAND + 12), "L", fill=150, font=font(13), anchor="rm")  # type: ignore[arg-type]
    y = _BAND + height + _BAND // 2
    squares = _write_legend(draw, y, width)
    picture = np.array(image)
    picture[_BAND : _BAND + height, width + 5 : width + 10] = 60
    for index in np.flatnonzero(areas):
        row = _BAND + _height_of(view, int(index))
        picture[max(row - 1, 0) : row + 2, width + 5 : width + 10] = 190
    labels = np.zeros(picture.shape, np.uint8)
    for left, value in squares:
        labels[y - 5 : y + 5, left : left + 10] = value
    return picture, labels


def _write_legend(draw: ImageDraw.ImageDraw, y: int, width: int) -> list[tuple[int, int]]:
    """Write the label names as large as they fit; return the position and value of each color square."""
    for size, short in ((13, False), (12, False), (11, False), (12, True), (9, True)):
        names = [label.key if short else label.name for label in LABELS]
        lengths = [draw.textlength(name, font=font(size)) for name in names]  # type: ignore[arg-type]
        if sum(lengths) + len(names) * 20 <= width + _BAR - 6:
            break
    squares = []
    x = 6
    for label, name, length in zip(LABELS, names, lengths, strict=True):
        draw.text((x + 13, y), name, fill=235, font=font(size), anchor="lm")  # type: ignore[arg-type]
        squares.append((x, label.value))
        x += 20 + round(length)
    return squares


def _paletted(picture: np.ndarray, labels: np.ndarray, edge: np.ndarray) -> Image.Image:
    """Combine gray levels and labels into palette indices; pixels of ``edge`` get the pure color."""
    from PIL import Image

    index = (picture.astype(np.uint16) * (_GRAYS - 1) // 255).astype(np.uint8)
    shade = (picture.astype(np.uint16) * (_TINTS - 2) // 255).astype(np.uint8)
    shade[edge] = _TINTS - 1
    for number, label in enumerate(LABELS):
        here = labels == label.value
        index[here] = _GRAYS + number * _TINTS + shade[here]
    frame = Image.fromarray(index)
    frame.putpalette(_palette())
    return frame


def _palette() -> bytes:
    """Return the palette: grays, then for each label its tint over grays and its outline color."""
    grays = np.repeat(np.linspace(0, 255, _GRAYS)[:, None], 3, axis=1)
    blocks = [grays]
    for label in LABELS:
        under = np.linspace(0, 255, _TINTS - 1)[:, None]
        color = np.asarray(label.color, float)[None]
        blocks += [(1 - OPACITY) * under + OPACITY * color, color]
    table = np.concatenate(blocks)
    return np.pad(table, ((0, 256 - len(table)), (0, 0))).round().astype(np.uint8).tobytes()


def _encode(frames: list[Image.Image], frame_ms: int) -> bytes:
    sink = io.BytesIO()
    frames[0].save(
        sink, "GIF", save_all=True, append_images=frames[1:], duration=frame_ms, loop=0, optimize=False, disposal=1
    )
    return sink.getvalue()
