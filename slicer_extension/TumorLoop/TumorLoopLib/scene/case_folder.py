"""Finding the four volumes of a case in a folder, by the names of its files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Union

from TumorLoopLib.i18n import _
from TumorLoopLib.scene.roles import ROLES, TITLES, duplicate_message, is_derived, role_of

PathLike = Union[str, "os.PathLike[str]"]

_ENDINGS = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
_NAMES_SHOWN = 6  # in a message
_DICOM_CHECKS = 20  # files opened to see whether a folder without images contains DICOM


def find_volumes(folder: PathLike) -> tuple[dict[str, Path], list[str]]:
    """Look for T1, T1 with contrast, T2 and FLAIR among the files of a folder, not below it.

    Hidden files (and the ``._`` files of macOS), segmentations and masks are ignored.

    Args:
        folder: A folder with NIfTI, NRRD or MetaImage files.

    Returns:
        The file of each role; and a sentence for each problem: a role without a file or with several, an empty file,
        an unusable folder.
    """
    folder = Path(folder)
    try:
        names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
        images = [folder / name for name in names if _is_image(name) and (folder / name).is_file()]
        empty = {image for image in images if image.stat().st_size == 0}
    except OSError as error:
        reason = error.strerror or str(error)
        return {}, [_("{folder} cannot be opened: {reason}.").format(folder=folder, reason=reason)]
    if not images:
        return {}, [_without_images(folder, names)]
    claims: dict[str, list[Path]] = {role: [] for role in ROLES}
    problems = []
    for image in images:
        role = role_of(image.name)
        if role is None:
            continue
        if image in empty:
            problems.append(_('The file "{name}" is empty. Copy it again.').format(name=image.name))
        else:
            claims[role].append(image)
    for role, files in claims.items():
        if len(files) > 1:
            problems.append(duplicate_message(role, [file.name for file in files]))
    missing = [TITLES[role] for role in ROLES if not claims[role]]
    if missing:
        problems.append(_missing(missing, images))
    return {role: files[0] for role, files in claims.items() if len(files) == 1}, problems


def _is_image(name: str) -> bool:
    return name.lower().endswith(_ENDINGS) and not is_derived(name)


def _missing(titles: Sequence[str], images: Sequence[Path]) -> str:
    return _(
        "Not found: {volumes}. The folder holds {files}; files are recognized by t1, t1ce, t2 and flair in their names."
    ).format(volumes=", ".join(titles), files=_listed([image.name for image in images]))


def _without_images(folder: Path, names: Sequence[str]) -> str:
    """Say what a folder contains instead of images."""
    folders = [name for name in names if (folder / name).is_dir()]
    if any(looks_like_dicom(folder / name) for name in names[:_DICOM_CHECKS]):
        return _(
            "{folder} holds DICOM files. Import them with Slicer's DICOM module, and choose the volumes there."
        ).format(folder=folder.name)
    if folders:
        return _("{folder} holds no image files, only folders: {folders}. Choose one of them.").format(
            folder=folder.name, folders=_listed(folders)
        )
    return _("{folder} holds no image files: NIfTI, NRRD and MetaImage can be loaded.").format(folder=folder.name)


def looks_like_dicom(path: Path) -> bool:
    """Recognize a DICOM file by its magic number, since its name may be anything."""
    if not path.is_file():
        return False
    try:
        with open(path, "rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_NAMES_SHOWN])
    more = len(names) - _NAMES_SHOWN
    return _("{names} and {count} more").format(names=shown, count=more) if more > 0 else shown
