"""Prediction: on the reference grid, no tumor in the air, the same in tiles as whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training.errors import InputError
from training.images.grid import Grid, Volume
from training.models.store import ModelCard, ModelVersion, write_version
from training.models.weights import get_weights, set_weights
from training.network.unet import UNetConfig, build_unet
from training.prediction.postprocess import MIN_LESION_ML
from training.prediction.segmenter import MAP_NAMES, NOTHING_FOUND, Segmenter, labels_of, output_maps, volumes_ml
from training.preparation.prepare import Frame, Prepared

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
    assert [stage for _, stage in seen] == ["preparing", "computing", "computing", "restoring", "done"]
    assert [share for share, stage in seen if stage == "computing"] == pytest.approx([0.2, 0.9])
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


def a_prepared(brain: np.ndarray) -> Prepared:
    """A case whose working grid is the reference's."""
    shape = (brain.shape[0], brain.shape[1], brain.shape[2])
    grid = Grid(shape, np.eye(4))
    return Prepared(np.zeros((*shape, 4), np.float32), brain, Frame(grid, grid))


def one_hot(labels: np.ndarray) -> np.ndarray:
    return np.eye(4, dtype=np.float32)[labels]


@pytest.mark.parametrize("missing", ["t1", "t1ce", "t2", "flair"])
def test_any_modality_may_be_missing_if_allowed_and_the_result_says_which(a_version, missing):
    volumes = a_head()
    del volumes[missing]
    result = Segmenter(a_version, policy="float32").segment(volumes, allow_missing=True)
    assert result.missing == (missing,)
    assert result.reference == ("t1" if missing == "t1ce" else "t1ce")
    assert result.labelmap.data.any()
    assert any(f"({missing}) was missing" in warning for warning in result.warnings)


def test_a_whole_case_misses_nothing_and_has_maps_only_if_asked(a_version):
    result = Segmenter(a_version, policy="float32").segment(a_head())
    assert (result.missing, result.maps, result.reference) == ((), {}, "t1ce")


def test_maps_lie_on_the_reference_grid_from_0_to_1_and_0_outside_the_brain(a_version):
    volumes = a_head()
    result = Segmenter(a_version, policy="float32").segment(volumes, maps=True)
    assert tuple(result.maps) == MAP_NAMES == ("probability_wt", "probability_tc", "probability_et", "entropy")
    brain = volumes["t1ce"].data != 0
    for volume in result.maps.values():
        assert volume.data.dtype == np.float32
        assert volume.grid == volumes["t1ce"].grid
        assert 0 <= volume.data.min() <= volume.data.max() <= 1
        assert not volume.data[~brain].any()
    assert np.array_equal(result.maps["probability_wt"].data > 0.5, result.labelmap.data > 0)
    assert result.maps["entropy"].data[brain].max() < 0.2  # the network is made to be sure of edema


def test_map_values_are_sums_over_a_regions_labels_and_the_share_of_the_largest_entropy():
    probabilities = np.zeros((2, 2, 1, 4), np.float32)
    probabilities[0, 0, 0] = [0.25, 0.25, 0.25, 0.25]
    probabilities[0, 1, 0] = [0.5, 0.5, 0, 0]
    probabilities[1, 0, 0] = [0, 0.1, 0.2, 0.7]
    probabilities[1, 1, 0] = [0.25, 0.25, 0.25, 0.25]
    brain = np.array([[[True], [True]], [[True], [False]]])
    maps = {
        name: volume.data.ravel().tolist() for name, volume in output_maps(probabilities, a_prepared(brain)).items()
    }
    assert maps["probability_wt"] == pytest.approx([0.75, 0.5, 1.0, 0.0])
    assert maps["probability_tc"] == pytest.approx([0.5, 0.5, 0.8, 0.0])
    assert maps["probability_et"] == pytest.approx([0.25, 0.0, 0.7, 0.0])
    third = -(0.1 * np.log(0.1) + 0.2 * np.log(0.2) + 0.7 * np.log(0.7)) / np.log(4)
    assert maps["entropy"] == pytest.approx([1.0, 0.5, third, 0.0], abs=1e-6)


def test_the_labels_are_the_most_probable_ones_inside_the_brain_without_specks():
    labels = np.zeros((32, 32, 32), np.uint8)
    labels[2:22, 2:22, 2:22] = 2
    labels[6:16, 6:16, 6:16] = 3
    labels[28, 28, 28] = 2
    assert MIN_LESION_ML > 0.001
    brain = np.ones(labels.shape, bool)
    brain[2:4] = False
    found = labels_of(one_hot(labels), a_prepared(brain))
    expected = np.where(brain, labels, 0)
    expected[28, 28, 28] = 0
    assert found.dtype == np.uint8
    assert np.array_equal(found, expected)


def test_an_empty_answer_warns_that_it_is_no_all_clear(a_version, tmp_path):
    weights = a_version.load_weights()
    weights["logits/bias"] = np.array([5, 0, 0, 0], np.float32)
    blind = write_version(tmp_path / "v0002", weights, ModelCard(version="v0002", network=NETWORK))
    assert NOTHING_FOUND in Segmenter(blind, policy="float32").segment(a_head()).warnings
    assert NOTHING_FOUND not in Segmenter(a_version, policy="float32").segment(a_head()).warnings


def test_mirroring_gives_the_mean_of_the_head_and_its_mirror_image(a_version):
    image = np.random.default_rng(1).normal(size=(32, 32, 16, 4)).astype(np.float32)
    plain = Segmenter(a_version, policy="float32")
    both = Segmenter(a_version, policy="float32", mirror=True)
    expected = (plain.probabilities(image) + plain.probabilities(image[::-1].copy())[::-1]) / 2
    shares: list[float] = []
    found = both.probabilities(image, lambda share, stage: shares.append(share))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(both.probabilities(image[::-1])[::-1], found, atol=1e-6)
    assert shares == [0.5, 1.0]
    assert (plain.mirror, both.mirror) == (False, True)
