"""What others do for the same purpose, in their own settings, to be measured in a process of its own.

Weights are random: they change neither time nor memory. torch and MONAI come with MONAI Label.
"""

from __future__ import annotations

import sys


def without_tensorflow() -> None:
    """Hide TensorFlow from this process: TensorBoard would load it for MONAI, whose own environment has none."""
    sys.modules["tensorflow"] = None  # type: ignore[assignment]
