from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.training import rejected
from training.fitting.checkpoint import load_state
from training.fitting.compile import compile_model
from training.fitting.config import FitConfig, FitProgress, FitResult
from training.fitting.fit import fit
from training.models.weights import get_weights, set_weights
from training.network.unet import UNetConfig, build_unet
from training.preparation.store import PreparedCase, PreparedStore

NETWORK = UNetConfig(base_filters=4, max_filters=8, levels=2)
QUICK = FitConfig(max_epochs=3, steps_per_epoch=6, batch_size=1, patch=(32, 32, 32), learning_rate=2e-2)
QUICK = QUICK.model_copy(update={"precision": "float32", "augment": False, "workers": 0})


@pytest.fixture(scope="module")
def some_cases(tmp_path_factory: pytest.TempPathFactory) -> list[PreparedCase]:
    """Balls of three shells with strong contrast on T1ce, T2 and FLAIR."""
    store = PreparedStore(tmp_path_factory.mktemp("prepared"))
    cases = []
    for number in range(3):
        x, y, z = np.ogrid[:48, :48, :48]
        radius = np.sqrt((x - 24 - number) ** 2 + (y - 22) ** 2 + (z - 24) ** 2)
        label = np.select([radius < 5, radius < 9, radius < 15], [1, 3, 2], 0).astype(np.uint8)
        image = np.random.default_rng(number).normal(0, 0.3, (48, 48, 48, 4)).astype(np.float32)
        image[..., 1:] += 4.0 * np.stack([label == 3, label == 1, label > 0], axis=-1)
        cases.append(store.put(f"ball-{number}", image, label, key=str(number)))
    return cases


@pytest.fixture
def train(some_cases: list[PreparedCase], tmp_path: Path) -> Callable[..., FitResult]:
    """Train with the quick settings, some of them changed, on two cases and validate on the third."""

    def start(progress: Callable[[FitProgress], None] | None = None, work: str = "work", **changes: Any) -> FitResult:
        options = {name: changes.pop(name) for name in ("start", "should_stop") if name in changes}
        config = QUICK.model_copy(update=changes)
        cases, folder = some_cases, tmp_path / work
        return fit(config, NETWORK, cases[:2], cases[2:], work_dir=folder, on_progress=progress, **options)

    return start


def test_a_few_epochs_on_easy_cases_lower_the_loss_and_find_the_tumor(train):
    history = train(max_epochs=8, steps_per_epoch=15, validate_every=8).history
    assert len(history) == 8
    assert history[-1]["loss"] < 0.5 * history[0]["loss"]
    assert history[-1]["WT"] > 0.9


@pytest.mark.parametrize("keep_last", [False, True])
def test_the_best_weights_are_kept_or_the_last_ones_if_validation_only_reports(some_cases, tmp_path, keep_last):
    from training.fitting.session import FitSession

    config = QUICK.model_copy(update={"keep_last": keep_last})
    model = compile_model(config, NETWORK, None)
    model.optimizer.build(model.trainable_variables)
    session = FitSession(model, config, some_cases[2:], tmp_path / "checkpoint.npz", "a run", None, None)
    everywhere, nowhere = get_weights(model), get_weights(model)
    everywhere["logits/bias"] = np.array([0, 0, 99, 0], np.float32)
    nowhere["logits/bias"] = np.array([99, 0, 0, 0], np.float32)
    for epoch, weights in enumerate((everywhere, nowhere)):  # tumor everywhere is better than nowhere
        set_weights(model, weights)
        session.on_epoch_end(epoch, {"loss": 1.0})
    result = session.result()
    kept = nowhere if keep_last else everywhere
    assert np.array_equal(result.weights["logits/bias"], kept["logits/bias"])
    assert result.best_metric == pytest.approx(max(record["mean"] for record in result.history), abs=1e-5)
    assert result.best_metric > 0


def test_a_training_killed_in_an_epoch_resumes_as_if_uninterrupted_and_other_settings_start_over(tmp_path, train):
    seen: list[FitProgress] = []
    whole = train(seen.append, "whole")
    assert whole.best_metric == pytest.approx(max(record["mean"] for record in whole.history), abs=1e-5)
    positions = [progress.epoch * progress.steps + progress.step for progress in seen]
    assert positions == sorted(positions)
    assert seen[0].eta_seconds > 0
    assert seen[-1].eta_seconds == 0
    assert seen[-1].epoch == seen[-1].total_epochs == 3
    assert set(seen[-1].validation) == {"WT", "TC", "ET", "mean"}

    class Killed(BaseException):
        pass

    def kill(progress: FitProgress) -> None:
        if progress.epoch == 1 and progress.step == 3:
            raise Killed

    with pytest.raises(Killed):
        train(kill)
    state = load_state(tmp_path / "work" / "checkpoint.npz")
    assert state is not None
    assert state.epoch == 1
    resumed = train()
    assert [record["epoch"] for record in resumed.history] == [1, 2, 3]
    for one, other in zip(whole.history, resumed.history, strict=True):
        assert other["loss"] == pytest.approx(one["loss"], rel=1e-3)
    for key, value in whole.weights.items():
        np.testing.assert_allclose(resumed.weights[key], value, rtol=1e-3, atol=1e-4)
    assert len(train(seed=7, max_epochs=1, steps_per_epoch=1).history) == 1


def test_early_stopping_ends_a_training_that_no_longer_improves(train):
    # Certain of background everywhere: the moving statistics of the normalization, which change in any training, must
    # not count as an improvement.
    start = get_weights(build_unet(NETWORK))
    start["logits/bias"] = np.array([50, 0, 0, 0], np.float32)
    result = train(learning_rate=1e-12, max_epochs=9, steps_per_epoch=2, early_stop_patience=2, start=start)
    assert (result.stopped_early, result.epochs) == (True, 3)


def test_a_stop_takes_effect_within_a_batch_and_keeps_the_weights_whose_moving_average_is_validated(train, tmp_path):
    seen: list[FitProgress] = []
    result = train(seen.append, should_stop=lambda: len(seen) >= 8)
    assert result.stopped_early
    assert len([progress for progress in seen if progress.step]) <= 9
    assert result.weights
    result = train(work="averaged", average=0.9, steps_per_epoch=10, max_epochs=1)
    state = load_state(tmp_path / "averaged" / "checkpoint.npz")
    assert state is not None
    assert not np.allclose(result.weights["logits/kernel"], state.weights["logits/kernel"], atol=1e-6)
    np.testing.assert_array_equal(state.average["logits/kernel"], result.weights["logits/kernel"])


def test_no_cases_an_unsuitable_patch_and_a_damaged_checkpoint_are_errors(tmp_path: Path, some_cases):
    with rejected("no case to train on"):
        fit(QUICK, NETWORK, [], [], work_dir=tmp_path)
    with rejected("multiples of 4"):
        fit(QUICK.model_copy(update={"patch": (30, 32, 32)}), NETWORK, some_cases, [], work_dir=tmp_path)
    (tmp_path / "checkpoint.npz").write_bytes(b"junk")
    with rejected("Delete it to start anew"):
        fit(QUICK, NETWORK, some_cases, [], work_dir=tmp_path)


def test_the_moving_average_learns_in_epochs_of_a_few_steps_as_well(train):
    start = train(work="start", max_epochs=1, steps_per_epoch=1).weights
    result = train(work="few", start=start, average=0.9, steps_per_epoch=2, max_epochs=1)
    assert not np.array_equal(result.weights["logits/kernel"], start["logits/kernel"])
