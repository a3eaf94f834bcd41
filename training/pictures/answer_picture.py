"""A picture of one model's answer on one slice of a prepared case, with the outline of the truth."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np

from training.labels import REGIONS, region_mask
from training.modalities import ROLES, TITLES
from training.pictures.canvas import MUTED, Canvas, gray, outline, overlay

_GAP, _MARGIN, _HEAD, _FOOT = 8, 12, 106, 64
#: Pixels per voxel. The letters are large, since the panel shows the picture at about half its size.
_SCALE = 2
_SHOWN = ("t1ce", "flair")
_OUTLINED = ("WT", "TC")
_OUTLINE = (255, 255, 255)
_NOTE = "White: outline of the truth (whole tumor, tumor core). Research use only."


def answer_picture(
    image: np.ndarray, answer: np.ndarray, truth: np.ndarray, index: int, *, title: str, caption: str
) -> bytes:
    """Draw an axial slice in radiological convention: T1ce and FLAIR with the answer in color and the truth outlined.

    Args:
        image: ``(x, y, z, 4)`` RAS, z-scored, 0 outside the brain.
        answer: ``(x, y, z)`` uint8, labels of the model.
        truth: ``(x, y, z)`` uint8; whole tumor and tumor core are outlined in white.
        index: The slice along z.
        title: Headline.
        caption: A line below it.

    Returns:
        A PNG file.
    """
    colored, true = _large(_plane(answer[:, :, index])), _large(_plane(truth[:, :, index]))
    line = np.logical_or.reduce([outline(region_mask(true, region).astype(np.uint8)) for region in _OUTLINED])
    panels = []
    for role in _SHOWN:
        panel = overlay(_gray(image[..., ROLES.index(role)], index), colored)
        panel[line] = _OUTLINE
        panels.append((TITLES[role], panel))
    height, width = panels[0][1].shape[:2]
    page = 2 * _MARGIN + len(panels) * (width + _GAP) - _GAP
    canvas = Canvas(page, _HEAD + height + _FOOT)
    room = page - 2 * _MARGIN
    canvas.text(canvas.fits(title, 26, room), _MARGIN, 6, size=26)
    canvas.text(canvas.fits(caption, 20, room), _MARGIN, 42, size=20, color=MUTED)
    for column, (name, panel) in enumerate(panels):
        x = _MARGIN + column * (width + _GAP)
        canvas.panel(panel, x, _HEAD)
        canvas.sides(x, _HEAD, width)
        canvas.text(name, x + width / 2, _HEAD - 16, size=20, anchor="mm")
    canvas.legend(_MARGIN, _HEAD + height + 20, size=19)
    canvas.text(canvas.fits(_NOTE, 17, room), _MARGIN, _HEAD + height + 48, size=17, color=MUTED, anchor="lm")
    file = io.BytesIO()
    canvas.image.save(file, "PNG", optimize=True)
    return file.getvalue()


def dice_title(title: str, dice: Mapping[str, float]) -> str:
    """Return a headline that ends with the Dice of each region."""
    return f"{title}. Dice {', '.join(f'{region} {dice[region]:.2f}' for region in REGIONS)}"


def slice_of_change(before: np.ndarray, after: np.ndarray, truth: np.ndarray) -> int:
    """Return the slice along z where two answers differ most; where they do not, the one with the largest tumor.

    Args:
        before: ``(x, y, z)`` labels.
        after: The same of the other model.
        truth: The same of the truth; without a tumor in it, it is the middle slice.
    """
    for voxels in (before != after, truth > 0):
        counts = np.count_nonzero(voxels, axis=(0, 1))
        if counts.any():
            return int(np.argmax(counts))
    return truth.shape[2] // 2


def _plane(values: np.ndarray) -> np.ndarray:
    """Turn ``(x, y)`` in RAS into rows and columns: anterior is up, the patient's right is on the left."""
    return np.ascontiguousarray(values[::-1, ::-1].T)


def _large(plane: np.ndarray) -> np.ndarray:
    return plane.repeat(_SCALE, axis=0).repeat(_SCALE, axis=1)


def _gray(channel: np.ndarray, index: int) -> np.ndarray:
    from PIL import Image

    inside = channel != 0
    plane = np.asarray(channel[:, :, index], np.float32)
    low, high = np.percentile(channel[inside][::7], (0.5, 99.7)) if inside.any() else (0.0, 1.0)
    shown = gray(_plane(plane), float(low), float(max(high, low + 1e-3)))
    shown[_plane(plane) == 0] = 0
    size = (shown.shape[1] * _SCALE, shown.shape[0] * _SCALE)
    return np.asarray(Image.fromarray(shown).resize(size, Image.Resampling.BILINEAR))
