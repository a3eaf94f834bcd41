"""Submitted labels: versions that are never overwritten, each with its provenance.

``labels/<case>/v0001/{label.nii.gz, label.json}``; a version appears complete, by one rename. The stored labelmap has
TumorLoop's values, whatever the submitted file had. A removed version keeps its files and gets a ``removed.json``;
clients' later notes on a version are in ``notes.json``.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from training.atomic import make_folder, publish_folder, write_json
from training.clock import now
from training.hashes import file_sha256
from training.images.grid import Volume
from training.images.write import write_labelmap

LABEL_FILE, RECORD_FILE = "label.nii.gz", "label.json"
_VERSION = re.compile(r"v\d{4,}")
#: Nanoseconds after a change within which another one may leave a folder's time unchanged.
_SETTLED = 2_000_000_000


@dataclass(frozen=True)
class LabelVersion:
    """One stored label.

    Attributes:
        case: The case's id.
        version: ``v0001`` and so on.
        folder: Of its files.
        record: Provenance: ``tag``, ``user``, ``time``, ``sha256``, ``reference`` and more.
    """

    case: str
    version: str
    folder: Path
    record: dict[str, Any]

    @property
    def path(self) -> Path:
        """The labelmap."""
        return self.folder / LABEL_FILE

    @property
    def tag(self) -> str:
        """``final``, ``original`` or a client's own."""
        return str(self.record["tag"])

    @property
    def removed(self) -> bool:
        """Whether it was removed."""
        return (self.folder / "removed.json").exists()

    @property
    def provenance(self) -> dict[str, Any]:
        """The record for clients: without the location of the case's files."""
        return {name: value for name, value in self.record.items() if name != "place"}

    def notes(self) -> dict[str, Any]:
        """Return clients' later notes."""
        return read_object(self.folder / "notes.json") or {}


#: Versions, oldest first, by name and inode of the folder: one that was moved to the quarantine may have a successor of
#: the same name.
_ByInode = dict[tuple[str, int], LabelVersion]


