import numpy as np

from training.labels import LABEL_NAMES, LABELS, REGIONS, region_mask, to_brats_values


def test_values_are_contiguous_because_slicer_imports_segments_by_position_and_regions_are_those_of_brats():
    assert [label.value for label in LABELS] == list(LABEL_NAMES.values()) == [1, 2, 3]
    assert to_brats_values(np.arange(4)).tolist() == [0, 1, 2, 4]
    assert [label.color for label in LABELS] == [(0, 255, 255), (255, 255, 0), (255, 0, 0)]
    assert all(label.type.scheme == "SCT" and label.type.value.isdigit() for label in LABELS)
    masks = {region: region_mask(np.arange(4), region).astype(int).tolist() for region in REGIONS}
    assert masks == {"WT": [0, 1, 1, 1], "TC": [0, 1, 0, 1], "ET": [0, 0, 0, 1]}
