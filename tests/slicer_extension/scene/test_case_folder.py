import pytest
from TumorLoopLib.scene.case_folder import find_volumes

FOUR = ["t1.nii", "t1ce.nii", "t2.nii", "flair.nii"]
MISSING = (
    "Not found: T1 with contrast, T2, FLAIR. The folder holds scan7.nii, t1.nii; "
    "files are recognized by t1, t1ce, t2 and flair in their names."
)


@pytest.fixture
def find(tmp_path):
    """Write files and return those that are found, by role, and the problems."""

    def find(*names, content=b"voxels"):
        for name in names:
            (tmp_path / name).write_bytes(content)
        paths, problems = find_volumes(tmp_path)
        assert all(path.parent == tmp_path for path in paths.values())
        return {role: path.name for role, path in paths.items()}, problems

    return find


@pytest.mark.parametrize(
    ("names", "others"),
    [
        (["a_t1.nii.gz", "a_t1ce.nii.gz", "a_t2.nii.gz", "a_flair.nii.gz"], ["a_seg.nii.gz"]),
        (["T1.nrrd", "t1_post.mha", "T2.nii", "FLAIR.nhdr"], ["FLAIR.raw", "notes about t2.txt"]),
        (FOUR, ["._t1.nii", ".t2.nii"]),
        (FOUR, ["t1_mask.nii", "t1ce_seg.nii", "flair.seg.nrrd"]),
    ],
    ids=["BraTS", "mixed formats", "hidden files", "masks"],
)
def test_four_volumes_are_found_among_other_files_and_folders(find, tmp_path, names, others):
    (tmp_path / "t2 old.nii").mkdir()
    assert find(*names, *others) == (dict(zip(("t1", "t1ce", "t2", "flair"), names, strict=True)), [])


def test_what_is_missing_double_or_empty_is_named(find):
    assert find("t1.nii", "scan7.nii") == ({"t1": "t1.nii"}, [MISSING])
    assert "scan5.nii and 4 more;" in find(*(f"scan{number}.nii" for number in range(9)))[1][0]
    found, problems = find(*FOUR, "t1.nii.gz")
    assert sorted(found) == ["flair", "t1ce", "t2"]
    assert problems == ['"t1.nii" and "t1.nii.gz" both look like T1. Choose the one to use.']
    found, problems = find("t2.nii", content=b"")
    assert "t2" not in found
    assert 'The file "t2.nii" is empty. Copy it again.' in problems


def test_a_folder_without_images_says_what_it_holds(find, tmp_path):
    name = tmp_path.name
    gone = f"{tmp_path / 'gone'} cannot be opened: No such file or directory."
    assert find_volumes(tmp_path / "gone") == ({}, [gone])
    assert find() == ({}, [f"{name} holds no image files: NIfTI, NRRD and MetaImage can be loaded."])
    for folder in ("case 1", "case 2"):
        (tmp_path / folder).mkdir()
    assert find()[1] == [f"{name} holds no image files, only folders: case 1, case 2. Choose one of them."]
    found, problems = find("IM0001", "IM0002.dcm", content=b"\0" * 128 + b"DICM...")
    assert found == {}
    assert "holds DICOM files. Import them with Slicer's DICOM module" in problems[0]
