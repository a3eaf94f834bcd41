"""``python -m tests.training.fitting.two_devices FOLDER``: train on one device and on two; both weights are kept.

A process of its own: the backend of Keras and the number of JAX's devices are fixed when they are imported.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np

os.environ |= {"KERAS_BACKEND": "jax", "XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}

from training.errors import InputError
from training.fitting.config import FitConfig
from training.fitting.devices import share_batches
from training.fitting.fit import fit
from training.models.weights import save_weights
from training.network.unet import UNetConfig
from training.preparation.store import PreparedStore


def main(folder: Path) -> None:
    """Train a tiny network for two steps of two patches, twice, and validate it on a case."""
    rng = np.random.default_rng(0)
    image = rng.normal(0, 1, (16, 16, 16, 4)).astype(np.float32)
    case = PreparedStore(folder / "prepared").put("case", image, (image[..., 0] > 1).astype(np.uint8), key="1")
    config = FitConfig(
        max_epochs=1, steps_per_epoch=2, batch_size=2, patch=(16, 16, 16), workers=0, precision="float32"
    )
    network = UNetConfig(base_filters=2, max_filters=4, levels=2)
    for devices in (1, 2):
        result = fit(config, network, [case], [case], work_dir=folder / str(devices), devices=devices)
        save_weights(result.weights, folder / f"on-{devices}.npz")
    (folder / "refused.txt").write_text(f"{_refusal(2, 3)}\n{_refusal(4, 4)}\n")


def _refusal(devices: int, batch_size: int) -> str:
    try:
        share_batches(devices, batch_size)
    except InputError as error:
        return str(error)
    raise AssertionError(f"{devices} devices were accepted.")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
