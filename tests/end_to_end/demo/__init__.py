"""The whole loop on a real server: ``python -m tests.end_to_end.demo --help``."""

import sys
from pathlib import Path

# The client is no installed package: 3D Slicer finds it beside the module's own file.
_MODULE = Path(__file__).resolve().parents[3] / "slicer_extension" / "TumorLoop"
if str(_MODULE) not in sys.path:
    sys.path.insert(0, str(_MODULE))
