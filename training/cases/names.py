"""Case ids and patient ids from names."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from pathlib import Path

from training.images.read import image_ending

_PATIENTS = (
    re.compile(r"(BraTS-[A-Za-z]+-\d+)-\d+", re.IGNORECASE),  # BraTS 2023: the last field is the visit
    re.compile(r"(TCGA-[A-Za-z0-9]{2}-[A-Za-z0-9]{4})(?:[^A-Za-z0-9].*)?", re.IGNORECASE),
    re.compile(r"(UPENN-GBM-\d+)_\d+", re.IGNORECASE),
    re.compile(r"(sub-[A-Za-z0-9]+)(?:[_-].*)?"),
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


def patient_of(case_id: str) -> str:
    """Return the patient id if the case id follows a known naming scheme with visits, else the case id itself."""
    for pattern in _PATIENTS:
        match = pattern.fullmatch(case_id)
        if match:
            return match.group(1)
    return case_id


def stem_of(path: Path | str) -> str:
    """Return a file's name without its image ending (``.nii.gz`` as a whole)."""
    name = Path(path).name
    ending = image_ending(name) or Path(name).suffix
    name = name[: len(name) - len(ending)] if ending else name
    return name[:-4] if name.lower().endswith(".seg") else name
