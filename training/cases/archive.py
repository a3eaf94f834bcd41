"""Unpacking a ZIP of a study: bounded, and never outside its folder."""

from __future__ import annotations

import contextlib
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from training.errors import InputError

#: More than any study has; checked before anything is unpacked, and the bytes again while it is.
MAX_FILES = 50_000
MAX_BYTES = 4 * 2**30
_MAX_DEPTH, _MAX_NAME = 16, 200
_CHUNK = 2**20


class ArchiveTooLarge(InputError):
    """An archive that holds more than the limits."""


def is_archive(path: Path) -> bool:
    """Return whether a file is a ZIP archive, by its content."""
    return path.is_file() and zipfile.is_zipfile(path)


@contextlib.contextmanager
def unpacked(archive: Path, *, max_bytes: int = MAX_BYTES, max_files: int = MAX_FILES) -> Iterator[Path]:
    """Unpack an archive into a temporary folder, which is removed at the end.

    Args:
        archive: The ZIP file.
        max_bytes: Maximum number of bytes that it may unpack into.
        max_files: Maximum number of files in it.

    Yields:
        A folder with the name of the archive.

    Raises:
        InputError: As :func:`unpack`.
    """
    with tempfile.TemporaryDirectory(prefix="tumorloop-zip-") as temporary:
        folder = Path(temporary) / (archive.stem or "archive")
        unpack(archive, folder, max_bytes=max_bytes, max_files=max_files)
        yield folder


def unpack(archive: Path, folder: Path, *, max_bytes: int = MAX_BYTES, max_files: int = MAX_FILES) -> None:
    """Unpack the files of an archive into a folder, which is made; hidden files are left out.

    Args:
        archive: The ZIP file.
        folder: Where the files go.
        max_bytes: As of :func:`unpacked`.
        max_files: As of :func:`unpacked`.

    Raises:
        ArchiveTooLarge: If it holds more than the limits, or more than it says.
        InputError: If it is no ZIP, is damaged or encrypted, or holds links or paths that lead out of the folder;
            ``field`` is ``"files"``. What was unpacked until then is left.
    """
    folder.mkdir(parents=True)
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = [entry for entry in opened.infolist() if not entry.is_dir()]
            if len(entries) > max_files:
                raise _too_large(archive, f"{len(entries):,} files; at most {max_files:,} are accepted")
            total = sum(entry.file_size for entry in entries)
            if total > max_bytes:
                raise _too_large(archive, f"{total:,} bytes; at most {max_bytes:,} are accepted")
            for entry in entries:
                place = _place(archive, entry)
                if place is not None:
                    _extract(archive, opened, entry, folder / place)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        encrypted = isinstance(error, RuntimeError) and "encrypted" in str(error)
        why = "is encrypted" if encrypted else f"is no usable ZIP archive ({error})"
        raise InputError(f"{archive.name} {why}. Pack the folder again, without a password.", field="files") from error


def _place(archive: Path, entry: zipfile.ZipInfo) -> PurePosixPath | None:
    """Return where a file goes, below the folder; ``None`` if it is hidden."""
    parts = PurePosixPath(entry.filename.replace("\\", "/")).parts
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise InputError(f"{archive.name} holds a link ({entry.filename}). Pack the files themselves.", field="files")
    leaves = not parts or parts[0].startswith("/") or ":" in parts[0] or ".." in parts or "\0" in entry.filename
    if leaves or len(parts) > _MAX_DEPTH or max(map(len, parts)) > _MAX_NAME:
        name = entry.filename[:_MAX_NAME]
        raise InputError(
            f"{archive.name} holds a path that is not accepted: {name!r}. Pack the folder again.", field="files"
        )
    if any(part.startswith(".") or part == "__MACOSX" for part in parts):
        return None
    return PurePosixPath(*parts)


def _extract(archive: Path, opened: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path) -> None:
    """Write one file, and no more bytes than the archive says that it has."""
    target.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with opened.open(entry) as source, open(target, "xb") as out:  # a second file of one name is refused
        while chunk := source.read(_CHUNK):
            written += len(chunk)
            if written > entry.file_size:
                raise _too_large(archive, f"more than it says ({entry.filename})")
            out.write(chunk)


def _too_large(archive: Path, what: str) -> ArchiveTooLarge:
    return ArchiveTooLarge(f"{archive.name} unpacks into {what}. Pack the folder of one study.", field="files")
