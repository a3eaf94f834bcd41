"""The whole loop on a real server: ``python -m docs.demo --help``. Start reading in ``loop.py``."""

import sys
from pathlib import Path

# The client is not an installed package: 3D Slicer finds it next to the module's own file.
_MODULE = Path(__file__).resolve().parents[2] / "slicer_extension" / "TumorLoop"
if str(_MODULE) not in sys.path:
    sys.path.insert(0, str(_MODULE))
