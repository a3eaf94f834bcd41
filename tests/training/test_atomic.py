"""A file is there whole or not at all."""

from __future__ import annotations

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
