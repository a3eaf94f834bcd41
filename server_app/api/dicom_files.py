"""DICOM files among the files of a request: recognized by their content, numbered, and unpacked from an archive.

The names of DICOM files and of the folders in an archive often hold the name of a patient, and may lead anywhere, so
none of them is used.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from server_app.errors import refusal
from server_app.settings import Limits
from training.errors import InputError

#: Maximum number of files in an archive: a study of multi-frame series has ten, one with functional series thousands.
MAX_ENTRIES = 20_000
#: Maximum number of times an archive may be larger when it is unpacked. Images shrink to a half or a fifth.
MAX_RATIO = 100
_PART = 1 << 20
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
#: Of files that are no images, or belong to the operating system.
_SKIPPED = re.compile(r"\.(txt|xml|json|html?|pdf|jpe?g|png|ico|css|js|ini|inf|bat|sh|py|exe|dll|jar|cab|zip)$", re.I)


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
    if not archives:
        return dicom
    files = _unpacked(archives[0], folder, field)
    archives[0].unlink()
    return files


def _unpacked(archive: Path, folder: Path, field: str) -> list[Path]:
    """Unpack the files of an archive as ``00001.dcm`` ...; nothing else of their names is kept."""
    limits = Limits.of_server()
    most = min(limits.unpacked_bytes, max(MAX_RATIO * archive.stat().st_size, _PART))
    folder.mkdir()
    files: list[Path] = []
    try:
        with zipfile.ZipFile(archive) as opened:
            for entry in _entries(opened, field):
                target = folder / f"{len(files) + 1:05d}.dcm"
                most -= _copied(opened, entry, target, most)
                files.append(target)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError) as error:
        if (isinstance(error, OSError) and error.errno is not None) or isinstance(error, InputError):
            raise
        raise InputError("The archive is damaged or cut off. Make it again.", field=field) from error
    if not files:
        raise InputError("The archive holds no files that could be DICOM.", field=field)
    return files


def _entries(archive: zipfile.ZipFile, field: str) -> Iterator[zipfile.ZipInfo]:
    """Yield the entries of an archive that may be DICOM files."""
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES:
        raise InputError(f"The archive holds {len(entries):,} files; the maximum is {MAX_ENTRIES:,}.", field=field)
    for entry in entries:
        name = entry.filename.replace("\\", "/").rpartition("/")[2]
        if entry.is_dir() or not name or name.startswith((".", "._")) or name.upper() == "DICOMDIR":
            continue
        if _SKIPPED.search(name):
            continue
        if entry.flag_bits & 1:
            raise InputError("The archive is encrypted. Send one without a password.", field=field)
        if entry.compress_type not in _METHODS:
            raise InputError("The archive is compressed in an unusual way. Make an ordinary ZIP file.", field=field)
        yield entry


def _copied(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, most: int) -> int:
    """Unpack one entry, whatever its header says of its size; return the number of bytes."""
    size = 0
    with archive.open(entry) as source, open(target, "wb") as file:
        while part := source.read(_PART):
            size += len(part)
            if size > most:
                raise refusal(413, "files", "The archive unpacks into more than this server accepts.")
            file.write(part)
    return size
