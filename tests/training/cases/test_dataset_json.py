"""What a ``dataset.json`` says of labels and channels, and which ones are refused."""

import json

import pytest

from tests.training import rejected
from training.cases.dataset_json import NAME, DatasetJson, find_dataset_json

DECATHLON = {
    "modality": {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"},
    "labels": {"0": "background", "1": "edema", "2": "non-enhancing tumor", "3": "enhancing tumour"},
}
NNUNET = {
    "channel_names": {"1": "T1ce", "0": "T1"},
    "labels": {"background": 0, "whole tumor": [1, 2, 3], "tumor core": [2, 3], "enhancing tumor": [3]},
    "regions_class_order": [1, 2, 3],
}


def written(folder, content):
    folder.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    (folder / NAME).write_bytes(text)
    return folder


def found_from(path) -> DatasetJson:
    found = find_dataset_json(path)
    assert found is not None
    return found


def test_both_forms_are_read_and_found_from_a_label_below(tmp_path):
    written(tmp_path, DECATHLON)
    found = found_from(tmp_path / "labelsTr" / "BRATS_001.nii.gz")
    assert found.path == (tmp_path / NAME).resolve()
    assert found.labels == {0: "background", 1: "edema", 2: "non-enhancing tumor", 3: "enhancing tumour"}
    assert found.channels == ("FLAIR", "T1w", "t1gd", "T2w")
    inner = found_from(written(tmp_path / "Dataset1", NNUNET))
    assert (inner.labels, inner.channels) == ({0: "background"}, ("T1", "T1ce"))
    assert inner.regions == {"whole tumor": (1, 2, 3), "tumor core": (2, 3), "enhancing tumor": (3,)}
    assert found_from(written(tmp_path / "named", {"label_scheme": "brats-ped"})).label_scheme == "brats-ped"


def test_one_above_the_root_too_far_away_linked_from_outside_or_of_another_program_is_not_used(tmp_path):
    written(tmp_path / "a", DECATHLON)
    root = tmp_path / "a" / "b"
    near = root / "c" / "d"
    near.mkdir(parents=True)
    assert found_from(near).path.parent.name == "a"
    assert find_dataset_json(near, root=root) is None
    assert find_dataset_json(near / "e" / "x.nii.gz") is None
    (near / NAME).symlink_to(tmp_path / "a" / NAME)
    assert find_dataset_json(near, root=root) is None
    for other in ({"modality": "MRI"}, ["a.nii.gz"], {"name": "photos"}):
        assert find_dataset_json(written(root, other), root=root) is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "is not a JSON file"),
        (b"\xff\xfe", "is not a JSON file"),
        (b"[" * 100_000, "is not a JSON file"),
        (b'{"labels": {"1": "edema", "1": "necrosis"}}', "'1' twice"),
        (b" " * (2**22 + 1), "too large"),
        ({"labels": ["edema"]}, "labels must be"),
        ({"labels": {"edema": 1, "necrosis": 1}}, "names the value 1 twice"),
        ({"labels": {"edema": 1.5}}, "whole number"),
        ({"labels": {"edema": "9" * 5000}}, "whole number"),
        ({"labels": {"1": {"name": "edema"}}}, "must be text"),
        ({"labels": {"1": "x" * 1000}}, "must be text"),
        ({"labels": {"background": 0, "tumor": [1, "two"]}}, "whole number"),
        ({"channel_names": {"1": "T1", "2": "T2"}}, "from 0"),
    ],
)
def test_a_malformed_one_is_refused_by_name(tmp_path, content, message):
    with rejected(rf"{NAME}.*{message}"):
        find_dataset_json(written(tmp_path, content))
