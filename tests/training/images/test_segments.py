"""The segments of 3D Slicer: by name and terminology, in any order, in one layer or several."""

import nrrd
import numpy as np
import pytest

from tests import synthetic
from tests.training import rejected
from training.images.nrrd import SEGMENT_NAMES
from training.images.read import label_statement, read_labelmap

GRID = synthetic.brats_grid((12, 10, 6))
NAMES = ("necrotic core", "peritumoral edema", "enhancing tumor")
#: Necrotic core, edema and enhancing tumor side by side, and what belongs to nothing.
TRUTH = np.zeros((12, 10, 6), np.uint8)
TRUTH[:3], TRUTH[3:6], TRUTH[6:9] = 1, 2, 3


def entry(scheme: str, code: str, meaning: str) -> str:
    """The terminology of a segment, as Slicer writes it."""
    category = "SCT^49755003^Morphologically Altered Structure"
    parts = ["Segmentation category and type - DICOM master list", category, f"{scheme}^{code}^{meaning}", "^^"]
    return (
        "TerminologyEntry:" + "~".join([*parts, "Anatomic codes - DICOM master list", "SCT^12738006^Brain", "^^"]) + "|"
    )


def read(tmp_path, data, segments):
    """Read a file with these volumes, and a segment for each mapping of fields."""
    directions = (np.diag([-1.0, -1.0, 1.0, 1.0]) @ GRID.affine)[:3, :3].T
    header = {"space": "left-posterior-superior", "kinds": ["domain"] * 3, "space origin": np.zeros(3)}
    if data.ndim == 4:
        directions = np.insert(directions, 0, np.nan, axis=0)
        header["kinds"] = ["list", *header["kinds"]]
    header["space directions"] = directions
    for number, fields in enumerate(segments):
        for key, value in {"ID": f"Segment_{number + 1}", **fields}.items():
            header[f"Segment{number}_{key}"] = str(value)
    path = tmp_path / "label.seg.nrrd"
    nrrd.write(str(path), data, header)
    assert label_statement(path) == SEGMENT_NAMES
    return read_labelmap(path).data


def test_segments_of_one_layer_get_their_values_by_name_in_any_order(tmp_path):
    stored = np.array([0, 7, 1, 3], np.uint8)[TRUTH]
    rows = [("Enhancing_Tumour", 3), ("Oedema", 1), ("NCR/NET", 7)]
    fields = [{"Name": name, "Layer": 0, "LabelValue": value} for name, value in rows]
    assert np.array_equal(read(tmp_path, stored, fields), TRUTH)
    for field in fields:
        del field["Layer"]  # a 3D file has one layer
    assert np.array_equal(read(tmp_path, stored, fields), TRUTH)


def test_segments_of_several_layers_are_merged_and_edema_lies_below_the_others(tmp_path):
    layers = np.zeros((2, 12, 10, 6), np.uint8)
    layers[0][TRUTH == 3], layers[0][TRUTH == 1] = 1, 2
    layers[1][TRUTH > 0] = 4  # drawn last, over the whole tumor: in Slicer it would hide the others
    rows = [("ET", 0, 1), ("necrosis", 0, 2), ("edema", 1, 4)]
    for order in (rows, rows[::-1]):
        fields = [{"Name": name, "Layer": layer, "LabelValue": value} for name, layer, value in order]
        assert np.array_equal(read(tmp_path, layers, fields), TRUTH)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_in_an_old_file_segment_n_is_volume_n(tmp_path, order):
    volumes = np.stack([(number + 1 == TRUTH) for number in order]).astype(np.uint8)
    assert np.array_equal(read(tmp_path, volumes, [{"Name": NAMES[number]} for number in order]), TRUTH)
    one = read(tmp_path, (TRUTH == 3).astype(np.uint8), [{"Name": "ET"}])
    assert np.array_equal(one == 3, TRUTH == 3)
    assert set(np.unique(one)) == {0, 3}


