"""The workspace: everything the server writes, in contrast to the studies, which it only reads.

Layout::

    models/                 versions of the model and which one is current (training.models.store)
    labels/<case>/v0001/    submitted labels
    uploads/<case>/         cases that were uploaded
    removed/<case>-.../     uploaded cases that were removed; nothing a person sent is deleted
    answers/<case>/         the model's last predictions for a case, to compare a correction with
    notes/<case>.json       clients' notes on an image
    cache/                  can be deleted at any time
    training/               progress.json, job.json, checkpoint, prepared cases and phantoms
    sessions/, maps/, incoming/    files that exist for a request or an hour
    running.json            whether a server is running, and how the last one ended
    running.lock            locked by the server that is running
    users.json, audit/      who has a token, and who did what
    split.json              the training or validation set of each patient
    cases.json              which folder of the studies has which id
    claims.json             who is working on which case, and until when
    quarantine/             what was damaged, and a report of it
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from training.errors import InputError


class _Below:
    """A path below the root."""

    def __init__(self, *parts: str) -> None:
        self._parts = parts

    def __get__(self, workspace: Workspace, owner: type) -> Path:
        return workspace.root.joinpath(*self._parts)


@dataclass(frozen=True)
class Workspace:
    """The folders and files of one server; see the module.

    Attributes:
        root: Absolute; everything else is below it.
    """

    root: Path

    models = _Below("models")
    labels = _Below("labels")
    uploads = _Below("uploads")
    removed = _Below("removed")
    answers = _Below("answers")
    notes = _Below("notes")
    cache = _Below("cache")
    training = _Below("training")
    sessions = _Below("sessions")
    maps = _Below("maps")
    incoming = _Below("incoming")
    audit = _Below("audit")
    split_file = _Below("split.json")
    run_record = _Below("running.json")
    users_file = _Below("users.json")
    case_ids = _Below("cases.json")
    claims = _Below("claims.json")
    progress_file = _Below("training", "progress.json")
    unfinished_file = _Below("training", "job.json")

    @classmethod
    def for_studies(cls, studies: Path, root: Path | str | None = None) -> Workspace:
        """Return the workspace that belongs to a studies folder.

        Args:
            studies: The folder of cases.
            root: The workspace, if not the default: ``<home>/<name>-<hash of the path>``, where home is
                ``$TUMORLOOP_HOME`` or the user's data folder.

        Raises:
            InputError: If the workspace would be inside the studies, which are never written to.
        """
        studies = studies.resolve()
        if root is None:
            digest = hashlib.sha256(str(studies).encode("utf-8", "surrogateescape")).hexdigest()[:8]
            root = _home() / f"{studies.name or 'studies'}-{digest}"
        root = Path(root).expanduser().resolve()
        if root == studies or studies in root.parents:
            raise InputError(
                f"The workspace {root} is inside the studies folder, which is never written to. Choose another.",
                field="workspace",
            )
        return cls(root)

    def make(self) -> Workspace:
        """Make the folders that must exist; only its owner has access to a new workspace: it holds patient data."""
        self.root.parent.mkdir(parents=True, exist_ok=True)
        self.root.mkdir(mode=0o700, exist_ok=True)
        for folder in (self.root, self.models, self.labels, self.uploads, self.sessions, self.incoming, self.training):
            folder.mkdir(parents=True, exist_ok=True)
        return self

    def in_use(self) -> bool:
        """Return whether labels, results of the model or an unfinished training are in it."""
        kept = (self.labels, self.answers)
        return self.unfinished_file.exists() or any(folder.is_dir() and any(folder.iterdir()) for folder in kept)


def _home() -> Path:
    given = os.environ.get("TUMORLOOP_HOME")
    if given:
        return Path(given).expanduser()
    import platformdirs

    return Path(platformdirs.user_data_path("tumorloop"))
