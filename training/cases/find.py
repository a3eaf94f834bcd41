"""Finding cases in a folder tree, in the layouts of all BraTS years.

A folder with one image per modality is a case, named after the folder. A folder with several sets of four images
(``a_t1.nii, a_t2.nii ... b_t1.nii ...``) holds one case per common name. A file without a modality in its name is a
case if it holds four volumes. Whatever looks like a case but is unusable is reported.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from training.cases.case import Case, Problem, case_from_4d, case_from_files
from training.cases.names import slug, stem_of
from training.errors import InputError
from training.images.read import count_channels, image_ending
from training.modalities import ROLES, role_of, roles_of, words_of

_LABEL_WORDS = {"seg", "segm", "segmentation", "label", "labels", "labelmap", "truth", "groundtruth", "gt"}
_LABEL_WORDS |= {"glistrboost", "manuallycorrected"}  # names of the BraTS labels of TCGA
_MASK_WORDS = {"mask", "brainmask", "masks"}
_OUTSIDE = "This link leads out of the studies folder, so it was not followed. Copy the files, or set follow_links."


def find_cases(
    root: Path | str, *, allow_missing: bool = False, follow_external_links: bool = True
) -> tuple[list[Case], list[Problem]]:
    """Find all cases below a folder.

    Args:
        root: Searched at any depth; hidden files and folders are skipped, links are followed.
        allow_missing: Accept cases with missing modalities.
        follow_external_links: Also follow links that lead out of ``root``; otherwise they are reported as problems.

    Returns:
        The cases, sorted by id, with unique ids; and unusable cases.

    Raises:
        InputError: If ``root`` is not a folder.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(f"{root} is not a folder.", field="studies")
    cases: list[Case] = []
    problems: list[Problem] = []
    outside = _ExternalLinks(None if follow_external_links else root)
    for folder in _folders(root, outside):
        found, wrong = _cases_in(folder, allow_missing, outside)
        cases += found
        problems += wrong
    problems += [Problem(path, _OUTSIDE) for path in outside.found]
    return _with_unique_ids(cases, root), problems


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


def visible_images(folder: Path) -> list[Path]:
    """Return the image files of a folder, sorted, without hidden ones (``._t1.nii.gz`` of macOS among them)."""
    try:
        entries = sorted(os.listdir(folder))
    except OSError:
        return []
    files = [folder / name for name in entries if not name.startswith(".") and image_ending(name)]
    return [file for file in files if file.is_file()]


def candidate_images(folder: Path) -> list[Path]:
    """Return the visible images of a folder that are not masks of the brain (``t1_brain_mask.nii.gz``)."""
    return [file for file in visible_images(folder) if not set(words_of(file.name)) & _MASK_WORDS]


def is_label(name: str) -> bool:
    """Return whether a file name indicates a tumor segmentation."""
    words = set(words_of(name))
    return bool(words & _LABEL_WORDS) or name.lower().endswith(".seg.nrrd")


def only_label(files: Iterable[Path]) -> Path | None:
    """Return the single label among files, ``None`` if there is none.

    Raises:
        InputError: If there are several and none of them is a manual correction.
    """
    labels = [file for file in files if is_label(file.name)]
    if len(labels) > 1:
        corrected = [file for file in labels if "manuallycorrected" in words_of(file.name)]
        if len(corrected) == 1:
            return corrected[0]
        names = ", ".join(file.name for file in labels)
        raise InputError(f"Several files look like the label: {names}. Keep one.", field="label")
    return labels[0] if labels else None


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


def _cases_in(folder: Path, allow_missing: bool, outside: Callable[[Path], bool]) -> tuple[list[Case], list[Problem]]:
    files = [file for file in candidate_images(folder) if not outside(file)]
    labels = [file for file in files if is_label(file.name)]
    images = [file for file in files if file not in labels]
    with_role = [file for file in images if role_of(file.name)]
    if with_role:
        sets = _sets_by_common_name(with_role)
        if sets:
            return _cases_of_sets(folder, sets, labels, allow_missing)
        return _case_of_folder(folder, with_role, labels, allow_missing)
    return _cases_of_4d(folder, images, outside)


def _case_of_folder(
    folder: Path, images: list[Path], labels: list[Path], allow_missing: bool
) -> tuple[list[Case], list[Problem]]:
    problems = []
    label = None
    try:
        label = only_label(labels)
    except InputError as error:
        problems.append(Problem(folder, error.message))
    try:
        name = slug(folder.resolve().name)
        case = case_from_files(images, id=name, label=label, folder=folder, allow_missing=allow_missing)
        return [case], problems
    except InputError as error:
        return [], [*problems, Problem(folder, error.message)]


