"""Checks of a brain mask: volume, coverage, orientation."""

from __future__ import annotations

import numpy as np

from training.images.grid import Volume

#: Volumes of a brain with its ventricles; adults have 1,000 to 1,800 mL.
SMALLEST_ML, LARGEST_ML = 900.0, 2000.0


def check_brain(mask: Volume, volume: Volume) -> tuple[str, ...]:
    """Return what is implausible about a brain mask.

    Args:
        mask: From :func:`training.skull_stripping.extract.brain_mask`.
        volume: The image it was found in.

    Returns:
        One sentence per problem; none if the mask is plausible.
    """
    brain_ml = float(np.count_nonzero(mask.data)) * mask.grid.voxel_ml
    if brain_ml < SMALLEST_ML:
        return (f"The brain that was found has only {brain_ml:.0f} mL; a whole brain has {SMALLEST_ML:.0f} and more.",)
    if brain_ml > LARGEST_ML:
        return (f"The brain that was found has {brain_ml:.0f} mL, more than any brain ({LARGEST_ML:.0f} mL).",)
    return ()
