"""Cases from DICOM: each study in a folder tree is one, whatever its folders and files are called."""

from __future__ import annotations

import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from training.cases.case import Case, Problem, Source
from training.cases.names import slug
from training.cases.visits import is_transparent, is_visit, may_be_visit
from training.errors import InputError
from training.modalities import display_name

if TYPE_CHECKING:
    from training.dicom.image import Image
    from training.dicom.series import Series

#: Folder names that scanners and archives make up: "ST000001", "1.2.840.113619", "PAT0001", "S2".
_MADE_UP = re.compile(
    r"(?:st|std|stu|study|se|series|pa|pat|im|img|exam|dicomdir|cd|disk)?[-_ ]?\d+|[\d.]+", re.IGNORECASE
)
#: What de-identification puts for all patients.
_NOBODY = re.compile(r"(?:anon\w*|unknown|none|patient|no[-_ ]?(?:id|name)|0+|x+|test)?", re.IGNORECASE)
_MOST_OTHERS = 8


def dicom_cases(
    files: Iterable[Path], *, roles: Mapping[str, str | int] | None = None, allow_missing: bool = False
) -> tuple[list[Case], list[Problem]]:
    """Return the studies among DICOM files, each as a case.

    Args:
        files: Of any number of studies.
        roles: As for :func:`training.dicom.choose.choose`, for a single study.
        allow_missing: Accept cases with missing modalities.

    Returns:
        The cases, with different ids, and the studies that cannot be used.
    """
    from training.dicom.scan import read_images
    from training.dicom.series import series_of

    images, unread = read_images(files)
    studies: dict[str, list[Image]] = defaultdict(list)
    for image in images:
        studies[image.study_uid].append(image)
    cases: list[Case] = []
    problems: list[Problem] = []
    named = _names(studies)
    for uid, study in studies.items():
        folder = _folder(study)
        series = series_of(study, unread)
        mr = any(one.image.modality == "MR" for one in series)
        try:
            case = _case(series, named[uid], folder, roles, allow_missing)
            patient = _patient(study[0])
            cases.append(replace(case, known_patient=patient, patient=patient or case.patient))
        except InputError as error:
            problems.append(Problem(folder, error.message, error.field, lost=mr or len(studies) == 1))
    return cases, problems


def case_from_dicom(
    folder: Path | str,
    *,
    roles: Mapping[str, str | int] | None = None,
    id: str | None = None,
    allow_missing: bool = False,
) -> Case:
    """Make a case of the DICOM study in a folder.

    Args:
        folder: With the files at any depth.
        roles: Modality to series number or SeriesInstanceUID, for series that are not recognized.
        id: Id of the case; default is the name of the folder, or the PatientID.
        allow_missing: Accept missing modalities (at least one is needed).

    Raises:
        InputError: If there is no study or several ones in it, or as :func:`training.dicom.choose.choose`.
    """
    from training.dicom.scan import dicom_files

    cases, problems = dicom_cases(dicom_files(folder), roles=roles, allow_missing=allow_missing)
    lost = [problem for problem in problems if problem.lost]
    if len(cases) + len(lost) > 1:
        names = ", ".join(sorted([case.id for case in cases] + [problem.path.name for problem in lost]))
        raise InputError(f"{folder} holds {len(cases) + len(lost)} DICOM studies: {names}. Name one.", field="files")
    if lost:
        raise InputError(lost[0].message, field=lost[0].field)
    if not cases:
        raise InputError(f"{folder} holds no DICOM study.", field="files")
    return replace(cases[0], id=id) if id else cases[0]


def _case(
    series: Sequence[Series], name: str, folder: Path, roles: Mapping[str, str | int] | None, allow_missing: bool
) -> Case:
    from training.dicom.choose import choose

    chosen = choose(series, roles, allow_missing=allow_missing)
    sources = {role: Source.of(one) for role, one in chosen.items()}
    taken = {one.key for one in chosen.values()}
    notes = [f"{display_name(role)}: {' '.join((one.reason, *one.notes))}" for role, one in chosen.items()]
    others = [one.reason for one in series if one.key not in taken and one.role is None]
    if others:
        more = f" And {len(others) - _MOST_OTHERS} more." if len(others) > _MOST_OTHERS else ""
        notes.append(f"Not used: {' '.join(others[:_MOST_OTHERS])}{more}")
    return Case(slug(name), sources, folder=folder, allow_missing=allow_missing, name=name, notes=tuple(notes))


def _folder(images: Sequence[Image]) -> Path:
    return Path(os.path.commonpath([str(image.path.parent) for image in images]))


def _names(studies: Mapping[str, Sequence[Image]]) -> dict[str, str]:
    """Return a name for each study: of its folder, unless that says nothing or is the patient's, or else the PatientID.

    Studies that would have the same name in one folder get their dates, and then a part of their UIDs.
    """
    shared: dict[Path, list[str]] = defaultdict(list)
    for uid, study in studies.items():
        shared[_folder(study)].append(uid)
    names: dict[str, str] = {}
    for folder, uids in shared.items():
        names |= {uid: _name(folder, studies[uid][0], alone=len(uids) == 1) for uid in uids}
        for suffix in (
            lambda uid: studies[uid][0].study_date,
            lambda uid: hashlib.sha256(uid.encode()).hexdigest()[:8],
        ):
            taken = [names[uid] for uid in uids]
            doubled = [uid for uid in uids if taken.count(names[uid]) > 1]
            names |= {uid: "-".join(filter(None, (names[uid], suffix(uid)))) for uid in doubled}
    return names


def _name(folder: Path, image: Image, *, alone: bool) -> str:
    name = folder.resolve().name
    says_nothing = is_transparent(name) or bool(_MADE_UP.fullmatch(name)) or is_visit(name) or may_be_visit(name)
    if alone and name and not says_nothing and not _is_name_of(name, image.patient_name):
        return name
    patient = _patient(image)
    visit = name if is_visit(name) else ""
    return "-".join(filter(None, (patient, visit))) or slug(name or "case")


def _patient(image: Image) -> str:
    """Return the PatientID as a slug; a hash of it if it is the patient's name; empty if it is nobody's."""
    if _NOBODY.fullmatch(image.patient_id):
        return ""
    if _is_name_of(image.patient_id, image.patient_name):
        return f"patient-{hashlib.sha256(image.patient_id.encode()).hexdigest()[:8]}"
    return slug(image.patient_id)


def _is_name_of(text: str, patient_name: str) -> bool:
    """Return whether a text has a word of a person's name; a name with digits is a pseudonym.

    Examples:
        >>> _is_name_of("DOE_JANE_1970", "Doe^Jane"), _is_name_of("ReMIND-022", "ReMIND-022")
        (True, False)
    """
    if any(letter.isdigit() for letter in patient_name):
        return False
    words = {word for word in re.findall(r"[^\W\d_]+", patient_name.lower()) if len(word) > 2}
    return bool(words & set(re.findall(r"[^\W\d_]+", text.lower())))
