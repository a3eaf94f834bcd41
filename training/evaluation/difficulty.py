"""Possible reasons for a poor segmentation: measured facts, none of which proves a cause.

Reported are properties that make tumors hard to segment: a small size, a low contrast to the surrounding brain, or
findings elsewhere.
"""

from __future__ import annotations

import numpy as np

from training.evaluation.calibration import near_tumor
from training.evaluation.subjects import Subject
from training.images.grid import Volume
from training.images.tissue import find_tissue
from training.labels import region_mask
from training.modalities import ROLES, TITLES

#: Tumors below this volume count as small.
SMALL_ML = 5.0
#: Contrast, in standard deviations of the surrounding brain, below which a tumor hardly stands out.
FAINT = 1.0
#: Extent of the surrounding brain.
AROUND_MM = 10.0


def difficulty_of(subject: Subject, labelmap: Volume) -> str:
    """Describe a poor segmentation in a few sentences.

    Args:
        subject: The head and its truth.
        labelmap: The segmentation, on the grid of the truth.
    """
    truth, found = region_mask(subject.truth.data, "WT"), region_mask(labelmap.data, "WT")
    voxel = subject.truth.grid.voxel_ml
    true_ml, found_ml = truth.sum() * voxel, found.sum() * voxel
    if not truth.any():
        return f"There is no tumor, but {found_ml:.1f} mL was labeled as tumor."
    sentences = [_size(truth, true_ml)]
    if not found.any():
        sentences.append("Nothing was found.")
    else:
        sentences.append(_overlap(truth, found, voxel))
    if not region_mask(subject.truth.data, "ET").any():
        sentences.append("It has no enhancing tumor.")
    sentences.append(_visibility(contrasts(subject)))
    return " ".join(sentences)


def contrasts(subject: Subject) -> dict[str, float]:
    """Return the contrast of the whole tumor by role.

    That is its mean intensity minus that of the brain within 10 mm, in standard deviations of that brain. Modalities on
    another grid than the truth are left out; the result is empty without tumor or surrounding brain.
    """
    tumor = region_mask(subject.truth.data, "WT")
    grid = subject.truth.grid
    near = near_tumor(tumor, grid.spacing, AROUND_MM) & ~tumor
    found = {}
    for role in ROLES:
        if role not in subject.volumes or not subject.volumes[role].grid.matches(grid):
            continue
        data = subject.volumes[role].data
        brain = data[near & find_tissue(data).mask]
        if brain.size > 1 and brain.std() > 0:
            found[role] = float((data[tumor].mean() - brain.mean()) / brain.std())
    return found


def _size(truth: np.ndarray, true_ml: float) -> str:
    from scipy import ndimage

    if true_ml >= SMALL_ML:
        return f"The tumor measures {true_ml:.1f} mL."
    surface = 1 - ndimage.binary_erosion(truth).sum() / truth.sum()
    return f"The tumor is small, {true_ml:.1f} mL: {100 * surface:.0f}% of its voxels lie at its border."


def _overlap(truth: np.ndarray, found: np.ndarray, voxel: float) -> str:
    from scipy import ndimage

    hit = 100 * (truth & found).sum() / truth.sum()
    outside = (found & ~truth).sum() * voxel
    parts, _ = ndimage.label(found, structure=np.ones((3, 3, 3)))
    touching = np.unique(parts[truth & found])
    elsewhere = (found & ~np.isin(parts, touching[touching > 0])).sum() * voxel
    sentence = f"{hit:.0f}% of it was found, and {outside:.1f} mL outside it was labeled as tumor"
    return f"{sentence} ({elsewhere:.1f} mL in separate lesions)." if elsewhere > 0 else f"{sentence}."


def _visibility(found: dict[str, float]) -> str:
    if not found:
        return "Its contrast could not be measured."
    numbers = ", ".join(f"{TITLES[role]} {value:+.1f}" for role, value in found.items())
    if all(abs(value) < FAINT for value in found.values()):
        return f"It hardly stands out from the brain within {AROUND_MM:.0f} mm (standard deviations: {numbers})."
    return f"Its contrast to the brain within {AROUND_MM:.0f} mm, in standard deviations: {numbers}."
