import nibabel
import numpy as np

from server_app.inference.request import case_from_upload
from tests.training import rejected


def test_numbered_channels_of_a_session_are_read_in_the_order_of_the_request(tmp_path):
    for number in range(4):
        image = nibabel.Nifti1Image(np.zeros((4, 4, 4), np.int16), np.eye(4))
        nibabel.save(image, tmp_path / f"x_{number:04d}.nii.gz")
    case = case_from_upload(tmp_path, allow_missing=False, params={"order": "t1ce,t1,t2,flair"})
    assert case.sources["t1ce"].path.name == "x_0000.nii.gz"
    with rejected("numbered channels", "order"):
        case_from_upload(tmp_path, allow_missing=False)
