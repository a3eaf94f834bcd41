"""Fits the network of :mod:`training.preparation.estimated_t1` to phantoms; takes some minutes."""

from __future__ import annotations

import numpy as np

from training.modalities import ROLES
from training.models.weights import Weights, save_weights
from training.phantoms.generate import generate
from training.preparation.estimated_t1 import FILE, HIGHEST, INPUTS, LOWEST
from training.preparation.store import prepare_phantom

SEEDS = range(2_100_000, 2_100_040)
#: Voxels of each phantom, of the whole brain and of the tumor.
VOXELS = (600, 400)


def samples() -> np.ndarray:
    """Return z-scores of voxels ``(n, channel)``."""
    rng, found = np.random.default_rng(0), []
    for seed in SEEDS:
        image, label, _ = prepare_phantom(generate(seed))
        shown = np.all(image != 0, axis=-1)
        for part, count in zip((shown, shown & (label > 0)), VOXELS, strict=True):
            values = image[part]
            found.append(values[rng.permutation(len(values))[:count]])
        print(f"{seed}: {len(found[-1])} voxels of tumor", flush=True)
    return np.clip(np.concatenate(found), LOWEST, HIGHEST)


def fitted(values: np.ndarray) -> Weights:
    """Return kernels and biases of the network that regresses T1 on the others."""
    import keras

    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(16, "relu"), keras.layers.Dense(16, "relu"), keras.layers.Dense(1)]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(3e-3, 60 * len(values) // 256)), "mse")
    x, y = values[:, [ROLES.index(role) for role in INPUTS]], values[:, ROLES.index("t1")]
    model.fit(x, y, batch_size=256, epochs=60, verbose=0)
    print("R2", 1 - np.mean((model.predict(x, verbose=0)[:, 0] - y) ** 2) / y.var(), flush=True)
    weights: Weights = {}
    for number, layer in enumerate(layers):
        kernel, bias = layer.get_weights()
        weights |= {f"kernel{number}": kernel, f"bias{number}": bias}
    return weights


if __name__ == "__main__":
    save_weights(fitted(samples()), FILE)
