"""ZIP archives of studies: unpacked within limits, and only into their folder."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest

from training.cases.archive import ArchiveTooLarge, is_archive, unpacked
from training.errors import InputError


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_files_are_unpacked_and_removed_at_the_end(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "anna.zip", {"a/b/1": b"one", "2.dcm": b"two", "__MACOSX/2": b"x", ".hidden": b"x"})
    assert is_archive(archive)
    with unpacked(archive) as folder:
        assert folder.name == "anna"
        found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert found == {"a/b/1": b"one", "2.dcm": b"two"}
    assert not folder.exists()


@pytest.mark.parametrize(
    "name", ["../evil", "a/../../evil", "/etc/evil", "C:\\evil", "..\\evil", "a/" * 20 + "x", "x" * 300]
)
def test_paths_that_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    archive = zipped(tmp_path / "a.zip", {name: b"x"})
    with pytest.raises(InputError, match="a path that is not accepted"), unpacked(archive):
        pass
    assert not list(tmp_path.glob("evil*"))


def test_links_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        entry = zipfile.ZipInfo("link")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(InputError, match="holds a link"), unpacked(path):
        pass


@pytest.mark.parametrize(("limits", "what"), [({"max_bytes": 999}, "1,000 bytes"), ({"max_files": 1}, "2 files")])
def test_archives_above_the_limits_are_refused(tmp_path: Path, limits: dict[str, int], what: str) -> None:
    archive = zipped(tmp_path / "a.zip", {"1": bytes(500), "2": bytes(500)})
    with pytest.raises(ArchiveTooLarge, match=what), unpacked(archive, **limits):
        pass


def test_an_archive_that_holds_more_than_it_says_is_refused(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {"1": bytes(100_000)})
    content = bytearray(archive.read_bytes())
    central = content.rindex(b"PK\x01\x02")
    content[central + 24 : central + 28] = (10).to_bytes(4, "little")
    archive.write_bytes(content)
    with pytest.raises(InputError), unpacked(archive) as folder:
        assert (folder / "1").stat().st_size <= 10


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("1", b"a")
        archive.writestr("1", b"b")
    with pytest.raises(InputError, match="no usable ZIP"), unpacked(path):
        pass


def test_damaged_and_encrypted_archives_are_refused(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {"1": bytes(range(256)) * 50})
    content = bytearray(archive.read_bytes())
    damaged = tmp_path / "damaged.zip"
    damaged.write_bytes(content[:60] + bytes(20) + content[80:])
    with pytest.raises(InputError, match="no usable ZIP"), unpacked(damaged):
        pass
    content[6] |= 1  # the flags of the entry, in both headers
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(content)
    with pytest.raises(InputError, match="is encrypted"), unpacked(archive):
        pass
