"""The current version against its parent on cases that neither has seen, and the cross-validation."""

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from tests import synthetic
from training.cases.find import find_cases
from training.fitting.config import FitConfig
from training.fitting.fit import fit
from training.models.store import ModelCard, ModelStore, write_version
from training.models.weights import Weights
from training.network.unet import UNetConfig
from training.phantoms.generate import generate, phantom_id
from training.preparation.prepare_cases import prepare_case
from training.preparation.store import PreparedStore, _phantom_key, prepare_phantom
from training.retraining.config import RetrainConfig
from training.retraining.corrections import EVALUATION_SEEDS, Correction
from training.retraining.evidence import check_current
from training.retraining.retrain import retrain

NETWORK = UNetConfig(base_filters=4, max_filters=16, levels=2)
QUICK = RetrainConfig(
    **{
        "max_epochs": 1,
        "steps_per_epoch": 1,
        "batch_size": 1,
        "patch": 32,
        "replay": 0,
        "derived": 0,
        "learning_rate": 1e-5,
    },
    **{"judge_phantoms": 1, "tolerance": 1.0, "drift": 1.0},
)


@pytest.fixture(scope="module")
def corrections(tmp_path_factory: pytest.TempPathFactory) -> list[Correction]:
    root = tmp_path_factory.mktemp("evidence")
    for number in (1, 2, 3, 4):
        synthetic.write_case(root, f"BraTS20_Training_00{number}")
    return [Correction(case, case.label) for case in find_cases(root)[0] if case.label]


@pytest.fixture(scope="module")
def parent(corrections: list[Correction], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version that has learned a little about the synthetic heads."""
    folder = tmp_path_factory.mktemp("parent")
    case = prepare_case(corrections[0].case, PreparedStore(folder / "prepared"), stride=NETWORK.stride)
    config = FitConfig(max_epochs=1, steps_per_epoch=60, batch_size=1, patch=(32, 32, 32), learning_rate=1e-2)
    result = fit(config, NETWORK, [case], [], work_dir=folder)
    return write_version(folder / "model", result.weights, ModelCard(network=NETWORK)).folder


@pytest.fixture
def store(parent: Path, tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models", parent)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    phantoms = PreparedStore(tmp_path / "work" / "phantoms")
    seed = EVALUATION_SEEDS[0]
    image, label, _ = prepare_phantom(generate(seed, (32, 32, 32)))
    phantoms.put(phantom_id(seed), image, label, key=_phantom_key(seed, True, "some"))
    return tmp_path / "work"


def promote(store: ModelStore, weights: Weights, seen: list[Correction]) -> None:
    """Make weights the current version, which has seen some cases."""
    card = ModelCard(network=NETWORK, parent="v0000", data=[correction.seen() for correction in seen])
    store.promote(store.add(weights, card).id)


def wrecked(weights: Weights) -> Weights:
    return {key: -value if "moving_" not in key else value for key, value in weights.items()}


def test_a_current_version_that_is_worse_than_its_parent_on_new_patients_is_not_trained_further(
    store, corrections, work
):
    promote(store, wrecked(store.current().load_weights()), corrections[:1])
    notes: list[str] = []
    result = retrain(store, corrections, config=QUICK, work_dir=work, on_progress=lambda at: notes.append(at.note))
    found = result.version.card.metrics["current_version"]
    assert (found["version"], found["against"], found["started_from"]) == ("v0001", "v0000", "v0000")
    assert found["outcome"] == "worse"
    assert sorted(found["each"]) == [correction.case.patient for correction in corrections[1:]]
    assert result.version.card.parent == "v0000"
    said = "Since v0001 was made, on 3 newly corrected patients mean Dice"
    assert said in result.verdict
    assert "v0001 was worse than v0000. So this training started from v0000." in result.verdict
    assert any(said in note for note in notes)
    assert store.current().id == result.version.id  # nothing else speaks against it
    assert "consider" not in result.verdict


def test_a_worse_current_version_stays_in_use_with_the_way_back_if_the_new_one_is_refused(store, corrections, work):
    promote(store, wrecked(store.current().load_weights()), corrections[:1])
    breaking = {"learning_rate": 0.1, "freeze_normalization": False, "steps_per_epoch": 8, "enough_validation": 3}
    held_out = [replace(one, split="validation") for one in corrections[1:]]
    strict = QUICK.model_copy(update=breaking)
    result = retrain(store, [corrections[0], *held_out], config=strict, work_dir=work)
    assert (result.promoted, store.current().id) == (False, "v0001")
    assert "v0001 is still in use: consider v0000" in result.verdict


def test_patients_that_a_version_or_its_ancestors_have_seen_say_nothing_about_it(store, corrections, work):
    promote(store, wrecked(store.current().load_weights()), corrections)
    result = retrain(store, corrections, config=QUICK, work_dir=work)
    assert "current_version" not in result.version.card.metrics
    assert result.version.card.parent == "v0001"


def test_two_new_patients_are_too_few_to_go_back(store, corrections, work):
    promote(store, wrecked(store.current().load_weights()), corrections[:2])
    result = retrain(store, corrections, config=QUICK, work_dir=work)
    assert result.version.card.metrics["current_version"]["outcome"] == "not judged"
    assert "too few to judge v0001 against v0000" in result.verdict
    assert result.version.card.parent == "v0001"


def test_only_the_newest_new_cases_are_compared_and_none_if_that_is_asked_for(store, corrections, work):
    promote(store, store.current().load_weights(), corrections[:1])
    cases = QUICK.mixture(NETWORK.stride).prepare(corrections, work, lambda message: None)
    for most, newest in ((2, corrections[2:]), (0, [])):
        config = QUICK.model_copy(update={"compare_unseen": most})
        found = check_current(store, corrections, cases, config, lambda message: None).comparison
        patients = [score.patient for score in found.patients] if found is not None else []
        assert patients == [correction.case.patient for correction in newest]


def test_patients_of_whom_a_version_has_seen_the_images_alone_are_compared_once_they_are_labeled(
    store, corrections, work
):
    images = [one.seen().model_copy(update={"label_sha256": "", "split": "unlabeled"}) for one in corrections]
    card = ModelCard(network=NETWORK, parent="v0000", data=images)
    store.promote(store.add(store.current().load_weights(), card).id)
    cases = QUICK.mixture(NETWORK.stride).prepare(corrections, work, lambda message: None)
    found = check_current(store, corrections, cases, QUICK, lambda message: None).comparison
    assert found is not None
    assert len(found.patients) == len(corrections)


def test_a_cross_validation_has_two_folds_or_more():
    with pytest.raises(ValidationError, match="at least 2 folds; give 0 for none"):
        RetrainConfig(cross_validate=1)


def test_corrected_patients_held_out_in_turn_decide_before_there_are_validation_patients(store, corrections, work):
    config = QUICK.model_copy(update={"cross_validate": 2})
    result = retrain(store, corrections, config=config, work_dir=work)
    found = result.version.card.metrics["patients"]
    assert sorted(found["each"]) == [correction.case.patient for correction in corrections]
    assert result.outcome in ("better", "equal", "worse")
    assert "on 4 cross-validated patients" in result.verdict
    assert not (work / "folds").exists()
