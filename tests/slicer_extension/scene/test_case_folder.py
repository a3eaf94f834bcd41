import pytest
from TumorLoopLib.scene.case_folder import find_volumes


@pytest.fixture
def fill(tmp_path):
    def fill(*names, content=b"voxels"):
        for name in names:
            (tmp_path / name).write_bytes(content)
        return tmp_path

    return fill


def find(folder):
    """The names of the files by role, and the problems."""
    paths, problems = find_volumes(folder)
    assert all(path.parent == folder for path in paths.values())
    return {role: path.name for role, path in paths.items()}, problems


def test_the_four_volumes_of_a_brats_folder_are_found(fill):
    names = ["a_t1.nii.gz", "a_t1ce.nii.gz", "a_t2.nii.gz", "a_flair.nii.gz", "a_seg.nii.gz"]
    found, problems = find(fill(*names))
    assert found == {
        "t1": "a_t1.nii.gz",
        "t1ce": "a_t1ce.nii.gz",
        "t2": "a_t2.nii.gz",
        "flair": "a_flair.nii.gz",
    }
    assert problems == []


def test_formats_may_be_mixed_and_other_files_lie_beside(fill):
    found, problems = find(fill("T1.nrrd", "t1_post.mha", "T2.nii", "FLAIR.nhdr", "FLAIR.raw", "notes about t2.txt"))
    assert found == {"t1": "T1.nrrd", "t1ce": "t1_post.mha", "t2": "T2.nii", "flair": "FLAIR.nhdr"}
    assert problems == []


def test_hidden_files_and_those_of_macos_are_passed_over(fill):
    folder = fill("t1.nii", "t1ce.nii", "t2.nii", "flair.nii", "._t1.nii", ".t2.nii")
    assert find(folder)[1] == []


def test_segmentations_masks_and_folders_are_no_volumes(fill, tmp_path):
    (tmp_path / "t2 old.nii").mkdir()
    folder = fill("t1.nii", "t1ce.nii", "t2.nii", "flair.nii", "t1_mask.nii", "t1ce_seg.nii", "flair.seg.nrrd")
    assert find(folder)[1] == []


def test_a_doubled_volume_is_not_chosen_but_named(fill):
    found, problems = find(fill("t1.nii", "t1.nii.gz", "t1ce.nii", "t2.nii", "flair.nii"))
    assert sorted(found) == ["flair", "t1ce", "t2"]
    assert problems == ['"t1.nii" and "t1.nii.gz" both look like T1. Choose the one to use.']


def test_missing_volumes_are_named_with_what_is_there(fill):
    found, problems = find(fill("t1.nii", "scan7.nii"))
    assert found == {"t1": "t1.nii"}
    assert problems == [
        "Not found: T1 with contrast, T2, FLAIR. The folder holds scan7.nii, t1.nii; "
        "files are recognized by t1, t1ce, t2 and flair in their names."
    ]


def test_a_folder_with_many_files_names_only_some(fill):
    _found, problems = find(fill(*(f"scan{number}.nii" for number in range(9))))
    assert "scan5.nii and 3 more;" in problems[0]


def test_an_empty_file_is_a_problem(fill):
    fill("t1.nii", "t1ce.nii", "flair.nii")
    found, problems = find(fill("t2.nii", content=b""))
    assert "t2" not in found
    assert problems[0] == 'The file "t2.nii" is empty. Copy it again.'


def test_dicom_files_are_sent_to_the_module_for_them(fill):
    found, problems = find(fill("IM0001", "IM0002.dcm", content=b"\0" * 128 + b"DICM..."))
    assert found == {}
    assert "holds DICOM files. Import them with Slicer's DICOM module" in problems[0]


def test_a_folder_of_cases_says_to_choose_one(tmp_path):
    for name in ("case 1", "case 2"):
        (tmp_path / name).mkdir()
    _found, problems = find(tmp_path)
    assert problems == [f"{tmp_path.name} holds no image files, only folders: case 1, case 2. Choose one of them."]


def test_an_empty_folder_says_what_can_be_loaded(tmp_path):
    assert find(tmp_path)[1] == [f"{tmp_path.name} holds no image files: NIfTI, NRRD and MetaImage can be loaded."]


def test_a_folder_that_is_none_says_so(tmp_path):
    found, problems = find(tmp_path / "gone")
    assert found == {}
    assert problems == [f"{tmp_path / 'gone'} cannot be opened: No such file or directory."]
