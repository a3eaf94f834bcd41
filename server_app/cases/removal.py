"""Removing an uploaded case: completely, even if the server dies halfway, and without deleting anything.

``removed/<case>-<random>/{removal.json, images, labels, answers, notes.json}``. The record of the removal is written
first and the images are moved last: until then, nothing else can be uploaded under the name, so everything under it
belongs to them. On startup, the server finishes a removal whose record has no ``done``. So labels are never left behind
for other images, and those of a later upload are never moved.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from server_app.common.quarantine import Quarantine
from server_app.common.removal_lock import REMOVAL_LOCK
from server_app.workspace import Workspace
from training.atomic import fsync_folder, make_folder, write_json
from training.clock import now

_NOTE = "removal.json"


def remove_upload(workspace: Workspace, case_id: str, user: str) -> Path | None:
    """Remove an uploaded case for a user; return where its files are now, ``None`` if there is none."""
    with REMOVAL_LOCK:
        if not (workspace.uploads / case_id).is_dir():
            return None
        target = _begun(workspace, case_id)
        if target is None:
            make_folder(workspace.removed)
            target = Path(tempfile.mkdtemp(prefix=f"{case_id}-", dir=workspace.removed))
            write_json(target / _NOTE, {"case": case_id, "user": user, "time": now()})
        _move(workspace, target, case_id)
        return target


def finish_interrupted(workspace: Workspace, quarantine: Quarantine) -> None:
    """Finish the removals that were interrupted by the end of a server."""
    for note in sorted(workspace.removed.glob(f"*/{_NOTE}")) if workspace.removed.is_dir() else []:
        try:
            facts = json.loads(note.read_text(encoding="utf-8"))
            done, case_id = "done" in facts, str(facts["case"])
        except (ValueError, KeyError, TypeError):
            quarantine.set_aside(note, "It cannot be read.")
            continue
        if not done and Path(case_id).name == case_id:
            _move(workspace, note.parent, case_id)
            quarantine.report(
                note.parent, "The server ended while this case was being removed.", "The removal was finished."
            )


def _begun(workspace: Workspace, case_id: str) -> Path | None:
    """Return the folder of a removal that failed before the images were moved."""
    for note in sorted(workspace.removed.glob(f"*/{_NOTE}")) if workspace.removed.is_dir() else []:
        try:
            facts = json.loads(note.read_text(encoding="utf-8"))
            same = facts["case"] == case_id and "done" not in facts
        except (ValueError, KeyError, TypeError):
            continue  # the next startup moves it to the quarantine
        if same and not (note.parent / "images").exists():
            return note.parent
    return None


def _move(workspace: Workspace, target: Path, case_id: str) -> None:
    if not (target / "images").exists():  # otherwise what has the name now is another case
        folders = {"labels": workspace.labels, "answers": workspace.answers, "images": workspace.uploads}
        parts = {"notes.json": workspace.notes / f"{case_id}.json"}
        for name, source in {**parts, **{name: parent / case_id for name, parent in folders.items()}}.items():
            if source.exists():
                os.replace(source, _free(target, name))
                fsync_folder(source.parent)
                fsync_folder(target)
    note = target / _NOTE
    write_json(note, {**json.loads(note.read_text(encoding="utf-8")), "done": now()})


def _free(target: Path, name: str) -> Path:
    """Return a path for a part: a removal that was started twice may already have one of that name."""
    path, number = target / name, 1
    while path.exists():
        number += 1
        path = target / f"{Path(name).stem}-{number}{Path(name).suffix}"
    return path
