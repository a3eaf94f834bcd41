"""The network of the MONAI bundle ``brats_mri_segmentation`` (version 0.5), with the settings of its inference.

``configs/inference.json`` of the bundle: SegResNet (blocks_down 1 2 2 4, blocks_up 1 1 1, 16 initial filters, dropout
0.2), input normalized per channel over its nonzero voxels, sliding window of 240 x 240 x 160 voxels, overlap 0.5,
sigmoid, threshold 0.5. The bundle's mixed precision is CUDA's; on a CPU it computes in float32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

WINDOW, OVERLAP = (240, 240, 160), 0.5
_loaded: dict[str, Any] = {}


def network() -> torch.nn.Module:
    """Return the network with random weights."""
    from monai.networks.nets import SegResNet

    return SegResNet(
        blocks_down=(1, 2, 2, 4), blocks_up=(1, 1, 1), init_filters=16, in_channels=4, out_channels=3, dropout_prob=0.2
    )


def load(shape: tuple[int, int, int]) -> None:
    """Load the network and make an input of a shape."""
    import torch

    torch.manual_seed(0)
    _loaded["network"] = network().eval()
    _loaded["image"] = torch.randn(1, 4, *shape)


def compute() -> float:
    """Run the network on the whole input, without a window; return the mean probability of the regions."""
    import torch

    with torch.no_grad():
        return float(torch.sigmoid(_loaded["network"](_loaded["image"])).mean())


def segment() -> int:
    """Compute the three regions of the input as the bundle does; return the number of voxels above the threshold."""
    import torch
    from monai.inferers import SlidingWindowInferer

    inferer = SlidingWindowInferer(roi_size=WINDOW, sw_batch_size=1, overlap=OVERLAP)
    with torch.no_grad():
        logits = torch.as_tensor(inferer(_loaded["image"], _loaded["network"]))
        return int(np.count_nonzero(torch.sigmoid(logits).numpy() > 0.5))
