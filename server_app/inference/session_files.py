"""Reusing a session's files: for another session with some of them replaced, or for a case."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from server_app.common.files import link_or_copy
from server_app.errors import input_errors, unknown
from server_app.inference.request import case_from_upload
from training.cases.case import Case
from training.errors import InputError
from training.images.read import image_ending
from training.modalities import role_of


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
        if any(source.channel is not None for source in case.sources.values()):
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