def _sets_by_common_name(images: list[Path]) -> dict[str, list[Path]]:
    """Group files by their common names; empty unless two groups are complete."""
    groups: dict[str, list[Path]] = defaultdict(list)
    for file in images:
        groups[common_name(file)].append(file)
    complete = 0
    for group in groups.values():
        claimed = {role_of(file.name) for file in group}
        complete += claimed == set(ROLES)
    return dict(groups) if complete > 1 else {}


def _cases_of_sets(
    folder: Path, sets: dict[str, list[Path]], labels: list[Path], allow_missing: bool
) -> tuple[list[Case], list[Problem]]:
    cases, problems = [], []
    for name, images in sorted(sets.items()):
        try:
            label = only_label(file for file in labels if common_name(file) == name)
            case_id = slug(name or folder.resolve().name)
            case = case_from_files(images, id=case_id, label=label, folder=folder, allow_missing=allow_missing)
            cases.append(case)
        except InputError as error:
            problems.append(Problem(folder / (name or "."), error.message))
    return cases, problems


def _cases_of_4d(folder: Path, images: list[Path], outside: Callable[[Path], bool]) -> tuple[list[Case], list[Problem]]:
    cases: list[Case] = []
    problems: list[Problem] = []
    loose: list[str] = []
    for file in images:
        try:
            if count_channels(file) == 1:
                loose.append(file.name)
                continue
            label = _label_of_4d(file)
            case = case_from_4d(file, label=label if label is None or not outside(label) else None)
            cases.append(replace(case, folder=folder))
        except InputError as error:
            problems.append(Problem(file, error.message))
    if loose and not cases:
        try:
            roles_of(loose)
        except InputError as error:
            problems.append(Problem(folder, error.message))
    return cases, problems


def _label_of_4d(file: Path) -> Path | None:
    """Return ``labelsTr/<name>`` for ``imagesTr/<name>``, or ``<name>_seg`` beside the file."""
    parent = file.parent
    if parent.name.startswith("images"):
        candidate = parent.with_name(parent.name.replace("images", "labels", 1)) / file.name
        if candidate.is_file():
            return candidate
    beside = [other for other in visible_images(parent) if is_label(other.name) and common_name(other) == stem_of(file)]
    return beside[0] if len(beside) == 1 else None


def common_name(file: Path) -> str:
    """Return the stem of a file without the words for its modality or for a label.

    Examples:
        >>> common_name(Path("BraTS20_Training_001_t1ce.nii.gz")), common_name(Path("t2.nii"))
        ('BraTS20_Training_001', '')
    """
    parts = re.split(r"([^A-Za-z0-9]+)", stem_of(file))
    kept = list(parts)
    for position in range(0, len(parts), 2):
        word = parts[position].lower()
        if word in _LABEL_WORDS or (word and role_of(word)):
            kept[position] = ""
    return re.sub(r"[^A-Za-z0-9]+$|^[^A-Za-z0-9]+", "", "".join(kept))


def _with_unique_ids(cases: list[Case], root: Path) -> list[Case]:
    """Derive the ids of cases that share one from their paths below ``root``, independent of the order."""
    by_id: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        by_id[case.id].append(case)
    unique = []
    for same in by_id.values():
        for case in same:
            if len(same) > 1:
                where = (case.folder or root).relative_to(root).as_posix().replace("/", "-")
                name = where if where.endswith(case.id) else f"{where}-{case.id}"
                case = replace(case, id=slug(name))
            unique.append(case)
    return sorted(unique, key=lambda case: case.id)


def case_from_folder(folder: Path | str, *, id: str | None = None, allow_missing: bool = False) -> Case:
    """Make a case of the images in one folder: four files, or one 4D file, and optionally a label.

    Args:
        folder: The folder; subfolders and hidden files are ignored.
        id: Default is the name of the folder as a slug.
        allow_missing: Accept missing modalities (at least one is needed).

    Raises:
        InputError: If a modality is missing (and not allowed to be) or has two files; names the files.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder.", field="image")
    name = id or slug(folder.resolve().name)
    files = candidate_images(folder)
    try:
        label = only_label(files)
        images = [file for file in files if file != label]
        if not any(role_of(file.name) for file in images):
            several = [file for file in images if _channels(file) > 1]
            if len(several) == 1:
                return case_from_4d(several[0], id=name, label=label)
        return case_from_files(images, id=name, label=label, folder=folder, allow_missing=allow_missing)
    except InputError as error:
        raise InputError(f"{folder}: {error.message}", field=error.field) from error


def _channels(path: Path) -> int:
    try:
        return count_channels(path)
    except InputError:
        return 0
