"""Which of a case's predictions a label is compared with, and what the comparison says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from server_app.labels.predictions import Predictions
from tests import synthetic
from training.images.grid import Volume
from training.images.write import write_labelmap

GRID = synthetic.brats_grid((24, 26, 22))
TRUTH = synthetic.truth(GRID)
CASE = "case"


def edema(*, without: int = 0) -> Volume:
    """The truth without the first voxels of its edema."""
    data = TRUTH.data.copy()
    x, y, z = (axis[:without] for axis in np.nonzero(data == 2))
    data[x, y, z] = 0
    return Volume(data, GRID)


def answer(predictions: Predictions, version: str, labelmap: Volume, time: str | None = None) -> None:
    """Store a prediction as an inference does."""
    predictions.keep_earlier(CASE, version)
    write_labelmap(labelmap, predictions.path(CASE))
    predictions.remember(CASE, version, time=time)


@pytest.fixture
def predictions(tmp_path: Path) -> Predictions:
    return Predictions(tmp_path / "answers")


def test_a_comparison_says_how_far_all_regions_and_their_surfaces_differ_and_how_much_was_changed(
    predictions: Predictions,
) -> None:
    answer(predictions, "v0001", edema(without=5))
    found = predictions.compare(CASE, TRUTH)
    assert found["changed_ml"] == round(5 * GRID.voxel_ml, 3) > 0
    assert found["dice_against_model"]["WT"] < found["dice_against_model"]["ET"] == 1.0
    assert found["surface_dice_against_model"]["TC"] == found["surface_dice_against_model"]["ET"] == 1.0
    assert 0 < found["surface_dice_against_model"]["WT"] <= 1.0
    assert found["answer_time"] is None  # not recorded by earlier releases


def test_the_surfaces_of_noise_are_not_measured(predictions: Predictions, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(predictions, "v0001", TRUTH)
    monkeypatch.setattr("server_app.labels.predictions._MAX_FACES", 10_000)
    assert predictions.compare(CASE, TRUTH)["surface_dice_against_model"] is not None
    noise = np.random.default_rng(0).integers(0, 4, GRID.shape).astype(np.uint8)
    found = predictions.compare(CASE, Volume(noise, GRID))
    assert found["surface_dice_against_model"] is None
    assert found["dice_against_model"]["WT"] < 1


def test_a_prediction_that_another_version_replaced_can_still_be_corrected(
    predictions: Predictions, tmp_path: Path
) -> None:
    answer(predictions, "v0001", edema(without=5), "2026-01-01T08:00:00+00:00")
    answer(predictions, "v0002", TRUTH, "2026-01-01T08:30:00+00:00")
    corrected = predictions.compare(CASE, TRUTH, model_version="v0001")
    assert (corrected["model_version"], corrected["answer_time"]) == ("v0001", "2026-01-01T08:00:00+00:00")
    assert corrected["changed_ml"] > 0
    assert predictions.compare(CASE, TRUTH)["model_version"] == "v0002"
    assert predictions.compare(CASE, TRUTH, model_version="v0003") == {}
    case = Predictions(tmp_path / "elsewhere")
    case.take_over("new", predictions, CASE)
    for version in ("v0001", "v0002"):
        assert case.compare("new", TRUTH, model_version=version)["model_version"] == version
    case.take_over("newer", predictions, "nobody")
    assert case.compare("newer", TRUTH) == {}


def test_the_predictions_of_the_last_four_earlier_versions_are_kept(predictions: Predictions) -> None:
    for number in range(1, 8):
        answer(predictions, f"v{number:04d}", TRUTH)
    kept = [number for number in range(1, 8) if predictions.compare(CASE, TRUTH, model_version=f"v{number:04d}")]
    assert kept == [3, 4, 5, 6, 7]


def test_of_several_times_of_the_same_prediction_the_one_that_is_named_counts_else_the_last(
    predictions: Predictions,
) -> None:
    early, late = "2026-01-01T08:00:00+00:00", "2026-01-01T09:00:00+00:00"
    answer(predictions, "v0001", TRUTH, early)
    answer(predictions, "v0001", TRUTH, late)
    assert predictions.compare(CASE, TRUTH)["answer_time"] == late
    assert predictions.compare(CASE, TRUTH, answer_time=early)["answer_time"] == early
    assert predictions.compare(CASE, TRUTH, answer_time="2026-01-01T08:01:00+00:00")["answer_time"] is None
    predictions.remember(CASE, "v0001", images="of other images", time=late)
    assert predictions.compare(CASE, TRUTH, answer_time=early)["answer_time"] is None


def test_a_prediction_whose_record_does_not_belong_to_it_is_not_kept_as_that_of_a_version(
    predictions: Predictions,
) -> None:
    answer(predictions, "v0001", TRUTH)
    write_labelmap(edema(without=5), predictions.path(CASE))  # and the server dies
    predictions.keep_earlier(CASE, "v0002")
    assert predictions.compare(CASE, TRUTH, model_version="v0001") == {}
    predictions.path(CASE).with_name("answer.json").write_text("[]")
    predictions.keep_earlier(CASE, "v0002")
    assert predictions.compare(CASE, TRUTH) == {}
