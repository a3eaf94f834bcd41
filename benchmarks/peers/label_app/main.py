"""A MONAI Label app with the network of the bundle ``brats_mri_segmentation``, in the bundle's settings.

Inference and training are MONAI Label's own ``BasicInferTask`` and ``BasicTrainTask``. A training may ask for another
crop than the bundle's own (parameter ``crop``), for a comparison with the same number of voxels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.inferers import SlidingWindowInferer
from monai.losses import DiceLoss
from monai.transforms import (
    Activationsd,
    AsDiscreted,
    CastToTyped,
    ConvertToMultiChannelBasedOnBratsClassesd,
    EnsureChannelFirstd,
    Lambdad,
    LoadImaged,
    NormalizeIntensityd,
    RandFlipd,
    RandSpatialCropd,
    ToNumpyd,
)
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType
from monailabel.interfaces.tasks.train import TrainTask
from monailabel.tasks.infer.basic_infer import BasicInferTask
from monailabel.tasks.train.basic_train import BasicTrainTask, Context

from benchmarks.peers import bundle

_CROP = (224, 224, 144)


def _normalized() -> NormalizeIntensityd:
    return NormalizeIntensityd("image", nonzero=True, channel_wise=True)


class Infer(BasicInferTask):
    """Inference as in the bundle."""

    def __init__(self) -> None:
        super().__init__(None, bundle.network(), InferType.SEGMENTATION, {"tumor": 1}, 3, "SegResNet")

    def pre_transforms(self, data: Any = None) -> Sequence[Callable[..., Any]]:
        """Return what is done before the network."""
        return [LoadImaged("image"), EnsureChannelFirstd("image"), _normalized()]

    def inferer(self, data: Any = None) -> SlidingWindowInferer:
        """Return the bundle's sliding window."""
        return SlidingWindowInferer(roi_size=bundle.WINDOW, sw_batch_size=1, overlap=bundle.OVERLAP)

    def post_transforms(self, data: Any = None) -> Sequence[Callable[..., Any]]:
        """Return what makes a labelmap of three regions."""
        return [
            Activationsd("pred", sigmoid=True),
            AsDiscreted("pred", threshold=0.5),
            Lambdad("pred", lambda regions: regions.sum(dim=0)),
            ToNumpyd("pred"),
        ]


class Train(BasicTrainTask):
    """Training as in the bundle."""

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder), "SegResNet", {"pretrained": False, "multi_gpu": False})

    def network(self, context: Context) -> torch.nn.Module:
        """Return the network."""
        return bundle.network()

    def optimizer(self, context: Context) -> torch.optim.Optimizer:
        """Return the bundle's optimizer."""
        return torch.optim.Adam(context.network.parameters(), 1e-4, weight_decay=1e-5, amsgrad=True)

    def loss_function(self, context: Context) -> DiceLoss:
        """Return the bundle's loss."""
        return DiceLoss(smooth_nr=0, smooth_dr=1e-5, squared_pred=True, to_onehot_y=False, sigmoid=True)

    def train_pre_transforms(self, context: Context) -> list[Any]:
        """Return what makes a crop of a case."""
        keys = ("image", "label")
        return [
            LoadImaged(keys),
            EnsureChannelFirstd("image"),
            ConvertToMultiChannelBasedOnBratsClassesd("label"),
            CastToTyped("label", torch.float32),
            _normalized(),
            RandSpatialCropd(keys, roi_size=context.request.get("crop", _CROP), random_size=False),
            RandFlipd(keys, prob=0.5, spatial_axis=0),
        ]

    def train_post_transforms(self, context: Context) -> list[Any]:
        """Return what is done with a prediction for the metric."""
        return [Activationsd("pred", sigmoid=True), AsDiscreted("pred", threshold=0.5)]

    def val_inferer(self, context: Context) -> SlidingWindowInferer:
        """Return the bundle's sliding window."""
        return SlidingWindowInferer(roi_size=bundle.WINDOW, sw_batch_size=1, overlap=bundle.OVERLAP)


class BundleApp(MONAILabelApp):
    """The app."""

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        self._models = Path(app_dir) / "model"
        super().__init__(app_dir, studies, conf, name="Bundle", description="brats_mri_segmentation")

    def init_infers(self) -> dict[str, InferTask]:
        """Return the inference."""
        return {"bundle": Infer()}

    def init_trainers(self) -> dict[str, TrainTask]:
        """Return the training."""
        return {"bundle": Train(self._models)}