def test_terminology_says_what_a_name_does_not(tmp_path):
    tags = [entry("SCT", "6574001", "Necrosis"), entry("SRT", "M-36300", "Edema")]
    tags += [entry("SCT", "86049000", "Neoplasm, Primary")]
    names = ("Nekrose", "Segment_2", "Segment_3")
    rows = [(name, tag, value) for value, (name, tag) in enumerate(zip(names, tags, strict=True), start=1)]
    fields = [{"Name": name, "Layer": 0, "LabelValue": value, "Tags": tag} for name, tag, value in rows]
    assert np.array_equal(read(tmp_path, TRUTH, fields), TRUTH)
    fields[2]["Name"] = "whole tumor"  # the code of any neoplasm
    with rejected(r"'whole tumor' \(0\.2 mL\) is none of the labels", "label"):
        read(tmp_path, TRUTH, fields)
    fields[2]["Name"], fields[0]["Name"] = "ET", "edema"
    with rejected("'edema' says another label than its terminology", "label"):
        read(tmp_path, TRUTH, fields)


def test_a_cavity_is_background(tmp_path):
    fields = [{"Name": name, "LabelValue": value} for value, name in enumerate((*NAMES[:2], "resection cavity"), 1)]
    assert np.array_equal(read(tmp_path, TRUTH, fields), np.where(TRUTH == 3, 0, TRUTH))


def test_a_segment_that_is_no_label_is_refused_by_name_unless_it_is_empty(tmp_path):
    fields = [{"Name": name, "LabelValue": value} for value, name in enumerate((*NAMES, "brain mask", "Segment_5"), 1)]
    assert np.array_equal(read(tmp_path, TRUTH, fields), TRUTH)
    with_mask = np.where(TRUTH == 0, 4, TRUTH).astype(np.uint8)
    with rejected(r"the segment 'brain mask' \(0\.2 mL\) is none of the labels", "label"):
        read(tmp_path, with_mask, fields)
    both = np.where(np.indices(TRUTH.shape)[0] == 11, 5, with_mask).astype(np.uint8)
    with rejected(r"the segments 'brain mask' \(0\.1 mL\), 'Segment_5' \(0\.1 mL\) are none", "label"):
        read(tmp_path, both, fields)


def test_core_and_enhancing_tumor_may_overlap_at_the_edge_only(tmp_path):
    volumes = np.stack([TRUTH == 1, TRUTH == 3]).astype(np.uint8)
    fields = [{"Name": "NCR", "Layer": 0, "LabelValue": 1}, {"Name": "ET", "Layer": 1, "LabelValue": 1}]
    volumes[0, 6, 0] = 1  # 6 voxels of 180
    assert np.array_equal(read(tmp_path, volumes, fields), np.where(TRUTH == 2, 0, TRUTH))
    volumes[0, 6:8] = 1
    with rejected(r"'NCR' and 'ET' overlap by 0\.1 mL", "label"):
        read(tmp_path, volumes, fields)


@pytest.mark.parametrize(
    ("data", "fields", "message"),
    [
        (TRUTH, [{"Name": name} for name in NAMES], "segment 'peritumoral edema' is said to be in volume 2"),
        (
            TRUTH,
            [{"Name": name, "LabelValue": 1} for name in NAMES[:2]],
            "'necrotic core' and 'peritumoral edema' cannot",
        ),
        (TRUTH, [{"Name": name, "Layer": 0} for name in NAMES[:2]], "'necrotic core' and 'peritumoral edema' cannot"),
        (TRUTH, [{"Name": "ED", "LabelValue": 2}], r"value 1 belong to none of its segments \('ED'\)"),
        (TRUTH, [{"Name": "ED"}], r"'ED' has no LabelValue, and its volume holds the values \[1, 2, 3\]"),
        (TRUTH, [{"Name": "ED", "LabelValue": "x"}], "Segment0_LabelValue is not a whole number"),
        (TRUTH, [{"Name": "ED", "Layer": -1}], "'ED' is said to be in volume 0"),
    ],
)
def test_segments_that_cannot_be_told_apart_are_refused(tmp_path, data, fields, message):
    with rejected(message, "label"):
        read(tmp_path, data, fields)
