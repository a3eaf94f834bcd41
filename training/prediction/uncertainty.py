"""The uncertainty of a whole segmentation as one number, used to select the next case to label."""

from __future__ import annotations

import numpy as np


def uncertainty(probabilities: np.ndarray, labels: np.ndarray, brain: np.ndarray) -> float:
    """Return 1 minus the Dice of the whole tumor that the network itself expects.

    With the probability ``p`` of tumor in each voxel of the brain and the reported tumor ``M``, the expected Dice is
    about ``2 * sum(p in M) / (|M| + sum(p))``: the soft Dice confidence of Borges et al. 2024 (arXiv:2402.10665).
    Unlike a mean entropy it weighs false negatives and false positives as Dice does, and does not depend on the volume
    evaluated.

    Measured with the bundled model v0000 (weights 623476da) on the 33 phantoms with tumor among 900000 to 900011 and
    901000 to 901023, whose whole-tumor Dice is 0.89 to 0.96: Spearman rank correlation with 1 minus Dice 0.64 (0.72 on
    the first twelve, whose two worst heads rank first).

    Args:
        probabilities: ``(x, y, z, class)``, class 0 is background.
        labels: ``(x, y, z)``, the segmentation; 0 is background.
        brain: ``(x, y, z)`` bool.

    Returns:
        0 (all voxels are certain) to 1. An empty segmentation scores 1: in a study of gliomas it is most likely wrong
        and should be reviewed first.
    """
    tumor = labels > 0
    size = int(np.count_nonzero(tumor))
    if size == 0:
        return 1.0
    likely = 1.0 - probabilities[..., 0]
    within = float(likely[tumor].sum(dtype=np.float64))
    everywhere = float(likely.sum(dtype=np.float64, where=brain))
    return float(np.clip(1.0 - 2.0 * within / (size + everywhere), 0.0, 1.0))
