"""Fixtures for the tests of training/."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training.models.store import ModelCard, ModelStore


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model store with one promoted version: a very small untrained network that calls all of the brain edema."""
    from training.models.weights import get_weights
    from training.network.unet import UNetConfig, build_unet

    config = UNetConfig(base_filters=2, max_filters=4, levels=2)
    weights = get_weights(build_unet(config))
    weights["logits/bias"] = np.array([0, 0, 50, 0], np.float32)
    root = tmp_path_factory.mktemp("models")
    store = ModelStore(root)
    store.promote(store.add(weights, ModelCard(network=config, description="calls everything edema")).id, "for tests")
    return root
