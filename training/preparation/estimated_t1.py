"""An estimate of T1 for examinations without it, voxel by voxel from the other three contrasts.

T1 with contrast shows the same anatomy but for what enhances, so most of T1 can be told from it. A small network
regresses the z-score of T1 on those of the others. ``python -m docs.fit_estimated_t1`` fits it to phantoms; no patient
was used. With the estimate, patients are segmented better than with an empty channel. For the other modalities, and for
T1 and T2 together, that is not so (``docs/ablations.md``).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from training.modalities import ROLES
from training.models.weights import load_weights

FILE = Path(__file__).with_suffix(".npz")
#: The inputs of the network, in their order.
INPUTS = ("t1ce", "t2", "flair")
#: z-scores beyond these are those of vessels and artifacts.
LOWEST, HIGHEST = -4.0, 6.0


def is_estimated(missing: Sequence[str]) -> bool:
    """Return whether T1 is estimated where these modalities are missing: the others must be there."""
    return tuple(missing) == ("t1",)


def estimate_t1(image: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """Estimate T1 in the brain.

    Args:
        image: ``(x, y, z, channel)`` float32, z-scored inside the brain, channels in the order of
            :data:`training.modalities.ROLES`; that of T1 is not read.
        brain: ``(x, y, z)`` bool.

    Returns:
        float32 z-scores of the voxels of ``brain``, in their order.
    """
    found = np.clip(image[brain][:, [ROLES.index(role) for role in INPUTS]], LOWEST, HIGHEST)
    layers = _layers()
    for number, (kernel, bias) in enumerate(layers):
        found = found @ kernel + bias
        if number < len(layers) - 1:
            np.maximum(found, 0, out=found)
    t1 = found[:, 0]
    scaled: np.ndarray = (t1 - t1.mean()) / max(float(t1.std()), float(np.finfo(np.float32).tiny))
    return scaled


@cache
def _layers() -> list[tuple[np.ndarray, np.ndarray]]:
    weights = load_weights(FILE)
    return [(weights[f"kernel{number}"], weights[f"bias{number}"]) for number in range(3)]
