"""Case ids and patient ids from names; :mod:`training.cases.patients` reads patients from whole folder trees."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from pathlib import Path

from training.cases.visits import is_generic, without_visit
from training.images.read import image_ending

#: Namings whose visits were known before uploads recorded their patient (see :func:`first_patient_of`).
_FIRST_PATIENTS = (
    re.compile(r"(BraTS-[A-Za-z]+-\d+)-\d+", re.IGNORECASE),  # BraTS 2023: the last field is the visit
    re.compile(r"(TCGA-[A-Za-z0-9]{2}-[A-Za-z0-9]{4})(?:[^A-Za-z0-9].*)?", re.IGNORECASE),
    re.compile(r"(UPENN-GBM-\d+)_\d+", re.IGNORECASE),
    re.compile(r"(sub-[A-Za-z0-9]+)(?:[_-].*)?"),  # BIDS
)
_PATIENTS = (
    *_FIRST_PATIENTS,
    re.compile(r"(BraTS-[A-Za-z]+-[A-Za-z]+-\d+)-\d+", re.IGNORECASE),  # BraTS-MEN-RT-0001-1
    re.compile(r"(Brats\d{2}_[A-Za-z0-9]+_[A-Za-z0-9]+)_\d{1,2}", re.IGNORECASE),  # BraTS 2017 to 2019
    re.compile(r"(brats_[a-z0-9]+_pat\d+)_\d+", re.IGNORECASE),  # BraTS 2014 and 2015
    re.compile(r"((?:UCSF-PDGM|UCSD-PTGBM|RHUH|C3[LN]|ReMIND|EGD|PGBM)-\d+)(?:[^A-Za-z0-9].*)?", re.IGNORECASE),
    re.compile(r"(PatientID_\d+)(?:[^A-Za-z0-9].*)?", re.IGNORECASE),  # MU-Glioma-Post
)


def slug(name: str) -> str:
    """Turn any name into an id of 1 to 64 letters, digits, ``_`` and ``-``.

    Dots become ``-`` (MONAI Label takes the part after a dot for a file ending). A name that is too long or has no
    ASCII letters gets a short hash, so that different names stay different.

    Examples:
        >>> slug("BraTS20_Training_001"), slug("W39_1998.09.19"), slug("Müller, T1")
        ('BraTS20_Training_001', 'W39_1998-09-19', 'Muller-T1')
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    result = re.sub(r"[^A-Za-z0-9_]+", "-", plain).strip("-")
    if result and len(result) <= 64:
        return result
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{result[:55].strip('-') or 'case'}-{digest}"


def known_patient(name: str) -> str | None:
    """Return the patient in a name of a public data set whose naming has visits; ``None`` for another name.

    Examples:
        >>> known_patient("Brats18_TCIA01_201_1"), known_patient("BraTS20_Training_001")
        ('Brats18_TCIA01_201', None)
    """
    return next((match.group(1) for pattern in _PATIENTS if (match := pattern.fullmatch(name))), None)


def patient_of(case_id: str) -> str:
    """Return the patient of a case of which only the id is known; the id itself unless it names a visit.

    Examples:
        >>> patient_of("BraTS-GLI-00005-101"), patient_of("pat01_week12"), patient_of("case_2")
        ('BraTS-GLI-00005', 'pat01', 'case_2')
    """
    known = known_patient(case_id)
    if known is not None:
        return known
    base = without_visit(case_id)
    return case_id if is_generic(base) else base


def first_patient_of(case_id: str) -> str:
    """Return the patient as it was read before the patient was recorded: stored splits and uploads depend on it."""
    matches = (pattern.fullmatch(case_id) for pattern in _FIRST_PATIENTS)
    return next((match.group(1) for match in matches if match), case_id)


def stem_of(path: Path | str) -> str:
    """Return a file's name without its image ending (``.nii.gz`` as a whole)."""
    name = Path(path).name
    ending = image_ending(name) or Path(name).suffix
    name = name[: len(name) - len(ending)] if ending else name
    return name[:-4] if name.lower().endswith(".seg") else name
