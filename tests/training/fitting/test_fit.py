"""Training: it learns, goes on after a kill exactly where it was, and stops when told to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training.errors import InputError
from training.fitting.checkpoint import load_state
from training.fitting.config import FitConfig, FitProgress
from training.fitting.fit import fit
from training.models.weights import get_weights
from training.network.unet import UNetConfig, build_unet
from training.preparation.store import PreparedCase, PreparedStore

NETWORK = UNetConfig(base_filters=4, max_filters=8, levels=2)
QUICK = FitConfig(
    max_epochs=3,
    steps_per_epoch=6,
    batch_size=1,
    patch=(32, 32, 32),
    learning_rate=2e-2,
    precision="float32",
    augment=False,
    workers=0,
)


@pytest.fixture(scope="module")
def some_cases(tmp_path_factory: pytest.TempPathFactory) -> list[PreparedCase]:
    """Balls of three shells that T1ce and FLAIR show plainly."""
    store = PreparedStore(tmp_path_factory.mktemp("prepared"))
    cases = []
    for number in range(3):
        rng = np.random.default_rng(number)
        x, y, z = np.ogrid[:48, :48, :48]
        radius = np.sqrt((x - 24 - number) ** 2 + (y - 22) ** 2 + (z - 24) ** 2)
        label = np.select([radius < 5, radius < 9, radius < 15], [1, 3, 2], 0).astype(np.uint8)
        image = rng.normal(0, 0.3, (48, 48, 48, 4)).astype(np.float32)
        image[..., 1] += 4.0 * (label == 3)
        image[..., 2] += 4.0 * (label == 1)
        image[..., 3] += 4.0 * (label > 0)
        cases.append(store.put(f"ball-{number}", image, label, key=str(number)))
    return cases


def test_a_few_epochs_on_easy_cases_lower_the_loss_and_find_the_tumor(tmp_path: Path, some_cases):
    config = QUICK.model_copy(update={"max_epochs": 10, "steps_per_epoch": 15})
    result = fit(config, NETWORK, some_cases[:2], some_cases[2:], work_dir=tmp_path)
    assert result.epochs == 10
    assert result.history[-1]["loss"] < 0.5 * result.history[0]["loss"]
    assert result.history[-1]["WT"] > 0.9


def test_the_best_weights_by_validation_are_kept_not_the_last(tmp_path: Path, some_cases):
    result = fit(QUICK, NETWORK, some_cases[:2], some_cases[2:], work_dir=tmp_path)
    assert result.best_metric == pytest.approx(max(record["mean"] for record in result.history), abs=1e-5)


def test_a_training_killed_after_an_epoch_ends_as_if_it_had_not_been(tmp_path: Path, some_cases):
    class Killed(BaseException):
        pass

    def kill(progress: FitProgress) -> None:
        if progress.epoch == 1 and progress.step == 3:
            raise Killed

    whole = fit(QUICK, NETWORK, some_cases[:2], some_cases[2:], work_dir=tmp_path / "whole")
    with pytest.raises(Killed):
        fit(QUICK, NETWORK, some_cases[:2], some_cases[2:], work_dir=tmp_path / "killed", on_progress=kill)
    state = load_state(tmp_path / "killed" / "checkpoint.npz")
    assert state is not None
    assert state.epoch == 1
    resumed = fit(QUICK, NETWORK, some_cases[:2], some_cases[2:], work_dir=tmp_path / "killed")
    assert [record["epoch"] for record in resumed.history] == [1, 2, 3]
    for one, other in zip(whole.history, resumed.history, strict=True):
        assert other["loss"] == pytest.approx(one["loss"], rel=1e-3)


def test_the_same_seed_gives_the_same_training(tmp_path: Path, some_cases):
    one, other = (fit(QUICK, NETWORK, some_cases[:2], [], work_dir=tmp_path / name) for name in ("one", "other"))
    for key, value in one.weights.items():
        np.testing.assert_allclose(other.weights[key], value, rtol=1e-3, atol=1e-4)


def test_a_checkpoint_of_other_settings_is_not_continued(tmp_path: Path, some_cases):
    fit(QUICK, NETWORK, some_cases[:2], [], work_dir=tmp_path)
    other = QUICK.model_copy(update={"seed": 7, "max_epochs": 1})
    assert len(fit(other, NETWORK, some_cases[:2], [], work_dir=tmp_path).history) == 1


def test_stopping_ends_within_a_batch_and_keeps_what_was_reached(tmp_path: Path, some_cases):
    seen: list[FitProgress] = []
    result = fit(
        QUICK,
        NETWORK,
        some_cases[:2],
        some_cases[2:],
        work_dir=tmp_path,
        on_progress=seen.append,
        should_stop=lambda: len(seen) >= 8,
    )
    assert result.stopped_early
    assert len([progress for progress in seen if progress.step]) <= 9
    assert result.weights


def test_patience_ends_a_training_that_no_longer_improves(tmp_path: Path, some_cases):
    # Sure of the background everywhere: the moving statistics of the normalization, which change in any training, must
    # not pass for an improvement.
    start = get_weights(build_unet(NETWORK))
    start["logits/bias"] = np.array([50, 0, 0, 0], np.float32)
    still = QUICK.model_copy(update={"learning_rate": 1e-12, "max_epochs": 9, "early_stop_patience": 2})
    result = fit(still, NETWORK, some_cases[:2], some_cases[2:], work_dir=tmp_path, start=start)
    assert result.stopped_early
    assert result.epochs == 3


def test_progress_counts_up_and_its_remaining_time_goes_to_zero(tmp_path: Path, some_cases):
    seen: list[FitProgress] = []
    fit(QUICK, NETWORK, some_cases[:2], some_cases[2:], work_dir=tmp_path, on_progress=seen.append)
    positions = [progress.epoch * progress.steps + progress.step for progress in seen]
    assert positions == sorted(positions)
    assert seen[0].eta_seconds > 0
    assert seen[-1].eta_seconds == 0
    assert seen[-1].epoch == seen[-1].total_epochs == 3
    assert set(seen[-1].validation) == {"WT", "TC", "ET", "mean"}


def test_the_average_of_the_weights_is_what_is_validated_and_kept(tmp_path: Path, some_cases):
    averaged = QUICK.model_copy(update={"average": 0.9, "steps_per_epoch": 10})
    with_average = fit(averaged, NETWORK, some_cases[:2], [], work_dir=tmp_path / "average")
    without = fit(averaged.model_copy(update={"average": 0.0}), NETWORK, some_cases[:2], [], work_dir=tmp_path / "no")
    assert not np.allclose(with_average.weights["logits/kernel"], without.weights["logits/kernel"], atol=1e-6)
    state = load_state(tmp_path / "average" / "checkpoint.npz")
    assert state is not None
    np.testing.assert_array_equal(state.average["logits/kernel"], with_average.weights["logits/kernel"])


def test_nothing_to_train_on_and_a_patch_that_does_not_fit_are_refused(tmp_path: Path, some_cases):
    with pytest.raises(InputError, match="no case to train on"):
        fit(QUICK, NETWORK, [], [], work_dir=tmp_path)
    with pytest.raises(InputError, match="multiples of 4"):
        fit(QUICK.model_copy(update={"patch": (30, 32, 32)}), NETWORK, some_cases, [], work_dir=tmp_path)


def test_a_damaged_checkpoint_says_what_to_do(tmp_path: Path, some_cases):
    (tmp_path / "checkpoint.npz").write_bytes(b"junk")
    with pytest.raises(InputError, match="Delete it to start anew"):
        fit(QUICK, NETWORK, some_cases, [], work_dir=tmp_path)
