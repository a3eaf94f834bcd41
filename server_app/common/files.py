"""Files of the workspace."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file that is never changed in place a second name; copy it where there are no hard links.

    Raises:
        FileNotFoundError: If the source does not exist.
    """
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(source, target)
