"""Finding cases in a folder tree, in the layouts of public data sets.

A folder with one image per modality is a case, named after the folder. A folder with several sets of four images
(``a_t1.nii, a_t2.nii ... b_t1.nii ...``) holds one case per common name. A file without a modality in its name is a
case if it holds four volumes. One folder per modality, and the numbered channels of nnU-Net (with a stated order), are
found as well. A DICOM study is a case, however its files lie. Whatever looks like a case but is unusable is reported.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from training.cases.case import Case, Problem, case_from_4d, case_from_files
from training.cases.dicom_studies import case_from_dicom, dicom_cases
from training.cases.files import common_name, is_label, is_mask, only_label, visible_images
from training.cases.label_peers import with_peers
from training.cases.layouts import Search, cases_in, channels_of, with_files
from training.cases.modality_folders import cases_of, modality_folders
from training.cases.names import slug, stem_of
from training.cases.patients import with_patients
from training.cases.visits import is_transparent, is_visit, may_be_visit
from training.dicom.scan import dicom_in, holds_dicom
from training.errors import InputError
from training.modalities import role_of

_OUTSIDE = "This link leads out of the studies folder, so it was not followed. Copy the files, or set follow_links."


def find_cases(
    root: Path | str,
    *,
    allow_missing: bool = False,
    follow_external_links: bool = True,
    order: Sequence[str] | None = None,
    label_scheme: str | None = None,
    series: Mapping[str, str | int] | None = None,
) -> tuple[list[Case], list[Problem]]:
    """Find all cases below a folder.

    Args:
        root: Searched at any depth; hidden files and folders are skipped, links are followed.
        allow_missing: Accept cases with missing modalities.
        follow_external_links: Also follow links that lead out of ``root``; otherwise they are reported as problems, and
            nothing above ``root`` tells the label scheme.
        order: Modalities of 4D files and of numbered channels; default is what a ``dataset.json`` says, and for 4D
            files the Decathlon's.
        label_scheme: The scheme of the labels (:mod:`training.cases.label_files`); ``None`` to recognize it.
        series: For a DICOM study, modality to series number, where that is not recognized.

    Returns:
        The cases, sorted by id, with unique ids and the patients as :mod:`training.cases.patients` reads them; and
        unusable cases.

    Raises:
        InputError: If ``root`` is not a folder.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(f"{root} is not a folder.", field="studies")
    outside = _ExternalLinks(None if follow_external_links else root)
    search = Search(
        allow_missing, None if order is None else tuple(order), None if follow_external_links else root, outside
    )
    listing = {
        folder: [file for file in visible_images(folder) if not outside(file)] for folder in _folders(root, outside)
    }
    cases: list[Case] = []
    problems: list[Problem] = []
    done: set[Path] = set()
    for group in modality_folders(listing):
        found = cases_of(group, listing, search)
        done |= {group.folder, *group.folders}
        cases, problems = cases + found.cases, problems + found.problems
    for folder, files in listing.items():
        if folder not in done:
            found = cases_in(folder, files, search)
            cases, problems = cases + found.cases, problems + found.problems
    studies, unusable = _dicom_studies(listing, outside, cases, allow_missing, series)
    cases, problems = cases + studies, problems + unusable
    complete = {case.folder for case in cases if case.folder is not None and case.folder.name == case.name}
    problems = [
        replace(problem, lost=problem.lost and complete.isdisjoint(problem.path.parents)) for problem in problems
    ]
    read = {*done, *(problem.path for problem in problems), *(case.folder for case in cases)}
    labels = [file for folder in listing if folder not in read for file in listing[folder] if is_label(file.name)]
    cases, orphans = _with_labels_elsewhere(cases, labels)
    if orphans:
        problems.append(Problem(root, _listed("Segmentations that belong to no case", orphans), "label", lost=False))
    problems += [Problem(path, _OUTSIDE) for path in outside.found]
    cases = with_peers(cases, root=None if follow_external_links else root, label_scheme=label_scheme)
    return with_unique_ids(with_patients(cases, root)[0], root), problems


def _dicom_studies(
    folders: Iterable[Path],
    outside: Callable[[Path], bool],
    cases: Sequence[Case],
    allow_missing: bool,
    series: Mapping[str, str | int] | None,
) -> tuple[list[Case], list[Problem]]:
    """Return the DICOM studies below a folder; those beside or below the volumes of a case are told and left alone."""
    taken = {case.folder for case in cases}
    files: list[Path] = []
    beside: dict[Path, Path] = {}
    for folder in folders:
        found = dicom_in(folder, outside=outside)
        cases_above = [above for above in (folder, *folder.parents) if above in taken] if found else []
        if cases_above:
            beside.setdefault(cases_above[0], folder)
        else:
            files += found
    studies, problems = dicom_cases(files, roles=series, allow_missing=allow_missing)
    for case, folder in sorted(beside.items()):
        message = (
            f"DICOM files beside the volumes of this case were not used ({folder}). To use them, move them elsewhere."
        )
        problems.append(Problem(case, message, lost=False))
    return studies, problems


class _ExternalLinks:
    """Detects links that lead out of a folder, and records them.

    Args:
        root: The folder; ``None`` to follow all links.
    """

    def __init__(self, root: Path | None) -> None:
        self._root = None if root is None else root.resolve()
        self.found: list[Path] = []

    def __call__(self, path: Path) -> bool:
        if self._root is None or path.resolve().is_relative_to(self._root):
            return False
        self.found.append(path)
        return True


