"""The bundled models: the versions that come with TumorLoop, and which of them is used if nobody chose one.

Layout::

    bundled/default.txt                     the id of the default, such as v0000
    bundled/v0000/{weights.npz, card.json}
    bundled/v0001/...
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from training.errors import InputError
from training.models import BUNDLED_MODELS

#: The bundled version that every release has had; a single folder given instead of the bundled models gets its id.
BUNDLED_ID = "v0000"
DEFAULT_FILE = "default.txt"
_ID = re.compile(r"v\d{4,}")


@dataclass(frozen=True)
class Bundle:
    """Versions that a model store offers besides its own.

    Attributes:
        folders: Their folders by id.
        initial: The id of the one that is current until a version is promoted; empty if there is none.
        chosen: Whether somebody chose that one; otherwise it is the default, which may change with a release.
    """

    folders: dict[str, Path] = field(default_factory=dict)
    initial: str = ""
    chosen: bool = False


def is_version_id(name: str) -> bool:
    """Return whether a name is that of a version: ``v`` and at least four digits.

    Examples:
        >>> is_version_id("v0001"), is_version_id("./v0001")
        (True, False)
    """
    return _ID.fullmatch(name) is not None


def read_bundle(folder: Path | None) -> Bundle:
    """Return the versions that a folder stands for.

    Args:
        folder: The folder of the bundled models: all of them, the default first in use. One of its versions: all of
            them, that one first in use. Any other version's folder: that one alone, as ``v0000``. Otherwise none.

    Raises:
        InputError: If the default is not among the bundled models.
    """
    if folder is None:
        return Bundle()
    folder = Path(folder)
    if (folder / DEFAULT_FILE).is_file():
        default, versions = (folder / DEFAULT_FILE).read_text(encoding="utf-8").strip(), _versions_in(folder)
        if default not in versions:
            raise InputError(f"{folder / DEFAULT_FILE} names {default}, which is not there.", field="model")
        return Bundle(versions, default)
    if is_version_id(folder.name) and (folder.parent / DEFAULT_FILE).is_file():
        return Bundle(_versions_in(folder.parent), folder.name, chosen=True)
    return Bundle({BUNDLED_ID: folder}, BUNDLED_ID, chosen=True) if _is_version(folder) else Bundle()


def model_folder(name: str) -> Path:
    """Return the folder that a setting names: the id of a bundled model, or a folder with a version.

    Raises:
        InputError: If there is none.
    """
    bundled = read_bundle(BUNDLED_MODELS).folders
    if name in bundled:
        return bundled[name]
    folder = Path(name).expanduser().absolute()
    if is_version_id(name) or not read_bundle(folder).folders:
        raise InputError(
            f"There is no bundled model {name!r}, and no such folder with card.json and weights.npz. Bundled: "
            f"{', '.join(bundled)}. Another version is given by its folder, as in ./v0003.",
            field="model",
        )
    return folder


def _versions_in(folder: Path) -> dict[str, Path]:
    return {path.name: path for path in sorted(folder.iterdir()) if is_version_id(path.name) and _is_version(path)}


def _is_version(folder: Path) -> bool:
    return (folder / "card.json").is_file()
