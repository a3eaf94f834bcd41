"""Preparation of a labeled case with MONAI's transforms, as its BraTS tutorials chain them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from training.modalities import ROLES


def prepare(folder: Path, target: Path) -> int:
    """Prepare a case of a BraTS folder and save its arrays; return the number of voxels."""
    from monai.transforms import (
        Compose,
        CropForegroundd,
        EnsureChannelFirstd,
        LoadImaged,
        NormalizeIntensityd,
        Orientationd,
        Spacingd,
    )

    keys = ("image", "label")
    chain = Compose(
        [
            LoadImaged(keys),
            EnsureChannelFirstd(keys),
            Orientationd(keys, axcodes="RAS"),
            Spacingd(keys, pixdim=(1.0, 1.0, 1.0), mode=("bilinear", "nearest")),
            CropForegroundd(keys, source_key="image", k_divisible=16, allow_smaller=True),
            NormalizeIntensityd("image", nonzero=True, channel_wise=True),
        ]
    )
    files = [str(folder / f"{folder.name}_{role}.nii.gz") for role in ROLES]
    found = chain({"image": files, "label": str(folder / f"{folder.name}_seg.nii.gz")})
    target.mkdir(parents=True)
    for key in keys:
        np.save(target / f"{key}.npy", np.asarray(found[key]))
    return int(found["label"].numel())
