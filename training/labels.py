"""The labels of a glioma: names, values, colors, codes and regions.

The values are contiguous: 0 background, 1 necrotic core, 2 peritumoral edema, 3 enhancing tumor. The reason is that 3D
Slicer imports the segments of a labelmap by position (value = index + 1), so that BraTS's 4 would become an empty
segment. Only the BraTS export writes 4. The names and values of other files are in :mod:`training.label_names` and
:mod:`training.label_schemes`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BACKGROUND = 0


@dataclass(frozen=True)
class Code:
    """A coded concept: the value, the scheme it belongs to (``SCT`` is SNOMED CT) and its meaning."""

    value: str
    meaning: str
    scheme: str = "SCT"


MORPHOLOGICALLY_ALTERED = Code("49755003", "Morphologically Altered Structure")
#: The anatomic region of all labels.
BRAIN = Code("12738006", "Brain")


@dataclass(frozen=True)
class Label:
    """One class of the segmentation.

    Attributes:
        value: The voxel value in TumorLoop.
        brats: The voxel value in BraTS 2017-2021 files.
        key: Short name (``NCR``).
        name: Full name.
        color: Display color, red, green, blue in 0-255.
        category: Coded segment category.
        type: Coded segment type.
    """

    value: int
    brats: int
    key: str
    name: str
    color: tuple[int, int, int]
    category: Code
    type: Code


NCR = Label(1, 1, "NCR", "necrotic core", (0, 255, 255), MORPHOLOGICALLY_ALTERED, Code("6574001", "Necrosis"))
ED = Label(2, 2, "ED", "peritumoral edema", (255, 255, 0), MORPHOLOGICALLY_ALTERED, Code("79654002", "Edema"))
ET = Label(3, 4, "ET", "enhancing tumor", (255, 0, 0), MORPHOLOGICALLY_ALTERED, Code("86049000", "Neoplasm, Primary"))

LABELS: tuple[Label, ...] = (NCR, ED, ET)
NUM_CLASSES = len(LABELS) + 1

#: Name to value, in the order of the values, as in ``/info`` and every result.
LABEL_NAMES: dict[str, int] = {label.name: label.value for label in LABELS}

#: The BraTS regions as sets of label values: whole tumor, tumor core, enhancing tumor.
REGIONS: dict[str, tuple[int, ...]] = {"WT": (1, 2, 3), "TC": (1, 3), "ET": (3,)}
REGION_NAMES: dict[str, str] = {"WT": "whole tumor", "TC": "tumor core", "ET": "enhancing tumor"}


def region_mask(labelmap: np.ndarray, region: str) -> np.ndarray:
    """Return the boolean mask of ``region`` (``WT``, ``TC`` or ``ET``) in a labelmap of internal values."""
    first, *others = REGIONS[region]
    mask: np.ndarray = labelmap == first
    for value in others:  # several times as fast as np.isin
        mask |= labelmap == value
    return mask


def check_labelmap(labelmap: np.ndarray) -> None:
    """Raise ValueError if an array holds other values than internal ones, as whole numbers."""
    if labelmap.dtype.kind not in "iub" or labelmap.min() < 0 or labelmap.max() >= NUM_CLASSES:
        raise ValueError(f"a labelmap holds integers from 0 to {NUM_CLASSES - 1}")


def to_brats_values(labelmap: np.ndarray) -> np.ndarray:
    """Map internal values to those of BraTS 2017-2021 files (enhancing tumor becomes 4), as ``uint8``."""
    lookup = np.zeros(NUM_CLASSES, np.uint8)
    for label in LABELS:
        lookup[label.value] = label.brats
    return lookup[labelmap]
