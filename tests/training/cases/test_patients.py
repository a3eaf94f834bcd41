"""The patients of whole trees; a string lists folders, those of one patient joined by ``+``."""

from pathlib import Path

import pytest

from tests.training.cases import trees
from training.cases.find import find_cases
from training.cases.names import first_patient_of, patient_of
from training.cases.patients import doubts_message, with_patients
from training.retraining.split import is_validation

#: Namings of public data sets, and common ones of hospitals: it is clear which cases are of one patient.
CLEAR = {
    "LUMIERE": "Patient-001/week-000-1 + Patient-001/week-000-2 + Patient-001/week-044, Patient-002/week-000",
    "LUMIERE with derived volumes": "Patient-001/week-000 + Patient-001/week-000/DeepBraTumIA-segmentation/atlas/strip",
    "BIDS": "sub-01/ses-01/anat + sub-01/ses-02/anat, sub-02/ses-01/anat",
    "BIDS, named sessions": "sub-01/ses-preop/anat + sub-01/ses-postop/anat, sub-02/anat",
    "BIDS, split": "train/sub-01 + test/sub-01, train/sub-02",
    "BraTS 2023 and 2024": "BraTS-GLI-00005-100 + BraTS-GLI-00005-101, BraTS-GLI-00006-100, BraTS-MEN-RT-0005-1",
    "TCGA": "TCGA-02-0003_2005.01.01 + TCGA-02-0003_2006.01.01, TCGA-02-0006",
    "UPENN-GBM": "UPENN-GBM-00002_11 + UPENN-GBM-00002_21, UPENN-GBM-00003_11",
    "UCSF-PDGM": "UCSF-PDGM-0004_nifti + UCSF-PDGM-0004_FU001d_nifti, UCSF-PDGM-0005_nifti",
    "UCSD-PTGBM": "UCSD-PTGBM-0002_01 + UCSD-PTGBM-0002_02, UCSD-PTGBM-0003_01",
    "MU-Glioma-Post": "PatientID_0001/Timepoint_1 + PatientID_0001/Timepoint_2, PatientID_0003/Timepoint_1",
    "RHUH-GBM": "RHUH-0001/0 + RHUH-0001/1, RHUH-0002/0",
    "Brain-Tumor-Progression": "PGBM-001/04-02-1992-NA-HEAD + PGBM-001/06-02-1992-NA-HEAD, PGBM-002/04-02-1992-NA",
    "BraTS 2015": "HGG/brats_2013_pat0001_1, LGG/brats_tcia_pat105_0001 + LGG/brats_tcia_pat105_0002",
    "BraTS 2018": "HGG/Brats18_TCIA01_201_1 + HGG/Brats18_TCIA01_201_2, LGG/Brats18_CBICA_AAB_1, HGG/Brats18_2013_0_1",
    "BraTS 2012": "Image_Data/HG/0001, Image_Data/HG/0002, Image_Data/LG/0001",
    "BraTS 2013": "BRATS_HG0001, BRATS_HG0002, BRATS_LG0001, BRATS_LG0002",
    "BraTS 2020": "Training/BraTS20_Training_001, Training/BraTS20_Training_002, Training/BraTS20_Training_003",
    "BraTS 2021": "BraTS2021_00000, BraTS2021_00002, BraTS2021_00003",
    "collections of TCIA": "CPTAC-GBM/C3L-00016, CPTAC-GBM/C3L-00017, ReMIND-022, ReMIND-023, EGD-0001, EGD-0002",
    "phantoms": "phantom_0001, phantom_0002, phantom_0003",
    "cases": "case_1, case_2, case_3, case01, case02",
    "numbers": "001, 002, 003",
    "short numbers": "1, 2, 10",
    "names": "anna, bob, carla",
    "classes": "HGG/001, HGG/002, LGG/001, LGG/002",
    "sites": "siteA/001, siteA/002, siteB/001",
    "towns": "Bonn/001, Bonn/002, Koeln/001, Koeln/003",
    "sites in the name": "HD_001, HD_002, BN_001, BN_002",
    "split": "training/case01, training/case02, validation/case03",
    "after an operation": "GBM_post_001, GBM_post_002, GBM_post_003",
    "time points": "pat01_tp1 + pat01_tp2, pat02_tp1",
    "operations": "P01-preop + P01-postop, P02-preop",
    "operations first": "pre_001 + post_001, pre_002",
    "glued": "P01pre + P01post, P02pre",
    "weeks": "P01_w00 + P01_w12, P02_w00",
    "dates": "patient01/2019-03-01 + patient01/2019-05-01, patient02/2019-03-01",
    "plain dates": "anna/20190301 + anna/20190501, bob/20190301",
    "T0, T1": "P1/T0 + P1/T1, P2/T0",
    "words": "Subject 1/Visit 1 + Subject 1/Visit 2, Subject 2/Visit 1",
    "visit number": "pat01_1 + pat01_2, pat02_1 + pat02_2, pat03_1",
    "visits above": "baseline/P01 + followup/P01, baseline/P02",
    "dates first": "2019-01-01_anna + 2019-03-01_anna, 2019-01-01_bob",
    "dates and times": "002_S_0295/2006-04-18_08_20_30.0 + 002_S_0295/2007-05-25_07_12, 002_S_0413/2006-05-02_12_31",
    "ACRIN": "ACRIN-DSC-001/11-01-1960-MR-BRAIN + ACRIN-DSC-001/12-01-1960-MR-BRAIN, ACRIN-DSC-002/11-01-1960-MR-BRAIN",
    "nested classes": "IDH_mut/HGG/pt3/visit1 + IDH_mut/HGG/pt3/visit2, IDH_wt/LGG/pt3/visit1",
    "record numbers": "1234567/20190301 + 1234567/20190501, 7654321/20190301",
    "time points of trials": "LUM-P01-T0 + LUM-P01-T1, LUM-P02-T0",
    "variants": "001 + 001_native, 002",
    "letter case": "Pat01_pre + pat01_post, pat02_pre",
    "same patient in two classes": "HGG/Patient_01/preop + HGG/Patient_01/postop, LGG/Patient_01/preop",
}

