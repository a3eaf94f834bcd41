"""Model versions: immutable folders with a card, and one small file that names the current one.

Layout of a store::

    <root>/v0001/{weights.npz, card.json}
    <root>/v0002/...
    <root>/current.json      {"current": "v0002", "history": [{"version", "time", "reason"}, ...]}

The bundled model (``v0000``) is stored elsewhere, read-only, and is current until another is promoted. ``current.json``
is read at each call, so that a server uses a newly promoted model without a restart.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from training import __version__
from training.atomic import publish_folder, write_json
from training.clock import now
from training.errors import InputError
from training.hashes import file_sha256
from training.models.weights import Weights, load_weights, save_weights
from training.network.unet import UNetConfig

FORMAT_VERSION = 1
BUNDLED_ID = "v0000"
#: First word of the verdict of a version that was promoted by its own training.
PROMOTED = "Promoted"
_ID = re.compile(r"v\d{4,}")


def is_version_id(name: str) -> bool:
    """Return whether a name is that of a version: ``v`` and at least four digits.

    Examples:
        >>> is_version_id("v0001"), is_version_id("./v0001")
        (True, False)
    """
    return _ID.fullmatch(name) is not None


class SeenCase(BaseModel):
    """A case that took part in a training run: its id, the SHA-256 of its label, and ``train`` or ``validation``."""

    case: str
    patient: str
    label_sha256: str
    split: str


class ModelCard(BaseModel):
    """The card of a model version. Stored beside the weights, never changed.

    Attributes:
        format_version: Version of the folder layout; newer ones than this code knows are rejected.
        version: Set by the store.
        parent: The version from whose weights the training started, if any.
        created: UTC, ISO 8601.
        code_version: Version of this package.
        description: One sentence.
        network: The architecture.
        data: Training and validation cases by id and hash of the label. No patient names, no paths.
        training: Settings and history of the run.
        weights_sha256: SHA-256 of the weights file; empty in cards of earlier versions of this code.
        metrics: Dice per case and region on the validation set, of this version and of its parent.
        verdict: Why it was promoted, or not.
        attribution: Credit and license of public data in its training, or in that of its ancestors.
    """

    format_version: int = FORMAT_VERSION
    version: str = ""
    parent: str | None = None
    created: str = Field(default_factory=now)
    code_version: str = __version__
    description: str = ""
    network: UNetConfig = Field(default_factory=UNetConfig)
    data: list[SeenCase] = []
    training: dict[str, Any] = {}
    weights_sha256: str = ""
    metrics: dict[str, Any] = {}
    verdict: str = ""
    attribution: str = ""


@dataclass(frozen=True)
class ModelVersion:
    """An immutable model: its id, its folder and its card."""

    id: str
    folder: Path
    card: ModelCard

    def load_weights(self) -> Weights:
        """Read the weights.

        Raises:
            InputError: If the file is missing or damaged.
        """
        return load_weights(self.folder / "weights.npz")

    def weights_sha256(self) -> str:
        """Return the SHA-256 of the weights' file."""
        return file_sha256(self.folder / "weights.npz")


def read_version(folder: Path, *, version: str | None = None) -> ModelVersion:
    """Read the folder of a version.

    Args:
        folder: Holds ``card.json`` and ``weights.npz``.
        version: Its id; default is that of the card, or the name of the folder.

    Raises:
        InputError: If it does not hold a version, or has a newer format.
    """
    try:
        card = ModelCard.model_validate_json((folder / "card.json").read_text(encoding="utf-8"))
    except (OSError, ValidationError, UnicodeDecodeError) as error:
        raise InputError(f"{folder} holds no readable model card: {error}", field="model") from error
    if card.format_version > FORMAT_VERSION:
        raise InputError(
            f"{folder} has format {card.format_version}; this code knows {FORMAT_VERSION}. Update TumorLoop.",
            field="model",
        )
    return ModelVersion(version or card.version or folder.name, folder, card)


