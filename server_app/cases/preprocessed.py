"""Preprocessed volumes on the disk: those of a session, or of an uploaded case, in a folder.

``t1.nii.gz`` ... are the stripped and aligned volumes, ``preprocessing/record.json`` says what was done,
``preprocessing/brain.nii.gz`` is the brain, and ``dicom/reference.json`` holds the headers of the reference's DICOM
series, which a DICOM SEG needs, if it was one. The record is written last: a folder without one is not complete.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from training.atomic import write_json, write_text
from training.cases.case import Case, case_from_roles
from training.cases.dicom_source import HEADERS_FILE, kept_headers
from training.clock import now
from training.images.grid import Volume
from training.images.read import read_volume
from training.images.write import write_volume
from training.modalities import ROLES

if TYPE_CHECKING:
    from training.preprocessing.preprocess import Preprocessed

#: Below the folder of the volumes.
RECORD, BRAIN, HEADERS = "preprocessing/record.json", "preprocessing/brain.nii.gz", HEADERS_FILE
_DETAILS = ("reference", "forced", "steps", "alignments", "brain_ml", "warnings", "seconds")


def write_preprocessed(found: Preprocessed, folder: Path, *, headers: str | None = None, forced: bool = False) -> None:
    """Write what preprocessing made of a study.

    Args:
        found: What it made.
        folder: Is created.
        headers: :meth:`training.dicom.headers.SourceHeaders.to_json` of the reference.
        forced: Whether it was to be done although something was not trusted.
    """
    from training.preprocessing.files import summary

    record = {"format": 1, "time": now(), "forced": forced, **summary(found)}
    _write(folder, found.volumes, found.brain, headers, record)


def _write(
    folder: Path,
    volumes: Mapping[str, Volume],
    brain: Volume | None,
    headers: str | None,
    record: Mapping[str, Any],
) -> None:
    for role, volume in volumes.items():
        write_volume(without_fractions(volume), folder / f"{role}.nii.gz")
    if brain is not None:
        write_volume(brain, folder / BRAIN)
    if headers is not None:
        write_text(folder / HEADERS, headers)
    write_json(folder / RECORD, record)


def record_of(folder: Path | None) -> dict[str, Any] | None:
    """Return the record of a folder; ``None`` if it holds no preprocessed volumes, or not completely."""
    if folder is None:
        return None
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        return {**record, "reference": str(record["reference"])}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def details_of(record: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return what a client is told of a record; ``None`` if nothing was changed."""
    if record is None or not record.get("changed"):
        return None
    return {name: record.get(name) for name in _DETAILS}


def preprocessed_case(folder: Path, *, id: str = "case", allow_missing: bool = False) -> Case:
    """Return the volumes of a folder as a case; raises InputError if one is missing (and not allowed to be)."""
    files = {role: folder / f"{role}.nii.gz" for role in ROLES}
    case = case_from_roles(
        {role: file for role, file in files.items() if file.is_file()}, id=id, allow_missing=allow_missing
    )
    return replace(case, folder=folder)


def brain_of(folder: Path | None) -> Path | None:
    """Return the file with the brain of preprocessed volumes, if there is one."""
    file = None if folder is None else folder / BRAIN
    return file if file is not None and file.is_file() else None


def parts_of(folder: Path | None) -> dict[str, Path]:
    """Return the files beside preprocessed volumes, by their name below the folder; none beside other volumes."""
    if folder is None or record_of(folder) is None:
        return {}
    return {part: folder / part for part in (RECORD, BRAIN, HEADERS) if (folder / part).is_file()}


def patient_hash(folder: Path | None) -> str | None:
    """Return the SHA-256 of the PatientID in the DICOM headers of preprocessed volumes; ``None`` if there is none."""
    headers = kept_headers(folder) if record_of(folder) is not None else None
    patient = str(headers.datasets[0].get("PatientID") or "").strip() if headers is not None else ""
    return hashlib.sha256(patient.encode()).hexdigest() if patient else None


def without_fractions(volume: Volume) -> Volume:
    """Return a volume as int16 if that changes no voxel: half the size, and exact."""
    whole = volume.data.astype(np.int16) if np.abs(volume.data).max(initial=0) <= 32767 else None
    return Volume(whole, volume.grid) if whole is not None and np.array_equal(whole, volume.data) else volume


def cut_to(folder: Path, mask: Volume, target: Path) -> None:
    """Write the volumes of a folder with everything outside a smaller mask removed.

    Args:
        folder: Preprocessed volumes.
        mask: An edited mask of the brain, in the position of the stored one.
        target: A new folder.

    Raises:
        InputError: If the mask holds anything that the stored one does not; ``field`` is ``"brain"``.
    """
    from training.preprocessing.brain_edit import restrict
    from training.preprocessing.files import brain_ml

    volumes = preprocessed_case(folder, allow_missing=True).read_all()
    volumes, brain = restrict(volumes, read_volume(folder / BRAIN), mask)
    headers = (folder / HEADERS).read_text(encoding="utf-8") if (folder / HEADERS).is_file() else None
    record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    step = "The brain mask was edited by hand: it was made smaller."
    record = {**record, "steps": [*record["steps"], step], "brain_ml": brain_ml(brain)}
    _write(target, volumes, brain, headers, record)
