"""Prediction: on the reference grid, no tumor in the air, the same in tiles as whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training.errors import InputError
from training.model_store import ModelCard, ModelVersion, write_version
from training.predict import Segmenter, volumes_ml
from training.unet import UNetConfig, build_unet
from training.volumes import Grid, Volume
from training.weights import get_weights, set_weights

NETWORK = UNetConfig(base_filters=2, max_filters=4, levels=2)


def a_head(shape=(50, 60, 40), seed=0) -> dict[str, Volume]:
    """Four volumes of a ball with a bright spot, background 0, on one LPS grid."""
    grid = Grid(shape, np.diag([-1.0, -1.0, 1.0, 1.0]))
    x, y, z = np.ogrid[: shape[0], : shape[1], : shape[2]]
    brain = ((x - 25) / 20) ** 2 + ((y - 30) / 25) ** 2 + ((z - 20) / 15) ** 2 < 1
    rng = np.random.default_rng(seed)
    volumes = {}
    for role in ("t1", "t1ce", "t2", "flair"):
        data = np.where(brain, rng.normal(100, 10, shape), 0).astype(np.float32)
        volumes[role] = Volume(data, grid)
    return volumes


@pytest.fixture(scope="module")
def a_version(tmp_path_factory: pytest.TempPathFactory) -> ModelVersion:
    """A small untrained network that calls everything edema, background included."""
    folder: Path = tmp_path_factory.mktemp("model") / "v0001"
    network = build_unet(NETWORK)
    weights = get_weights(network)
    weights["logits/bias"] = np.array([0, 0, 5, 0], np.float32)
    set_weights(network, weights)
    return write_version(folder, weights, ModelCard(version="v0001", network=NETWORK))


def test_the_result_lies_on_the_reference_grid_with_nothing_outside_the_brain(a_version):
    volumes = a_head()
    result = Segmenter(a_version, policy="float32").segment(volumes)
    assert result.labelmap.grid.shape == (50, 60, 40)
    np.testing.assert_array_equal(result.labelmap.grid.affine, volumes["t1ce"].grid.affine)
    assert result.labelmap.data.dtype == np.uint8
    brain = volumes["t1ce"].data != 0
    assert (result.labelmap.data[brain] == 2).mean() > 0.99
    assert not result.labelmap.data[~brain].any()


def test_volumes_are_told_in_milliliters_for_labels_and_regions(a_version):
    result = Segmenter(a_version, policy="float32").segment(a_head())
    voxels = int((result.labelmap.data == 2).sum())
    assert result.volumes_ml["peritumoral edema"] == pytest.approx(voxels / 1000, abs=1e-3)
    assert result.volumes_ml["WT"] == result.volumes_ml["peritumoral edema"]
    assert result.volumes_ml["ET"] == 0
    assert result.model_version == "v0001"
    assert volumes_ml(result.labelmap) == result.volumes_ml


def test_tiles_answer_as_the_whole_does_where_memory_is_short(a_version):
    image = np.random.default_rng(0).normal(size=(160, 144, 64, 4)).astype(np.float32)
    whole = Segmenter(a_version, policy="float32").probabilities(image)
    shares: list[float] = []
    short = Segmenter(a_version, policy="float32", memory_bytes=200_000_000)
    tiled = short.probabilities(image, lambda share, stage: shares.append(share))
    assert len(shares) > 1
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert (whole.argmax(-1) == tiled.argmax(-1)).mean() > 0.999
    np.testing.assert_allclose(tiled.sum(-1), 1.0, rtol=1e-4)


def test_progress_goes_from_preparing_to_done(a_version):
    seen: list[tuple[float, str]] = []
    Segmenter(a_version, policy="float32").segment(
        a_head(), on_progress=lambda share, stage: seen.append((share, stage))
    )
    assert [stage for _, stage in seen] == ["preparing", "computing", "restoring", "done"]
    assert [share for share, _ in seen] == sorted(share for share, _ in seen)


def test_a_callback_that_raises_stops_the_work(a_version):
    def stop(share: float, stage: str) -> None:
        if stage == "computing":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Segmenter(a_version, policy="float32").segment(a_head(), on_progress=stop)


def test_a_missing_modality_is_an_error_that_names_it(a_version):
    volumes = a_head()
    del volumes["t2"]
    with pytest.raises(InputError, match=r"(?i)t2"):
        Segmenter(a_version, policy="float32").segment(volumes)