def write_version(folder: Path, weights: Weights, card: ModelCard, *, half_precision: bool = False) -> ModelVersion:
    """Write a version atomically into ``folder``, which must not exist."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder.parent))
    try:
        save_weights(weights, temporary / "weights.npz", half_precision=half_precision)
        card = card.model_copy(update={"weights_sha256": file_sha256(temporary / "weights.npz")})
        write_json(temporary / "card.json", card.model_dump(mode="json"))
        temporary.chmod(0o755)
        publish_folder(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return ModelVersion(card.version or folder.name, folder, card)


class ModelStore:
    """The versions under ``root``, and which of them is current.

    Args:
        root: Folder of the store; created on the first write.
        bundled: Folder of the bundled model, or ``None``.
    """

    def __init__(self, root: Path, bundled: Path | None = None) -> None:
        self.root = Path(root)
        self.bundled = bundled

    def versions(self) -> list[ModelVersion]:
        """Return all readable versions, the bundled one first, then by number."""
        found = [self.get(BUNDLED_ID)] if self._has_bundled() else []
        for version in self.ids()[len(found) :]:
            try:
                found.append(read_version(self.root / version, version=version))
            except InputError:
                continue  # a damaged folder must not hide the others; get() reports the error
        return found

    def get(self, version: str) -> ModelVersion:
        """Return one version.

        Raises:
            InputError: If there is no such version, or its folder is damaged.
        """
        if version == BUNDLED_ID and self.bundled is not None and self._has_bundled():
            return read_version(self.bundled, version=BUNDLED_ID)
        if not _ID.fullmatch(version) or not (self.root / version).is_dir():
            known = ", ".join(self.ids()) or "none"
            raise InputError(f"There is no model version {version!r}. Known: {known}.", field="version")
        return read_version(self.root / version, version=version)

    def current(self) -> ModelVersion:
        """Return the current version.

        Raises:
            InputError: If the store is empty.
        """
        history = self.history()
        if history:
            return self.get(history[-1]["version"])
        if not self._has_bundled():
            raise InputError(f"{self.root} holds no model. Train one: python -m training fit --help", field="model")
        return self.get(BUNDLED_ID)

    def history(self) -> list[dict[str, str]]:
        """Return the promotions in effect, oldest first: ``version``, ``time``, ``reason``."""
        try:
            state = json.loads((self.root / "current.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return []
        return list(state["history"])

    def add(self, weights: Weights, card: ModelCard) -> ModelVersion:
        """Store a new version under the next number; it is not promoted.

        Args:
            weights: As ``training.models.weights.get_weights`` returns them.
            card: Its ``version`` is set here.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        while True:
            numbers = [int(name[1:]) for name in self.ids()]
            version = f"v{max([0, *numbers]) + 1:04d}"
            try:
                return write_version(self.root / version, weights, card.model_copy(update={"version": version}))
            except (FileExistsError, OSError) as error:
                # Another process used the number between the listing and the rename; use the next one.
                if not (self.root / version).exists():
                    raise error

    def promote(self, version: str, reason: str = "") -> ModelVersion:
        """Make ``version`` the current one.

        Raises:
            InputError: If there is no such version.
        """
        found = self.get(version)
        found.load_weights()  # a version that cannot be loaded must never become current
        history = self.history()
        if history and history[-1]["version"] == version:
            return found  # a second entry would make the next rollback ineffective
        if not history and self._has_bundled():
            history = [{"version": BUNDLED_ID, "time": now(), "reason": "bundled"}]
        self._write([*history, {"version": version, "time": now(), "reason": reason}])
        return found

    def rollback(self) -> ModelVersion:
        """Undo the last promotion.

        Returns:
            The version that is current again.

        Raises:
            InputError: If nothing was promoted before the current version.
        """
        history = self.history()
        if len(history) < 2:
            raise InputError("There is no earlier version to go back to.", field="version")
        earlier = self.get(history[-2]["version"])
        self._write(history[:-1])
        return earlier

    def rebuild_history(self, reason: str) -> None:
        """Rebuild an unreadable list of promotions from the cards of the versions.

        Manual promotions and rollbacks are not in the cards, and are lost.

        Args:
            reason: Noted with each entry.
        """
        history = [{"version": BUNDLED_ID, "time": now(), "reason": "bundled"}] if self._has_bundled() else []
        for version in self.versions():
            if version.id == BUNDLED_ID or not version.card.verdict.startswith(PROMOTED):
                continue
            try:
                version.load_weights()
            except InputError:
                continue
            history.append({"version": version.id, "time": version.card.created, "reason": reason})
        if history:
            self._write(history)

    def _write(self, history: list[dict[str, str]]) -> None:
        write_json(self.root / "current.json", {"current": history[-1]["version"], "history": history})

    def _has_bundled(self) -> bool:
        return self.bundled is not None and (Path(self.bundled) / "card.json").is_file()

    def ids(self) -> list[str]:
        """Return the ids of all versions, readable or not, the bundled one first."""
        own = sorted(name for name in os.listdir(self.root) if _ID.fullmatch(name)) if self.root.is_dir() else []
        return ([BUNDLED_ID] if self._has_bundled() else []) + own
