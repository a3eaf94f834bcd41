"""Validation: the Dice of a network on whole cases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from training.evaluation.metrics import region_dice
from training.fitting.devices import sharing_devices
from training.prediction.postprocess import decide
from training.preparation.store import PREPARED_VOXEL_ML, PreparedCase

if TYPE_CHECKING:
    import keras


def score(
    network: keras.Model, cases: Sequence[PreparedCase], on_case: Callable[[], None] = lambda: None
) -> list[dict[str, float]]:
    """Return the Dice per region of each whole case, after postprocessing, as in prediction.

    Args:
        network: Network that outputs logits.
        cases: Prepared cases; voxels outside the brain count as background.
        on_case: Called after each case.
    """
    scores = []
    for case in cases:
        scores.append(region_dice(segment(network, case), np.asarray(case.label())))
        on_case()
    return scores


def segment(network: keras.Model, case: PreparedCase) -> np.ndarray:
    """Return the labels ``(x, y, z)`` uint8 of a whole prepared case, after postprocessing, as in prediction.

    Args:
        network: Network that outputs logits.
        case: A prepared case.
    """
    probabilities, brain = predict(network, case)
    return decide(probabilities, brain, voxel_ml=PREPARED_VOXEL_ML)


def predict(network: keras.Model, case: PreparedCase) -> tuple[np.ndarray, np.ndarray]:
    """Return the class probabilities ``(x, y, z, class)`` float32 of a whole prepared case, and its brain, bool.

    Args:
        network: Network that outputs logits.
        case: A prepared case.
    """
    from scipy.special import softmax

    image = np.asarray(case.image(), np.float32)
    # devices that share a batch each segment the same case
    batch = np.repeat(image[None], sharing_devices(), axis=0)
    logits = np.asarray(network.predict_on_batch(batch)[0], np.float32)
    return softmax(logits, axis=-1), np.any(image != 0, axis=-1)
