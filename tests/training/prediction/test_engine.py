"""OpenVINO computes what Keras computes, and is chosen where it can be."""

import sys

import numpy as np
import pytest

from tests.training import rejected
from training.models import BUNDLED_MODELS
from training.models.store import ModelStore
from training.models.weights import Weights, get_weights
from training.network.unet import UNetConfig, build_unet
from training.phantoms.generate import Phantom
from training.prediction.engine import ENGINE_VARIABLE, KerasEngine, OpenVINOEngine, chosen_engine, load_engine
from training.prediction.postprocess import decide
from training.prediction.segmenter import Segmenter
from training.preparation.store import prepare_phantom

NETWORK = UNetConfig(channels=3, classes=5, base_filters=3, max_filters=7, levels=2)


@pytest.fixture(scope="module")
def weights() -> Weights:
    """Random weights, those of normalization included."""
    rng = np.random.default_rng(0)
    shapes = {key: value.shape for key, value in get_weights(build_unet(NETWORK)).items()}
    found = {key: rng.normal(0, 0.3, shape).astype(np.float32) for key, shape in shapes.items()}
    return {key: np.abs(value) + 0.5 if key.endswith("variance") else value for key, value in found.items()}


@pytest.fixture(scope="module")
def engines(weights: Weights) -> tuple[KerasEngine, OpenVINOEngine]:
    return KerasEngine(weights, NETWORK, policy="float32"), OpenVINOEngine(weights, NETWORK, policy="float32")


@pytest.mark.parametrize("shape", [(12, 16, 8), (4, 4, 4), (8, 4, 12)])
def test_both_engines_give_the_same_probabilities_for_any_shape(engines, shape):
    batch = np.random.default_rng(1).normal(size=(1, *shape, 3)).astype(np.float32)
    batch = batch[:, ::-1]  # as for the mirrored pass: not contiguous
    keras, openvino = (engine.predict(batch) for engine in engines)
    assert openvino.dtype == np.float32
    assert keras[..., 0].std() > 0.005
    np.testing.assert_allclose(openvino, keras, atol=1e-5)


def test_results_stay_as_they_are_when_the_next_one_is_computed(engines):
    batch = np.random.default_rng(1).normal(size=(1, 8, 8, 8, 3)).astype(np.float32)
    first = engines[1].predict(batch)
    kept = first.copy()
    engines[1].predict(-batch)
    assert np.array_equal(first, kept)


def test_the_bundled_model_labels_a_phantom_alike_in_both_engines(phantom_head: Phantom):
    image, label, brain = prepare_phantom(phantom_head)
    middle = np.argwhere(label > 0).mean(axis=0).astype(int)
    box = tuple(slice(max(0, at - 32), max(0, at - 32) + 64) for at in middle)
    image, brain = image[box], brain[box]
    assert brain.shape == (64, 64, 64)
    version = ModelStore(BUNDLED_MODELS, BUNDLED_MODELS).current()
    labels = {}
    for engine, policy in (("tensorflow", "float32"), ("openvino", "float32"), ("openvino", None)):
        segmenter = Segmenter(version, engine=engine, policy=policy)
        probabilities = segmenter.probabilities(image)
        labels[segmenter.engine] = decide(probabilities, brain, voxel_ml=0.001)
    reference = labels["tensorflow float32"]
    assert (reference > 0).mean() > 0.1
    assert (reference != labels["openvino float32"]).mean() < 1e-4
    assert (reference != labels["openvino int8"]).mean() < 3e-3


@pytest.mark.parametrize("engine", ["tensorflow", "openvino"])
def test_weights_of_another_network_are_refused_by_both(weights, engine):
    with rejected("The weights do not fit the network: logits/kernel has the shape", "weights"):
        load_engine(weights, NETWORK.model_copy(update={"classes": 4}), engine=engine)
    with rejected("bottom_norm1/gamma has the shape .7,., the file holds nothing", "weights"):
        load_engine({key: weights[key] for key in weights if key != "bottom_norm1/gamma"}, NETWORK, engine=engine)


def test_openvino_is_the_default_on_a_cpu_and_the_environment_chooses_another(monkeypatch):
    monkeypatch.delenv(ENGINE_VARIABLE, raising=False)
    monkeypatch.setattr("training.prediction.engine.has_gpu", lambda: False)
    assert chosen_engine() == "openvino"
    monkeypatch.setenv(ENGINE_VARIABLE, "tensorflow")
    assert chosen_engine() == "tensorflow"
    assert chosen_engine("openvino") == "openvino"
    monkeypatch.setenv(ENGINE_VARIABLE, "openvno")
    with rejected("There is no engine 'openvno'. Choose one of: auto, openvino, tensorflow.", "engine"):
        chosen_engine()


def test_a_gpu_is_used_through_tensorflow(monkeypatch):
    monkeypatch.setattr("training.prediction.engine.has_gpu", lambda: True)
    assert chosen_engine("auto") == "tensorflow"


def test_without_openvino_tensorflow_computes_unless_openvino_was_demanded(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert chosen_engine("auto") == "tensorflow"
    with rejected("openvino cannot be used here: it is not installed. Install it", "engine"):
        chosen_engine("openvino")