class LabelStore:
    """The labels below ``root``.

    Thread-safe within one process. Versions that another process adds are noticed, because a case's folder is read
    again whenever it changed.

    Args:
        root: One folder per case.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        # Readers never wait for writers: compressing a label takes as long as thousands of reads.
        self._writing = threading.RLock()
        #: By case: its folder's time (ns) when it was last read, 0 if that is not reliable, and what was found.
        self._seen: dict[str, tuple[int, _ByInode]] = {}

    def cases(self) -> list[str]:
        """Return the ids of all cases that have a folder."""
        return sorted(folder.name for folder in self._root.iterdir() if folder.is_dir()) if self._root.is_dir() else []

    def versions(self, case: str, tag: str | None = None) -> list[LabelVersion]:
        """Return a case's labels that are not removed, oldest first; only those with a tag if one is given.

        Raises:
            OSError: If one of them cannot be read at the moment; nothing is cached then.
        """
        return [label for label in self._all(case) if (tag is None or label.tag == tag) and not label.removed]

    def newest(self, case: str, tag: str) -> LabelVersion | None:
        """Return the newest label with a tag that is not removed."""
        own = (label for label in reversed(self._all(case)) if label.tag == tag)
        return next((label for label in own if not label.removed), None)

    def tags(self, case: str) -> set[str]:
        """Return the tags of a case's labels."""
        found: set[str] = set()
        for label in reversed(self._all(case)):
            if label.tag not in found and not label.removed:
                found.add(label.tag)
        return found

    def add(self, case: str, label: Volume, record: dict[str, Any]) -> tuple[LabelVersion, bool]:
        """Store a label as the next version, unless it is the same, on the same images, as the newest with its tag.

        Args:
            case: The case's id.
            label: uint8 with TumorLoop's values.
            record: Provenance, including ``tag``. ``sha256`` (of the voxels), ``file_sha256`` and ``time`` are added
                here.

        Returns:
            The stored version, and whether it is new.
        """
        digest = content_digest(label)
        with self._writing:
            earlier = self.newest(case, str(record["tag"]))
            if earlier is not None and earlier.record.get("sha256") == digest:
                drawn_on = earlier.record.get("images")
                if drawn_on is None or drawn_on == record.get("images", drawn_on):
                    return earlier, False
            record = {**record, "sha256": digest, "time": now()}
            return self._write(case, label, record), True

    def remove(self, case: str, tag: str, user: str) -> bool:
        """Mark the newest label with a tag as removed; return whether there was one."""
        with self._writing:
            label = self.newest(case, tag)
            if label is None:
                return False
            write_json(label.folder / "removed.json", {"user": user, "time": now()})
            return True

    def note(self, label: LabelVersion, info: dict[str, Any]) -> None:
        """Store a client's notes on a label; earlier notes with other names stay."""
        with self._writing:
            write_json(label.folder / "notes.json", {**label.notes(), **info})

    def _all(self, case: str) -> list[LabelVersion]:
        """Return a case's labels, oldest first, including removed ones.

        A version never changes, so only new ones are read.
        """
        folder = self._root / case
        seen, labels = self._seen.get(case, (0, {}))
        try:
            changed = folder.stat().st_mtime_ns
            if changed != seen:
                labels = _read_versions(case, folder, labels)
                # the resolution of the folder's time may be too low for the next change
                settled = abs(time.time_ns() - changed) >= _SETTLED
                self._seen[case] = (changed if settled else 0, labels)
        except FileNotFoundError:
            return []
        return list(labels.values())

    def _write(self, case: str, label: Volume, record: dict[str, Any]) -> LabelVersion:
        parent = make_folder(self._root / case)
        temporary = Path(tempfile.mkdtemp(prefix=".writing-", dir=parent))
        try:
            write_labelmap(label, temporary / LABEL_FILE)
            record = {**record, "file_sha256": file_sha256(temporary / LABEL_FILE)}
            write_json(temporary / RECORD_FILE, record)
            temporary.chmod(0o755)
            number = 1 + max([0, *(int(folder.name[1:]) for folder in version_folders(parent))])
            while True:
                folder = parent / f"v{number:04d}"
                try:
                    publish_folder(temporary, folder)
                    return LabelVersion(case, folder.name, folder, record)
                except OSError:
                    if not folder.exists():
                        raise
                    number += 1  # another process was faster
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def content_digest(label: Volume) -> str:
    """Return the SHA-256 of a labelmap's voxels and grid."""
    digest = hashlib.sha256()
    digest.update(repr(tuple(label.grid.shape)).encode())
    digest.update(np.round(label.grid.affine, 5).astype("<f8").tobytes())
    digest.update(np.ascontiguousarray(label.data, np.uint8).tobytes())
    return digest.hexdigest()


def version_folders(folder: Path) -> list[Path]:
    """Return the folders of a case's versions, complete or not."""
    return [folder / entry.name for entry in _version_entries(folder)]


def _version_entries(folder: Path) -> list[os.DirEntry[str]]:
    """List a case's versions by number; their inodes are part of the listing."""
    with os.scandir(folder) as entries:
        found = [entry for entry in entries if _VERSION.fullmatch(entry.name)]
    return sorted(found, key=lambda entry: int(entry.name[1:]))


def _read_versions(case: str, folder: Path, known: _ByInode) -> _ByInode:
    """Return a case's labels; known ones are not read again."""
    labels = {}
    for entry in _version_entries(folder):
        key = entry.name, entry.inode()
        label = known.get(key) or _read_version(case, folder / entry.name)
        if label is not None:
            labels[key] = label
    return labels


def _read_version(case: str, folder: Path) -> LabelVersion | None:
    record = read_object(folder / RECORD_FILE) or {}
    whole = record.get("tag") and (folder / LABEL_FILE).is_file()
    return LabelVersion(case, folder.name, folder, record) if whole else None


def read_object(path: Path) -> dict[str, Any] | None:
    """Return a file's JSON object, ``None`` if it contains none or does not exist.

    Raises:
        OSError: If it cannot be read from the disk, which says nothing about its content: it must not be moved to the
            quarantine for that, and a label must not seem to be gone.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return content if isinstance(content, dict) else None
