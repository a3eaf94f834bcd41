"""The volumes of a session: to compute with them, for another session with some of them replaced, or for a case."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server_app.cases.preprocessed import HEADERS, record_of
from server_app.common.files import link_or_copy
from server_app.errors import input_errors, unknown
from server_app.inference.request import case_from_upload
from server_app.inference.sessions import CheckedSessions, State
from training.atomic import write_text
from training.cases.case import Case
from training.errors import InputError
from training.images.read import image_ending
from training.modalities import role_of

#: Below the folder of a session's files: the brain mask that was sent beside them.
_BRAIN = "brain"


@dataclass(frozen=True)
class SessionVolumes:
    """What an inference reads of a session.

    Attributes:
        case: The volumes.
        record: Of the preprocessing that made them; ``None`` if they are as they were sent.
        examined: Whether it is known that they need no preprocessing.
        brain: The brain mask that was sent with them.
        headers: The DICOM headers that were sent with them.
    """

    case: Case
    record: dict[str, Any] | None
    examined: bool
    brain: Path | None
    headers: str | None


def session_volumes(
    sessions: CheckedSessions, session_id: str, *, allow_missing: bool, params: Mapping[str, Any] | None = None
) -> SessionVolumes:
    """Return the volumes of a session, which must be in use (:meth:`CheckedSessions.in_use`).

    Raises:
        HTTPException: 404 if there is no (or no longer) such session.
        InputError: If a modality is missing and must not be.
    """
    image = sessions.image(session_id)
    case = case_from_upload(image, allow_missing=allow_missing, params=params)
    brain = next(iter((image / _BRAIN).glob("*")), None) if image.is_dir() else None
    headers = image / HEADERS
    return SessionVolumes(
        case,
        record_of(image),
        sessions.state(session_id) is State.NONE,
        brain,
        headers.read_text(encoding="utf-8") if headers.is_file() else None,
    )


def keep_extra(folder: Path, brain: Path | None, headers: str | None) -> None:
    """Put what was sent beside the volumes of a session into their folder."""
    if brain is not None:
        (folder / _BRAIN).mkdir()
        os.replace(brain, folder / _BRAIN / f"{_BRAIN}{image_ending(brain) or ''}")
    if headers is not None:
        write_text(folder / HEADERS, headers)


def replace_images(sessions: CheckedSessions, session_id: str, folder: Path, *, examined: bool) -> Path | None:
    """Replace what was sent for a session by what preprocessing has made of it; see :meth:`replace_images` there.

    Args:
        sessions: Hold it.
        session_id: The session.
        folder: What was made.
        examined: Whether it was found out what the volumes need; otherwise they may still show the skull.
    """
    changed = (record_of(folder) or {}).get("changed")
    state = State.DONE if changed else State.NONE if examined else State.WAITING
    return sessions.replace_images(session_id, folder, by=state)


def session_case(image: Path, field: str) -> Case:
    """Return a session's volumes as a case.

    Args:
        image: The session's file, or the folder of its files.
        field: Of the request, for errors.

    Raises:
        HTTPException: 422 if one file has several volumes, whose order is no longer known.
    """
    with input_errors():
        try:
            case = case_from_upload(image, allow_missing=True)
        except InputError as error:
            raise InputError(error.message, field=field) from error
        if any(source.channel is not None and not source.instances for source in case.sources.values()):
            raise InputError("This session has one file with several volumes. Send four files instead.", field=field)
    return case


def complete(folder: Path, sent: Sequence[Path], base: Path) -> None:
    """Add the volumes that were not sent, from an earlier session.

    Args:
        folder: Of the sent files.
        sent: Those files, named after their modalities.
        base: The earlier session's file, or the folder of its files. They are linked, not copied, since no session
            changes its files.

    Raises:
        HTTPException: 422 if a sent file's name names no modality (it would be ignored, and the earlier volume used),
            404 if the earlier session has just expired.
    """
    with input_errors():
        for path in sent:
            if role_of(path.name) is None:
                message = f"The name of {path.name} does not say which modality it is. Rename it, such as t1ce.nii.gz."
                raise InputError(message, field="files")
    roles = {role_of(path.name) for path in sent}
    try:
        for role, source in session_case(base, "base").sources.items():
            if role not in roles:
                link_or_copy(source.path, folder / f"{role}{image_ending(source.path) or ''}")
    except FileNotFoundError as error:
        raise unknown("base", "That session has just expired. Send all files again.") from error
