"""DICOM files among those of a request, and archives that harm."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi import HTTPException

from server_app.api import dicom_files
from server_app.api.dicom_files import dicom_in
from server_app.settings import Limits
from training.errors import InputError

DICOM = bytes(128) + b"DICM" + b"x" * 200


def archive(folder: Path, entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    path = folder / "Smith, John.zip"
    with zipfile.ZipFile(path, "w", method) as opened:
        for name, content in entries.items():
            opened.writestr(name, content)
    return path


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(InputError) as caught:
        call()
    assert caught.value.field == "files"
    return caught.value.message


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "request"
    made.mkdir()
    return made


def test_files_of_an_archive_are_numbered_and_nothing_of_their_names_is_kept(folder: Path, tmp_path: Path) -> None:
    names = ("Doe^Jane/a/IM1", "Doe^Jane/b/IM1", "c.dcm")
    path = archive(folder, {**{name: DICOM + name.encode() for name in names}, "x/._IM1": b"x", "empty/": b""})
    found = dicom_in([path], folder / "study")
    assert [file.name for file in found] == ["00001", "00002", "00003"]
    assert [file.read_bytes() for file in found] == [DICOM + name.encode() for name in names]
    assert sorted(tmp_path.rglob("*")) == sorted([folder, folder / "study", *found])
    again = archive(folder, {"../../../elsewhere": DICOM})
    assert "a path that is not accepted" in refused(lambda: dicom_in([again], folder / "more"))
    assert not list(tmp_path.rglob("elsewhere"))


def test_single_files_are_recognized_by_content_or_ending_and_volumes_are_left_alone(folder: Path) -> None:
    (folder / "IM1").write_bytes(DICOM)
    (folder / "00002.dcm").write_bytes(b"without the preamble")
    (folder / "t1.nii.gz").write_bytes(b"volume")
    assert dicom_in([folder / "IM1", folder / "00002.dcm"], folder / "study") == [folder / "IM1", folder / "00002.dcm"]
    assert dicom_in([folder / "t1.nii.gz"], folder / "study") == []
    assert "nothing beside them" in refused(lambda: dicom_in([folder / "IM1", folder / "t1.nii.gz"], folder / "study"))
    path = archive(folder, {"IM1": DICOM})
    assert "nothing beside them" in refused(lambda: dicom_in([path, folder / "IM1"], folder / "study"))


def test_an_archive_that_unpacks_into_too_much_is_given_up_on_the_way(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = archive(folder, {str(number): bytes(1 << 20) for number in range(8)})
    assert bomb.stat().st_size < 20_000
    with pytest.raises(HTTPException) as caught:  # more than a hundred times its size
        dicom_in([bomb], folder / "study")
    assert caught.value.status_code == 413
    monkeypatch.setattr(Limits, "of_server", lambda: Limits(max_unpacked_mb=0.001))
    with pytest.raises(HTTPException, match="413"):
        dicom_in([archive(folder, {"a": bytes(range(256)) * 8})], folder / "again")
    monkeypatch.setattr(dicom_files, "MAX_ENTRIES", 3)
    with pytest.raises(HTTPException, match="4 files; at most 3"):
        dicom_in([archive(folder, {str(n): b"" for n in range(4)})], folder / "many")


def _damaged(folder: Path) -> Path:
    path = archive(folder, {"IM1": bytes(range(256)) * 50})
    content = bytearray(path.read_bytes())
    content[60:80] = bytes(20)
    path.write_bytes(bytes(content))
    return path


def _encrypted(folder: Path) -> Path:
    path = archive(folder, {"IM1": DICOM})
    content = bytearray(path.read_bytes())
    for start in (content.index(b"PK\x03\x04") + 6, content.index(b"PK\x01\x02") + 8):
        content[start] |= 1
    path.write_bytes(bytes(content))
    return path


def _cut_off(folder: Path) -> Path:
    path = archive(folder, {"IM1": DICOM * 9})
    path.write_bytes(path.read_bytes()[:-30])
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_damaged, "no usable ZIP"),
        (_cut_off, "no usable ZIP"),
        (_encrypted, "encrypted"),
        (lambda folder: archive(folder, {"b/": b""}), "no files"),
    ],
)
def test_an_archive_that_cannot_be_used_is_refused_without_its_name(
    folder: Path, make: Callable[[Path], Path], message: str
) -> None:
    path = make(folder)
    found = refused(lambda: dicom_in([path], folder / "study"))
    assert message in found
    assert "Smith" not in found


def test_an_archive_is_recognized_by_its_content() -> None:
    assert dicom_files.is_archive(io.BytesIO(b"PK\x03\x04rest"))
    assert not dicom_files.is_archive(io.BytesIO(b"\x1f\x8b\x08"))
