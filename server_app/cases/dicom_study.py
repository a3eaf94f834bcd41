"""A DICOM study that a client has sent: its series are found, chosen and checked before anything is stored.

A session keeps the files of the chosen series in one folder, numbered, and in ``series.json`` which of them is which
modality, until preprocessed volumes replace them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import HTTPException

from server_app.errors import refusal
from training.atomic import write_json
from training.cases.case import Case, Source
from training.errors import InputError
from training.modalities import ROLES

if TYPE_CHECKING:
    from training.dicom.series import Series

#: Says which files of a folder are which modality.
SERIES = "series.json"


@dataclass(frozen=True)
class DicomStudy:
    """The series of a study, and those that are its modalities.

    Attributes:
        case: The modalities.
        series: All series, as a client is told of them.
        roles: Role to the ``id`` of its series.
    """

    case: Case
    series: list[dict[str, Any]]
    roles: dict[str, str]


def dicom_study(
    files: Sequence[Path], roles: Mapping[str, str], *, allow_missing: bool = False, max_voxels: int
) -> DicomStudy:
    """Find the modalities among DICOM files, and delete the files of other series.

    Args:
        files: All in one folder.
        roles: Modality to the ``id`` of its series, as far as a client has said so.
        allow_missing: Whether modalities may be missing.
        max_voxels: The maximum of one series.

    Raises:
        HTTPException: 422 with the list of the series, if they are unclear, unusable, or of several patients.
        InputError: If the files cannot be read.
    """
    from training.dicom.choose import choose
    from training.dicom.series import find_series

    found = find_series(files[0].parent)
    listed = [_described(one) for one in found]
    try:
        chosen = choose(found, roles, allow_missing=allow_missing)
        for role, one in chosen.items():
            _check_size(role, one, max_voxels)
    except InputError as error:
        message = error.message if error.field != "files" else _SEVERAL
        raise unclear(error.field, message, listed) from error
    used = {path for one in chosen.values() for path in one.instances}
    for path in files:
        if path not in used:
            path.unlink()
    sources = {role: Source.of(one) for role, one in chosen.items()}
    listed = [_described(one) for one in _with_chosen(found, chosen)]
    named = {role: one.key for role, one in chosen.items()}
    return DicomStudy(Case("study", sources, allow_missing=allow_missing), listed, named)


_SEVERAL = "The series are of several patients or studies. Send those of one study."


def unclear(field: str, message: str, series: list[dict[str, Any]]) -> HTTPException:
    """Build the response to series of which it is not clear which is which, with their list for the client to ask."""
    error = refusal(422, field, message)
    assert isinstance(error.detail, dict)
    error.detail["series"] = series
    return error


def write_series(folder: Path, case: Case) -> None:
    """Write which files of a folder are which modality."""
    written = {
        role: {"part": source.channel, "files": [path.name for path in source.instances]}
        for role, source in case.sources.items()
    }
    write_json(folder / SERIES, written)


def read_series(folder: Path, *, allow_missing: bool = False) -> Case | None:
    """Return the case of which :func:`write_series` has written; ``None`` for a folder of other files.

    Raises:
        InputError: If a modality is missing and must not be.
    """
    try:
        written = json.loads((folder / SERIES).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    sources = {}
    for role in ROLES:
        if role in written:
            instances = tuple(folder / name for name in written[role]["files"])
            sources[role] = Source(instances[0], written[role]["part"], instances=instances)
    return Case("study", sources, allow_missing=allow_missing)


def _with_chosen(found: Sequence[Series], chosen: Mapping[str, Series]) -> list[Series]:
    """Return the series, the chosen ones with what was noted when they were chosen."""
    by_key = {(one.uid, one.key): one for one in chosen.values()}
    return [by_key.get((one.uid, one.key), one) for one in found]


def _described(one: Series) -> dict[str, Any]:
    return {
        "id": one.key,
        "number": one.number,
        "description": one.description,
        "slices": one.slices,
        "role": one.role,
        "maybe": list(one.maybe),
        "reason": one.reason,
        "problem": one.problem,
        "notes": list(one.notes),
    }


def _check_size(role: str, one: Series, most: int) -> None:
    from training.dicom.read import read_grid

    voxels = math.prod(read_grid(one.instances, one.part).shape)
    if voxels > most:
        raise InputError(f"{one.title} has {voxels:,} voxels; the maximum is {most:,}.", field=role)
