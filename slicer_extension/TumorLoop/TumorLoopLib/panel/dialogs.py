"""The questions the panel asks before it does what cannot be undone."""

from __future__ import annotations

import slicer


def confirm(text: str, title: str) -> bool:
    """Ask whether to go on; return whether the clinician said yes."""
    return bool(slicer.util.confirmOkCancelDisplay(text, windowTitle=title))
