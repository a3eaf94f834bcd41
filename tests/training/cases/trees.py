"""Trees of empty image files: only their names matter."""

from collections.abc import Iterable
from pathlib import Path

from training.modalities import ROLES


def touch(root: Path, *files: str) -> Path:
    """Write empty files below a folder, and return it."""
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    return root


def cases(root: Path, folders: Iterable[str], names: Iterable[str] = ROLES) -> Path:
    """Write a case of four files into each of the folders."""
    return touch(root, *(f"{folder}/{name}.nii.gz" for folder in folders for name in names))


def beside(root: Path, names: Iterable[str]) -> Path:
    """Write the four files of each of the cases into one folder."""
    return touch(root, *(f"{name}_{role}.nii.gz" for name in names for role in ROLES))
