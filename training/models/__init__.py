"""Model versions on disk, and the weights in them."""

from pathlib import Path

#: Folder of the bundled models (:mod:`training.models.bundle`). Here, since the command line needs only the path.
BUNDLED_MODELS = Path(__file__).resolve().parent / "bundled"
