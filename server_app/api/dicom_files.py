"""DICOM files among the files of a request: recognized by their content, numbered, and unpacked from an archive.

The names of DICOM files and of the folders in an archive often hold the name of a patient, and may lead anywhere, so
none of them is used.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from server_app.errors import refusal
from server_app.settings import Limits
from training.cases.archive import ArchiveTooLarge, unpack
from training.errors import InputError

#: Maximum number of files in an archive: a study of multi-frame series has ten, one with functional series thousands.
MAX_ENTRIES = 20_000
#: Maximum number of times an archive may be larger when it is unpacked. Images shrink to a half or a fifth.
MAX_RATIO = 100
#: Whatever the ratio, so many bytes are accepted: tiny studies shrink more.
_ALWAYS = 1 << 20


def is_dicom(file: IO[bytes], name: str) -> bool:
    """Return whether an open file is a DICOM file, by its content or its ending, and go back to its start."""
    file.seek(0)
    head = file.read(132)
    file.seek(0)
    return head[128:] == b"DICM" or name.lower().endswith((".dcm", ".ima"))


def is_archive(file: IO[bytes]) -> bool:
    """Return whether an open file is a ZIP archive, and go back to its start."""
    file.seek(0)
    head = file.read(4)
    file.seek(0)
    return head in (b"PK\x03\x04", b"PK\x05\x06")


def dicom_in(paths: Sequence[Path], folder: Path, field: str = "files") -> list[Path]:
    """Return the DICOM files among a request's files, those in an archive included; the archive is deleted.

    Args:
        paths: The files.
        folder: A new folder for the files of an archive.
        field: Of the form, for errors.

    Returns:
        Empty if there are none.

    Raises:
        InputError: If there are other files beside them, or an archive cannot be used.
        HTTPException: 413 if an archive unpacks into more than the server accepts.
    """
    archives: list[Path] = []
    dicom: list[Path] = []
    for path in paths:
        with open(path, "rb") as file:
            (archives if is_archive(file) else dicom if is_dicom(file, path.name) else []).append(path)
    if not archives and not dicom:
        return []
    if len(archives) > 1 or len(archives) + len(dicom) < len(paths) or (archives and dicom):
        raise InputError(
            "Send one ZIP with a DICOM folder, or DICOM files, or four volumes, and nothing beside them. To keep the "
            "DICOM headers of a volume, send its files as dicom.",
            field=field,
        )
    return _unpacked(archives[0], folder, field) if archives else dicom


def _unpacked(archive: Path, folder: Path, field: str) -> list[Path]:
    """Unpack the files of an archive as ``00001`` ...; nothing else of their names is kept."""
    plain = archive.rename(archive.with_name("archive.zip"))  # in messages
    most = min(Limits.of_server().unpacked_bytes, max(MAX_RATIO * plain.stat().st_size, _ALWAYS))
    tree = folder.with_name(f"{folder.name}-tree")
    try:
        unpack(plain, tree, max_bytes=most, max_files=MAX_ENTRIES)
    except ArchiveTooLarge as error:
        raise refusal(413, field, error.message) from error
    except InputError as error:
        raise InputError(error.message, field=field) from error
    folder.mkdir()
    found = sorted(path for path in tree.rglob("*") if path.is_file())
    files = [path.rename(folder / f"{number:05d}") for number, path in enumerate(found, start=1)]
    shutil.rmtree(tree)
    plain.unlink()
    if not files:
        raise InputError("The archive holds no files.", field=field)
    return files
