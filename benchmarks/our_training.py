"""Training of our network on one batch, in a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

_loaded: dict[str, Any] = {}


def load(image: np.ndarray, label: np.ndarray, precision: str = "auto") -> int:
    """Prepare training on one batch; return the number of weights.

    Args:
        image: ``(batch, x, y, z, 4)`` float32.
        label: The same shape, one-hot.
        precision: As in :class:`training.fitting.config.FitConfig`.
    """
    from training.fitting.compile import compile_model
    from training.fitting.config import FitConfig
    from training.network.unet import UNetConfig

    model = compile_model(FitConfig(patch=image.shape[1:4], precision=precision), UNetConfig(), None)
    _loaded.update(model=model, image=image, label=label)
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)


def step() -> float:
    """Train one step; return the loss."""
    return float(np.asarray(_loaded["model"].train_on_batch(_loaded["image"], _loaded["label"])))


def prepare_drawing(folder: Path, patch: int, patches: int) -> None:
    """Write two prepared cases, larger than a patch, from which :func:`draw` takes augmented batches."""
    from training.fitting.dataset import PatchDataset
    from training.preparation.store import PreparedStore

    image, label = batch(patch + 32, 1)
    store, values = PreparedStore(folder), label[0].argmax(axis=-1).astype(np.uint8)
    cases = [store.put(f"case-{number}", image[0] + number, values, key=str(number)) for number in range(2)]
    _loaded["dataset"] = PatchDataset(cases, patch=(patch,) * 3, batch_size=patches)


def draw(number: int) -> int:
    """Draw a batch, as a thread does while the step before is computed; return its number of voxels."""
    return int(_loaded["dataset"][number][0].size)


def batch(patch: int, patches: int) -> tuple[np.ndarray, np.ndarray]:
    """Return random patches ``(patches, patch, patch, patch, 4)`` and one-hot labels, the same each time."""
    rng = np.random.default_rng(0)
    image = rng.standard_normal((patches, patch, patch, patch, 4), np.float32)
    values = rng.choice(4, image.shape[:4], p=[0.94, 0.01, 0.03, 0.02])
    return image, np.eye(4, dtype=np.float32)[values]
