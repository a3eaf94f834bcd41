"""Recovery when a server starts: damaged files go to the quarantine, interrupted work is finished, lists are rebuilt.

Nothing here deletes what a person sent. Damaged files are moved to the quarantine, with a line in its report; the
number of a label that was moved is never used again. What a killed server was still writing was never acknowledged and
is deleted once it is old.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from server_app.cases import removal
from server_app.cases.case_ids import CaseIds
from server_app.cases.uploads import rebuilt_record
from server_app.common.quarantine import Quarantine
from server_app.labels.split import Split
from server_app.labels.store import LABEL_FILE, RECORD_FILE, LabelStore, read_object, version_folders
from server_app.workspace import Workspace
from training.atomic import write_json
from training.clock import now
from training.errors import InputError
from training.models.store import ModelStore

logger = logging.getLogger(__name__)

#: Marks the number of a label that was moved to the quarantine as used.
TOMBSTONE = "quarantined.json"
#: Seconds after which an unfinished file is abandoned for certain, and not being written by another process.
_ABANDONED = 600.0


def recover(workspace: Workspace, models: ModelStore) -> int:
    """Recover a workspace that no other server uses.

    Returns:
        How many things were moved to the quarantine or repaired; its report and the log say which.
    """
    quarantine, labels = Quarantine.of(workspace.root), LabelStore(workspace.labels)
    before = len(quarantine.entries())
    steps: list[Callable[[], object]] = [lambda: removal.finish_interrupted(workspace, quarantine)]
    for case in labels.cases():
        for folder in version_folders(workspace.labels / case):
            steps.append(partial(_recover_label, folder, quarantine))
    for folder in sorted(workspace.uploads.iterdir()) if workspace.uploads.is_dir() else []:
        if folder.is_dir() and not folder.name.startswith("."):
            steps.append(partial(_recover_upload, folder, quarantine))
    for notes in sorted(workspace.notes.glob("*.json")) if workspace.notes.is_dir() else []:
        steps.append(partial(_recover_notes, notes, quarantine))
    steps.append(lambda: _recover_promotions(models, quarantine))
    # These two repair themselves when they are read.
    steps += [Split(workspace.split_file, labels).read, CaseIds(workspace.case_ids, labels).read]
    steps.append(lambda: _remove_unfinished(workspace))
    for step in steps:
        try:
            step()
        except OSError as error:  # a full or failing disk: what can be read must still be served
            logger.error("The workspace could not be recovered completely: %s", error)
    return len(quarantine.entries()) - before


def problem_of_label(folder: Path) -> str | None:
    """Return why a version's folder is not a valid label; ``None`` if it is."""
    record = read_object(folder / RECORD_FILE)
    if record is None:
        return f"{RECORD_FILE} is missing or cannot be read."
    if not isinstance(record.get("tag"), str) or not record["tag"]:
        return f"{RECORD_FILE} does not contain the label's tag."
    if not (folder / LABEL_FILE).is_file():
        return f"{LABEL_FILE} is missing."
    return None


def problem_of_promotions(models: ModelStore) -> str | None:
    """Return why ``current.json`` is not a valid list of promotions; ``None`` if it is."""
    try:
        for promotion in models.history():
            if not isinstance(promotion["version"], str):
                return "It names a version that is not text."
    except (ValueError, KeyError, TypeError) as error:
        return f"It cannot be read: {error}."
    return None


def _recover_notes(notes: Path, quarantine: Quarantine) -> None:
    if read_object(notes) is None:
        quarantine.set_aside(notes, "It cannot be read.")


def _recover_label(folder: Path, quarantine: Quarantine) -> None:
    if (folder / TOMBSTONE).exists():
        return
    why = problem_of_label(folder)
    if why is None:
        return
    done = f"The number {folder.name} stays in use; the other versions count."
    target = quarantine.set_aside(folder, why, done)
    if target is not None:
        write_json(folder / TOMBSTONE, {"time": now(), "why": why, "moved_to": target.parent.name})


def _recover_upload(folder: Path, quarantine: Quarantine) -> None:
    if read_object(folder / "case.json") is not None:
        return
    why = "case.json is missing or cannot be read."
    try:
        record = rebuilt_record(folder)
    except InputError as error:
        quarantine.set_aside(folder, f"{why} {error.message}")
        return
    done = "It was rebuilt from the names of the four files."
    if not (folder / "case.json").exists():
        quarantine.report(folder / "case.json", why, done)
    elif quarantine.set_aside(folder / "case.json", why, done) is None:
        return
    write_json(folder / "case.json", record)


def _recover_promotions(models: ModelStore, quarantine: Quarantine) -> None:
    """Rebuild the list of promotions if it cannot be read: the cards record which versions were promoted."""
    why = problem_of_promotions(models)
    if why is None:
        return
    target = quarantine.set_aside(models.root / "current.json", why)
    if target is None:
        return
    models.rebuild_history(f"current.json was damaged; it is in {target.parent.name}")
    served = models.current().id
    done = f"{served} is served now, the newest one that was promoted by its training. Promote another if necessary."
    quarantine.report(models.root / "current.json", "The list of promotions was rebuilt.", done)


def _remove_unfinished(workspace: Workspace) -> None:
    """Delete what a killed server was writing; it was never acknowledged."""
    folders = [workspace.root, workspace.labels, workspace.uploads, workspace.models, workspace.notes]
    folders += [workspace.training, workspace.cache]
    for parent in (workspace.labels, workspace.answers):
        folders += [folder for folder in parent.iterdir() if folder.is_dir()] if parent.is_dir() else []
    for folder in folders:
        for unfinished in folder.glob(".writing-*"):
            with contextlib.suppress(FileNotFoundError):  # finished in the meantime
                if time.time() - unfinished.stat().st_mtime > _ABANDONED:
                    logger.info("Deleting an unfinished file: %s", unfinished.name)
                    shutil.rmtree(unfinished, ignore_errors=True)
