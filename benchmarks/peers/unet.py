"""MONAI's ``BasicUNet`` of the same size as our network, trained by PyTorch as MONAI's tutorials do.

The same number of filters at each level, batch normalization, ReLU, no transposed convolution, Dice + cross-entropy on
the same four classes, AdamW, gradients clipped to the same norm. MONAI halves the channels by a 1x1x1 convolution when
it goes up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

_loaded: dict[str, Any] = {}


def network() -> torch.nn.Module:
    """Return the network with random weights."""
    from monai.networks.nets import BasicUNet

    return BasicUNet(
        spatial_dims=3,
        in_channels=4,
        out_channels=4,
        features=(16, 32, 64, 128, 128, 16),
        act=("relu", {"inplace": True}),
        norm="batch",
        upsample="nontrainable",
    )


def load(image: np.ndarray, label: np.ndarray) -> int:
    """Prepare training on one batch; return the number of weights.

    Args:
        image: ``(batch, x, y, z, 4)`` float32.
        label: The same shape, one-hot.
    """
    import torch
    from monai.losses import DiceCELoss

    torch.manual_seed(0)
    model = network().train()
    _loaded["network"] = model
    _loaded["loss"] = DiceCELoss(softmax=True)
    _loaded["optimizer"] = torch.optim.AdamW(model.parameters(), 2e-3, weight_decay=1e-4)
    for name, array in (("image", image), ("label", label)):
        _loaded[name] = torch.from_numpy(np.ascontiguousarray(np.moveaxis(array, -1, 1)))
    return sum(parameter.numel() for parameter in model.parameters())


def step(bfloat16: bool = False) -> float:
    """Train one step, in mixed precision if asked for; return the loss."""
    import torch

    model, optimizer = _loaded["network"], _loaded["optimizer"]
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        logits = model(_loaded["image"])
    loss = _loaded["loss"](logits.float(), _loaded["label"])
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
    optimizer.step()
    return float(loss.detach())
