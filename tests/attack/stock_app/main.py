"""The smallest app for a stock MONAI Label server: a model that finds what is bright, and a training that does nothing.

Everything else, the datastore above all, is MONAI Label's own.
"""

from __future__ import annotations

import tempfile
from typing import Any

import nibabel
import numpy as np
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType
from monailabel.interfaces.tasks.train import TrainTask


class Bright(InferTask):
    """Labels the voxels above the mean."""

    def __init__(self) -> None:
        super().__init__(InferType.SEGMENTATION, ["bright"], 3, "what is bright")

    def is_valid(self) -> bool:
        return True

    def __call__(self, request: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        image: Any = nibabel.load(request["image"])
        data = image.get_fdata()
        result = tempfile.mkstemp(suffix=".nii.gz")[1]
        nibabel.save(nibabel.Nifti1Image((data > data.mean()).astype(np.uint8), image.affine), result)
        return result, {"label_names": {"bright": 1}}


class Nothing(TrainTask):
    def __init__(self) -> None:
        super().__init__("nothing")

    def __call__(self, request: dict[str, Any], datastore: Datastore) -> dict[str, Any]:
        return {}


class StockApp(MONAILabelApp):
    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        super().__init__(app_dir, studies, conf, name="Stock", description="a stock MONAI Label app")

    def init_infers(self) -> dict[str, InferTask]:
        return {"tumorloop": Bright()}

    def init_trainers(self) -> dict[str, TrainTask]:
        return {"tumorloop": Nothing()}
