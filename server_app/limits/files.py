"""What was sent as files, looked at before it is read: how many voxels, how many files."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import Request

from training.errors import InputError
from training.images.read import READERS, image_ending, read_header

if TYPE_CHECKING:
    from starlette._utils import AwaitableOrContextManager
    from starlette.datastructures import FormData

#: Most files and other fields of one form: four modalities, a label, and what belongs to them.
MAX_FILES, MAX_FIELDS = 16, 32


def check_endings(files: Iterable[Path]) -> None:
    """Refuse files that are no volumes, by their endings: a session keeps what it gets, also what nobody reads.

    Raises:
        InputError: Naming the file.
    """
    for path in files:
        if image_ending(path) is None:
            known = ", ".join(READERS)
            raise InputError(f"{path.name} is no image volume. Send files that end in {known}.", field="files")


def check_voxels(files: Iterable[Path], most: int, field: str) -> None:
    """Refuse files of too many voxels, by their headers alone.

    Args:
        files: Those that are no images are for others to refuse.
        most: Voxels a file may hold, all its volumes together.
        field: Of the request, for errors.

    Raises:
        InputError: Naming the file and the number of voxels.
    """
    for path in files:
        voxels = _voxels(path)
        if voxels > most:
            raise InputError(f"{path.name} holds {voxels:,} voxels; the most is {most:,}.", field=field)


def _voxels(path: Path) -> int:
    try:
        grid, volumes = read_header(path)
    except InputError:
        return 0
    return math.prod(grid.shape) * volumes


class FewParts(Request):
    """A request whose form may have a few files only: each of a thousand small ones would be held in memory."""

    def form(
        self, *, max_files: float = MAX_FILES, max_fields: float = MAX_FIELDS, max_part_size: int = 2**20
    ) -> AwaitableOrContextManager[FormData]:
        """Read the form, as Starlette does."""
        return super().form(max_files=max_files, max_fields=max_fields, max_part_size=max_part_size)
