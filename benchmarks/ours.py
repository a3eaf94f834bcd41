"""Our own network alone, in a process of its own: what a request is compared with."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

_loaded: dict[str, Any] = {}


def load(files: Mapping[str, Path]) -> tuple[int, ...]:
    """Load the bundled model, prepare a case for it, and compute once; return the shape of the input."""
    from training.images.read import read_volume
    from training.preparation.prepare import prepare

    segmenter = load_segmenter()
    image = prepare({role: read_volume(path) for role, path in files.items()}, stride=segmenter.stride).image
    return load_image(image)


def load_image(image: np.ndarray) -> tuple[int, ...]:
    """Take ``(x, y, z, 4)`` as the input, and compute once; return its shape."""
    load_segmenter()
    _loaded["image"] = image
    compute()
    return tuple(image.shape)


def load_segmenter() -> Any:
    """Return the bundled model, whatever the user has trained."""
    from training.models import BUNDLED_MODELS
    from training.models.store import ModelStore
    from training.prediction.segmenter import Segmenter

    if "segmenter" not in _loaded:
        with tempfile.TemporaryDirectory() as empty:
            _loaded["segmenter"] = Segmenter(ModelStore(Path(empty), BUNDLED_MODELS).current())
    return _loaded["segmenter"]


def compute() -> float:
    """Run the network on the input; return the mean probability of tumor."""
    return 1 - float(_loaded["segmenter"].probabilities(_loaded["image"])[..., 0].mean())
