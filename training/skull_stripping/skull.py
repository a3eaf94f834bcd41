"""Whether a volume shows the skull and the scalp, or was stripped."""

from __future__ import annotations

import numpy as np

from training.images.grid import Volume
from training.images.tissue import LARGEST_BRAIN_ML, find_tissue


def shows_skull(volume: Volume) -> bool:
    """Return whether a volume shows more than a brain: skull, scalp, face.

    Args:
        volume: One modality, any of the four.
    """
    tissue = find_tissue(volume.data, volume.grid.voxel_ml)
    return tissue.noisy or float(np.count_nonzero(tissue.mask)) * volume.grid.voxel_ml > LARGEST_BRAIN_ML
