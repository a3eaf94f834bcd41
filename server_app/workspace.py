"""The workspace: everything the server writes, apart from the studies, which it only reads.

Layout::

    models/                 versions of the model and which is current (training.models.store)
    labels/<case>/v0001/    submitted labels
    uploads/<case>/         cases that were sent to the server
    answers/<case>/         the model's last answer for a case, to compare a correction with
    notes/<case>.json       what clients said of an image
    cache/                  can be deleted at any time
    training/               progress.json, checkpoint, prepared cases and phantoms
    sessions/, maps/, incoming/    files that live for a request or an hour
    running.json            whether a server runs, and how the last one ended
    running.lock            locked by the server that runs
    users.json, audit/      who has a token, and who did what
    split.json              which patients train and which validate
    cases.json              which folder of the studies has which id
    claims.json             who works on which case, and until when
    quarantine/             what was damaged, and a report of it
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from training.errors import InputError


@dataclass(frozen=True)
class Workspace:
    """The folders of one server.

    Attributes:
        root: Absolute; everything else lies below it.
    """

    root: Path

    @classmethod
    def for_studies(cls, studies: Path, root: Path | None = None) -> Workspace:
        """Return the workspace that belongs to a studies folder.

        Args:
            studies: The folder of cases.
            root: The workspace, if not the default: ``<home>/<name>-<hash of the path>``, where home is
                ``$TUMORLOOP_HOME`` or the user's data folder.

        Raises:
            InputError: If the workspace would lie inside the studies, which are never written to.
        """
        studies = studies.resolve()
        if root is None:
            digest = hashlib.sha256(str(studies).encode("utf-8", "surrogateescape")).hexdigest()[:8]
            root = _home() / f"{studies.name or 'studies'}-{digest}"
        root = Path(root).expanduser().resolve()
        if root == studies or studies in root.parents:
            raise InputError(
                f"The workspace {root} lies inside the studies folder, which is never written to. Choose another.",
                field="workspace",
            )
        return cls(root)

    def make(self) -> Workspace:
        """Make the folders that must exist; a new workspace is open to its owner alone: it holds patients' data."""
        self.root.parent.mkdir(parents=True, exist_ok=True)
        self.root.mkdir(mode=0o700, exist_ok=True)
        for folder in (self.root, self.models, self.labels, self.uploads, self.sessions, self.incoming, self.training):
            folder.mkdir(parents=True, exist_ok=True)
        return self

    @property
    def models(self) -> Path:
        """Model versions."""
        return self.root / "models"

    @property
    def labels(self) -> Path:
        """Submitted labels."""
        return self.root / "labels"

    @property
    def uploads(self) -> Path:
        """Cases that were sent to the server."""
        return self.root / "uploads"

    @property
    def removed(self) -> Path:
        """Uploaded cases that were removed; nothing a person gave is deleted."""
        return self.root / "removed"

    @property
    def answers(self) -> Path:
        """The model's last answers."""
        return self.root / "answers"

    @property
    def notes(self) -> Path:
        """What clients said of images."""
        return self.root / "notes"

    @property
    def cache(self) -> Path:
        """Derived files."""
        return self.root / "cache"

    @property
    def training(self) -> Path:
        """Everything of a training that is no model version."""
        return self.root / "training"

    @property
    def sessions(self) -> Path:
        """Volumes sent for segmentation only."""
        return self.root / "sessions"

    @property
    def maps(self) -> Path:
        """Maps that were asked for with an inference, until they are fetched or too old."""
        return self.root / "maps"

    @property
    def incoming(self) -> Path:
        """Files of requests under way, and results until they are sent."""
        return self.root / "incoming"

    @property
    def split_file(self) -> Path:
        """Which patients train and which validate."""
        return self.root / "split.json"

    @property
    def run_record(self) -> Path:
        """Whether a server runs, and how the last one ended."""
        return self.root / "running.json"

    @property
    def users_file(self) -> Path:
        """Who has a token."""
        return self.root / "users.json"

    @property
    def audit(self) -> Path:
        """Who did what."""
        return self.root / "audit"

    @property
    def case_ids(self) -> Path:
        """Which folder of the studies has which id."""
        return self.root / "cases.json"

    @property
    def claims(self) -> Path:
        """Who works on which case."""
        return self.root / "claims.json"

    @property
    def progress_file(self) -> Path:
        """How far the training is."""
        return self.training / "progress.json"

    @property
    def unfinished_file(self) -> Path:
        """What the training that is under way was begun with."""
        return self.training / "job.json"


def _home() -> Path:
    given = os.environ.get("TUMORLOOP_HOME")
    if given:
        return Path(given).expanduser()
    import platformdirs

    return Path(platformdirs.user_data_path("tumorloop"))
