"""The labels of a glioma: names, values, colors, codes and regions.

The values are contiguous: 0 background, 1 necrotic core, 2 peritumoral edema, 3 enhancing tumor. The reason is that 3D
Slicer imports the segments of a labelmap by position (value = index + 1), so that BraTS's 4 would become an empty
segment. Only the BraTS export writes 4.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.errors import InputError

BACKGROUND = 0


@dataclass(frozen=True)
class Code:
    """A coded concept: the value, the scheme it belongs to (``SCT`` is SNOMED CT) and its meaning."""

    value: str
    meaning: str
    scheme: str = "SCT"


MORPHOLOGICALLY_ALTERED = Code("49755003", "Morphologically Altered Structure")


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
    return np.isin(labelmap, REGIONS[region])


def value_of(name: str) -> int | None:
    """Return the value of the label with this name or key (any case, ``_`` as a space), or ``None``.

    Examples:
        >>> value_of("Necrotic_Core"), value_of("ET"), value_of("cyst")
        (1, 3, None)
    """
    wanted = name.strip().lower().replace("_", " ")
    return next((label.value for label in LABELS if wanted in (label.name, label.key.lower())), None)


def from_file_values(labelmap: np.ndarray, *, where: str = "the label") -> tuple[np.ndarray, str]:
    """Map any BraTS label scheme to the internal values.

    Schemes: ``{0, 1, 2, 4}`` (BraTS 2017-2021), ``{0, 1, 2, 3}`` (2023 and converted data), and
    ``{0, 1, 2, 3, 4}`` of 2013-2015, where 3 is non-enhancing tumor and is merged into the necrotic core. A
    file with a 3 and no 4 is read as the contiguous scheme.

    Args:
        labelmap: Array of any numeric dtype and shape; floats must hold integers.
        where: Name of the file in errors.

    Returns:
        The ``uint8`` labelmap of internal values and the name of the scheme: ``"brats-2017"``,
        ``"contiguous"`` or ``"brats-2013"``.

    Raises:
        InputError: If values are not integers from 0 to 4.
    """
    values = np.unique(labelmap)
    invalid = values[~np.isfinite(values) | (values != np.round(values))]
    if invalid.size:
        raise InputError(
            f"{where} holds values that are not whole numbers (for example {float(invalid[0])}). "
            "Save it as a labelmap, not as a resampled image.",
            field="label",
        )
    unknown = [int(value) for value in values if value not in (0, 1, 2, 3, 4)]
    if unknown:
        raise InputError(
            f"{where} holds the values {unknown[:5]}; known are 0 background, 1 {NCR.name}, 2 {ED.name}, "
            f"3 or 4 {ET.name}.",
            field="label",
        )
    present = {int(value) for value in values}
    if 4 not in present:
        return labelmap.astype(np.uint8), "contiguous"
    lookup = np.array([0, NCR.value, ED.value, NCR.value, ET.value], np.uint8)
    return lookup[labelmap.astype(np.uint8)], "brats-2013" if 3 in present else "brats-2017"


def to_brats_values(labelmap: np.ndarray) -> np.ndarray:
    """Map internal values to those of BraTS 2017-2021 files (enhancing tumor becomes 4), as ``uint8``."""
    lookup = np.zeros(NUM_CLASSES, np.uint8)
    for label in LABELS:
        lookup[label.value] = label.brats
    return lookup[labelmap]
