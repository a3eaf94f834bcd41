"""The cases: those of the studies folder, which is searched from time to time, and those that were uploaded."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from server_app.cases.case_ids import CaseIds, place_of
from server_app.cases.label_check import LabelCheck
from server_app.cases.patients import ListedPatients
from server_app.cases.uploads import Uploads, checked_id
from server_app.errors import input_errors, unknown
from training.atomic import write_with
from training.cases.case import Case, Problem
from training.cases.find import find_cases
from training.cases.patients import Doubt, doubts_message, with_patients
from training.errors import InputError
from training.hashes import file_sha256
from training.images.write import write_volume

logger = logging.getLogger(__name__)

#: Seconds after which the studies folder is searched again when cases are listed.
SEARCH_EVERY = 30.0
#: Seconds between two searches for an unknown case.
SEARCH_AGAIN = 2.0
#: The modality that represents a case where a client can show only one volume.
DISPLAY_ROLE = "t1ce"


class Catalog:
    """The cases by id. Thread-safe; searching does not block readers.

    Args:
        studies: Never written to.
        uploads: Cases that were uploaded.
        cache: For volumes extracted from 4D files.
        ids: The ids of the cases in the studies.
        patients: Patients of cases in the studies that a file names.
        follow_links: Whether to read cases that links outside the studies point to.
        label_scheme: What the values of the labels in the studies mean; ``None`` to recognize it.
    """

    def __init__(
        self,
        studies: Path,
        uploads: Uploads,
        cache: Path,
        ids: CaseIds,
        *,
        patients: ListedPatients | None = None,
        follow_links: bool = False,
        label_scheme: str | None = None,
    ) -> None:
        self._studies = studies
        self._uploads = uploads
        self._cache = cache
        self._ids = ids
        self._patients = patients
        self._follow_links = follow_links
        self._label_scheme = label_scheme
        self._label_check = LabelCheck()
        self._lock = threading.Lock()
        self._searching = threading.Lock()
        self._found: dict[str, Case] = {}
        self._uploaded: dict[str, Case] = {}
        self._problems: list[Problem] = []
        self._doubts: list[Doubt] = []
        self._searched = 0.0
        self._began = -1.0
        self._incomplete: list[Case] = []
        self._incomplete_began = -1.0
        self._checksums: dict[tuple[str, int, int], str] = {}
        self.search()

    def search(self) -> None:
        """Search the studies folder and the uploads again; calls during a search share the next one."""
        asked = time.monotonic()
        with self._searching:
            if self._began <= asked:  # otherwise another caller has searched since
                self._search()

    def add(self, case: Case) -> None:
        """Add a case that was just uploaded."""
        with self._lock:
            self._uploaded = {**self._uploaded, case.id: case}

    def all(self) -> dict[str, Case]:
        """Return all cases by id, sorted; an upload never hides a case of the studies."""
        self._search_if_older(SEARCH_EVERY)
        with self._lock:
            merged = {**self._uploaded, **self._found}
        return dict(sorted(merged.items()))

    def problems(self, wait_seconds: float | None = 2.0) -> list[dict[str, str]]:
        """Return what looks like a case and cannot be used, and labels that cannot, by path below the studies.

        Args:
            wait_seconds: How long to wait for labels that were not read before; ``None`` for all. The others are read
                in the background, for the next call.
        """
        with self._lock:
            problems, found = list(self._problems), list(self._found.values())
        problems += self._label_check.problems(found, wait_seconds)
        return [
            {"path": self._below(problem.path), "message": problem.message.replace(f"{self._studies}/", "")}
            for problem in problems
        ]

    def doubtful_patients(self) -> list[dict[str, Any]]:
        """Return the cases that are taken as visits of one patient although their names do not say so clearly."""
        with self._lock:
            return [{"patient": doubt.patient, "cases": list(doubt.cases)} for doubt in self._doubts]

    def get(self, case_id: str, *, allow_missing: bool = False) -> Case:
        """Return a case; 404 if there is none of that id.

        Args:
            case_id: Its id.
            allow_missing: Whether to include cases with missing modalities, which are listed only as problems.
        """
        case = self.find(case_id)
        if case is None and allow_missing:
            case = self._find_incomplete(case_id)
        if case is None:
            raise unknown("image", f"There is no case {case_id[:80]!r}.")
        return case

    def find(self, case_id: str) -> Case | None:
        """Return a case, by its id or by the name it was uploaded under; ``None`` if there is none."""
        for attempt in range(2):
            with self._lock:
                case = self._found.get(case_id) or self._uploaded.get(case_id)
            if case is not None:
                return case
            try:
                plain = checked_id(case_id)
            except InputError:
                return None
            with self._lock:
                case = self._uploaded.get(plain)
            if case is not None:
                return case
            if attempt == 0:
                self._search_if_older(SEARCH_AGAIN)
        return None

    def is_uploaded(self, case_id: str) -> bool:
        """Return whether a case was uploaded."""
        with self._lock:
            return case_id in self._uploaded and case_id not in self._found

    def is_reserved(self, case_id: str) -> bool:
        """Return whether an id belongs to a case of the studies that is absent now; its labels are kept for it."""
        return self.find(case_id) is None and self._ids.is_given(case_id)

    def place(self, case: Case) -> str | None:
        """Return the location by which a case has its id; ``None`` for one that was uploaded."""
        return None if self.is_uploaded(case.id) else place_of(case, self._studies)

    def display_file(self, case: Case) -> Path:
        """Return a file with the one volume that represents a case; extracted from a 4D file on first use."""
        source = case.sources[DISPLAY_ROLE]
        if source.channel is None and not source.instances:
            return source.path
        stat = source.path.stat()
        key = hashlib.sha256(f"{source.path}|{source.channel}|{stat.st_size}|{stat.st_mtime_ns}".encode()).hexdigest()
        path = self._cache / "display" / f"{case.id}-{key[:12]}.nii.gz"
        if not path.is_file():
            with input_errors():
                volume = case.read(DISPLAY_ROLE)
                write_with(path, lambda temporary: write_volume(volume, temporary))
        return path

    def checksum(self, path: Path) -> str:
        """Return ``SHA256:<hex>`` of a file; cached until it changes."""
        stat = path.stat()
        key = (str(path), stat.st_size, stat.st_mtime_ns)
        if key not in self._checksums:
            self._checksums[key] = f"SHA256:{file_sha256(path)}"
        return self._checksums[key]

    def _find_incomplete(self, case_id: str) -> Case | None:
        """Return a case with missing modalities; calls during a search share the next one."""
        asked = time.monotonic()
        with self._searching:
            if self._incomplete_began <= asked:
                self._search_incomplete()
            found = self._incomplete
        return next((case for case in found if case.id == case_id), None)

    def _search_incomplete(self) -> None:
        """Search the studies for cases with missing modalities. ``_searching`` is held."""
        began = time.monotonic()
        try:
            cases, _ = self._find(allow_missing=True)
        except InputError:
            cases = []
        with self._lock:
            uploaded = set(self._uploaded)
        named = self._ids.named(cases, self._studies, taken=uploaded, keep=False)
        self._incomplete, self._incomplete_began = [case for case in named if case.missing], began

    def _search(self) -> None:
        """Search the studies and the uploads. ``_searching`` is held."""
        began = time.monotonic()
        try:
            cases, problems = self._find(allow_missing=False)
        except InputError as error:
            cases, problems = [], [Problem(self._studies, error.message)]
        uploaded = {case.id: case for case in self._uploads.cases()}
        named = self._ids.named(cases, self._studies, taken=uploaded)
        if self._patients is not None:
            named, unfollowed = self._patients.apply(named)
            problems = [*problems, *unfollowed]
        doubts = self._doubts_about(named)
        if doubts and doubts != self._doubts:
            logger.warning("%s", doubts_message(doubts))
        found = {case.id: case for case in named}
        with self._lock:
            self._found, self._uploaded, self._problems, self._doubts = found, uploaded, problems, doubts
            self._began, self._searched = began, time.monotonic()

    def _doubts_about(self, cases: Sequence[Case]) -> list[Doubt]:
        """Return the doubtful groups of cases that are taken as one patient's, whoever decided so."""
        stored = {case.id: case.patient for case in cases}
        doubts = with_patients(cases, self._studies)[1]
        return [doubt for doubt in doubts if len({stored[case] for case in doubt.cases}) == 1]

    def _find(self, *, allow_missing: bool) -> tuple[list[Case], list[Problem]]:
        return find_cases(
            self._studies,
            allow_missing=allow_missing,
            follow_external_links=self._follow_links,
            label_scheme=self._label_scheme,
        )

    def _search_if_older(self, seconds: float) -> None:
        if time.monotonic() - self._searched <= seconds:
            return
        with self._searching:
            if time.monotonic() - self._searched > seconds:  # nobody searched while this one waited
                self._search()

    def _below(self, path: Path) -> str:
        try:
            return path.relative_to(self._studies).as_posix()
        except ValueError:
            return path.name
