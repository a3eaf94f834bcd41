"""Drawing of gray planes with colored labels, captions and a legend on a dark canvas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from training.labels import LABELS

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

BACKGROUND = (13, 15, 18)
TEXT = (236, 238, 240)
MUTED = (150, 156, 163)
#: Opacity of label colors over the image.
OPACITY = 0.42


def gray(plane: np.ndarray, low: float, high: float) -> np.ndarray:
    """Map intensities to 0-255, ``low`` to black and ``high`` to white, as uint8."""
    scaled = (np.asarray(plane, np.float32) - low) * np.float32(255.0 / (high - low))
    return np.clip(scaled, 0, 255).astype(np.uint8)


def outline(labels: np.ndarray) -> np.ndarray:
    """Return the pixels of a label that touch another value, as a boolean plane."""
    padded = np.pad(labels, 1, mode="edge")
    center = padded[1:-1, 1:-1]
    edge = np.zeros(labels.shape, bool)
    for shifted in (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]):
        edge |= shifted != center
    return edge & (labels > 0)


def overlay(plane: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
    """Return an RGB picture of a gray plane, its labels tinted and outlined, as uint8 ``(height, width, 3)``."""
    picture = np.repeat(plane[..., None], 3, axis=2).astype(np.float32)
    if labels is None:
        return picture.astype(np.uint8)
    colors = np.zeros((max(label.value for label in LABELS) + 1, 3), np.float32)
    for label in LABELS:
        colors[label.value] = label.color
    tint = colors[labels]
    inside, edge = labels > 0, outline(labels)
    picture[inside] = (1 - OPACITY) * picture[inside] + OPACITY * tint[inside]
    picture[edge] = 0.15 * picture[edge] + 0.85 * tint[edge]
    return picture.astype(np.uint8)


def font(size: float) -> object:
    """Return Pillow's own font, so that captions look the same on every machine."""
    from PIL import ImageFont

    return ImageFont.load_default(size=size)


class Canvas:
    """A dark picture for panels and text; positions are in pixels from the top left."""

    def __init__(self, width: int, height: int) -> None:
        from PIL import Image, ImageDraw

        self.image: Image.Image = Image.new("RGB", (width, height), BACKGROUND)
        self._draw: ImageDraw.ImageDraw = ImageDraw.Draw(self.image)

    def panel(self, picture: np.ndarray, x: int, y: int) -> None:
        """Draw an RGB picture with its top left corner at ``x, y``."""
        from PIL import Image

        self.image.paste(Image.fromarray(picture), (x, y))

    def text(
        self,
        words: str,
        x: float,
        y: float,
        *,
        size: float = 15,
        color: tuple[int, int, int] = TEXT,
        anchor: str = "la",
    ) -> float:
        """Write ``words`` and return the x position of their end; ``anchor`` as in Pillow (``la`` is top left)."""
        self._draw.text((x, y), words, fill=color, font=font(size), anchor=anchor)  # type: ignore[arg-type]
        return x + self._draw.textlength(words, font=font(size))  # type: ignore[arg-type]

    def fits(self, words: str, size: float, width: float) -> str:
        """Return ``words``, shortened with an ellipsis if wider than ``width``."""
        while words and self._draw.textlength(words, font=font(size)) > width:  # type: ignore[arg-type]
            words = words[:-2].rstrip() + "…"
        return words

    def legend(self, x: float, y: float, notes: Sequence[str] | None = None, *, size: float = 15) -> float:
        """Draw the colors and names of the labels in one line, each with its note; return the x position of its end."""
        for number, label in enumerate(LABELS):
            self._draw.rectangle((x, y - size * 0.42, x + size * 0.84, y + size * 0.42), fill=label.color)
            x = self.text(label.name, x + size * 1.25, y, size=size, anchor="lm")
            if notes:
                x = self.text(notes[number], x + size * 0.45, y, size=size, color=MUTED, anchor="lm")
            x += size * 1.6
        return x

    def sides(self, x: int, y: int, width: int) -> None:
        """Mark the right and left of the patient in the upper corners of a panel."""
        self.text("R", x + 8, y + 14, size=14, color=MUTED, anchor="lm")
        self.text("L", x + width - 8, y + 14, size=14, color=MUTED, anchor="rm")
