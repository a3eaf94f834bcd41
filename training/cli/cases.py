"""The cases that a command is given: folders of cases, single folders, 4D files."""

from __future__ import annotations

import atexit
import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from training.cli.common import err, warn
from training.cli.labels import tell_label_schemes
from training.cli.outcome import Failures
from training.errors import InputError

if TYPE_CHECKING:
    from training.cases.case import Case, Problem

#: The archives that the command has unpacked.
_ARCHIVES = contextlib.ExitStack()
atexit.register(_ARCHIVES.close)
#: Cases whose unused images are listed one by one.
_TOLD = 20

PatientsOption = Annotated[
    Path | None,
    typer.Option(
        "--patients",
        help="CSV file with the columns case,patient, where names do not tell which cases are visits of one patient.",
        show_default=False,
    ),
]
OrderOption = Annotated[
    str | None,
    typer.Option(
        "--order",
        help="Modalities of a 4D file, or of numbered channels (CASE_0000 to CASE_0003), in order. Default: those of "
        "dataset.json; for 4D files without one flair,t1,t1ce,t2, the Decathlon's.",
        show_default=False,
    ),
]


@dataclass
class Collected:
    """The cases of a command.

    Attributes:
        cases: The usable ones, sorted by id within each path; their ids differ.
        problems: What looks like a case and is unusable, with the path it was found below.
    """

    cases: list[Case] = field(default_factory=list)
    problems: list[tuple[Path, Problem]] = field(default_factory=list)

    def failures(self) -> Failures:
        """Return the failures of a command that works on these cases; the unusable ones are already in it."""
        failures = Failures(len(self.cases) + len(self.problems))
        for root, problem in self.problems:
            name = problem.path.relative_to(root).as_posix() if problem.path.is_relative_to(root) else "."
            message = problem.message.replace(f"{problem.path}/", "").replace(f"{root}/", "")
            failures.add(name if name != "." else root.name, InputError(message, field=problem.field))
        return failures


def collect_cases(
    paths: Sequence[Path],
    order: str | None = None,
    *,
    allow_missing: bool = False,
    patients: Path | None = None,
    split: bool = False,
    label_scheme: str | None = None,
    series: Mapping[str, str] | None = None,
) -> Collected:
    """Collect cases from case folders, DICOM studies, folders of them, ZIP archives of studies, and 4D files.

    Args:
        paths: Folders and files.
        order: Roles of the volumes of a 4D file or of numbered channels, comma-separated; ``None`` if nobody said.
        allow_missing: Accept cases with missing modalities.
        patients: File with the patients of cases; see :mod:`training.cases.patient_file`.
        split: Tell which cases are doubtfully taken as one patient's.
        label_scheme: The scheme of the labels; ``None`` to recognize it.
        series: For a DICOM study, modality to series number, where that is not recognized.

    Raises:
        InputError: If a path does not exist, no path holds a usable case, the file of patients cannot be used, or there
            is no such label scheme; for one unusable case the message says why.
    """
    from training.cases.label_peers import with_peers
    from training.label_schemes import parse_scheme

    if not paths:
        raise InputError("No case was named.", field="cases")
    if label_scheme is not None:
        parse_scheme(label_scheme)
    roles = tuple(part.strip() for part in order.split(",")) if order else None
    found = Collected()
    roots: list[tuple[Path, list[Case]]] = []
    for path in map(_unpacked, paths):
        cases, problems = _cases_at(path, roles, allow_missing, series)
        roots.append((_absolute(path if path.is_dir() else path.parent), cases))
        found.cases += cases
        found.problems += [(path if path.is_dir() else path.parent, problem) for problem in problems]
    if not found.cases:
        _, problem = found.problems[0]
        if len(found.problems) == 1:
            where = problem.path.resolve()
            message = problem.message if str(where) in problem.message else f"{problem.path}: {problem.message}"
            raise InputError(message, field=problem.field)
        found.failures()
        raise InputError(f"There is no usable case in {', '.join(map(str, paths))}.", field="cases")
    found.cases = with_peers(_told_apart(roots, patients, split), label_scheme=label_scheme)
    _tell_unused(found.cases)
    _tell_notes(found.cases)
    if roles is None:
        _tell_assumed_order(found.cases)
    return found


def labeled_cases(
    paths: Sequence[Path] | None,
    *,
    patients: Path | None = None,
    split: bool = False,
    label_scheme: str | None = None,
) -> Collected:
    """Collect cases and keep those with a label, telling which have none and the schemes; empty if no path is given.

    Raises:
        InputError: As :func:`collect_cases`, or if none of the cases has a label.
    """
    if not paths:
        return Collected()
    found = collect_cases(paths, patients=patients, split=split, label_scheme=label_scheme)
    labeled = [case for case in found.cases if case.label is not None]
    without = [case for case in found.cases if case.label is None]
    if not labeled:
        raise InputError(f"No case in {', '.join(map(str, paths))} has a label.", field="cases")
    if without:
        err.print(f"Left out, without a label: {', '.join(case.id for case in without)}", markup=False, soft_wrap=True)
    tell_label_schemes(labeled)
    return Collected(labeled, found.problems)


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))


