"""The file of the voxels of an image whose header is another file (``.mhd``, ``.nhdr``)."""

from __future__ import annotations

import re


def points_elsewhere(name: str) -> bool:
    """Return whether a header names its file of voxels by more than a plain name beside it: a path, a list, a pattern.

    An uploaded header that does could have any file of the machine read as voxels.
    """
    return re.search(r"[/\\%:\0]", name) is not None or name.startswith(("LIST", "."))
