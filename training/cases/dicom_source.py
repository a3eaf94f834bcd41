"""The DICOM series that a case was made of: what a DICOM SEG of its labels refers to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from training.errors import InputError
from training.modalities import TITLES

if TYPE_CHECKING:
    from training.cases.case import Case
    from training.dicom.headers import SourceHeaders

#: Where the headers of the reference's series are kept beside volumes that were made of DICOM, below their folder.
HEADERS_FILE = "dicom/reference.json"


def series_headers(case: Case, role: str) -> SourceHeaders:
    """Return the headers of the DICOM series of a modality.

    Args:
        case: Of DICOM series; or of volumes made of them, with the headers of the reference kept beside.
        role: The reference.

    Raises:
        InputError: If it was no DICOM series, or the headers cannot be read; ``field`` is ``"format"`` or ``"dicom"``.
    """
    from training.dicom.read import source_headers

    source = case.sources[role]
    if source.instances:
        return source_headers(source.instances, source.channel)
    kept = kept_headers(case.folder)
    if kept is None:
        raise InputError(
            f"{TITLES[role]} ({source.path.name}) is no DICOM series, and a DICOM SEG refers to the images of one. "
            "Use the DICOM folder as the case, or write another format, such as .seg.nrrd.",
            field="format",
        )
    return kept


def has_series(case: Case) -> bool:
    """Return whether a case was made of DICOM series, as far as that is known."""
    kept = case.folder is not None and (case.folder / HEADERS_FILE).is_file()
    return kept or any(source.instances for source in case.sources.values())


def kept_headers(folder: Path | None) -> SourceHeaders | None:
    """Return the headers that are kept in a folder with volumes; ``None`` if there are none.

    Raises:
        InputError: If they cannot be read; ``field`` is ``"dicom"``.
    """
    from training.dicom.headers import SourceHeaders

    try:
        text = (folder / HEADERS_FILE).read_text(encoding="utf-8") if folder is not None else None
    except (FileNotFoundError, NotADirectoryError):
        text = None
    return None if text is None else SourceHeaders.from_json(text)
