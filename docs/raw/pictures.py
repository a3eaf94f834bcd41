"""A picture of each stage of one raw phantom: as scanned, registered, stripped, segmented."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from docs.raw.measure import Run
from training.images.derived_grids import canonical_grid
from training.images.grid import Grid, Volume
from training.images.masks import bounding_box
from training.images.resample import index_map, resample_labels, resample_linear, resample_mask
from training.labels import LABELS
from training.modalities import ROLES, TITLES

_ROWS = ("As scanned, where the headers put it", "Registered to T1 with contrast", "Stripped", "Segmented", "Truth")


def draw(made: Run, path: Path) -> None:
    """Write a PNG: a row for each stage, a column for each modality; a coronal slice through the tumor."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    grid = canonical_grid(made.study.label.grid)
    truth = resample_labels(made.study.label.data, index_map(made.study.label.grid.affine, grid.affine), grid.shape)
    result = made.segmentation.labelmap
    found = resample_labels(result.data, index_map(result.grid.affine, grid.affine), grid.shape)
    shown = truth if truth.any() else made.preprocessed.brain.data if made.preprocessed.brain is not None else truth
    cut = int(np.argwhere(shown > 0).mean(axis=0)[1])
    window = _window(grid, made)
    figure, axes = pyplot.subplots(len(_ROWS), len(ROLES), figsize=(10, 12), facecolor="black")
    for row, title in enumerate(_ROWS):
        for column, role in enumerate(ROLES):
            image = _image(made, row, role, grid)[:, cut][window]
            axis = axes[row, column]
            axis.imshow(image.T, origin="lower", cmap="gray", vmin=0, vmax=_bright(made, role))
            if row >= 3:
                _outline(axis, (found if row == 3 else truth)[:, cut][window])
            if row == 1 and made.preprocessed.brain is not None:
                axis.contour(made.preprocessed.brain.data[:, cut][window].T, [0.5], colors="cyan", linewidths=0.7)
            if row == 0:
                axis.set_title(TITLES[role], color="white", fontsize=10)
            axis.set_axis_off()
        axes[row, 0].text(2, 4, title, color="yellow", fontsize=9)
    figure.subplots_adjust(left=0, right=1, bottom=0, top=0.98, wspace=0.02, hspace=0.02)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=70, facecolor="black")
    pyplot.close(figure)


def _window(grid: Grid, made: Run) -> tuple[slice, slice]:
    """Return the part of a coronal slice that holds the brain and 3 cm around it."""
    brain = made.study.brain
    inside = resample_mask(brain.data > 0, index_map(brain.grid.affine, grid.affine), grid.shape)
    box = bounding_box(inside, margin=30)
    assert box is not None
    return box[0], box[2]


def _image(made: Run, row: int, role: str, grid: Grid) -> np.ndarray:
    if row >= 2:
        return _on(made.preprocessed.volumes[role], np.eye(4), grid)
    found = made.preprocessed.alignments.get(role)
    return _on(made.raw[role], found.matrix if row == 1 and found is not None else np.eye(4), grid)


def _on(volume: Volume, matrix: np.ndarray, grid: Grid) -> np.ndarray:
    return resample_linear(volume.data, np.linalg.inv(volume.grid.affine) @ matrix @ grid.affine, grid.shape)


def _bright(made: Run, role: str) -> float:
    data = made.preprocessed.volumes[role].data
    return float(np.percentile(data[data > 0], 99.5)) * 1.1 if np.any(data > 0) else 1.0


def _outline(axis: Any, labels: np.ndarray) -> None:
    for label in LABELS:
        if np.any(labels == label.value):
            color = [part / 255 for part in label.color]
            axis.contour((labels == label.value).T, [0.5], colors=[color], linewidths=0.9)
