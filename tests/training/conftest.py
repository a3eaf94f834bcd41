"""Fixtures for the tests of training/."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tests import synthetic
from training.cases.case import Case
from training.cases.find import find_cases
from training.cli import app
from training.images.write import write_labelmap
from training.models.store import ModelCard, ModelStore
from training.models.weights import get_weights
from training.network.unet import UNetConfig, build_unet
from training.phantoms.generate import Phantom, generate
from training.prediction.segmenter import Segmenter

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model store with one promoted version: a very small untrained network that labels the whole brain edema."""
    config = UNetConfig(base_filters=2, max_filters=4, levels=2)
    weights = get_weights(build_unet(config))
    weights["logits/bias"] = np.array([0, 0, 50, 0], np.float32)
    root = tmp_path_factory.mktemp("models")
    store = ModelStore(root)
    store.promote(store.add(weights, ModelCard(network=config, description="labels everything edema")).id, "for tests")
    return root


@pytest.fixture(scope="session")
def tiny_segmenter(tiny_models: Path) -> Segmenter:
    """The network of ``tiny_models``, loaded."""
    return Segmenter(ModelStore(tiny_models).current(), policy="float32")


@pytest.fixture(scope="session")
def written_cases(written_studies: Path) -> list[Case]:
    """The two cases of ``written_studies``; tests must not change their files."""
    return find_cases(written_studies)[0]


@pytest.fixture(scope="session")
def flair_case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A case whose FLAIR volume has a grid of its own (3 mm slices, tilted), on which the label was drawn."""
    grids = dict.fromkeys(("t1", "t1ce", "t2"), synthetic.brats_grid())
    grids["flair"] = synthetic.oblique_grid((1.0, 1.0, 3.0), (60, 70, 20), degrees=(10.0, 0.0, 0.0))
    folder = synthetic.write_case(tmp_path_factory.mktemp("flair"), grids=grids, label=False)
    write_labelmap(synthetic.truth(grids["flair"]), folder / "BraTS20_Training_001_seg.nii.gz")
    return folder


@pytest.fixture(scope="session")
def phantom_head() -> Phantom:
    """The whole-head phantom of seed 3."""
    return generate(3)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line; returns exit code, standard output and standard error."""
    monkeypatch.setenv("COLUMNS", "200")

    def invoke(*arguments: object) -> tuple[int, str, str]:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        return result.exit_code, result.stdout, result.stderr

    return invoke
