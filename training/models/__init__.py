"""Model versions on disk, and the weights in them."""

from pathlib import Path

#: Folder of the bundled model. Here, since importing the store costs time and the command line needs only the path.
BUNDLED_MODEL = Path(__file__).resolve().parent / "bundled"
