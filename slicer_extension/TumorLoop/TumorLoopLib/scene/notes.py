"""What the server said about a segmentation, kept as attributes of its node and saved with the scene.

UI thread only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_WARNINGS, _STEPS = "TumorLoop.warnings", "TumorLoop.preparation"


def set_warnings(segmentation: Any, warnings: Sequence[str]) -> None:
    """Record the server's warnings about a segmentation."""
    _set(segmentation, _WARNINGS, warnings)


def warnings_of(segmentation: Any) -> list[str]:
    """Return the server's warnings about a segmentation, in its order; none for ``None``."""
    return _lines(segmentation, _WARNINGS)


def set_steps(segmentation: Any, steps: Sequence[str]) -> None:
    """Record how the volumes were prepared for a segmentation."""
    _set(segmentation, _STEPS, steps)


def steps_of(segmentation: Any) -> list[str]:
    """Return how the volumes were prepared for a segmentation; nothing if they were taken as they are."""
    return _lines(segmentation, _STEPS)


def _set(segmentation: Any, name: str, lines: Sequence[str]) -> None:
    segmentation.SetAttribute(name, "\n".join(" ".join(line.split()) for line in lines) or None)


def _lines(segmentation: Any, name: str) -> list[str]:
    return (segmentation.GetAttribute(name) or "").splitlines() if segmentation is not None else []
