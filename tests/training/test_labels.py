"""Label values: every BraTS scheme is read, 4 is written only on request, unknown values are rejected."""

import numpy as np
import pytest

from training.errors import InputError
from training.labels import LABEL_NAMES, LABELS, REGIONS, from_file_values, region_mask, to_brats_values, value_of


def test_values_are_contiguous_because_slicer_imports_segments_by_position_and_found_by_name_or_key():
    assert [label.value for label in LABELS] == list(LABEL_NAMES.values()) == [1, 2, 3]
    assert [value_of(name) for name in ("necrotic core", " Peritumoral_Edema", "et", "cyst", "")] == [
        1,
        2,
        3,
        None,
        None,
    ]


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
    assert labels.tolist() == read
    assert labels.dtype == np.uint8
    assert found == scheme
    if scheme == "brats-2017":
        assert to_brats_values(labels).tolist() == stored


@pytest.mark.parametrize(
    ("values", "message"), [([0, 5], r"values \[5\]"), ([0, -1], r"\[-1\]"), ([0, 0.5], "0.5"), ([0, np.nan], "nan")]
)
def test_unknown_values_are_rejected_by_name(values, message):
    with pytest.raises(InputError, match=message) as caught:
        from_file_values(np.array(values), where="seg.nii.gz")
    assert "seg.nii.gz" in str(caught.value)
    assert caught.value.field == "label"


def test_regions_are_the_sets_of_labels_brats_defines():
    masks = {region: region_mask(np.arange(4), region).astype(int).tolist() for region in REGIONS}
    assert masks == {"WT": [0, 1, 1, 1], "TC": [0, 1, 0, 1], "ET": [0, 0, 0, 1]}


def test_every_label_has_its_own_color_and_a_snomed_code():
    assert [label.color for label in LABELS] == [(0, 255, 255), (255, 255, 0), (255, 0, 0)]
    assert all(label.type.scheme == "SCT" and label.type.value.isdigit() for label in LABELS)