def _unpacked(path: Path) -> Path:
    """Return the folder of a ZIP archive, unpacked until the command ends; any other path as it is."""
    from training.cases.archive import is_archive, unpacked

    if path.suffix.lower() != ".zip" or not is_archive(path):
        return path
    return _ARCHIVES.enter_context(unpacked(path))


def _cases_at(
    path: Path, roles: tuple[str, ...] | None, allow_missing: bool, series: Mapping[str, str] | None
) -> tuple[list[Case], list[Problem]]:
    """Return the cases at one path, with absolute folders, and the problems that cost a case; others are told."""
    from training.cases.case import Problem
    from training.cases.find import case_from_file, case_from_folder, find_cases

    cases: list[Case] = []
    problems: list[Problem] = []
    try:
        if path.is_file():
            cases = [case_from_file(path, roles, allow_missing=allow_missing)]
        else:
            cases, problems = find_cases(path, allow_missing=allow_missing, order=roles, series=series)
            if not cases and not problems:
                cases = [case_from_folder(path, allow_missing=allow_missing, order=roles)]
    except InputError as error:
        if not path.exists():
            raise
        problems = [Problem(path, error.message, error.field)]
    for problem in problems:
        if not problem.lost:
            warn(f"{problem.path}: {problem.message}")
    kept = [problem for problem in problems if problem.lost]
    return [replace(case, folder=_absolute(case.folder or path)) for case in cases], kept


def _told_apart(roots: Sequence[tuple[Path, list[Case]]], patients: Path | None, split: bool) -> list[Case]:
    """Give the cases of several paths ids and patients that take all of them into account; each is kept once."""
    from training.cases.find import with_unique_ids
    from training.cases.patient_file import map_patients
    from training.cases.patients import doubts_message, with_patients

    folders = {root for root, _ in roots}
    for shared in ({root.parent for root in folders}, {root.parent.parent for root in folders}):
        if len(folders) > 1 and len(shared) == 1:  # "patient-1 patient-2", "anna/1 anna/2"
            roots = [(next(iter(shared)), [case for _, cases in roots for case in cases])]
            break
    cases, doubts = [], []
    for root, found in roots:
        read, doubtful = with_patients(found, root)
        cases += read
        doubts += doubtful
    by_files = {
        tuple((str(source.path.resolve()), source.channel) for source in case.sources.values()): case for case in cases
    }
    top = os.path.commonpath([str(case.folder) for case in by_files.values()])
    named = with_unique_ids(list(by_files.values()), Path(top))
    if patients is not None:
        named = map_patients(named, patients)
    elif split and doubts:
        warn(doubts_message(doubts))
    return named


def _tell_unused(cases: Iterable[Case]) -> None:
    """Print which images beside those of the cases were not used."""
    told = [case for case in cases if case.unused]
    for case in told[:_TOLD]:
        names = ", ".join(path.name for path in case.unused)
        err.print(f"{case.id}: not used: {names}", markup=False, soft_wrap=True)
    if len(told) > _TOLD:
        kinds = sorted({path.name.removeprefix(case.name) for case in told[_TOLD:] for path in case.unused})
        shown = ", ".join(kinds[:_TOLD]) + (" ..." if len(kinds) > _TOLD else "")
        err.print(f"{len(told) - _TOLD} more cases: not used: {shown}", markup=False, soft_wrap=True)


def _tell_notes(cases: Iterable[Case]) -> None:
    """Print which DICOM series is which modality, and why."""
    for case in cases:
        for note in case.notes:
            err.print(f"{case.id}: {note}", markup=False, soft_wrap=True)


def _tell_assumed_order(cases: Sequence[Case]) -> None:
    """Tell the order of the volumes of 4D files that nothing states."""
    from training.cases.case import DECATHLON_ORDER
    from training.cases.layouts import Search

    files = {source.path for case in cases for source in case.sources.values() if source.channel is not None}
    assumed = sorted(path.name for path in files if Search().order_of(path) is None)
    if assumed:
        shown = ", ".join(assumed[:3]) + (f" and {len(assumed) - 3} more" if len(assumed) > 3 else "")
        order = ",".join(DECATHLON_ORDER)
        err.print(f"{shown}: read in the order {order}, as nothing states it (--order).", markup=False, soft_wrap=True)