def _folders(root: Path, outside: Callable[[Path], bool]) -> Iterator[Path]:
    """Walk the visible folders, each once even if links form cycles; external ones are skipped."""
    seen: set[str] = set()
    for current, names, _ in os.walk(root, followlinks=True):
        real = os.path.realpath(current)
        if real in seen:
            names.clear()
            continue
        seen.add(real)
        siblings = set(names)
        shown = sorted(name for name in names if not name.startswith(".") and not _holds_labels(name, siblings))
        names[:] = [name for name in shown if not outside(Path(current, name))]
        yield Path(current)


def _holds_labels(name: str, siblings: set[str]) -> bool:
    """Return whether a folder holds the labels of a Decathlon data set (``labelsTr`` beside ``imagesTr``)."""
    return name.startswith("labels") and name.replace("labels", "images", 1) in siblings


def _with_labels_elsewhere(cases: Sequence[Case], labels: Sequence[Path]) -> tuple[list[Case], list[Path]]:
    """Add labels in a folder of their own that have the name of their case (UPENN-GBM); return the others, too."""
    orphans: dict[str, list[Path]] = defaultdict(list)
    for file in labels:
        orphans[common_name(file)].append(file)
    by_name: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        by_name[case.name].append(case)
    found = []
    for case in cases:
        if case.label is None and len(orphans.get(case.name, [])) == 1 and len(by_name[case.name]) == 1:
            case = replace(case, label=orphans.pop(case.name)[0])
        found.append(case)
    return found, [file for files in orphans.values() for file in files]


def _listed(what: str, files: Sequence[Path]) -> str:
    shown = ", ".join(f"{file.parent.name}/{file.name}" for file in files[:5])
    return f"{what}: {shown}{f' and {len(files) - 5} more' if len(files) > 5 else ''}."


def with_unique_ids(cases: Sequence[Case], root: Path) -> list[Case]:
    """Return the cases, sorted, with ids that say which case it is, independent of the order.

    A case that is only named after a visit gets the patient's name as well; the ids of cases that share one are derived
    from their paths below ``root``.
    """
    by_id: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        by_id[_id_with_patient(case)].append(case)
    unique = []
    for name, same in by_id.items():
        for case in same:
            if len(same) > 1:
                where = (case.folder or root).relative_to(root).as_posix().replace("/", "-")
                name = slug(where if where.endswith(case.id) else f"{where}-{case.id}")
            unique.append(replace(case, id=name))
    return sorted(unique, key=lambda case: case.id)


def _id_with_patient(case: Case) -> str:
    says_nothing = is_visit(case.id) or may_be_visit(case.id) or is_transparent(case.id)
    if not says_nothing or case.patient.lower().endswith(case.id.lower()):
        return case.id
    return slug(f"{case.patient}-{case.id}")


def case_from_folder(
    folder: Path | str, *, id: str | None = None, allow_missing: bool = False, order: Sequence[str] | None = None
) -> Case:
    """Make a case of the images in one folder: four files, or one 4D file, and optionally a label.

    Args:
        folder: The folder; subfolders and hidden files are ignored, unless it holds a DICOM study and no volumes.
        id: Default is the name of the folder as a slug.
        allow_missing: Accept missing modalities (at least one is needed).
        order: As for :func:`find_cases`.

    Raises:
        InputError: If a modality is missing (and not allowed to be) or has two files; names the files.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder.", field="image")
    files = visible_images(folder)
    if not files and holds_dicom(folder):
        return case_from_dicom(folder, id=id, allow_missing=allow_missing)
    name = id or slug(folder.resolve().name)
    search = Search(allow_missing, None if order is None else tuple(order))
    images = [file for file in files if not is_mask(file.name)]
    try:
        label = only_label(images)
        images = [file for file in images if file != label]
        if not any(role_of(file.name) for file in images):
            several = [file for file in images if channels_of(file) > 1]
            if len(several) == 1:
                case = case_from_4d(several[0], search.order_of(several[0]), id=name, label=label)
                return with_files(case, folder.resolve().name, files)
            found = cases_in(folder, files, search)
            if len(found.cases) == 1:
                return replace(found.cases[0], id=name)
            for problem in found.problems:
                if problem.field == "order":
                    raise InputError(problem.message, field="order")
        case = case_from_files(images, id=name, label=label, folder=folder, allow_missing=allow_missing)
        return with_files(case, folder.resolve().name, files)
    except InputError as error:
        raise InputError(f"{folder}: {error.message}", field=error.field) from error


def case_from_file(path: Path | str, order: Sequence[str] | None = None, *, allow_missing: bool = False) -> Case:
    """Make a case of one 4D file, in the order given, that of its ``dataset.json``, or the Decathlon's.

    Raises:
        InputError: As :func:`training.cases.case.case_from_4d`, or if the ``dataset.json`` cannot be used.
    """
    path = Path(path)
    named = Search(order=None if order is None else tuple(order)).order_of(path)
    case = case_from_4d(path, named, allow_missing=allow_missing)
    return replace(case, folder=path.parent, name=stem_of(path))
