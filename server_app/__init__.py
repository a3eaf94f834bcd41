"""The TumorLoop server: an app for MONAI Label around :mod:`training`. It has no numerics of its own."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent


def _prefer_our_training() -> None:
    """Put our folder first on the path if another distribution's ``training`` package would be imported.

    sam2, a dependency of MONAI Label, installs a top-level package of that name into site-packages, which takes
    precedence over an editable install unless Python was started in our folder. ``make setup`` does not install sam2;
    this is for environments that were set up in other ways.
    """
    spec = find_spec("training")
    if spec is None or spec.origin is None or Path(spec.origin).resolve().parent != _ROOT / "training":
        sys.path.insert(0, str(_ROOT))
        sys.modules.pop("training", None)


_prefer_our_training()
