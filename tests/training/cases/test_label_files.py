"""By what the label scheme of a file is recognized, and which files are refused."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tests import synthetic
from tests.training import rejected
from training.cases.find import find_cases
from training.cases.label_files import LabelContext, label_reading, read_label, says_its_scheme
from training.images.grid import Volume
from training.images.write import write_labelmap

GRID = synthetic.brats_grid((16, 16, 16))
#: Blocks of 1, 2, 3 and 4.
BLOCKS = np.repeat(np.arange(5, dtype=np.uint8), [2, 4, 4, 4, 2])[:, None, None] * np.ones((16, 16, 16), np.uint8)
DECATHLON = {"1": "edema", "2": "non-enhancing tumor", "3": "enhancing tumour"}


def stored(path, *values):
    """A file with these of the values."""
    return synthetic.save(Volume(np.where(np.isin(BLOCKS, values), BLOCKS, 0), GRID), path)


def meaning(path, context=None):
    """What becomes of each value of a file, as one digit each."""
    volume, reading = read_label(path, context)
    assert label_reading(path, context) == reading
    held = [value for value in (1, 2, 3, 4) if (BLOCKS[volume.data > 0] == value).any()]
    return reading.scheme, {value: int(volume.data[value == BLOCKS].max()) for value in held}


@pytest.mark.parametrize(
    ("name", "values", "scheme", "means"),
    [
        ("Brats18_TCIA02_135_1/Brats18_TCIA02_135_1_seg.nii.gz", (1, 2), "brats-2017", {1: 1, 2: 2}),
        ("BraTS20_Training_001/BraTS20_Training_001_seg.nii", (1, 2, 4), "brats-2017", {1: 1, 2: 2, 4: 3}),
        ("BraTS2021_00000/BraTS2021_00000_seg.nii.gz", (1, 2), "brats-2017", {1: 1, 2: 2}),
        ("TCGA-DU-7294/seg.nii.gz", (1, 2), "brats-2017", {1: 1, 2: 2}),
        ("TCGA-02-0006/TCGA-02-0006_1996.08.23_GlistrBoost.nii.gz", (2, 4), "brats-2017", {2: 2, 4: 3}),
        ("x/patient7_GlistrBoost_ManuallyCorrected.nii.gz", (1,), "brats-2017", {1: 1}),
        ("UPENN-GBM-00002_11/UPENN-GBM-00002_11_segm.nii.gz", (1, 2), "brats-2017", {1: 1, 2: 2}),
        ("UCSF-PDGM-0004/UCSF-PDGM-0004_tumor_segmentation.nii.gz", (1, 2), "brats-2017", {1: 1, 2: 2}),
        ("phantom_0001/phantom_0001_seg.nii.gz", (1, 2), "brats-2017", {1: 1, 2: 2}),
        ("brats_2013_pat0001_1/a/seg.nii.gz", (1, 2, 3, 4), "brats-2013", {1: 1, 2: 2, 3: 1, 4: 3}),
        ("x/VSD.Brain_3more.XX.O.OT.54517.nii.gz", (2, 3), "brats-2013", {2: 2, 3: 1}),
        ("BraTS-GLI-00001-000/BraTS-GLI-00001-000-seg.nii.gz", (1, 2, 3), "brats-2023", {1: 1, 2: 2, 3: 3}),
        ("BraTS-GLI-02062-100/BraTS-GLI-02062-100-seg.nii.gz", (1, 2, 3, 4), "brats-2024-post", {1: 1, 2: 2, 3: 3}),
        ("BraTS-GLI-02062-101/BraTS-GLI-02062-101-seg.nii.gz", (2, 4), "brats-2024-post", {2: 2}),
        ("BraTS-SSA-00002-000/BraTS-SSA-00002-000-seg.nii.gz", (1, 3), "brats-2023", {1: 1, 3: 3}),
        ("BraTS-PED-00002-000/BraTS-PED-00002-000-seg.nii.gz", (1, 2, 3, 4), "brats-ped", {1: 3, 2: 1, 3: 1, 4: 2}),
        ("BraTS2024-PED/BraTS-PED-00002-000/BraTS-PED-00002-000-seg.nii.gz", (1, 2), "brats-ped", {1: 3, 2: 1}),
        ("ASNR-BraTS2023-PED/BraTS-PED-00002-000/BraTS-PED-00002-000-seg.nii", (1, 2), "brats-2023", {1: 1, 2: 2}),
        ("Task01_BrainTumour/labelsTr/BRATS_001.nii.gz", (1, 2, 3), "decathlon", {1: 2, 2: 1, 3: 3}),
        ("hospital/seg.nii.gz", (1, 2, 4), "brats-2017", {1: 1, 2: 2, 4: 3}),
        ("hospital/empty.nii.gz", (), "tumorloop", {}),
    ],
)
def test_names_of_public_data_sets_and_a_4_without_a_3_say_the_scheme(tmp_path, name, values, scheme, means):
    assert meaning(stored(tmp_path / name, *values)) == (scheme, means)


@pytest.mark.parametrize("values", [(1, 2, 3), (1, 2), (1,), (2,), (3,), (2, 3), (1, 2, 3, 4), (3, 4)])
def test_values_that_two_schemes_read_differently_are_refused_with_the_ways_out(tmp_path, values):
    path = stored(tmp_path / "seg.nii.gz", *values)
    message = (
        rf"seg\.nii\.gz holds the values {values[0]} \(\d\.\d mL\).*differ: .*brats.*--label-scheme.*\.json.*dataset"
    )
    with rejected(message, "label"):
        read_label(path)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("BraTS2021_00000_seg.nii.gz", (1, 2, 3), r"3 \(1\.0 mL\), but by the name BraTS2021_00000_seg.*brats-2017"),
        ("BraTS-SSA-00002-000-seg.nii.gz", (1, 4), "brats-2023"),
        ("BraTS-PED-00002-000-seg.nii.gz", (1, 2, 3), "brats-2023: .*; brats-ped: 1 ET"),
        ("BraTS-MEN-00002-000-seg.nii.gz", (1, 2, 3), "meningiomas and metastases"),
        ("BraTS-MET-00002-000-seg.nii.gz", (1, 2, 3), "meningiomas and metastases"),
        ("Dataset137_BraTS2021/labelsTr/BraTS2021_00000.nii.gz", (1, 2), "nothing says what they mean"),
    ],
)
def test_a_label_that_contradicts_its_name_or_is_of_another_tumor_is_refused(tmp_path, name, values, message):
    with rejected(message, "label"):
        read_label(stored(tmp_path / name, *values))


def test_values_of_no_scheme_are_refused_and_can_be_named(tmp_path):
    path = synthetic.save(Volume(BLOCKS * 10, GRID), tmp_path / "seg.nii.gz")
    with rejected(r"10 \(1\.0 mL\), .*no known label scheme", "label"):
        read_label(path)
    assert meaning(path, LabelContext(scheme="10=NCR,20=ED,30=ET,40=RC")) == ("named values", {1: 1, 2: 2, 3: 3})


def test_an_explicit_choice_comes_before_everything_and_must_fit(tmp_path):
    folder = tmp_path / "BraTS20_Training_001"
    path = stored(folder / "BraTS20_Training_001_seg.nii.gz", 1, 2, 3)
    (folder / "dataset.json").write_text(json.dumps({"label_scheme": "tumorloop"}))
    assert meaning(path, LabelContext(scheme="decathlon")) == ("decathlon", {1: 2, 2: 1, 3: 3})
    with rejected(r"3 \(1\.0 mL\); by the chosen label scheme brats-2017 the value 3 is not one of", "label"):
        read_label(path, LabelContext(scheme="brats-2017"))
    with rejected("no label scheme 'x'", "label_scheme"):
        read_label(path, LabelContext(scheme="x"))


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("seg.json", {"label_scheme": "decathlon"}),
        ("seg.json", {"labels": DECATHLON}),
        ("seg.json", {"labels": {name: int(value) for value, name in DECATHLON.items()}}),
        ("seg.tsv", "index\tname\tcolor\n0\tbackground\t#0\n1\toedema\t#1\n2\tNET\t#2\n3\tET\t#3\n"),
        ("dataset.json", {"labels": {"0": "background", **DECATHLON}}),
        ("../../dataset.json", {"labels": {"bg": 0, "WT": [1, 2, 3], "TC": [2, 3], "ET": [3]}}),
        ("../dataset.json", {"label_scheme": "decathlon"}),
    ],
)
def test_a_file_beside_a_label_or_a_dataset_json_above_says_what_its_values_mean(tmp_path, file, content):
    path = stored(tmp_path / "TCGA-02-0006" / "visit" / "seg.nii.gz", 1, 2, 3)
    (path.parent / file).write_text(content if isinstance(content, str) else json.dumps(content))
    assert meaning(path)[1] == {1: 2, 2: 1, 3: 3}
    reading = label_reading(path)
    assert file.rpartition("/")[2] in reading.why


def test_a_sidecar_is_refused_if_it_does_not_fit_or_cannot_be_read_and_ignored_if_it_says_nothing(tmp_path):
    path = stored(tmp_path / "TCGA-02-0006" / "seg.nii.gz", 1, 2, 4)
    for content, message in (
        ({"labels": {"1": "liver", "2": "edema", "4": "ET"}}, r"the value 1 is called 'liver', which is none"),
        ({"labels": {"1": "NCR", "2": "edema"}}, "the value 4 is not one of 1 NCR, 2 ED"),
        ({"label_scheme": "brats"}, "no label scheme 'brats'"),
    ):
        (path.parent / "seg.json").write_text(json.dumps(content))
        with rejected(message, "label"):
            read_label(path)
    (path.parent / "seg.json").write_text("{")
    with rejected(r"seg\.json is not a JSON file", "label"):
        read_label(path)
    (path.parent / "seg.json").write_text(json.dumps({"Manual": True}))
    assert meaning(path)[0] == "brats-2017"
    (path.parent / "seg.tsv").write_text("value\tlabel\n1\tedema\n")
    with rejected(r"seg\.tsv is no table", "label"):
        read_label(path)


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd", ".seg.nrrd"])
@pytest.mark.parametrize("brats_values", [False, True])
def test_our_own_files_are_recognized_everywhere(tmp_path, ending, brats_values):
    labels = Volume(np.where(BLOCKS == 4, 0, BLOCKS), GRID)
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": DECATHLON}))
    path = write_labelmap(labels, tmp_path / "results" / f"UPENN-GBM-00002{ending}", brats_values=brats_values)
    volume, reading = read_label(path)
    assert np.array_equal(volume.data, labels.data)
    assert volume.data.dtype == np.uint8
    assert says_its_scheme(path)
    named = "segment names" if ending == ".seg.nrrd" else "brats-2017" if brats_values else "tumorloop"
    assert reading.scheme == named
    if ending != ".seg.nrrd":
        with rejected("says in its header that TumorLoop wrote it", "label"):
            read_label(path, LabelContext(scheme="1=edema,2=necrosis,3=ET,4=ET"))


def test_a_header_that_was_copied_to_other_values_says_nothing_and_one_among_the_labels_of_a_data_set_is_refused(
    tmp_path,
):
    import nibabel

    labels = Volume(np.where(BLOCKS == 4, 0, BLOCKS), GRID)
    path = write_labelmap(labels, tmp_path / "labelsTr" / "case.nii.gz")
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": DECATHLON}))
    with rejected("says in its header that TumorLoop wrote it.*dataset.json says 1 ED", "label"):
        read_label(path)
    image = nibabel.nifti1.load(path)
    exchanged = np.array([0, 2, 1, 3], np.uint8)[np.asarray(image.dataobj)]
    exchanged[0, 0, 0] = 1
    nibabel.save(nibabel.Nifti1Image(exchanged, image.affine, image.header), path)
    assert not says_its_scheme(path)
    assert meaning(path)[0] == "decathlon"


def test_a_label_without_enhancing_tumor_is_read_as_the_others_of_its_data_set(tmp_path):
    def found(*labels):
        for number, values in enumerate(labels):
            folder = synthetic.write_case(tmp_path, f"case{number}", grids=GRID, label=False)
            stored(folder / "seg.nii.gz", *values)
        return find_cases(tmp_path)[0]

    first, *_ = found((1, 2), (1, 2, 4), (2,))
    assert first.label_reading().scheme == "brats-2017"
    assert first.read_label().data.max() == 2
    with rejected("nothing says what they mean", "label"):
        replace(first, label_context=LabelContext()).read_label()
    for third in ((1, 2, 3), (1, 2, 3, 4)):
        first, second, _ = found((1, 2), (1, 2, 4), third)
        with rejected("nothing says what they mean", "label"):
            first.read_label()
    with rejected("nothing says what they mean", "label"):  # beside 3 and 4, a 4 may be a cavity
        second.read_label()
    (tmp_path / "case2" / "seg.json").write_text(json.dumps({"label_scheme": "brats-2024-post"}))
    assert [case.label_reading().scheme for case in find_cases(tmp_path)[0]] == [
        *("brats-2017", "brats-2017", "brats-2024-post")
    ]


def test_one_label_with_a_4_tells_the_edition_of_all_pediatric_ones(tmp_path):
    for name, values in (("BraTS-PED-00001-000", (1, 2, 3)), ("BraTS-PED-00002-000", (1, 2, 4))):
        synthetic.write_case(tmp_path, name, grids=GRID, label=False)
        stored(tmp_path / name / f"{name}-seg.nii.gz", *values)
    cases, _ = find_cases(tmp_path)
    assert [case.label_reading().scheme for case in cases] == ["brats-ped", "brats-ped"]


def test_nothing_above_the_root_says_the_scheme(tmp_path):
    root = tmp_path / "TCGA-02-0006" / "studies"
    path = stored(root / "a" / "seg.nii.gz", 1, 2)
    assert meaning(path)[0] == "brats-2017"
    with rejected("nothing says", "label"):
        read_label(path, LabelContext(root=root))
    (tmp_path / "TCGA-02-0006" / "dataset.json").write_text(json.dumps({"labels": DECATHLON}))
    assert meaning(path)[1] == {1: 2, 2: 1}
    with rejected("nothing says", "label"):
        read_label(path, LabelContext(root=root))
