"""Volumes that Slicer's DICOM module has loaded, and Slicer's DICOM database. UI thread only.

Slicer without a database (a test run, or one that could not be opened) is ordinary: then nothing is known of a volume.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer

#: Attribute of a volume from the DICOM module: the UIDs of its instances, separated by spaces.
_INSTANCES = "DICOM.instanceUIDs"
_SERIES_DESCRIPTION, _AGENT, _STUDY = "0008,103E", "0018,0010", "0020,000D"


def instances_of(volume: Any) -> list[str]:
    """Return the UIDs of the DICOM instances that a volume was loaded from; none for a volume from elsewhere."""
    return (volume.GetAttribute(_INSTANCES) or "").split() if volume is not None else []


def series_description(volume: Any) -> str:
    """Return the scanner's name of the series; empty if it is not known."""
    return _value(volume, _SERIES_DESCRIPTION)


def contrast_agent(volume: Any) -> str:
    """Return the contrast agent that was given; empty if the scanner names none."""
    return _value(volume, _AGENT).strip()


def study_of(volume: Any) -> str:
    """Return the UID of the study; empty if it is not known."""
    return _value(volume, _STUDY)


def files_of(volume: Any) -> list[Path]:
    """Return the files of all instances of a volume; none if one of them is gone, as on a drive that was removed."""
    database = _database()
    if database is None:
        return []
    names = [str(database.fileForInstance(uid) or "") for uid in instances_of(volume)]
    files = [Path(name) for name in names]
    return files if all(names) and all(file.is_file() for file in files) else []


def add_file(path: Path, uid: str) -> bool:
    """Copy a DICOM file into the database; return whether the database has the instance ``uid`` then."""
    database = _database()
    if database is None:
        return False
    database.insert(str(path))
    return bool(database.fileForInstance(uid))


def _value(volume: Any, tag: str) -> str:
    instances, database = instances_of(volume), _database()
    return str(database.instanceValue(instances[0], tag) or "") if instances and database is not None else ""


def _database() -> Any:
    database = getattr(slicer, "dicomDatabase", None)
    return database if database is not None and database.isOpen else None
