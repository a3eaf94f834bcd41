"""Permanent ids of the cases in the studies folder: an id that was given to one location is never given to another.

Without this, a second folder of the same name somewhere else would rename the first case, whose labels would no longer
be found; and a folder that was replaced by another patient's would inherit them. ``cases.json`` maps each location (a
path below the studies) to its id. If it is missing or damaged it is rebuilt from the labels, which record the location.

A folder that was moved or renamed keeps its id if its images are the same: labels record the hash of the images they
were drawn on. An id without labels may be taken over without this check.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock

from server_app.common.quarantine import Quarantine
from server_app.labels.store import LabelStore
from training.atomic import write_json
from training.cases.case import Case
from training.cases.files import common_name
from training.cases.names import slug
from training.errors import InputError

logger = logging.getLogger(__name__)

#: Seconds to wait for another process that assigns ids.
_LOCK_SECONDS = 30.0


@dataclass(frozen=True)
class Given:
    """What a location was given: the id of its case, and the patient by whom the case is split."""

    id: str
    patient: str


class CaseIds:
    """The ids of one workspace. Thread-safe and process-safe.

    Args:
        path: The file ``cases.json``, directly in the workspace.
        labels: The labels, from which the file can be rebuilt.
        read_only: Whether to leave the file unchanged, even if it is damaged.
    """

    def __init__(self, path: Path, labels: LabelStore, *, read_only: bool = False) -> None:
        self._path = path
        self._labels = labels
        self._read_only = read_only
        self._lock = threading.Lock()
        self._unsaved: dict[str, Given] = {}

    def named(
        self, cases: Sequence[Case], studies: Path, *, taken: Collection[str] = (), keep: bool = True
    ) -> list[Case]:
        """Give every case the id of its location; return them in the order of their ids.

        Args:
            cases: As they were found; their ids are proposals.
            studies: The folder that they were found in.
            taken: Ids of other cases.
            keep: Whether new ids are stored.
        """
        places = {place_of(case, studies): case for case in cases}
        with self._lock:
            given = self._all()
            if any(place not in given for place in places):
                given = self._give(places, taken, keep)
        named = [replace(case, id=given[place].id, patient=given[place].patient) for place, case in places.items()]
        return sorted(named, key=lambda case: case.id)

    def set_patients(self, patients: Mapping[str, str]) -> None:
        """Store other patients for cases.

        Args:
            patients: Id of the case to its patient.
        """
        with self._lock:
            given = {place: Given(one.id, patients.get(one.id, one.patient)) for place, one in self._all().items()}
            if self._read_only or given == self._all():
                return
            try:
                with FileLock(self._path.with_name(".cases.lock"), timeout=_LOCK_SECONDS):
                    self._write(given)
            except OSError as error:
                logger.error("The patients of cases could not be stored: %s", error)
                self._unsaved = given

    def is_given(self, case_id: str) -> bool:
        """Return whether an id belongs to a location in the studies, whether or not there is a case now."""
        with self._lock:
            return any(given.id == case_id for given in self._all().values())

    def read(self) -> dict[str, Given]:
        """Return id and patient by location; rebuilt from the labels if the file is missing or damaged."""
        with self._lock:
            return self._all()

    def _all(self) -> dict[str, Given]:
        return {**self._read(), **self._unsaved}

    def _read(self) -> dict[str, Given]:
        try:
            return parse_case_ids(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return self._from_labels()
        except ValueError as error:
            given = self._from_labels()
            if self._read_only:
                return given
            done = f"{len(given)} ids were taken from the labels."
            Quarantine.of(self._path.parent).set_aside(self._path, f"It cannot be read: {error}.", done)
            return given

    def _from_labels(self) -> dict[str, Given]:
        """Return what the labels record of the locations of their cases; a case's newest label counts."""
        given: dict[str, Given] = {}
        for case in self._labels.cases():
            for label in self._labels.versions(case):
                place, patient = label.record.get("place"), label.record.get("patient")
                if isinstance(place, str) and isinstance(patient, str):
                    given = {where: other for where, other in given.items() if other.id != case}
                    given[place] = Given(case, patient)
        return given

    def _give(self, places: Mapping[str, Case], taken: Collection[str], keep: bool) -> dict[str, Given]:
        """Assign ids to new locations, and store them if ``keep`` is set; return all."""
        if not keep or self._read_only:
            return self._chosen(self._all(), places, taken)
        try:
            with FileLock(self._path.with_name(".cases.lock"), timeout=_LOCK_SECONDS):
                given = self._chosen(self._all(), places, taken)
                self._write(given)
        except OSError as error:  # reading must go on if the disk is full, or the lock is not released (TimeoutError)
            logger.error("The ids of new cases could not be stored: %s", error)
            given = self._unsaved = self._chosen(self._all(), places, taken)
        return given

    def _write(self, given: Mapping[str, Given]) -> None:
        entries = {place: {"id": one.id, "patient": one.patient} for place, one in sorted(given.items())}
        write_json(self._path, {"format": 1, "cases": entries})
        self._unsaved = {}

    def _chosen(
        self, given: Mapping[str, Given], places: Mapping[str, Case], taken: Collection[str]
    ) -> dict[str, Given]:
        given = dict(given)
        for place in sorted(set(places) - set(given)):
            case = places[place]
            moved = self._moved_from(place, case, given, places)
            if moved is not None:
                given[place] = given.pop(moved)
                continue
            used = {*taken, *(one.id for one in given.values())}
            name = next(name for name in _proposals(place, case) if name not in used)
            given[place] = Given(name, _patient_of_new(place, places, given))
        return given

    def _moved_from(
        self, place: str, case: Case, given: Mapping[str, Given], present: Mapping[str, Case]
    ) -> str | None:
        """Return the earlier location of a case, if it was moved."""
        names = {case.id, slug(Path(place).parent.name), slug(Path(place).name)}
        for earlier, one in given.items():
            if earlier not in present and one.id in names and self._same_images(one.id, case):
                return earlier
        return None

    def _same_images(self, case_id: str, case: Case) -> bool:
        labels = self._labels.versions(case_id)
        if not labels:
            return True
        try:
            return labels[-1].record.get("images") == images_digest(case)
        except InputError:
            return False


