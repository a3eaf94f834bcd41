"""Files of a request: their names, their number of voxels, and that the rest of a full disk is left to labels."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import HTTPException, UploadFile

from server_app.api import received as module
from server_app.api.received import parsed, received
from server_app.common import readers
from server_app.common.readers import reading
from server_app.settings import Limits
from tests import synthetic


def upload(name: str | None, content: bytes = b"x") -> UploadFile:
    return UploadFile(io.BytesIO(content), filename=name)


def refused(call: Callable[[], Any]) -> dict[str, Any]:
    with pytest.raises(HTTPException) as caught:
        call()
    detail: Any = caught.value.detail
    return {"status": caught.value.status_code, **detail}


def names_of(incoming: Path, *files: UploadFile, field: str = "files") -> list[str]:
    with received(files, incoming, field) as paths:
        assert all(path.is_file() and incoming in path.parents for path in paths)
        return [path.name for path in paths]


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set the limits of the server in this process."""

    def set_limits(**values: Any) -> None:
        monkeypatch.setattr(module.Limits, "of_server", lambda: Limits(**values))

    return set_limits


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("t1.nii.gz", "t1.nii.gz"),
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
    [
        "../t1.nii",
        "a/../../t1.nii",
        "..\\t1.nii",
        "..",
        "..%2ft1.nii",
        "%2e%2e/t1.nii",
        "t1\0.nii",
        "t\n1.nii",
        "",
        None,
    ],
)
def test_a_name_with_a_way_up_is_refused(tmp_path: Path, name: str | None) -> None:
    found = refused(lambda: names_of(tmp_path, upload(name), field="label"))
    assert (found["status"], found["field"]) == (422, "label")
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_too_many_voxels_is_refused_by_its_header(tmp_path: Path, limits: Callable[..., None]) -> None:
    path = synthetic.save(synthetic.head(synthetic.brats_grid((40, 30, 20)), "t1"), tmp_path / "sent" / "t1.nii.gz")
    (tmp_path / "incoming").mkdir()
    limits(max_voxels=23_999)
    found = refused(lambda: names_of(tmp_path / "incoming", upload("t1.nii.gz", path.read_bytes())))
    assert found["message"] == "t1.nii.gz holds 24,000 voxels; the most is 23,999."
    limits(max_voxels=24_000)
    assert names_of(tmp_path / "incoming", upload("t1.nii.gz", path.read_bytes())) == ["t1.nii.gz"]


def test_what_is_left_of_a_disk_is_for_labels(tmp_path: Path, limits: Callable[..., None]) -> None:
    limits(min_free_mb=10**9)
    found = refused(lambda: names_of(tmp_path, upload("t1.nii.gz")))
    assert (found["status"], found["field"]) == (507, "disk")
    assert names_of(tmp_path, upload("label.nii.gz"), field="label") == ["label.nii.gz"]


def test_only_a_few_read_volumes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "_READ_WAIT", 0.05)
    with reading(), reading(), reading():
        assert refused(lambda: reading().__enter__())["status"] == 503
    with reading():
        pass


@pytest.mark.parametrize("params", ["{", "[1]", "NaN", '{"a": NaN}', '{"a":' * 1000, '{"a": "\\ud800"}'])
def test_parameters_that_are_no_json_object_are_refused(params: str) -> None:
    found = refused(lambda: parsed(params))
    assert (found["status"], found["field"]) == (422, "params")
