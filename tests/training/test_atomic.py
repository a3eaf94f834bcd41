"""A file is there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from training.atomic import publish_folder, write_json, write_text, write_with


def test_a_failed_write_leaves_the_old_content_and_no_litter(tmp_path: Path):
    path = write_text(tmp_path / "index.json", "old")

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_with(path, fail)
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["index.json"]


def test_the_temporary_file_keeps_the_double_ending(tmp_path: Path):
    seen = []

    def write(temporary: Path) -> None:
        seen.append(temporary.name)
        temporary.write_bytes(b"x")

    write_with(tmp_path / "deep" / "label.nii.gz", write)
    assert seen == ["label.nii.gz"]
    assert (tmp_path / "deep" / "label.nii.gz").read_bytes() == b"x"


def test_a_published_folder_never_replaces_another(tmp_path: Path):
    for name in ("one", "two"):
        write_json(tmp_path / name / "card.json", {"name": name})
    publish_folder(tmp_path / "one", tmp_path / "v0001")
    with pytest.raises(FileExistsError):
        publish_folder(tmp_path / "two", tmp_path / "v0001")
    assert '"one"' in (tmp_path / "v0001" / "card.json").read_text()


@pytest.fixture
def calls(monkeypatch):
    """What is flushed and renamed, in this order; paths as they are at that moment."""
    seen = []
    flush, move = os.fsync, os.replace

    def fsync(descriptor):
        seen.append(("flush", os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}"))))
        flush(descriptor)

    def replace(source, target):
        seen.append(("name", os.path.basename(target)))
        move(source, target)

    monkeypatch.setattr("training.atomic.os.fsync", fsync)
    monkeypatch.setattr("training.atomic.os.replace", replace)
    return seen


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs the names of open files")
def test_a_file_is_flushed_before_it_gets_its_name_and_its_folder_after(tmp_path, calls):
    write_text(tmp_path / "new" / "file.json", "{}")
    assert calls == [("flush", tmp_path.name), ("flush", "file.json"), ("name", "file.json"), ("flush", "new")]


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs the names of open files")
def test_a_folder_is_flushed_with_all_its_files_before_it_gets_its_name(tmp_path, calls):
    (tmp_path / ".writing").mkdir()
    for name in ("label.nii.gz", "label.json"):
        (tmp_path / ".writing" / name).write_text("x")
    publish_folder(tmp_path / ".writing", tmp_path / "v0001")
    assert set(calls[:2]) == {("flush", "label.nii.gz"), ("flush", "label.json")}
    assert calls[2:] == [("flush", ".writing"), ("name", "v0001"), ("flush", tmp_path.name)]
