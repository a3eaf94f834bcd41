"""The cases of one folder: one image per modality, several sets of them, numbered channels, or 4D files."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from training.cases.case import (
    Case,
    Problem,
    Source,
    case_from_4d,
    case_from_files,
    check_order,
    roles_in_order,
)
from training.cases.dataset_json import find_dataset_json
from training.cases.files import common_name, is_label, is_mask, only_label, set_name, visible_images
from training.cases.names import slug, stem_of
from training.errors import InputError
from training.images.read import count_channels
from training.modalities import ROLES, missing_message, recognized, role_of, roles_of

_CHANNEL = re.compile(r"(?P<case>.+)_(?P<number>\d{4})")
#: Keys of the sets of files in one folder.
_Key = Callable[[Path], str]


@dataclass(frozen=True)
class Search:
    """What a search for cases was asked for.

    Attributes:
        allow_missing: Accept cases with missing modalities.
        order: Modalities of the volumes of 4D files and of numbered channels; ``None`` if nobody said.
        root: Folder above which no file is read; ``None`` for no limit.
        outside: Whether a path leads out of the folder that is searched.
    """

    allow_missing: bool = False
    order: tuple[str, ...] | None = None
    root: Path | None = None
    outside: Callable[[Path], bool] = lambda path: False

    def order_of(self, path: Path) -> tuple[str, ...] | None:
        """Return the order that was asked for, or the one that a ``dataset.json`` names for a file; ``None`` if none.

        Raises:
            InputError: If the ``dataset.json`` cannot be used.
        """
        if self.order is not None:
            return self.order
        described = find_dataset_json(path, root=self.root)
        return described.channels or None if described is not None else None


@dataclass
class Found:
    """Cases, and what could not be used."""

    cases: list[Case] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def fail(self, path: Path, error: InputError, *, lost: bool = True) -> None:
        """Report a case that cannot be used."""
        self.problems.append(Problem(path, error.message, error.field, lost))


def cases_in(folder: Path, files: Sequence[Path], search: Search) -> Found:
    """Find the cases among the files of one folder.

    Args:
        folder: The folder.
        files: Its image files, masks included.
        search: What is asked for.
    """
    labels = [file for file in files if is_label(file.name)]
    others = set(files) - set(labels)
    images = [file for file in files if file in others and not is_mask(file.name)]
    found = Found()
    if any(role_of(file.name) for file in images) or _roles(images):
        sets = _sets(images)
        if sets is not None:
            _add_sets(found, folder, *sets, files, search)
        else:
            _add_folder(found, folder, images, labels, files, search)
        return found
    numbered = _numbered(images)
    if numbered:
        _add_numbered(found, folder, numbered, search)
        in_groups = {file for group in numbered.values() for file in group.values()}
        images = [file for file in images if file not in in_groups]
    _add_4d(found, folder, images, search)
    return found


def _roles(files: Sequence[Path]) -> set[str]:
    return set(recognized(file.name for file in files).values())


def _add_folder(
    found: Found, folder: Path, images: Sequence[Path], labels: Sequence[Path], files: Sequence[Path], search: Search
) -> None:
    label = None
    try:
        label = only_label(labels)
    except InputError as error:
        found.fail(folder, error, lost=False)
    try:
        name = folder.resolve().name
        case = case_from_files(images, id=slug(name), label=label, folder=folder, allow_missing=search.allow_missing)
        found.cases.append(with_files(case, name, files))
    except InputError as error:
        found.fail(folder, error)


def with_files(case: Case, name: str, files: Sequence[Path]) -> Case:
    """Add to a case its name, and which of the files beside it were not used."""
    used = {source.path for source in case.sources.values()} | {case.label}
    return replace(case, name=name, unused=tuple(file for file in files if file not in used))


def _sets(images: Sequence[Path]) -> tuple[_Key, dict[str, list[Path]]] | None:
    """Group the files of one folder by case; ``None`` if they are those of one case."""
    if len(images) < len(ROLES) + 2:
        return None
    for key in (common_name, set_name):
        groups: dict[str, list[Path]] = defaultdict(list)
        for file in images:
            groups[key(file)].append(file)
        roles = {name: found for name, group in groups.items() if (found := _roles(group))}
        complete = tuple(name for name, found in roles.items() if found == set(ROLES))
        others = [name for name, found in roles.items() if len(found) > 1 and not name.startswith(complete)]
        if len(complete) > 1 or (complete and others):
            return key, {name: groups[name] for name in roles}
    return None


def _add_sets(
    found: Found, folder: Path, key: _Key, sets: Mapping[str, list[Path]], files: Sequence[Path], search: Search
) -> None:
    in_sets = {file for group in sets.values() for file in group}
    beside: dict[str, list[Path]] = defaultdict(list)
    strange: list[Path] = []
    for file in files:
        if file not in in_sets:
            name = key(file)
            name = name if name in sets else _longest_start(file.name, sets)
            (beside[name] if name in sets else strange).append(file)
    for name, images in sorted(sets.items()):
        try:
            label = only_label(file for file in beside[name] if key(file) == name)
            shown = name or folder.resolve().name
            case = case_from_files(
                images, id=slug(shown), label=label, folder=folder, allow_missing=search.allow_missing
            )
            found.cases.append(with_files(case, shown, sorted([*images, *beside[name]])))
        except InputError as error:
            found.fail(folder / (name or "."), error)
    if strange:
        names = ", ".join(file.name for file in strange)
        found.problems.append(Problem(folder, f"Not used, as no modality is recognized: {names}.", lost=False))


def _longest_start(name: str, sets: Mapping[str, list[Path]]) -> str:
    """Return the name of a set that a file's name starts with, or an empty text."""
    starts = (name[:end] for end in range(len(name), 0, -1) if not name[end - 1 : end + 1].isalnum())
    return next((start for start in starts if start in sets), "")


