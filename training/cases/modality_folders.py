"""Cases with one folder per modality: ``case/T1/x.nii``, ``case/FLAIR/x.nii`` (BraTS 2013 to 2015, EGD).

The folder says the modality. Each folder holds one file of one case, or one file of every case.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from training.cases.case import Case, Problem, Source
from training.cases.files import is_label, is_mask, only_label, set_name, several_labels
from training.cases.layouts import Found, Search, with_files
from training.cases.names import slug
from training.cases.visits import is_generic, is_transparent
from training.errors import InputError
from training.modalities import ROLES, TITLES, missing_message, recognized, role_of

_LABEL = "label"


@dataclass
class ModalityFolders:
    """A folder whose files lie in one folder per modality.

    Attributes:
        folder: The folder above.
        folders: Those of the modalities and the label, and their role (``"label"`` for that of the label).
        own: Image files directly in ``folder``.
    """

    folder: Path
    folders: dict[Path, str] = field(default_factory=dict)
    own: list[Path] = field(default_factory=list)


def modality_folders(listing: Mapping[Path, Sequence[Path]]) -> list[ModalityFolders]:
    """Find the folders of which every one holds one modality, by their names.

    Args:
        listing: The image files of each folder.
    """
    grouped: dict[Path, ModalityFolders] = {}
    for folder, files in listing.items():
        named = folder.parent if is_transparent(folder.name) else folder
        role = _LABEL if is_label(f"{named.name}.nii") else role_of(named.name)
        images = [file for file in files if not is_mask(file.name) and not is_label(file.name)]
        if role is None or not files or len(set(recognized(file.name for file in images).values())) > 1:
            continue
        group = grouped.setdefault(named.parent, ModalityFolders(named.parent, own=list(listing.get(named.parent, ()))))
        group.folders[folder] = role
    return [group for group in grouped.values() if _is_case(group)]


def _is_case(group: ModalityFolders) -> bool:
    """Return whether the folders are those of several modalities, or that of the label of a complete case."""
    own = set(recognized(file.name for file in group.own).values())
    of_folders = set(group.folders.values()) - {_LABEL}
    if own == set(ROLES):
        group.folders = {folder: role for folder, role in group.folders.items() if role == _LABEL}
        return bool(group.folders) and not any(is_label(file.name) for file in group.own)
    return len(own | of_folders) > 1 and bool(of_folders)


def cases_of(group: ModalityFolders, listing: Mapping[Path, Sequence[Path]], search: Search) -> Found:
    """Make the cases of a folder with one folder per modality.

    Args:
        group: The folder.
        listing: The image files of each folder.
        search: What is asked for.
    """
    found = Found()
    roles: dict[Path, str] = {}
    files = [*group.own, *(file for folder in group.folders for file in listing[folder])]
    for name, role in recognized(file.name for file in group.own if not is_label(file.name)).items():
        roles[group.folder / name] = role
    roles |= {file: _LABEL for file in group.own if is_label(file.name)}
    for folder, role in group.folders.items():
        for file in listing[folder]:
            own = _LABEL if is_label(file.name) else role_of(file.name)
            if role != _LABEL and is_mask(file.name):
                continue
            if own not in (None, role, _LABEL) and role != _LABEL:
                said = f"the folder says {TITLES[role]}, the file {TITLES[str(own)]}"
                found.problems.append(Problem(folder, f"{folder.name}/{file.name}: {said}. Rename one.", role))
                continue
            roles[file] = _LABEL if own == _LABEL else role
    sets = _by_case(roles)
    for name, members in sorted(sets.items()):
        _add(found, group.folder, name, members, files if len(sets) == 1 else list(members), search)
    return found


def _by_case(roles: Mapping[Path, str]) -> dict[str, dict[Path, str]]:
    """Group the files by case, by what their names have in common; one group if no modality has two files."""
    images = [role for role in roles.values() if role != _LABEL]
    if len(images) == len(set(images)):
        return {"": dict(roles)}
    sets: dict[str, dict[Path, str]] = defaultdict(dict)
    for file, role in roles.items():
        sets[set_name(file)][file] = role
    return dict(sets)


def _add(
    found: Found, folder: Path, name: str, roles: Mapping[Path, str], files: Sequence[Path], search: Search
) -> None:
    where = folder / name if name else folder
    try:
        sources: dict[str, Source] = {}
        for file, role in roles.items():
            if role != _LABEL and role in sources:
                both = f"{sources[role].path.relative_to(folder)} and {file.relative_to(folder)}"
                raise InputError(f"{both} both are {TITLES[role]}. Keep one.", field=role)
            if role != _LABEL:
                sources[role] = Source(file)
        _refuse_two_patients(folder, [source.path for source in sources.values()])
        missing = [role for role in ROLES if role not in sources]
        if missing and not (search.allow_missing and sources):
            raise InputError(
                missing_message(missing, [str(file.relative_to(folder)) for file in files]), field=missing[0]
            )
        label = _label([file for file, role in roles.items() if role == _LABEL], found, where)
        shown = name or folder.resolve().name
        case = Case(slug(shown), sources, label, folder=folder, allow_missing=search.allow_missing)
        found.cases.append(with_files(case, shown, files))
    except InputError as error:
        found.fail(where, error)


def _label(labels: Sequence[Path], found: Found, where: Path) -> Path | None:
    if len(labels) < 2:
        return labels[0] if labels else None
    try:
        label = only_label(labels)
        if label is not None:
            return label
        raise several_labels(labels)
    except InputError as error:
        found.fail(where, error, lost=False)
        return None


def _refuse_two_patients(folder: Path, files: Sequence[Path]) -> None:
    """Refuse files whose names point to different patients: ``T1/anna.nii`` and ``T2/bob.nii``."""
    names = [_identity(folder, file) for file in files]
    folders = [_folder_identity(folder, file) for file in files]
    if len({name for name in names if name}) > 1 or (all(folders) and len(set(folders)) > 1):
        listed = " and ".join(str(file.relative_to(folder)) for file in files)
        raise InputError(
            f"{listed} may be of different patients: their names have nothing in common. Put the files of one case "
            "into one folder, or name them alike."
        )


def _folder_identity(folder: Path, file: Path) -> tuple[str, ...]:
    """Return the words of a modality's folder that may identify a patient: "T1_anna"; not numbers of series."""
    name = file.relative_to(folder).parts[0] if file.parent != folder else ""
    words = re.findall(r"[A-Za-z0-9]+", set_name(Path(f"{name}.nii")))
    return tuple(word.lower() for word in words if not re.fullmatch(r"(?:series|scan|s|se)?\d*", word, re.IGNORECASE))


def _identity(folder: Path, file: Path) -> tuple[str, ...]:
    """Return the words of a name that identify a patient, without the number of the image.

    It has four digits or more, or is in the name of the modality's folder as well ("3_AX_T1/3_AX_T1.nii").
    """
    above = set(re.findall(r"[A-Za-z0-9]+", "/".join(file.parent.relative_to(folder).parts)))
    words = [word for word in re.findall(r"[A-Za-z0-9]+", set_name(file)) if not (word.isdigit() and word in above)]
    words = [word.lower() for word in words]
    kept = [word for word in words if not word.isdigit()]
    generic = all(is_generic(word) or len(word) < 3 for word in kept)
    return tuple(kept) if not generic else tuple(word for word in words if not (word.isdigit() and len(word) > 3))
