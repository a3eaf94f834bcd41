from pathlib import Path

import numpy as np
import pytest

from tests.training import rejected
from training.images.grid import Grid, Volume
from training.modalities import ROLES
from training.models.store import ModelCard, ModelVersion, write_version
from training.models.weights import get_weights
from training.network.unet import UNetConfig, build_unet
from training.prediction.segmenter import (
    IN_TILES,
    MAP_NAMES,
    NOTHING_FOUND,
    Segmenter,
    labels_of,
    output_maps,
    volumes_ml,
)
from training.preparation.prepare import Frame, Prepared

NETWORK = UNetConfig(base_filters=2, max_filters=4, levels=2)
SHAPE = (50, 60, 40)


def a_head() -> dict[str, Volume]:
    """Four volumes of noise in an ellipsoid, background 0, on one LPS grid."""
    grid = Grid(SHAPE, np.diag([-1.0, -1.0, 1.0, 1.0]))
    x, y, z = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    brain = ((x - 25) / 20) ** 2 + ((y - 30) / 25) ** 2 + ((z - 20) / 15) ** 2 < 1
    rng = np.random.default_rng(0)
    return {role: Volume((brain * rng.normal(100, 10, SHAPE)).astype(np.float32), grid) for role in ROLES}


HEAD = a_head()
BRAIN = HEAD["t1ce"].data != 0


@pytest.fixture(scope="module")
def a_version(tmp_path_factory: pytest.TempPathFactory) -> ModelVersion:
    """A small untrained network that labels everything edema, background included."""
    folder: Path = tmp_path_factory.mktemp("model") / "v0001"
    weights = get_weights(build_unet(NETWORK))
    weights["logits/bias"] = np.array([0, 0, 5, 0], np.float32)
    weights["logits/kernel"] = weights["logits/kernel"] / 10  # whatever the random weights, the bias decides
    return write_version(folder, weights, ModelCard(version="v0001", network=NETWORK))


@pytest.fixture(scope="module")
def segmenter(a_version: ModelVersion) -> Segmenter:
    return Segmenter(a_version, policy="float32")


def test_labelmap_and_maps_lie_on_the_reference_grid_and_are_0_outside_the_brain(segmenter):
    result = segmenter.segment(HEAD)
    labels = result.labelmap.data
    assert (result.labelmap.grid, labels.dtype) == (HEAD["t1ce"].grid, np.uint8)
    assert (labels[BRAIN] == 2).mean() > 0.99
    assert not labels[~BRAIN].any()
    milliliters = pytest.approx(int((labels == 2).sum()) / 1000, abs=1e-3)
    assert (result.volumes_ml["peritumoral edema"], result.volumes_ml["WT"]) == (milliliters, milliliters)
    assert (result.volumes_ml["ET"], volumes_ml(result.labelmap)) == (0, result.volumes_ml)
    assert result.expected_dice["TC"] <= 0.5  # there is no core
    assert result.uncertainty == pytest.approx(1 - sum(result.expected_dice.values()) / 3, abs=1e-3)
    assert "for the tumor core (none is reported)" in result.warnings[0]
    assert (result.model_version, result.missing, result.maps, result.reference) == ("v0001", (), {}, "t1ce")
    seen: list[tuple[float, str]] = []
    result = segmenter.segment(HEAD, maps=True, on_progress=lambda share, stage: seen.append((share, stage)))
    assert [stage for _, stage in seen] == ["preparing", "computing", "computing", "restoring", "done"]
    assert [share for share, stage in seen if stage == "computing"] == pytest.approx([0.2, 0.9])
    assert [share for share, _ in seen] == sorted(share for share, _ in seen)
    assert tuple(result.maps) == MAP_NAMES == ("probability_wt", "probability_tc", "probability_et", "entropy")
    for volume in result.maps.values():
        assert (volume.data.dtype, volume.grid) == (np.float32, HEAD["t1ce"].grid)
        assert 0 <= volume.data.min() <= volume.data.max() <= 1
        assert not volume.data[~BRAIN].any()
    assert np.array_equal(result.maps["probability_wt"].data > 0.5, result.labelmap.data > 0)
    assert result.maps["entropy"].data[BRAIN].max() < 0.2  # the network is certain of edema


def test_warnings_about_the_input_are_known_before_the_network_runs(segmenter):
    def stop(prepared: Prepared) -> None:
        seen.append(prepared.warnings)
        raise KeyboardInterrupt

    seen: list[tuple[str, ...]] = []
    ran: list[Prepared] = []
    with pytest.raises(KeyboardInterrupt):
        segmenter.segment(HEAD, on_prepared=stop, on_probabilities=lambda _, prepared: ran.append(prepared))
    assert ran == []
    assert any("has only" in warning for warning in seen[0])


