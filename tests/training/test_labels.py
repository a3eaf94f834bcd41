import numpy as np
import pytest

from tests.training import rejected
from training.labels import LABEL_NAMES, LABELS, REGIONS, from_file_values, region_mask, to_brats_values, value_of


@pytest.mark.parametrize(
    ("stored", "read", "scheme"),
    [
        ([0, 1, 2, 4], [0, 1, 2, 3], "brats-2017"),
        ([0, 1, 2, 3], [0, 1, 2, 3], "contiguous"),
        ([0, 1, 2, 3, 4], [0, 1, 2, 1, 3], "brats-2013"),
        ([0, 2], [0, 2], "contiguous"),
    ],
)
def test_every_brats_scheme_is_read(stored, read, scheme):
    labels, found = from_file_values(np.array(stored, np.float64))
    assert (labels.tolist(), labels.dtype, found) == (read, np.uint8, scheme)
    if scheme == "brats-2017":
        assert to_brats_values(labels).tolist() == stored


@pytest.mark.parametrize(
    ("values", "message"), [([0, 5], r"values \[5\]"), ([0, -1], r"\[-1\]"), ([0, 0.5], "0.5"), ([0, np.nan], "nan")]
)
def test_unknown_values_are_rejected_by_name(values, message):
    with rejected(rf"seg\.nii\.gz(.|\n)*{message}", "label"):
        from_file_values(np.array(values), where="seg.nii.gz")


def test_values_are_contiguous_because_slicer_imports_segments_by_position_and_regions_are_those_of_brats():
    assert [label.value for label in LABELS] == list(LABEL_NAMES.values()) == [1, 2, 3]
    names = ("necrotic core", " Peritumoral_Edema", "et", "cyst", "")
    assert [value_of(name) for name in names] == [1, 2, 3, None, None]
    assert [label.color for label in LABELS] == [(0, 255, 255), (255, 255, 0), (255, 0, 0)]
    assert all(label.type.scheme == "SCT" and label.type.value.isdigit() for label in LABELS)
    masks = {region: region_mask(np.arange(4), region).astype(int).tolist() for region in REGIONS}
    assert masks == {"WT": [0, 1, 1, 1], "TC": [0, 1, 0, 1], "ET": [0, 0, 0, 1]}
