from pathlib import Path

import pytest

from tests.training import rejected
from training.cases.files import check_one_head


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("BraTS20_Training_001_t1.nii.gz", "BraTS20_Training_002_flair.nii.gz"),
        ("BraTS-GLI-00005-100-t1n.nii", "BraTS-GLI-00005-101-t2f.nii"),
        ("sub-01_T1w.nii", "sub-2_FLAIR.nii"),
        ("patient 7 T1.nrrd", "patient 8 T2.nrrd"),
        ("TCGA-02-0006_t1.mha", "TCGA-02-0009_t2.mha"),
        ("Brats18_TCIA01_201_1_t1.nii", "Brats18_TCIA01_202_1_t2.nii"),
    ],
)
def test_files_whose_names_are_of_two_patients_or_visits_are_no_case(first, second):
    with rejected(f"{first}, {second}", field="files"):
        check_one_head([Path(first), Path("t2.nii"), Path(second)])


@pytest.mark.parametrize(
    "names",
    [
        ("BraTS20_Training_001_t1.nii", "BraTS20_Training_001_flair.nii"),
        ("sub-1_T1w.nii", "sub-01_ses-2_FLAIR.nii", "Sub_1_T2w.nii"),
        ("3_t1.nii", "5_t2.nii"),  # numbers of series
        ("IM-0001-0003_t1.nii", "IM-0001-0005_t2.nii"),
        ("anna_t1.nii", "t2.nii", "1998-09-19_flair.nii"),
    ],
)
def test_names_that_say_less_than_that_are_not_judged(names):
    check_one_head(map(Path, names))
