import subprocess
import sys
from pathlib import Path

import numpy as np

from tests.training import rejected
from training.fitting.devices import share_batches, sharing_devices

REPOSITORY = Path(__file__).resolve().parents[3]


def test_one_device_changes_nothing():
    with share_batches(1, batch_size=1):
        assert sharing_devices() == 1


def test_tensorflow_refuses_several_devices_and_says_what_to_do():
    with rejected("needs Keras on JAX, not tensorflow: .*KERAS_BACKEND=jax", "devices"):
        share_batches(2, batch_size=2)


def test_two_devices_that_share_the_batches_learn_what_one_learns(tmp_path):
    command = [sys.executable, "-m", "tests.training.fitting.two_devices", str(tmp_path)]
    subprocess.run(command, cwd=REPOSITORY, check=True, timeout=600)
    one, two = np.load(tmp_path / "on-1.npz"), np.load(tmp_path / "on-2.npz")
    for key in one.files:
        np.testing.assert_allclose(two[key], one[key], atol=1e-5)
    refused = (tmp_path / "refused.txt").read_text().splitlines()
    assert refused[0].startswith("3 patches per batch cannot be shared equally among 2 devices.")
    assert refused[1].startswith("This machine has 2 device(s) that JAX can use, not 4:")
