import numpy as np

from tests.training.registration.heads import head, scanned
from training.images.grid import Volume
from training.preprocessing.preprocess import preprocess


def test_a_series_with_left_and_right_exchanged_is_told():
    reference = scanned(head("t1"), np.eye(4), (2.0, 2.0, 4.0), noise=6)
    plain = scanned(head("t2"), np.eye(4), (2.0, 2.0, 2.0), tilt=5)
    exchanged = Volume(plain.data[::-1], plain.grid)
    brain = Volume((head("t1").data > 30).astype(np.uint8), head("t1").grid)
    told = [
        preprocess({"t1ce": reference, "t2": volume}, as_scanned=True, brain=brain).warnings
        for volume in (plain, exchanged)
    ]
    assert not any("left and right" in warning for warning in told[0])
    assert any("left and right" in warning for warning in told[1])
