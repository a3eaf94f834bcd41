"""Atomic, durable writes: a temporary file in the same folder, fsync, ``os.replace``."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any


def fsync_folder(folder: Path) -> None:
    """Make a rename inside ``folder`` durable (no effect on Windows, where folders cannot be opened)."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> Path:
    """Create a folder and its missing parents durably: a file is only as safe as the entry of its folder."""
    folder = Path(folder)
    missing = []
    above = folder
    while not above.exists():
        missing.append(above)
        above = above.parent
    folder.mkdir(parents=True, exist_ok=True)
    for made in missing:
        fsync_folder(made.parent)
    return folder


def write_with(path: Path, write: Callable[[Path], object]) -> Path:
    """Call ``write`` with a temporary path beside ``path``, then rename the file.

    The temporary file keeps the endings of ``path`` (``.nii.gz``), because writers choose the format by them.

    Args:
        path: The file to write; its folder is created.
        write: Called with the temporary path; must write a complete file there.

    Returns:
        ``path``.
    """
    path = Path(path)
    make_folder(path.parent)
    folder = Path(tempfile.mkdtemp(prefix=".writing-", dir=path.parent))
    try:
        temporary = folder / path.name
        write(temporary)
        with open(temporary, "rb") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    fsync_folder(path.parent)
    return path


def write_bytes(path: Path, content: bytes) -> Path:
    """Write ``content`` to ``path`` atomically and durably."""
    return write_with(path, lambda temporary: temporary.write_bytes(content))


def write_text(path: Path, content: str) -> Path:
    """Write ``content`` to ``path`` as UTF-8, atomically and durably."""
    return write_bytes(path, content.encode("utf-8"))


def write_json(path: Path, content: Any) -> Path:
    """Write ``content`` to ``path`` as indented JSON, atomically and durably."""
    return write_text(path, json.dumps(content, indent=2, sort_keys=False) + "\n")


def publish_folder(temporary: Path, folder: Path) -> Path:
    """Publish a finished folder: every file is fsynced, then the folder is renamed.

    Args:
        temporary: A complete folder on the same file system.
        folder: The final path; must not exist.

    Raises:
        FileExistsError: If ``folder`` exists.
    """
    if folder.exists():
        raise FileExistsError(folder)
    for file in temporary.rglob("*"):
        if file.is_file():
            with open(file, "rb") as handle:
                os.fsync(handle.fileno())
    fsync_folder(temporary)
    try:
        os.replace(temporary, folder)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY):  # another process was faster
            raise FileExistsError(folder) from error
        raise
    fsync_folder(folder.parent)
    return folder
