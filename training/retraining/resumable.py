"""The work folder of a run that takes hours: what it was begun with, its files, and its progress."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.atomic import write_json
from training.errors import InputError


@dataclass(frozen=True)
class WorkProgress:
    """Progress of a run.

    Attributes:
        done: Training steps and evaluations of a case so far, those of earlier runs included.
        total: Their number.
        message: Description of the current step.
        note: An event to keep on record.
    """

    done: int
    total: int
    message: str
    note: str = ""


def begin(work_dir: Path, wanted: Mapping[str, Any], *, what: str, settings: str, hint: str = "") -> None:
    """Note in ``begun.json`` what decides the outcome of a run, or compare it with what the folder was begun with.

    Args:
        work_dir: The work folder.
        wanted: JSON-ready values by name.
        what: The kind of run, with its article.
        settings: Which of the values is an object whose entries are named one by one.
        hint: Another sentence for the message.

    Raises:
        InputError: If the folder was begun with something else; names it.
    """
    path = work_dir / "begun.json"
    if not path.exists():
        write_json(path, wanted)
        return
    begun = read_json(path)
    changed = [name for name in wanted if begun.get(name) != wanted[name]]
    earlier = begun.get(settings)
    if settings in changed and isinstance(earlier, dict):
        changed.remove(settings)
        changed += [name for name, value in wanted[settings].items() if earlier.get(name) != value]
    if changed:
        raise InputError(
            f"{work_dir} holds {what} with another {', '.join(changed)}. Choose another work folder, or delete this "
            f"one.{hint}",
            field="work",
        )


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object of a work folder.

    Raises:
        InputError: If the file is damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}. Delete it to start over.", field="work") from error
    return content if isinstance(content, dict) else {}
