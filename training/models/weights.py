"""Weights in a NumPy archive keyed by layer and variable, readable without Keras and pickle.

The moving statistics of batch normalization stay float32 in a half-precision file: a variance above 65504 would become
infinite, and they are a thousandth of the size.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from training.atomic import write_with
from training.errors import InputError

if TYPE_CHECKING:
    import keras

Weights = dict[str, np.ndarray]


def get_weights(model: keras.Model) -> Weights:
    """Return the model's variables as float32 arrays, keyed ``layer/variable``."""
    from keras import ops

    return {
        _key(layer, variable): np.asarray(ops.convert_to_numpy(variable.value), np.float32)
        for layer in model.layers
        for variable in layer.weights
    }


def set_weights(model: keras.Model, weights: Weights) -> None:
    """Load ``weights`` into ``model``.

    Raises:
        InputError: If a variable is missing or has another shape, since the weights belong to another architecture.
    """
    for layer in model.layers:
        for variable in layer.weights:
            variable.assign(fitting(weights, _key(layer, variable), tuple(variable.shape)))


def fitting(weights: Weights, key: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return one variable as float32.

    Raises:
        InputError: If it is missing or has another shape than ``shape``.
    """
    if key not in weights or tuple(weights[key].shape) != shape:
        found = tuple(weights[key].shape) if key in weights else "nothing"
        raise InputError(
            f"The weights do not fit the network: {key} has the shape {shape}, "
            f"the file holds {found}. The model card names the architecture they were made for.",
            field="weights",
        )
    return weights[key].astype(np.float32)


def average_weights(one: Weights, other: Weights) -> Weights:
    """Return the average of two sets of weights of the same network.

    Between a network and its fine-tuned version the loss is flat, and the average keeps much of the performance of both
    (Wortsman et al. 2022, doi:10.1109/CVPR52688.2022.00780).
    """
    return {key: (value + other[key]) / 2 for key, value in one.items()}


def save_weights(weights: Weights, path: Path, *, half_precision: bool = False) -> Path:
    """Write ``weights`` atomically as ``.npz``.

    Args:
        weights: As :func:`get_weights` returns them.
        path: The file.
        half_precision: Store float16 (except the statistics of normalization), which halves the size.
    """

    def stored(key: str, value: np.ndarray) -> np.ndarray:
        return value.astype(np.float16) if half_precision and "moving_" not in key else value

    arrays = {key: stored(key, value) for key, value in weights.items()}
    return write_with(path, lambda temporary: np.savez(temporary, **arrays))


def load_weights(path: Path) -> Weights:
    """Read a file of :func:`save_weights` as float32 arrays.

    Raises:
        InputError: If the file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {key: archive[key].astype(np.float32) for key in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"The weights {path} cannot be read: {error}", field="weights") from error


def _key(layer: keras.Layer, variable: keras.Variable) -> str:
    return f"{layer.name}/{variable.name}"
