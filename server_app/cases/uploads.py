"""Uploaded cases: four files, one 4D file, or a DICOM study; stored completely and never changed.

``uploads/<case>/{case.json, t1.nii.gz ...}`` or ``{case.json, image.nii.gz}``; ``case.json`` maps each modality to its
file and channel, so that it need not be recognized again. Of volumes as they were scanned, only the preprocessed ones
are stored (:mod:`server_app.cases.preprocessed`).
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fastapi import HTTPException

from server_app.cases.preprocessed import parts_of, patient_hash, preprocessed_case, record_of
from server_app.cases.preprocessing_options import Preprocessor
from server_app.common.read_limit import reading
from server_app.errors import input_errors, refusal
from server_app.labels.store import read_object
from training.atomic import make_folder, publish_folder, write_json
from training.cases.case import Case, Source, case_from_4d, case_from_files
from training.cases.names import first_patient_of, slug, stem_of
from training.clock import now
from training.errors import InputError
from training.images.read import count_channels, image_ending
from training.modalities import ROLES, missing_message, role_of

_FORBIDDEN = re.compile(r"[/\\\x00-\x1f]|^\.")


def checked_id(name: str) -> str:
    """Return the id for the name that a client gives a case; raises InputError if the name looks like a path."""
    if not name or len(name) > 200 or _FORBIDDEN.search(name):
        raise InputError(f"{name[:80]!r} cannot name a case. Use letters, digits, '-' and '_'.", field="image")
    return slug(name)


class Uploads:
    """The cases below ``root``.

    Args:
        root: One folder per case.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def cases(self) -> list[Case]:
        """Return all complete cases."""
        if not self._root.is_dir():
            return []
        folders = [path for path in sorted(self._root.iterdir()) if not path.name.startswith(".")]
        return [case for case in map(_read_case, folders) if case is not None]

    def add(self, case: Case, facts: Mapping[str, Any], preprocessor: Preprocessor | None = None) -> Case:
        """Store a case whose files a client has sent; 409 if its id belongs to another case.

        Args:
            case: Of four files, one 4D file, or DICOM series.
            facts: For its record.
            preprocessor: For volumes as they were scanned; without one they are stored as they are.

        Raises:
            InputError: If a modality cannot be read or preprocessed.
            HTTPException: As :meth:`Preprocessor.run`.
        """
        if preprocessor is None or record_of(case.folder) is not None:
            with reading():
                case.read_all()
            return self._store(case, facts)
        sent = case.fingerprint()
        earlier = self._sent_before(case.id, sent)
        if earlier is not None:
            return earlier
        folder = preprocessor.run(case) if _may_need_it(case, preprocessor) else None
        if folder is not None:
            case, facts = preprocessed_case(folder, id=case.id), {**facts, "sent_sha256": sent}
        return self._store(case, facts)

    def _patient_with(self, patient: str) -> str | None:
        """Return the patient of an earlier case with the same PatientID."""
        for folder in sorted(self._root.iterdir()) if self._root.is_dir() else []:
            record = read_object(folder / "case.json") if not folder.name.startswith(".") else None
            if record is not None and record.get("dicom_patient") == patient and record.get("patient"):
                return str(record["patient"])
        return None

    def _sent_before(self, case_id: str, sent: str) -> Case | None:
        """Return the case that was made of the same files, preprocessed; ``None`` if there is none."""
        record = read_object(self._root / case_id / "case.json") or {}
        return _read_case(self._root / case_id) if record.get("sent_sha256") == sent else None

    def _store(self, case: Case, facts: Mapping[str, Any]) -> Case:
        """Store a case; if its volumes are preprocessed, with what lies beside them."""
        folder = self._root / case.id
        earlier = _read_case(folder)
        if earlier is not None:
            return same_or_conflict(earlier, case)
        patient = patient_hash(case.folder)
        if patient is not None:
            facts = {**facts, "dicom_patient": patient}
            case = replace(case, patient=self._patient_with(patient) or case.patient)
        make_folder(self._root)
        temporary = Path(tempfile.mkdtemp(prefix=".writing-", dir=self._root))
        try:
            record = {**facts, **_record(replace(case, sources=_copied(case, temporary), label=None))}
            write_json(temporary / "case.json", record)
            temporary.chmod(0o755)
            publish_folder(temporary, folder)
        except FileExistsError:
            earlier = _read_case(folder)  # uploaded twice at the same time
            return same_or_conflict(earlier, case) if earlier else case
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        stored = _read_case(folder)
        assert stored is not None
        return stored


