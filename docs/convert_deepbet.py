"""Turns the weights of deepbet 1.0.2 into those of ``training/skull_stripping/weights``; done once, needs PyTorch.

``pip download --no-deps deepbet==1.0.2 && unzip deepbet-1.0.2-py3-none-any.whl``, then
``python -m docs.convert_deepbet data/models training/skull_stripping/weights``
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np

from training.models.weights import Weights, save_weights

#: deepbet's file of each network.
FILES = {"locate": "bbox_model.pt", "outline": "model.pt"}
_NAMES = (
    (r"^(init)\.0", r"\1"),
    (r"^(down\d)\.(block\d)\.double_conv\.0", r"\1_\2_conv1"),
    (r"^(down\d)\.(block\d)\.double_conv\.3", r"\1_\2_conv2"),
    (r"^(down\d)\.(block\d)\.downsample\.0", r"\1_\2_shortcut"),
    (r"^(up\d)\.(conv\d)\.0", r"\1_\2"),
    (r"^(up\d)\.tp_conv\.0", r"\1_transposed"),
    (r"^tp_conv1\.0", "out_transposed"),
    (r"^conv\.0", "out_conv"),
    (r"^tp_conv2", "logits"),
)


def converted(path: Path) -> Weights:
    """Return the weights of a TorchScript file of deepbet for :func:`training.skull_stripping.network.build_linknet`.

    Biases before an instance normalization have no effect and are left out. The last layer has the difference of
    deepbet's two classes.
    """
    import torch

    weights: Weights = {}
    for key, tensor in torch.jit.load(str(path), map_location="cpu").state_dict().items():
        values = tensor.detach().numpy()
        name, kind = key.rsplit(".", 1)
        for pattern, layer in _NAMES:
            name = re.sub(pattern, layer, name)
        if name == "logits":
            values = np.diff(values, axis=1 if kind == "weight" else 0)
        if kind == "weight":  # (out, in, x, y, z), or (in, out, ...) if transposed, to (x, y, z, in, out)
            weights[f"{name}/kernel"] = values.transpose(2, 3, 4, 1, 0)
        elif name == "logits":
            weights[f"{name}/bias"] = values
    return weights


if __name__ == "__main__":
    for name, file in FILES.items():
        save_weights(converted(Path(sys.argv[1]) / file), Path(sys.argv[2]) / f"{name}.npz", half_precision=True)
