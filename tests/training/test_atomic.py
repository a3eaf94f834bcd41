import os
from pathlib import Path

import pytest

from training.atomic import publish_folder, write_json, write_text, write_with


def test_a_failed_write_keeps_the_old_content_and_a_published_folder_never_replaces_another(tmp_path: Path):
    path = write_text(tmp_path / "label.nii.gz", "old")

    def fail(temporary: Path) -> None:
        assert temporary.name == path.name  # keeps the double ending
        temporary.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_with(path, fail)
    assert (path.read_text(), [file.name for file in tmp_path.iterdir()]) == ("old", [path.name])
    for name in ("one", "two"):
        write_json(tmp_path / name / "card.json", {"name": name})
    publish_folder(tmp_path / "one", tmp_path / "v0001")
    with pytest.raises(FileExistsError):
        publish_folder(tmp_path / "two", tmp_path / "v0001")
    assert '"one"' in (tmp_path / "v0001" / "card.json").read_text()


def test_a_folder_that_another_process_publishes_in_the_meantime_is_not_replaced(tmp_path: Path, monkeypatch):
    for name in ("mine", "other"):
        write_json(tmp_path / name / "card.json", {"name": name})
    flush = os.fsync

    def fsync(descriptor: int) -> None:
        flush(descriptor)
        if (tmp_path / "other").exists():
            (tmp_path / "other").rename(tmp_path / "v0001")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(FileExistsError):
        publish_folder(tmp_path / "mine", tmp_path / "v0001")
    assert '"other"' in (tmp_path / "v0001" / "card.json").read_text()


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs the names of open files")
def test_files_and_folders_are_flushed_before_their_rename_and_the_parent_after(tmp_path, monkeypatch):
    calls = []
    flush, move = os.fsync, os.replace

    def fsync(descriptor):
        calls.append(("flush", os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}"))))
        flush(descriptor)

    def replace(source, target):
        calls.append(("name", os.path.basename(target)))
        move(source, target)

    monkeypatch.setattr("training.atomic.os.fsync", fsync)
    monkeypatch.setattr("training.atomic.os.replace", replace)
    write_text(tmp_path / "new" / "file.json", "{}")
    assert calls == [("flush", tmp_path.name), ("flush", "file.json"), ("name", "file.json"), ("flush", "new")]
    calls.clear()
    (tmp_path / ".writing").mkdir()
    for name in ("label.nii.gz", "label.json"):
        (tmp_path / ".writing" / name).write_text("x")
    publish_folder(tmp_path / ".writing", tmp_path / "v0001")
    assert set(calls[:2]) == {("flush", "label.nii.gz"), ("flush", "label.json")}
    assert calls[2:] == [("flush", ".writing"), ("name", "v0001"), ("flush", tmp_path.name)]
