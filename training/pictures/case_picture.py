"""Pictures of segmentations: one case, or several segmentations side by side.

All are axial in radiological convention (the patient's right is on the left, marked R and L), with square pixels and
the colors of :mod:`training.labels`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from training import atomic
from training.images.grid import Volume
from training.labels import LABELS
from training.modalities import ROLES, TITLES
from training.pictures.canvas import MUTED, Canvas, gray, overlay
from training.pictures.planes import AxialView, tumor_area_per_slice, window

_GAP = 8
_MARGIN = 20
_CONVENTION = "Axial, radiological convention: the patient's right is on the left (R). Research use only."


def case_picture(
    volumes: Mapping[str, Volume],
    labelmap: Volume,
    truth: Volume | None,
    path: Path,
    *,
    title: str = "",
    caption: str = "",
) -> Path:
    """Draw one case at the slice where its tumor is largest.

    The upper row shows the four modalities; the lower row the segmentation, and beside it the truth if there is one.

    Args:
        volumes: One volume per role, on any grids.
        labelmap: The segmentation, ``uint8`` internal values.
        truth: The reference segmentation, or None.
        path: A ``.png`` file to write.
        title: Headline, for instance the id of the case.
        caption: A line below it, for instance the Dice scores.

    Returns:
        ``path``.
    """
    grid = labelmap.grid
    view = AxialView.around(volumes["t1ce"], grid)
    index = best_slice(view, truth if truth is not None and truth.data.any() else labelmap)
    planes = {role: gray(view.plane(volumes[role], index), *window(volumes[role])) for role in ROLES}
    upper = [(TITLES[role], overlay(planes[role], None)) for role in ROLES]
    predicted = view.labels(labelmap, index)
    if truth is None:
        lower = [(f"segmentation on {TITLES[role]}", overlay(planes[role], predicted)) for role in ROLES]
    else:
        true = view.labels(truth, index)
        lower = [(f"segmentation on {TITLES[role]}", overlay(planes[role], predicted)) for role in ("t1ce", "flair")]
        lower += [(f"truth on {TITLES[role]}", overlay(planes[role], true)) for role in ("t1ce", "flair")]
    notes = [_milliliters(labelmap, label.value) for label in LABELS]
    return _page([upper, lower], path, title, caption, notes, _where(view, index))


def comparison_picture(
    volumes: Mapping[str, Volume],
    labelmaps: Mapping[str, Volume],
    path: Path,
    *,
    title: str = "",
    caption: str = "",
    slice_of: str | None = None,
) -> Path:
    """Draw several segmentations of one case side by side, on T1ce (upper row) and FLAIR (lower row).

    Args:
        volumes: One volume per role, on any grids; ``t1ce`` and ``flair`` are used.
        labelmaps: The segmentations by panel title, all on one grid.
        path: A ``.png`` file to write.
        title: Headline.
        caption: A line under it.
        slice_of: The labelmap that determines the slice; the last one by default.

    Returns:
        ``path``.
    """
    names = list(labelmaps)
    chosen = labelmaps[slice_of or names[-1]]
    view = AxialView.around(volumes["t1ce"], chosen.grid)
    index = best_slice(view, chosen)
    rows = []
    for role in ("t1ce", "flair"):
        plane = gray(view.plane(volumes[role], index), *window(volumes[role]))
        row = [(TITLES[role], overlay(plane, None))]
        row += [(name, overlay(plane, view.labels(labelmap, index))) for name, labelmap in labelmaps.items()]
        rows.append(row)
    return _page(rows, path, title, caption, None, _where(view, index))


def best_slice(view: AxialView, labelmap: Volume) -> int:
    """Return the slice with the largest tumor area, or the middle of the head without tumor."""
    areas = tumor_area_per_slice(labelmap)
    if not areas.any():
        return round((view.low[2] + view.high[2]) / 2)
    return int(np.argmax(areas))


def _page(
    rows: Sequence[Sequence[tuple[str, np.ndarray]]],
    path: Path,
    title: str,
    caption: str,
    notes: Sequence[str] | None,
    where: str,
) -> Path:
    height, width = rows[0][0][1].shape[:2]
    head = _MARGIN + (34 if title else 0) + (26 if caption else 0)
    step = height + 30
    page_width = 2 * _MARGIN + len(rows[0]) * (width + _GAP) - _GAP
    canvas = Canvas(page_width, head + len(rows) * step + 64)
    if title:
        canvas.text(canvas.fits(title, 24, page_width - 2 * _MARGIN), _MARGIN, _MARGIN - 4, size=24)
    if caption:
        words = canvas.fits(caption, 16, page_width - 2 * _MARGIN)
        canvas.text(words, _MARGIN, head - 26, size=16, color=MUTED)
    for number, row in enumerate(rows):
        for column, (name, picture) in enumerate(row):
            x, y = _MARGIN + column * (width + _GAP), head + number * step
            canvas.text(canvas.fits(name, 15, width), x + width / 2, y + 14, anchor="mm")
            canvas.panel(picture, x, y + 28)
            canvas.sides(x, y + 28, width)
    foot = head + len(rows) * step
    canvas.legend(_MARGIN, foot + 20, notes)
    canvas.text(where, page_width - _MARGIN, foot + 20, color=MUTED, anchor="rm")
    canvas.text(_CONVENTION, _MARGIN, foot + 46, size=13, color=MUTED, anchor="lm")
    return atomic.write_with(path, lambda temporary: canvas.image.save(temporary, "PNG", optimize=True))


def _where(view: AxialView, index: int) -> str:
    return f"slice {index + 1}, {view.thickness:.1f} mm thick" if view.thickness > 1.05 else f"slice {index + 1}"


def _milliliters(labelmap: Volume, value: int) -> str:
    return f"{np.count_nonzero(labelmap.data == value) * labelmap.grid.voxel_ml:.1f} mL"