def _numbered(images: Sequence[Path]) -> dict[str, dict[int, Path]]:
    """Group ``CASE_0000``, ``CASE_0001`` ... (nnU-Net's channels) by case."""
    groups: dict[str, dict[int, Path]] = defaultdict(dict)
    for file in images:
        match = _CHANNEL.fullmatch(stem_of(file))
        if match:
            groups[match["case"]][int(match["number"])] = file
    complete = {name: group for name, group in groups.items() if len(group) > 1 and min(group) == 0}
    first = next((group[0] for group in complete.values()), None)
    if first is None or channels_of(first) > 1:  # 4D files of numbered cases
        return {}
    return complete


def _add_numbered(found: Found, folder: Path, groups: Mapping[str, Mapping[int, Path]], search: Search) -> None:
    try:
        order = _numbered_order(folder, groups, search)
    except InputError as error:
        found.fail(folder, error)
        return
    for name, group in sorted(groups.items()):
        try:
            sources = {
                role: Source(group[number]) for number, role in enumerate(order) if role in ROLES and number in group
            }
            if missing := [role for role in ROLES if role not in sources and not search.allow_missing]:
                raise InputError(missing_message(missing, [file.name for file in group.values()]), field=missing[0])
            label = _label_of(folder / f"{name}{_ending(group[0])}", search)
            case = Case(slug(name), sources, label, folder=folder, allow_missing=search.allow_missing)
            found.cases.append(with_files(case, name, sorted(group.values())))
        except InputError as error:
            found.fail(folder / name, error)


def _numbered_order(folder: Path, groups: Mapping[str, Mapping[int, Path]], search: Search) -> tuple[str, ...]:
    """Return the stated roles of numbered channels.

    Raises:
        InputError: If nobody states them, or not those of every file.
    """
    _, group = min(groups.items())
    files = ", ".join(file.name for _, file in sorted(group.items()))
    named = search.order_of(folder)
    if named is None:
        raise InputError(
            f"{files}: these are numbered channels (nnU-Net), and the numbers do not say which modality each is. State "
            "the order: --order t1,t1ce,t2,flair (over HTTP: order), or a dataset.json beside the folder with "
            '"channel_names": {"0": "T1", "1": "T1ce", "2": "T2", "3": "FLAIR"}.',
            field="order",
        )
    order = roles_in_order(named)
    most = max(max(group) for group in groups.values()) + 1
    if most != len(order):
        raise InputError(
            f"There are {most} numbered channels, but the order names {len(order)}: {', '.join(named)}.", field="order"
        )
    check_order(order, files, named, allow_missing=search.allow_missing)
    return order


def _ending(file: Path) -> str:
    return file.name[len(stem_of(file)) :]


def channels_of(path: Path) -> int:
    """Return the number of volumes in a file, 0 if it cannot be read."""
    try:
        return count_channels(path)
    except InputError:
        return 0


def _add_4d(found: Found, folder: Path, images: Sequence[Path], search: Search) -> None:
    loose: list[str] = []
    for file in images:
        try:
            if count_channels(file) == 1:
                loose.append(file.name)
                continue
            case = case_from_4d(
                file, search.order_of(file), label=_label_of(file, search), allow_missing=search.allow_missing
            )
            found.cases.append(replace(case, folder=folder, name=stem_of(file)))
        except InputError as error:
            found.fail(file, error)
    if loose and not found.cases and not found.problems:
        try:
            roles_of(loose)
        except InputError as error:
            found.fail(folder, error)
    elif loose:
        message = f"Not used, as no modality is recognized: {', '.join(loose)}."
        found.problems.append(Problem(folder, message, lost=False))


def _label_of(file: Path, search: Search) -> Path | None:
    """Return ``labelsTr/<name>`` for ``imagesTr/<name>``, or ``<name>_seg`` beside the file."""
    parent = file.parent
    label = None
    if parent.name.startswith("images"):
        folder = parent.with_name(parent.name.replace("images", "labels", 1))
        label = next((other for other in visible_images(folder) if stem_of(other) == stem_of(file)), None)
    if label is None:
        beside = [
            other for other in visible_images(parent) if is_label(other.name) and common_name(other) == stem_of(file)
        ]
        label = beside[0] if len(beside) == 1 else None
    return None if label is None or search.outside(label) else label
