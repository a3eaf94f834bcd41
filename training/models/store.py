"""Model versions: immutable folders with a card, and one small file that names the current one.

Layout of a store::

    <root>/v0001/{weights.npz, card.json}    and pictures, if its training made some
    <root>/v0002/...
    <root>/current.json      {"current": "v0002", "history": [{"version", "time", "reason"}, ...]}

The bundled models (:mod:`training.models.bundle`) are stored elsewhere, read-only, and one of them is current until
another version is promoted. ``current.json`` is read at each call, so that a server uses a newly promoted model without
a restart.

A store that an earlier release began numbers its own versions from ``v0001``, which is also the number of a bundled
model now. A version of the store is never hidden: its number keeps meaning it, and the bundled model of that number is
not offered. An update changes the default for new stores alone: ``initial`` in ``current.json`` says what is current
in a store without promotions, and where that is missing, a store with versions of its own stays with ``v0000``.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from training import __version__
from training.atomic import publish_folder, write_json
from training.clock import now
from training.errors import InputError
from training.hashes import file_sha256
from training.models.bundle import BUNDLED_ID, is_version_id, read_bundle
from training.models.promotions import DAMAGED, Promotions
from training.models.weights import Weights, load_weights, save_weights
from training.network.unet import UNetConfig

FORMAT_VERSION = 1
#: First word of the verdict of a version that was promoted by its own training.
PROMOTED = "Promoted"


class SeenCase(BaseModel):
    """A case that took part in a training run: its id, the SHA-256 of its label, and ``train`` or ``validation``.

    A case whose images alone were seen has an empty hash, and ``unlabeled``.
    """

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


def write_version(
    folder: Path,
    weights: Weights,
    card: ModelCard,
    *,
    half_precision: bool = False,
    pictures: Mapping[str, bytes] | None = None,
) -> ModelVersion:
    """Write a version atomically into ``folder``, which must not exist; ``pictures`` are PNG files by name."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder.parent))
    try:
        save_weights(weights, temporary / "weights.npz", half_precision=half_precision)
        for name, content in (pictures or {}).items():
            (temporary / name).write_bytes(content)
        card = card.model_copy(update={"weights_sha256": file_sha256(temporary / "weights.npz")})
        write_json(temporary / "card.json", card.model_dump(mode="json"))
        temporary.chmod(0o755)
        publish_folder(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return ModelVersion(card.version or folder.name, folder, card)


class ModelStore:
    """The versions under ``root``, the bundled ones, and which of them is current.

    Args:
        root: Folder of the store; created on the first write.
        bundled: See :func:`training.models.bundle.read_bundle`.
    """

    def __init__(self, root: Path, bundled: Path | None = None) -> None:
        self.root = Path(root)
        self.bundled = bundled
        self._bundle = read_bundle(bundled)
        self._promotions = Promotions(self.root)

    def versions(self) -> list[ModelVersion]:
        """Return all readable versions by number, the bundled ones included."""
        found = []
        for version, folder in sorted(self._folders().items()):
            with contextlib.suppress(InputError):  # a damaged folder must not hide the others; get() reports the error
                found.append(read_version(folder, version=version))
        return found

    def ids(self) -> list[str]:
        """Return the ids of all versions, readable or not."""
        return sorted(self._folders())

    def is_bundled(self, version: str) -> bool:
        """Return whether an id is that of a bundled model here."""
        return version in self._offered()

    def get(self, version: str) -> ModelVersion:
        """Return one version.

        Raises:
            InputError: If there is no such version, or its folder is damaged.
        """
        folders = self._folders()
        if version not in folders or not folders[version].is_dir():
            known = ", ".join(sorted(folders)) or "none"
            raise InputError(f"There is no model version {version!r}. Known: {known}.", field="version")
        return read_version(folders[version], version=version)

    def current(self) -> ModelVersion:
        """Return the current version.

        Raises:
            InputError: If the store is empty, or the chosen bundled model is not offered here.
        """
        history = self.history()
        if history:
            return self.get(history[-1]["version"])
        initial = self.initial()
        if not initial:
            raise InputError(f"{self.root} holds no model. Train one: python -m training fit --help", field="model")
        return self.get(initial)

    def lineage(self, version: ModelVersion) -> list[ModelVersion]:
        """Return a version and its ancestors, as far as they can be read."""
        line: list[ModelVersion] = []
        while version.id not in {earlier.id for earlier in line}:
            line.append(version)
            if version.card.parent is None:
                break
            try:
                version = self.get(version.card.parent)
            except InputError:
                break
        return line

    def origin(self, version: ModelVersion) -> ModelVersion:
        """Return the bundled model that a version descends from, or its oldest ancestor that can be read."""
        line = self.lineage(version)
        return next((ancestor for ancestor in line if self.is_bundled(ancestor.id)), line[-1])

    def history(self) -> list[dict[str, str]]:
        """Return the promotions in effect, oldest first: ``version``, ``time``, ``reason``.

        A bundled model other than ``v0000`` has ``origin`` as well, since the store may have had a version of that
        number.
        """
        return self._promotions.history()

    def not_offered(self) -> list[str]:
        """Return a sentence for each bundled model that is not offered, and what to do to use it."""
        offered = self._offered()
        return [
            f"{self.root} has a version {version} of its own. The bundled model {version} is another one; to add it "
            f"under a new number: python -m training models add {version} --models {self.root}"
            for version in self._bundle.folders
            if version not in offered
        ]

    def add(self, weights: Weights, card: ModelCard, pictures: Mapping[str, bytes] | None = None) -> ModelVersion:
        """Store a new version under the next number; it is not promoted.

        Args:
            weights: As ``training.models.weights.get_weights`` returns them.
            card: Its ``version`` is set here.
            pictures: PNG files to store with it, by name.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(*DAMAGED):
            self._keep_initial(self.initial())
        while True:
            numbers = [int(name[1:]) for name in {*self._own(), *self._bundle.folders, *self._promotions.own()}]
            version = f"v{max([0, *numbers]) + 1:04d}"
            try:
                return write_version(
                    self.root / version, weights, card.model_copy(update={"version": version}), pictures=pictures
                )
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
        initial = self.initial()
        if not history and initial not in ("", version):
            history = [self._entry(initial, "bundled")]
        self._promotions.write([*history, self._entry(version, reason)])
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
        self._promotions.write(history[:-1])
        return earlier

    def settle_initial(self, *, in_use: bool) -> str:
        """Record which version is current until one is promoted, so that an update does not change it.

        Args:
            in_use: Whether results or labels were made with this store; then it stays with ``v0000``, unless another
                model is recorded or was chosen.

        Returns:
            A sentence if a bundled model was chosen that is not current, since a version was promoted; else empty.

        Raises:
            InputError: If the chosen model is not offered here.
        """
        history, initial = self.history(), self.initial()
        if history:
            current = history[-1]["version"]
            if not self._bundle.chosen or current == initial:
                return ""
            return (
                f"The model of the settings, {initial}, is not in use: {current} was promoted here. To change that: "
                f"python -m training models promote {initial} --models {self.root}"
            )
        if in_use and not self._bundle.chosen and not self._promotions.initial() and initial:
            initial = BUNDLED_ID
        self._keep_initial(initial)
        return ""

    def initial(self) -> str:
        """Return the id of the version that is current while none was promoted; empty if there is none.

        Raises:
            InputError: If a bundled model was chosen that is not offered here.
        """
        bundle, offered = self._bundle, self._offered()
        if bundle.chosen and bundle.initial not in offered:
            raise InputError(" ".join(self.not_offered()), field="model")
        if bundle.chosen or not offered:
            return bundle.initial
        recorded = self._promotions.initial()
        if recorded in offered:
            return recorded
        return BUNDLED_ID if self._own() else bundle.initial

    def rebuild_history(self, reason: str) -> None:
        """Rebuild an unreadable list of promotions from the cards of the versions.

        Manual promotions and rollbacks are not in the cards, and are lost.

        Args:
            reason: Noted with each entry.
        """
        initial = self.initial()
        history = [self._entry(initial, "bundled")] if initial else []
        for version in self.versions():
            if self.is_bundled(version.id) or not version.card.verdict.startswith(PROMOTED):
                continue
            try:
                version.load_weights()
            except InputError:
                continue
            history.append({"version": version.id, "time": version.card.created, "reason": reason})
        if history:
            self._promotions.write(history)

    def _keep_initial(self, initial: str) -> None:
        """Record the initial version, if there is a choice of several and nothing was promoted."""
        if len(self._bundle.folders) > 1:
            self._promotions.record_initial(initial)

    def _entry(self, version: str, reason: str) -> dict[str, str]:
        entry = {"version": version, "time": now(), "reason": reason}
        return {**entry, "origin": "bundled"} if self.is_bundled(version) and version != BUNDLED_ID else entry

    def _own(self) -> list[str]:
        """Return the ids of the store's own versions."""
        return [name for name in os.listdir(self.root) if is_version_id(name)] if self.root.is_dir() else []

    def _folders(self) -> dict[str, Path]:
        """Return the folders of all versions, readable or not."""
        return {version: self.root / version for version in self._own()} | self._offered()

    def _offered(self) -> dict[str, Path]:
        """Return the folders of the bundled models whose number is not that of an own version."""
        own = {*self._own(), *self._promotions.own()}
        return {version: folder for version, folder in self._bundle.folders.items() if version not in own}
