"""The entry point of MONAI Label: ``python -m monailabel.main start_server --app server_app --studies DIR``.

MONAI Label loads this file by its path, so the package may not be importable yet.
"""

from __future__ import annotations

import sys
from pathlib import Path

_ROOT = str(Path(__file__).resolve().parent.parent)
if _ROOT not in sys.path:
    sys.path.insert(0, _ROOT)

from server_app.app import TumorLoopApp  # noqa: E402

__all__ = ["TumorLoopApp"]
