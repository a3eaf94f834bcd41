"""A file that says which case is of which patient, where the names do not: CSV or TSV with columns case and patient.

A header is optional. A case is named by its id, as the commands print it, or by its path with ``/``; cases that are not
in the file keep the patient that was read from their names.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from training.cases.case import Case
from training.cases.names import slug
from training.errors import InputError

_LARGEST_BYTES = 2**24
_LONGEST_NAME = 200


@dataclass(frozen=True)
class PatientLine:
    """One line of the file.

    Attributes:
        where: The file and the number of the line, for messages.
        case: Id of the case.
        patient: Id of its patient.
    """

    where: str
    case: str
    patient: str

    def unknown(self) -> str:
        """Return the message about a case that does not exist."""
        return f"{self.where}: there is no case {self.case!r}. Name cases by their ids, as they are printed."


def read_patients(path: Path) -> list[PatientLine]:
    """Read the file.

    Raises:
        InputError: If it cannot be read, a line has other columns than case and patient, or names a case a second time;
            ``field`` is ``"patients"``.
    """
    try:
        with open(path, "rb") as handle:
            content = handle.read(_LARGEST_BYTES + 1)
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.", field="patients") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a text file in UTF-8.", field="patients") from error
    if len(content) > _LARGEST_BYTES:
        raise InputError(f"{path} is larger than {_LARGEST_BYTES:,} bytes.", field="patients")
    first = text.lstrip().partition("\n")[0]
    delimiter = next((mark for mark in ("\t", ",", ";") if mark in first), ",")
    reader = csv.reader(text.splitlines(), delimiter=delimiter)
    try:
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(map(str.strip, row))]
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: {error}.", field="patients") from error
    return _lines(path, rows)


def _lines(path: Path, rows: Sequence[tuple[int, list[str]]]) -> list[PatientLine]:
    columns, width = (0, 1), 2
    if rows:
        header = [cell.lower() for cell in rows[0][1]]
        if {"case", "patient"} <= set(header):
            columns, width, rows = (header.index("case"), header.index("patient")), len(header), rows[1:]
    lines: list[PatientLine] = []
    seen: dict[str, int] = {}
    for number, row in rows:
        where = f"{path}, line {number}"
        case, patient = (row[column] if column < len(row) else "" for column in columns)
        if len(row) != width or not case or not patient or max(len(case), len(patient)) > _LONGEST_NAME:
            raise InputError(f"{where}: a line must be case,patient; it is {','.join(row)[:200]!r}.", field="patients")
        case = _id(case)
        if case in seen:
            raise InputError(f"{where}: the case {case} is already in line {seen[case]}.", field="patients")
        seen[case] = number
        lines.append(PatientLine(where, case, slug(patient)))
    if not lines:
        raise InputError(f"{path} names no case. It needs lines with case,patient.", field="patients")
    return lines


def _id(case: str) -> str:
    """Return the id for an id or a path."""
    return slug(case.replace("\\", "/").strip("/").replace("/", "-"))


def map_patients(cases: Sequence[Case], path: Path) -> list[Case]:
    """Give cases the patients of a file.

    Raises:
        InputError: As :func:`read_patients`, or if the file names a case that is not among ``cases``; names the line.
    """
    lines = read_patients(path)
    known = {case.id for case in cases}
    for line in lines:
        if line.case not in known:
            raise InputError(line.unknown(), field="patients")
    patients = {line.case: line.patient for line in lines}
    return [replace(case, patient=patients.get(case.id, case.patient)) for case in cases]
