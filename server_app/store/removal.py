"""Taking an uploaded case away: whole, even if the server dies halfway, and kept aside with its labels.

``removed/<case>-<random>/{removal.json, images, labels, answers, notes.json}``. The note of the removal comes first;
a server that starts finishes what a note without ``done`` announces, so that labels can never be left behind to meet
other images that come under the same name.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from server_app.store.quarantine import Quarantine
from server_app.workspace import Workspace
from training.atomic import fsync_folder, make_folder, write_json
from training.model_store import now

_NOTE = "removal.json"


def remove_upload(workspace: Workspace, case_id: str, user: str) -> Path | None:
    """Take an uploaded case away; return where its files are now, ``None`` if it is not there.

    Args:
        workspace: Where it lies.
        case_id: Its id.
        user: Who wants it.
    """
    if not (workspace.uploads / case_id).is_dir():
        return None
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


def _move(workspace: Workspace, place: Path, case_id: str) -> None:
    folders = {"images": workspace.uploads, "labels": workspace.labels, "answers": workspace.answers}
    parts = {name: parent / case_id for name, parent in folders.items()}
    for name, source in {**parts, "notes.json": workspace.notes / f"{case_id}.json"}.items():
        if source.exists() and not (place / name).exists():
            os.replace(source, place / name)
            fsync_folder(source.parent)
    fsync_folder(place)
    note = place / _NOTE
    write_json(note, {**json.loads(note.read_text(encoding="utf-8")), "done": now()})
