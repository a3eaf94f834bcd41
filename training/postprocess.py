"""What the network's answer goes through before anybody sees it.

Two rules, both measured (``docs/ablations.md``): a lesion of a few voxels is no lesion, and enhancing tumor too small
to be meant is counted as core that does not enhance (the usual step for BraTS: Isensee et al. 2021, arXiv:2011.00848).
"""

from __future__ import annotations

import numpy as np

from training.labels import ET, NCR

#: A connected lesion smaller than this is dropped.
MIN_LESION_ML = 0.3

#: Less enhancing tumor than this in the whole brain becomes necrotic or non-enhancing core.
MIN_ENHANCING_ML = 0.1


def clean(labels: np.ndarray, *, voxel_ml: float) -> np.ndarray:
    """Return a labelmap without specks.

    Args:
        labels: ``(x, y, z)`` uint8, values of :mod:`training.labels`; is left alone.
        voxel_ml: Volume of one voxel in mL.
    """
    from scipy import ndimage

    result = labels.copy()
    parts, count = ndimage.label(labels > 0, structure=np.ones((3, 3, 3)))
    if count:
        sizes = np.bincount(parts.ravel())
        small = sizes * voxel_ml < MIN_LESION_ML
        small[0] = False
        result[small[parts]] = 0
    enhancing = result == ET.value
    if np.count_nonzero(enhancing) * voxel_ml < MIN_ENHANCING_ML:
        result[enhancing] = NCR.value
    return result
