"""The record of a training run in progress, so that the same training can continue if it is interrupted.

``job.json`` in the training's folder has the settings, the labels by file and hash, and the version it started from.
It exists from the start of a training run until its end: with a new version, or with an error that the next attempt
would hit again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from training.atomic import write_json
from training.cases.case import Case, Source
from training.retraining.config import RetrainConfig
from training.retraining.corrections import Correction


@dataclass(frozen=True)
class Unfinished:
    """What a training run was begun with.

    Attributes:
        run: Identifies it in the progress file.
        parent: The model version it starts from.
        config: Settings.
        corrections: Labeled cases, with their split.
        stopped: A user stopped it: it continues only on request.
    """

    run: str
    parent: str
    config: RetrainConfig
    corrections: tuple[Correction, ...]
    stopped: bool = False


class UnfinishedFile:
    """The record of the one training that may continue.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def save(self, training: Unfinished) -> None:
        """Write a training run, replacing any other."""
        content = {
            "run": training.run,
            "parent": training.parent,
            "config": training.config.model_dump(mode="json"),
            "corrections": [_written(correction) for correction in training.corrections],
            "stopped": training.stopped,
        }
        write_json(self._path, content)

    def load(self) -> Unfinished | None:
        """Return the training that can continue; ``None`` if there is none, or the file cannot be read."""
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
            return Unfinished(
                run=str(content["run"]),
                parent=str(content["parent"]),
                config=RetrainConfig(**content["config"]),
                corrections=tuple(_read(correction) for correction in content["corrections"]),
                stopped=content.get("stopped") is True,
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def mark_stopped(self) -> None:
        """Record that a user stopped the training."""
        training = self.load()
        if training is not None:
            self.save(replace(training, stopped=True))

    def delete(self, run: str) -> None:
        """Delete a training run's record; another one's stays."""
        training = self.load()
        if training is not None and training.run == run:
            self._path.unlink(missing_ok=True)


def _written(correction: Correction) -> dict[str, Any]:
    case = correction.case
    return {
        "case": case.id,
        "patient": case.patient,
        "folder": str(case.folder) if case.folder is not None else None,
        "sources": {role: _source(source) for role, source in case.sources.items()},
        "label": str(correction.label),
        "label_sha256": correction.digest(),
        "split": correction.split,
    }


def _source(source: Source) -> dict[str, Any]:
    files = {"instances": [str(path) for path in source.instances]} if source.instances else {}
    return {"file": str(source.path), "channel": source.channel, **files}


def _read(written: dict[str, Any]) -> Correction:
    sources = {
        role: Source(Path(s["file"]), s["channel"], tuple(map(Path, s.get("instances", ()))))
        for role, s in written["sources"].items()
    }
    folder = Path(written["folder"]) if written["folder"] is not None else None
    case = Case(written["case"], sources, patient=written["patient"], folder=folder)
    return Correction(case, Path(written["label"]), written["split"], written["label_sha256"])