def _may_need_it(case: Case, preprocessor: Preprocessor) -> bool:
    """Return whether a case may need preprocessing; its volumes are read, unless they are DICOM series."""
    if any(source.instances for source in case.sources.values()):
        return True
    with reading():
        return preprocessor.is_wanted(case.read_all())


def _copied(case: Case, folder: Path) -> dict[str, Source]:
    """Copy the files of a case, its volumes named after their modalities, into a folder; return these there."""
    for part, file in parts_of(case.folder).items():
        (folder / part).parent.mkdir(exist_ok=True)
        shutil.copyfile(file, folder / part)
    copied: dict[str, Source] = {}
    for role, source in case.sources.items():
        name = role if source.channel is None else "image"
        target = folder / f"{name}{image_ending(source.path) or ''}"
        if not target.exists():  # the modalities of a 4D file share it
            shutil.copyfile(source.path, target)
        copied[role] = Source(target, source.channel)
    return copied


def rebuilt_record(folder: Path) -> dict[str, Any]:
    """Rebuild an upload's ``case.json``; raises InputError if its files are not named after modalities."""
    files = sorted(path for path in folder.iterdir() if image_ending(path))
    case = case_from_files(files, id=folder.name)
    case.read_all()
    return {**_record(case), "rebuilt": True}


def _record(case: Case) -> dict[str, Any]:
    """Return the record of a case whose files are in place."""
    written = {role: {"file": source.path.name, "channel": source.channel} for role, source in case.sources.items()}
    return {"time": now(), "sha256": case.fingerprint(), "patient": case.patient, "sources": written}


def same_or_conflict(stored: Case, sent: Case) -> Case:
    """Return the stored case if it has the same images; 409 if it does not."""
    with input_errors():
        same = replace(stored, label=None).fingerprint() == replace(sent, label=None).fingerprint()
    if not same:
        raise conflict(stored.id)
    return stored


def conflict(case_id: str) -> HTTPException:
    """Build the response to an upload under an id that belongs to other images."""
    return refusal(409, "image", f"There is already a case {case_id} with other images. Choose another name.")


def whole_case(
    file: Path, order: Sequence[str] | None = None, *, id: str | None = None, allow_missing: bool = False
) -> Case:
    """Make a case of one file, with a helpful error for a single modality.

    Args:
        file: 4D; or one volume named after its modality, if the others may be missing.
        order: See :func:`training.cases.case.case_from_4d`.
        id: Default is the file's name as a slug.
        allow_missing: Whether modalities may be missing.

    Raises:
        InputError: If the file does not contain the four modalities (and none may be missing).
    """
    try:
        channels = count_channels(file)
    except InputError as error:
        raise InputError(error.message, field="image") from error
    role = role_of(file.name)
    if channels == 1 and allow_missing:
        if role is None:
            raise InputError(
                f"The name of {file.name} does not say which modality it is. Rename it, such as t1ce.nii.gz.",
                field="image",
            )
        return Case(id or slug(stem_of(file)), {role: Source(file)}, allow_missing=True)
    if channels == 1:
        missing = [other for other in ROLES if other != role]
        raise InputError(
            f"{file.name} holds one volume, but four modalities are needed. {missing_message(missing, [file.name])} "
            "Send four files, or one 4D file.",
            field=missing[0],
        )
    return case_from_4d(file, order, id=id, allow_missing=allow_missing)


def order_of(params: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the declared order of a 4D file's volumes, ``None`` if there is none.

    Raises:
        InputError: If ``order`` is neither a list of roles nor a comma-separated text.
    """
    given = params.get("order")
    if given is None:
        return None
    names = given.split(",") if isinstance(given, str) else given
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise InputError(
            "order must list the modalities of the file's volumes, for example t1,t1ce,t2,flair.", field="order"
        )
    return tuple(name.strip().lower() for name in names)


def _read_case(folder: Path) -> Case | None:
    try:
        facts = json.loads((folder / "case.json").read_text(encoding="utf-8"))
        sources = {role: Source(folder / entry["file"], entry["channel"]) for role, entry in facts["sources"].items()}
        patient = str(facts.get("patient") or first_patient_of(folder.name))  # earlier records do not hold it
        return Case(folder.name, sources, patient=patient, folder=folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