def _patient_of_new(place: str, places: Mapping[str, Case], given: Mapping[str, Given]) -> str:
    """Return the patient of a new location: the stored one of an earlier visit of the same patient, if there is one."""
    patient = places[place].patient
    earlier = (given[other].patient for other in sorted(places) if other in given and places[other].patient == patient)
    return next(earlier, patient)


def images_digest(case: Case) -> str:
    """Return the SHA-256 over a case's images, without its label; raises InputError if a file cannot be read."""
    return replace(case, label=None).fingerprint()


def place_of(case: Case, studies: Path) -> str:
    """Return the location of a case: its path below the studies, without the modality."""
    source = next(iter(case.sources.values()))
    if source.instances:
        where = case.folder or source.path.parent
    else:
        where = source.path if source.channel is not None else source.path.parent / common_name(source.path)
    try:
        return where.relative_to(studies).as_posix()
    except ValueError:
        return where.as_posix()


def parse_case_ids(text: str) -> dict[str, Given]:
    """Read the content of ``cases.json``; raises ValueError if it is not valid, or two locations have the same id."""
    content = json.loads(text)
    try:
        given = {str(place): Given(str(one["id"]), str(one["patient"])) for place, one in content["cases"].items()}
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError("it does not contain a list of cases") from error
    if len({one.id for one in given.values()}) < len(given):
        raise ValueError("two locations have the same id")
    return given


def _proposals(place: str, case: Case) -> list[str]:
    """Return possible ids for a case, the last of which is unique."""
    path = slug(Path(place).parent.as_posix().replace("/", "-"))
    digest = hashlib.sha256(place.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return [case.id, path, f"{case.id[:50]}-{digest}"]
