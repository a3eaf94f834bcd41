"""MONAI's metrics of one case."""

from __future__ import annotations

import numpy as np

from training.labels import REGIONS, region_mask


def compare(prediction: np.ndarray, truth: np.ndarray) -> list[float]:
    """Compute Dice, HD95 and surface Dice (1 mm) of the three regions; return the Dice values."""
    import torch
    from monai.metrics import compute_dice, compute_hausdorff_distance, compute_surface_dice

    first, second = (
        torch.from_numpy(np.stack([region_mask(labelmap, region) for region in REGIONS]))[None].float()
        for labelmap in (prediction, truth)
    )
    compute_hausdorff_distance(first, second, include_background=True, percentile=95)
    compute_surface_dice(first, second, class_thresholds=[1.0] * len(REGIONS), include_background=True)
    return [float(value) for value in compute_dice(first, second, include_background=True, ignore_empty=False)[0]]
