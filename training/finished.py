"""What a command over many cases has finished, so that the same command continues where it was stopped."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.atomic import write_json
from training.hashes import file_sha256

_FOLDER = ".finished"


@dataclass(frozen=True)
class Finished:
    """The records of finished cases in an output folder: ``OUTPUT/.finished/NAME.json``.

    A record is written after the files of its case, by whoever wrote them, and holds their hashes: a file that was
    edited since, or belongs to another model or other options, is not taken for the result.

    Attributes:
        output: The folder.
    """

    output: Path

    def begin(self, name: str, key: str) -> None:
        """Record that the files of a case are being written, by which a half-written case is known as our own.

        Args:
            name: Its id.
            key: What decides its result.
        """
        write_json(self._file(name), {"key": key, "files": None})

    def note(self, name: str, key: str, files: Sequence[Path], facts: Mapping[str, Any] | None = None) -> None:
        """Record a finished case.

        Args:
            name: Its id.
            key: What decides its result.
            files: Its files, below the folder.
            facts: JSON-ready; returned by :meth:`facts`.
        """
        hashes = {file.relative_to(self.output).as_posix(): file_sha256(file) for file in files}
        write_json(self._file(name), {"key": key, "files": hashes, "facts": dict(facts or {})})

    def facts(self, name: str, key: str) -> dict[str, Any] | None:
        """Return the facts of a case that is finished with this key, its files unchanged; otherwise ``None``."""
        record = self._read(name, key)
        return dict(record["facts"]) if record is not None and self._unchanged(record) else None

    def mine(self, name: str, key: str) -> bool:
        """Return whether the files of a case are this command's own: finished and unchanged, or half-written."""
        record = self._read(name, key)
        return record is not None and (record["files"] is None or self._unchanged(record))

    def _read(self, name: str, key: str) -> dict[str, Any] | None:
        try:
            record: dict[str, Any] = json.loads(self._file(name).read_text(encoding="utf-8"))
            return record if record["key"] == key and "files" in record else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _unchanged(self, record: Mapping[str, Any]) -> bool:
        try:
            files = record["files"]
            return files is not None and all(file_sha256(self.output / file) == files[file] for file in files)
        except OSError:
            return False

    def clean(self) -> None:
        """Remove what killed processes left half-written; nobody may be writing into the folder."""
        for left in list(self.output.rglob(".writing-*")):
            shutil.rmtree(left, ignore_errors=True)

    def _file(self, name: str) -> Path:
        return self.output / _FOLDER / f"{name}.json"
