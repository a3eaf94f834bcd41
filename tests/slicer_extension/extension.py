"""Where the module under test lies: the repository's, or the copy with a fault that ``TUMORLOOP_EXTENSION`` names."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_OWN = Path(__file__).resolve().parents[2] / "slicer_extension" / "TumorLoop"
#: The folder with ``TumorLoop.py``, ``TumorLoopLib`` and ``Resources``.
EXTENSION = Path(os.environ.get("TUMORLOOP_EXTENSION") or _OWN).resolve()
#: The folder with the extension's own ``CMakeLists.txt``, two above the module's.
EXTENSION_ROOT = EXTENSION.parents[1]


def put_on_path() -> None:
    """Make ``TumorLoopLib`` that of :data:`EXTENSION`, before anything imports it."""
    loaded = sys.modules.get("TumorLoopLib")
    if loaded is not None and Path(str(loaded.__file__)).resolve().parent.parent != EXTENSION:
        raise RuntimeError(f"TumorLoopLib was imported from {loaded.__file__} before {EXTENSION} was put on the path")
    if sys.path[0] != str(EXTENSION):
        sys.path.insert(0, str(EXTENSION))
