"""Taking an uploaded case away: whole, even if the server dies halfway, and kept aside with its labels.

``removed/<case>-<random>/{removal.json, images, labels, answers, notes.json}``. The note of the removal comes first and
the images go last: as long as they are there, nothing else can come under the name, so everything under it belongs to
them. A server that starts finishes what a note without ``done`` announces. So labels can never be left behind to meet
other images, and those of a later upload are never taken.
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
    """Take an uploaded case away; return where its files are now, ``None`` if it is not there.

    Args:
        workspace: Where it lies.
        case_id: Its id.
        user: Who wants it.
    """
    with REMOVAL_LOCK:
        if not (workspace.uploads / case_id).is_dir():
            return None
        place = _begun(workspace, case_id)
        if place is None:
            make_folder(workspace.removed)
            place = Path(tempfile.mkdtemp(prefix=f"{case_id}-", dir=workspace.removed))
            write_json(place / _NOTE, {"case": case_id, "user": user, "time": now()})
        _move(workspace, place, case_id)
        return place


def finish_interrupted(workspace: Workspace, quarantine: Quarantine) -> None:
    """Finish the removals that a server began and did not live to end."""
    for note in sorted(workspace.removed.glob(f"*/{_NOTE}")) if workspace.removed.is_dir() else []:
        try:
            facts = json.loads(note.read_text(encoding="utf-8"))
            done, case_id = "done" in facts, str(facts["case"])
        except (ValueError, KeyError, TypeError):
            quarantine.set_aside(note, "It cannot be read.")
            continue
        if not done and Path(case_id).name == case_id:
            _move(workspace, note.parent, case_id)
            quarantine.report(note.parent, "The server ended while this case was removed.", "The removal was finished.")


def _begun(workspace: Workspace, case_id: str) -> Path | None:
    """Return where a removal of a case was begun that an error ended before its images had gone."""
    for note in sorted(workspace.removed.glob(f"*/{_NOTE}")) if workspace.removed.is_dir() else []:
        try:
            facts = json.loads(note.read_text(encoding="utf-8"))
            same = facts["case"] == case_id and "done" not in facts
        except (ValueError, KeyError, TypeError):
            continue  # the next start sets it aside
        if same and not (note.parent / "images").exists():
            return note.parent
    return None


def _move(workspace: Workspace, place: Path, case_id: str) -> None:
    if not (place / "images").exists():  # else what lies under the name now is another case's
        folders = {"labels": workspace.labels, "answers": workspace.answers, "images": workspace.uploads}
        parts = {"notes.json": workspace.notes / f"{case_id}.json"}
        for name, source in {**parts, **{name: parent / case_id for name, parent in folders.items()}}.items():
            if source.exists():
                os.replace(source, _free(place, name))
                fsync_folder(source.parent)
                fsync_folder(place)
    note = place / _NOTE
    write_json(note, {**json.loads(note.read_text(encoding="utf-8")), "done": now()})


def _free(place: Path, name: str) -> Path:
    """Return where a part goes: a removal that was begun twice may have one of that name already."""
    path, number = place / name, 1
    while path.exists():
        number += 1
        path = place / f"{Path(name).stem}-{number}{Path(name).suffix}"
    return path