#: A number or a folder may be of a visit or of a patient.
DOUBTFUL = {
    "letters": "A1 + A2, B1 + B2",
    "letters of one kind": "A1 + A2 + A3",
    "letters, split": "train/A1 + train/A2 + test/A3",
    "folders": "anna/1 + anna/2, bob/1 + bob/2",
    "numbers": "anna_1 + anna_2, bob",
    "scans": "anna/scan1 + anna/scan2, bob/scan1",
}


def patients_of(root: Path) -> list[list[str]]:
    """Return the folders of the cases below a root, grouped by patient."""
    groups: dict[str, list[str]] = {}
    for case in find_cases(root)[0]:
        assert case.folder is not None
        groups.setdefault(case.patient, []).append(case.folder.relative_to(root).as_posix())
    return sorted(sorted(group) for group in groups.values())


def expected(text: str) -> list[list[str]]:
    return sorted(sorted(part.strip() for part in group.split("+")) for group in text.split(","))


@pytest.mark.parametrize("naming", CLEAR)
def test_visits_are_one_patients_and_other_cases_are_not(naming, tmp_path):
    groups = expected(CLEAR[naming])
    trees.cases(tmp_path, [folder for group in groups for folder in group])
    assert patients_of(tmp_path) == groups
    cases, _ = find_cases(tmp_path)
    assert with_patients(cases, tmp_path) == (cases, [])


@pytest.mark.parametrize("naming", DOUBTFUL)
def test_what_may_be_a_visit_stays_on_one_side_and_is_told(naming, tmp_path):
    groups = expected(DOUBTFUL[naming])
    trees.cases(tmp_path, [folder for group in groups for folder in group])
    assert patients_of(tmp_path) == groups
    cases, _ = find_cases(tmp_path)
    doubts = with_patients(cases, tmp_path)[1]
    assert sorted(len(doubt.cases) for doubt in doubts) == sorted(len(group) for group in groups if len(group) > 1)
    message = doubts_message(doubts)
    assert "--patients" in message
    assert all(case in message for doubt in doubts for case in doubt.cases)


def test_all_visits_of_a_longitudinal_study_are_on_one_side_of_the_split(tmp_path):
    trees.cases(tmp_path, [f"Patient-{p:03d}/week-{w:03d}" for p in range(1, 11) for w in (0, 12, 44)])
    cases, _ = find_cases(tmp_path)
    patients = {case.patient for case in cases}
    assert (len(cases), patients) == (30, {f"Patient-{p:03d}" for p in range(1, 11)})
    assert 0 < sum(map(is_validation, patients)) < 10
    assert cases[0].id == "Patient-001-week-000"


def test_a_case_that_is_named_after_a_visit_or_a_format_has_the_patient_in_its_id(tmp_path):
    for folders, ids in {
        "sub-01/anat": ["sub-01-anat"],
        "sub-01/ses-01/anat, sub-01/ses-02/anat": ["sub-01-ses-01-anat", "sub-01-ses-02-anat"],
        "anna/1, anna/2": ["anna-1", "anna-2"],
        "anna/preop": ["anna-preop"],
        "001, 002": ["001", "002"],
    }.items():
        root = trees.cases(tmp_path / str(len(folders)), folders.split(", "))
        assert [case.id for case in find_cases(root)[0]] == ids


def test_a_folder_of_visits_alone_is_one_patients_and_told(tmp_path):
    for root, told in ((tmp_path / "Patient-007", False), (tmp_path / "exports", True)):
        trees.cases(root, ["week-000", "week-012"])
        cases, _ = find_cases(root)
        assert {case.patient for case in cases} == {root.name}
        assert [case.id for case in cases] == [f"{root.name}-week-000", f"{root.name}-week-012"]
        assert bool(with_patients(cases, root)[1]) == told


def test_visits_whose_files_lie_side_by_side_are_one_patients(tmp_path):
    trees.beside(tmp_path / "100101", ["100101_time1", "100101_time2"])
    trees.beside(tmp_path / "flat", ["anna-2019-01-02", "anna-2019-03-02", "bob-2019-01-02"])
    groups = {case.id: case.patient for case in find_cases(tmp_path)[0]}
    assert groups["100101_time1"] == groups["100101_time2"] == "100101"
    assert groups["anna-2019-01-02"] == groups["anna-2019-03-02"] == "anna"
    assert groups["bob-2019-01-02"] == "bob"


def test_the_patient_of_an_id_alone_is_read_from_its_visit_and_earlier_records_keep_theirs():
    patients = {
        "BraTS20_Training_001": "BraTS20_Training_001",
        "BraTS-GLI-00001-001": "BraTS-GLI-00001",
        "TCGA-FG-6692_native": "TCGA-FG-6692",
        "UPENN-GBM-00012_11": "UPENN-GBM-00012",
        "sub-03_ses-2": "sub-03",
        "phantom_0001": "phantom_0001",
        "Brats18_TCIA01_201_1": "Brats18_TCIA01_201",
        "P01-preop": "P01",
        "anna_2019-03-01": "anna",
        "case_baseline": "case_baseline",
        "week-012": "week-012",
        "case_2": "case_2",
    }
    assert {case_id: patient_of(case_id) for case_id in patients} == patients
    assert first_patient_of("UPENN-GBM-00012_11") == "UPENN-GBM-00012"
    assert first_patient_of("P01-preop") == "P01-preop"
