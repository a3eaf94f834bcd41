"""What a training step costs, counted."""

from __future__ import annotations

from benchmarks.device import flops_per_step, matmul_ceiling
from training.network.unet import UNetConfig


def test_the_operations_of_a_step_are_those_of_all_convolutions_forward_and_twice_backward() -> None:
    network = UNetConfig(channels=1, classes=2, base_filters=1, max_filters=2, levels=1)
    full, half = 4**3, 2**3
    down = 27 * (1 * 1 + 1 * 1) * full
    bottom = 27 * (1 * 2 + 2 * 2) * half
    up = 27 * ((2 + 1) * 1 + 1 * 1) * full
    logits = 1 * 2 * full
    assert flops_per_step(network, patch=4, batch=3) == 3 * 3 * 2 * (down + bottom + up + logits)


def test_the_ceiling_of_a_device_is_measured() -> None:
    assert matmul_ceiling(64, "float32", repeats=2) > 0
