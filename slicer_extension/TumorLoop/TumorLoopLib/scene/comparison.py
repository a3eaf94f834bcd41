"""How large a tumor is, and what a correction changed.

Everything follows from one table: how many voxels have value ``a`` in the model's segmentation and ``e`` after editing.
Empty regions count as in the server's metrics: Dice is 1 if neither labelmap contains the region, 0 if one does.
Only the tumor's bounding box is read, which keeps the live display fast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from TumorLoopLib.scene.bounding_box import bounding_box, union
from TumorLoopLib.scene.labels import LabelSet


@dataclass(frozen=True)
class Comparison:
    """What an edited segmentation has more and less than the model's segmentation.

    Attributes:
        added_ml: Milliliters that belong to a label or region now and did not before, by key (``NCR``, ``WT``).
        removed_ml: Milliliters that did before and do not now, by key.
        dice: Overlap of each region (``WT``, ``TC``, ``ET``), 0-1.
        changed_voxels: How many voxels have another value.
    """

    added_ml: dict[str, float]
    removed_ml: dict[str, float]
    dice: dict[str, float]
    changed_voxels: int


def volumes_ml(array_kji: np.ndarray, ijk_to_ras: np.ndarray, labels: LabelSet) -> dict[str, float]:
    """Return the volume of each label and region in milliliters.

    Args:
        array_kji: Labelmap ``(k, j, i)`` of integers 0-255.
        ijk_to_ras: 4x4, voxel index to millimeters, for the size of a voxel.
        labels: The labels.

    Returns:
        One number for each key: ``NCR``, ``ED``, ``ET`` and ``WT``, ``TC`` (``ET`` is both).
    """
    part = array_kji[bounding_box(array_kji)]
    counts = np.bincount(part[part != 0], minlength=256)
    voxel_ml = _voxel_ml(ijk_to_ras)
    return {key: float(counts[list(values)].sum() * voxel_ml) for key, values in _values_by_key(labels).items()}


def compare(answer_kji: np.ndarray, edited_kji: np.ndarray, ijk_to_ras: np.ndarray, labels: LabelSet) -> Comparison:
    """Compare an edited segmentation with the model's segmentation.

    Args:
        answer_kji: Labelmap ``(k, j, i)`` of the model, integers 0-255.
        edited_kji: The same after editing, on the same grid.
        ijk_to_ras: 4x4 of that grid, voxel index to millimeters.
        labels: The labels.

    Raises:
        ValueError: If the grids differ.
    """
    if answer_kji.shape != edited_kji.shape:
        raise ValueError(f"labelmaps of {answer_kji.shape} and {edited_kji.shape} voxels cannot be compared")
    table = _table(answer_kji, edited_kji)
    voxel_ml = _voxel_ml(ijk_to_ras)
    added: dict[str, float] = {}
    removed: dict[str, float] = {}
    for key, values in _values_by_key(labels).items():
        inside = np.zeros(256, bool)
        inside[list(values)] = True
        added[key] = float(table[~inside][:, inside].sum() * voxel_ml)
        removed[key] = float(table[inside][:, ~inside].sum() * voxel_ml)
    dice = {region.key: _dice(table, region.values) for region in labels.regions}
    return Comparison(added, removed, dice, int(table.sum() - np.trace(table)))


def _table(answer: np.ndarray, edited: np.ndarray) -> np.ndarray:
    """Return 256x256 voxel counts, the model's by the edited value; voxels that are background in both do not count."""
    box = union(bounding_box(answer), bounding_box(edited))
    before, after = answer[box], edited[box]
    tumor = (before != 0) | (after != 0)
    pairs = before[tumor].astype(np.uint16) * np.uint16(256) + after[tumor].astype(np.uint16)
    return np.bincount(pairs, minlength=256 * 256).reshape(256, 256)


def _dice(table: np.ndarray, values: Sequence[int]) -> float:
    chosen = list(values)
    total = int(table[chosen].sum()) + int(table[:, chosen].sum())
    return 2.0 * int(table[np.ix_(chosen, chosen)].sum()) / total if total else 1.0


def _voxel_ml(ijk_to_ras: np.ndarray) -> float:
    return abs(float(np.linalg.det(np.asarray(ijk_to_ras, np.float64)[:3, :3]))) / 1000.0


def _values_by_key(labels: LabelSet) -> dict[str, tuple[int, ...]]:
    """Return the voxel values of each label and region; a region of one label shares its key (``ET``)."""
    by_key: dict[str, tuple[int, ...]] = {label.key: (label.value,) for label in labels.labels}
    by_key.update({region.key: region.values for region in labels.regions})
    return by_key