def test_a_callback_that_raises_stops_the_work_and_an_empty_answer_carries_a_warning(segmenter, a_version, tmp_path):
    def stop(share: float, stage: str) -> None:
        if stage == "computing":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        segmenter.segment(HEAD, on_progress=stop)
    weights = {**a_version.load_weights(), "logits/bias": np.array([5, 0, 0, 0], np.float32)}
    blind = write_version(tmp_path / "v0002", weights, ModelCard(version="v0002", network=NETWORK))
    assert NOTHING_FOUND in Segmenter(blind, policy="float32").segment(HEAD).warnings
    assert NOTHING_FOUND not in segmenter.segment(HEAD).warnings


@pytest.mark.parametrize("missing", ROLES)
def test_any_modality_may_be_missing_only_if_allowed_and_the_result_names_it(segmenter, missing):
    volumes = {role: volume for role, volume in HEAD.items() if role != missing}
    with rejected("", missing):
        segmenter.segment(volumes)
    result = segmenter.segment(volumes, allow_missing=True)
    assert (result.missing, result.reference) == ((missing,), "t1" if missing == "t1ce" else "t1ce")
    assert result.labelmap.data.any()
    assert any(f"({missing}) was missing" in warning for warning in result.warnings)


def prepared_from(brain: np.ndarray) -> Prepared:
    """A case whose working grid is that of the reference."""
    x, y, z = brain.shape
    grid = Grid((x, y, z), np.eye(4))
    return Prepared(np.zeros((x, y, z, 4), np.float32), brain, Frame(grid, grid))


def test_maps_are_sums_over_labels_entropy_is_relative_and_labels_are_limited_to_the_brain():
    equal = [0.25, 0.25, 0.25, 0.25]
    probabilities = np.array([[equal, [0.5, 0.5, 0, 0]], [[0, 0.1, 0.2, 0.7], equal]], np.float32)[:, :, None]
    brain = np.array([[[True], [True]], [[True], [False]]])
    maps = {name: map_.data.ravel().tolist() for name, map_ in output_maps(probabilities, prepared_from(brain)).items()}
    assert maps["probability_wt"] == pytest.approx([0.75, 0.5, 1.0, 0.0])
    assert maps["probability_tc"] == pytest.approx([0.5, 0.5, 0.8, 0.0])
    assert maps["probability_et"] == pytest.approx([0.25, 0.0, 0.7, 0.0])
    third = -(0.1 * np.log(0.1) + 0.2 * np.log(0.2) + 0.7 * np.log(0.7)) / np.log(4)
    assert maps["entropy"] == pytest.approx([1.0, 0.5, third, 0.0], abs=1e-6)
    labels = np.zeros((32, 32, 32), np.uint8)
    labels[2:22, 2:22, 2:22] = 2
    labels[6:16, 6:16, 6:16] = 3
    brain = np.ones(labels.shape, bool)
    brain[2:4] = False
    expected = np.where(brain, labels, 0)
    labels[28, 28, 28] = 2  # a speck
    found = labels_of(np.eye(4, dtype=np.float32)[labels], prepared_from(brain))
    assert found.dtype == np.uint8
    assert np.array_equal(found, expected)


def test_tiles_give_the_answer_of_the_whole_and_mirroring_averages_two_answers(segmenter, a_version):
    image = np.random.default_rng(0).normal(size=(160, 144, 64, 4)).astype(np.float32)
    whole = segmenter.probabilities(image)
    shares: list[float] = []
    short = Segmenter(a_version, policy="float32", memory_bytes=50_000_000)
    tiled = short.probabilities(image, lambda share, stage: shares.append(share))
    assert len(shares) > 1
    assert (shares, shares[-1]) == (sorted(shares), 1.0)
    assert (whole.argmax(-1) == tiled.argmax(-1)).mean() > 0.999
    np.testing.assert_allclose(tiled.sum(-1), 1.0, rtol=1e-4)
    narrow = Segmenter(a_version, policy="float32", memory_bytes=1)
    assert IN_TILES.format(side=8) in narrow.segment(HEAD).warnings
    assert not any("Little memory" in warning for warning in segmenter.segment(HEAD).warnings)
    image = np.random.default_rng(1).normal(size=(32, 32, 16, 4)).astype(np.float32)
    both = Segmenter(a_version, policy="float32", mirror=True)
    expected = (segmenter.probabilities(image) + segmenter.probabilities(image[::-1].copy())[::-1]) / 2
    shares.clear()
    found = both.probabilities(image, lambda share, stage: shares.append(share))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(both.probabilities(image[::-1])[::-1], found, atol=1e-6)
    assert (shares, (segmenter.mirror, both.mirror)) == ([0.5, 1.0], (False, True))
