"""Files of a request: their names, their number of voxels, and that the rest of a full disk is left to labels."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import nrrd
import numpy as np
import pytest
from fastapi import HTTPException, UploadFile

from server_app.api.uploaded_files import parsed, received
from server_app.common.read_limit import reading
from server_app.settings import Limits
from tests import synthetic
from training.images.read import read_volume


def upload(name: str | None, content: bytes = b"x") -> UploadFile:
    return UploadFile(io.BytesIO(content), filename=name)


def refused(call: Callable[[], Any], status: int = 422) -> Any:
    with pytest.raises(HTTPException) as caught:
        call()
    assert caught.value.status_code == status
    return caught.value.detail


def names_of(incoming: Path, *files: UploadFile, field: str = "files") -> list[str]:
    with received(files, incoming, field) as paths:
        assert all(path.is_file() and incoming in path.parents for path in paths)
        return [path.name for path in paths]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("/home/anna/t1.nii.gz", "t1.nii.gz"),  # as MONAI Label's client sends it
        ("C:\\Users\\anna\\t1.nii.gz", "t1.nii.gz"),
        ("a..b.nii", "a..b.nii"),
        ("ä" * 300 + ".nii.gz", "ä" * 96 + ".nii.gz"),
    ],
)
def test_a_file_is_kept_under_the_last_part_of_its_name(tmp_path: Path, sent: str, kept: str) -> None:
    assert names_of(tmp_path, upload(sent)) == [kept]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    ["../t1.nii", "a/../../t1.nii", "..\\t1.nii", "..", "..%2ft1.nii", "%2e%2e/t1.nii", "t1\0.nii", "t\n1.nii", "",
     None],
)  # fmt: skip
def test_a_file_name_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name: str | None) -> None:
    assert refused(lambda: names_of(tmp_path, upload(name), field="label"))["field"] == "label"
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_too_many_voxels_is_refused_by_its_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = synthetic.save(synthetic.head(synthetic.brats_grid((40, 30, 20)), "t1"), tmp_path / "t1.nii.gz")
    monkeypatch.setattr(Limits, "of_server", lambda: Limits(max_voxels=23_999))
    found = refused(lambda: names_of(tmp_path, upload("t1.nii.gz", path.read_bytes())))
    assert found["message"] == "t1.nii.gz has 24,000 voxels; the maximum is 23,999."
    monkeypatch.setattr(Limits, "of_server", lambda: Limits(max_voxels=24_000))
    assert names_of(tmp_path, upload("t1.nii.gz", path.read_bytes())) == ["t1.nii.gz"]


def test_both_files_of_a_pair_become_one_and_other_images_in_two_files_are_refused(tmp_path: Path) -> None:
    incoming, made = tmp_path / "incoming", tmp_path / "made"
    incoming.mkdir()
    made.mkdir()
    image = nibabel.Nifti1Pair(np.arange(120, dtype=np.int16).reshape(4, 5, 6), np.diag([1.0, 2.0, 3.0, 1.0]))
    nibabel.save(image, made / "t1.img")
    nrrd.write(str(made / "t2.nhdr"), np.zeros((4, 5, 6), np.uint8), detached_header=True)
    parts = {path.name: path.read_bytes() for path in made.iterdir()}
    both = [upload(name, parts[name]) for name in ("t1.hdr", "t1.img")]
    with received(both, incoming) as (path,):
        assert path.name == "t1.nii"
        assert list(path.parent.iterdir()) == [path]
        assert np.array_equal(read_volume(path).data, image.get_fdata())
        assert np.array_equal(read_volume(path).grid.affine, image.affine)
    assert names_of(incoming, upload("t1.hdr", parts["t1.hdr"])) == ["t1.hdr"]  # whoever reads it says what is missing
    two = [upload(name, parts[name]) for name in parts if name.startswith("t2")]
    assert "two files. Send it as one file" in refused(lambda: names_of(incoming, *two))["message"]
    wrong = [upload("t1.hdr", parts["t1.hdr"]), upload("t1.img", b"too short")]
    assert refused(lambda: names_of(incoming, *wrong))["message"].startswith("t1.img is cut off or damaged")
    twice = [upload(name, parts.get(name, b"x")) for name in ("t1.hdr", "t1.img", "t1.nii")]
    assert "t1.hdr and t1.img are one image" in refused(lambda: names_of(incoming, *twice))["message"]
    assert list(incoming.iterdir()) == []


def test_the_rest_of_a_full_disk_is_left_to_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Limits, "of_server", lambda: Limits(min_free_mb=10**9))
    assert refused(lambda: names_of(tmp_path, upload("t1.nii.gz")), 507)["field"] == "disk"
    assert names_of(tmp_path, upload("label.nii.gz"), field="label") == ["label.nii.gz"]


def test_only_a_few_requests_read_volumes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server_app.common.read_limit._READ_WAIT", 0.05)
    with reading(), reading(), reading():
        refused(lambda: reading().__enter__(), 503)
    with reading():
        pass


@pytest.mark.parametrize("params", ["{", "[1]", "NaN", '{"a":' * 1000])
def test_parameters_that_are_not_a_json_object_are_refused(params: str) -> None:
    assert refused(lambda: parsed(params))["field"] == "params"
