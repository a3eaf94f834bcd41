from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests import synthetic
from tests.training import rejected
from training.cases.case import Case
from training.cases.find import find_cases
from training.fitting.config import FitConfig
from training.fitting.fit import fit
from training.images.grid import Volume
from training.models.store import ModelCard, ModelStore, write_version
from training.models.weights import Weights
from training.network.unet import UNetConfig
from training.phantoms.generate import generate, phantom_id
from training.preparation.prepare_cases import prepare_case
from training.preparation.store import PreparedStore, _phantom_key, prepare_phantom
from training.retraining.config import RetrainConfig
from training.retraining.corrections import (
    EVALUATION_SEEDS,
    REPLAY_SEED,
    Correction,
    RetrainCases,
    check_corrections,
)
from training.retraining.derived import derivations
from training.retraining.judge import Judge
from training.retraining.retrain import RetrainProgress, retrain
from training.retraining.split import is_validation

NETWORK = UNetConfig(base_filters=4, max_filters=16, levels=2)
#: One labeled validation case is enough here, and one phantom is the guard, of which anything may be forgotten.
QUICK = RetrainConfig(
    **{
        "max_epochs": 2,
        "steps_per_epoch": 3,
        "batch_size": 1,
        "patch": 32,
        "replay": 0,
        "derived": 0,
        "learning_rate": 1e-3,
    },
    **{"enough_validation": 1, "judge_phantoms": 1, "tolerance": 1.0, "drift": 1.0},
)
NAMES = tuple(f"BraTS20_Training_00{number}" for number in (1, 2, 3))


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    root = tmp_path_factory.mktemp("retrain")
    for name in NAMES:
        synthetic.write_case(root, name)
    return find_cases(root)[0]


@pytest.fixture(scope="module")
def parent(cases: list[Case], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version that has learned a little about the synthetic heads."""
    folder = tmp_path_factory.mktemp("parent")
    store = PreparedStore(folder / "prepared")
    first, second = (prepare_case(case, store, stride=NETWORK.stride) for case in cases[:2])
    config = FitConfig(max_epochs=1, steps_per_epoch=60, batch_size=1, patch=(32, 32, 32), learning_rate=1e-2)
    result = fit(config, NETWORK, [first], [second], work_dir=folder)
    assert result.best_metric > 0.3
    return write_version(folder / "model", result.weights, ModelCard(network=NETWORK)).folder


@pytest.fixture
def store(parent: Path, tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models", parent)


@pytest.fixture
def corrections(cases: list[Case]) -> list[Correction]:
    """Two corrections to train on and one to validate with."""
    splits = ("train", "train", "validation")
    return [Correction(case, case.label, split=split) for case, split in zip(cases, splits, strict=True) if case.label]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A work folder with patches for phantoms: the whole heads take seconds to generate."""
    phantoms = PreparedStore(tmp_path / "work" / "phantoms")
    for seed in (REPLAY_SEED, REPLAY_SEED + 1, EVALUATION_SEEDS[0]):
        image, label, _ = prepare_phantom(generate(seed, (32, 32, 32)))
        phantoms.put(phantom_id(seed), image, label, key=_phantom_key(seed, True, "some"))
    return tmp_path / "work"


def all_wrong(correction: Correction, folder: Path) -> Correction:
    """The same correction with a label that calls healthy tissue tumor, and tumor healthy."""
    truth = correction.case.read_label()
    wrong = Volume(np.where(truth.data > 0, 0, 2 * synthetic.brain(truth.grid)).astype(np.uint8), truth.grid)
    return replace(correction, label=synthetic.save(wrong, folder / f"{correction.case.id}.nii.gz"))


def unreadable(correction: Correction, folder: Path) -> Correction:
    (folder / "junk.nii.gz").write_bytes(b"no image")
    return replace(correction, label=folder / "junk.nii.gz")


def test_a_candidate_is_compared_with_its_parent_and_unreadable_cases_are_skipped(store, corrections, tmp_path, work):
    first, second, third = corrections
    seen: list[RetrainProgress] = []
    mixed = [first, unreadable(second, tmp_path), third]
    result = retrain(store, mixed, config=QUICK, work_dir=work, on_progress=seen.append)
    assert result.version.id == "v0001"
    card = store.get("v0001").card
    metrics = card.metrics
    assert card.parent == "v0000"
    assert [(case.case, case.split) for case in card.data] == [(NAMES[0], "train"), (NAMES[2], "validation")]
    assert all(len(case.label_sha256) == 64 for case in card.data)
    assert (card.training["config"]["tolerance"], len(card.training["history"])) == (1.0, 2)
    assert list(metrics["cases"]) == [NAMES[2], phantom_id(EVALUATION_SEEDS[0])]
    scores = metrics["cases"][NAMES[2]]
    assert metrics["means_over"] == "validation patients"
    assert metrics["candidate"]["mean"] == pytest.approx(np.mean(list(scores["candidate"].values())), abs=1e-4)
    gain = metrics["candidate"]["mean"] - metrics["parent"]["mean"]
    assert metrics["patients"]["dice"]["mean"] == pytest.approx(gain, abs=1e-4)
    assert list(metrics["patients"]["each"]) == [third.case.patient]
    assert metrics["outcome"] == result.outcome == "equal"  # one patient has no interval
    assert result.promoted is (gain >= 0) is (store.current().id == "v0001")
    assert metrics["guard"]["passed"]
    assert card.verdict == result.verdict
    assert {progress.state for progress in seen} == {"preparing", "training", "judging"}
    last = [progress.fit for progress in seen if progress.fit is not None][-1]
    assert (last.epoch, last.total_epochs) == (2, 2)
    assert not (work / "checkpoint.npz").exists()
    assert list(result.skipped) == card.training["skipped"] == [NAMES[1]]
    assert "junk.nii.gz" in result.skipped[NAMES[1]]
    assert "on 1 corrected case" in card.description
    assert any(f"skipped {NAMES[1]}" in progress.message for progress in seen)


def test_the_version_has_pictures_of_a_validation_patient_or_else_of_a_case_that_was_learned(store, corrections, work):
    short = QUICK.model_copy(update={"max_epochs": 1, "steps_per_epoch": 1, "enough_validation": 3})
    version = retrain(store, corrections, config=short, work_dir=work).version
    about = version.card.metrics["pictures"]
    assert (about["case"], about["corrected"]) == (NAMES[2], False)
    for name in (about["before"], about["after"]):
        with Image.open(version.folder / name) as picture:
            assert picture.format == "PNG"
    alone = retrain(store, corrections[:2], config=short, work_dir=work)
    assert alone.outcome == "not judged"
    assert alone.promoted
    assert "3 more validation patients are needed" in alone.verdict
    about = alone.version.card.metrics["pictures"]
    assert (about["case"], about["corrected"]) == (NAMES[0], True)


def test_a_candidate_that_is_worse_is_stored_but_not_promoted(store, corrections, tmp_path, work):
    wrecking = QUICK.model_copy(update={"learning_rate": 0.1, "freeze_normalization": False, "steps_per_epoch": 8})
    wrong = [all_wrong(correction, tmp_path) for correction in corrections[:2]]
    result = retrain(store, [*wrong, corrections[2]], config=wrecking, work_dir=work)
    assert (result.promoted, store.current().id, store.history()) == (False, "v0000", [])
    card = store.get("v0001").card
    assert card.verdict.startswith("Not promoted: not clearly worse than v0000, but lower")
    assert card.training["share_of_the_way"] == 1.0  # nothing nearer to the parent is tried on the same patient


def test_weights_nearer_to_the_parent_are_tried_when_too_much_is_forgotten(store, corrections, tmp_path):
    known = prepare_case(corrections[0].case, PreparedStore(tmp_path), stride=NETWORK.stride)
    guard = RetrainCases(train=[], sampling=[], evaluation=[known], corrected=0)
    weights = store.current().load_weights()
    weights["logits/kernel"] = np.zeros_like(weights["logits/kernel"])

    def biased(background: float) -> Weights:
        """Weights that see edema everywhere up to a background of 1.75, and nothing above: see decide()."""
        return {**weights, "logits/bias": np.array([background, 0, 1, 0], np.float32)}

    parent = store.add(biased(0.0), ModelCard(network=NETWORK))
    config = QUICK.model_copy(update={"tolerance": 0.02})
    for background, share, tried in ((1.5, 1.0, 0), (3.0, 0.5, 1), (6.0, 0.25, 2), (20.0, 1.0, 2)):
        seen: list[str] = []
        judge = Judge(parent, guard, [], config, seen.append)
        judge.score_parent()
        found = judge.score_candidate(biased(background))
        assert (found.share, found.guard.passed) == (share, background < 20)
        assert sum("too much was forgotten" in message for message in seen) == tried
        assert np.array_equal(found.weights["logits/bias"], biased(background * share)["logits/bias"])


def test_small_losses_add_up_to_what_all_retrainings_together_may_lose(store, corrections, tmp_path):
    known = prepare_case(corrections[0].case, PreparedStore(tmp_path), stride=NETWORK.stride)
    guard = RetrainCases(train=[], sampling=[], evaluation=[known], corrected=0)
    start = store.current().load_weights()
    nothing = {**start, "logits/kernel": np.zeros_like(start["logits/kernel"])}
    nothing["logits/bias"] = np.array([9, 0, 0, 0], np.float32)
    first = store.add(nothing, ModelCard(network=NETWORK, parent=store.current().id))
    parent = store.add(nothing, ModelCard(network=NETWORK, parent=first.id))
    assert store.origin(parent).id == store.current().id == "v0000"
    for limit, passed in ((0.01, False), (1.0, True)):
        config = QUICK.model_copy(update={"drift": limit})
        judge = Judge(parent, guard, [], config, lambda message: None, store.origin(parent))
        judge.score_parent()
        found = judge.score_candidate(nothing).guard
        assert (found.loss, found.passed) == (0.0, passed)  # nothing is lost any more, but it was before
        assert found.drift is not None
        assert found.drift.loss > 0.01
        assert f"of 1 that may be lost, and lost {found.drift.loss:.3f} since v0000, of {limit:g}" in found.numbers
        assert found.to_json()["origin"] == "v0000"
    (first.folder / "weights.npz").write_bytes(b"damaged")
    told: list[str] = []
    judge = Judge(parent, guard, [], QUICK, told.append, first)
    judge.score_parent()
    assert judge.score_candidate(nothing).guard.drift is None
    assert any("weights.npz" in message and "is not known" in message for message in told)


def test_a_candidate_does_not_replace_a_version_promoted_meanwhile(store, corrections, work):
    other = store.add(store.current().load_weights(), ModelCard(network=NETWORK, parent="v0000"))

    def promote_meanwhile(progress: RetrainProgress) -> None:
        if progress.state == "training" and store.current().id != other.id:
            store.promote(other.id, "by hand")

    short = QUICK.model_copy(update={"max_epochs": 1, "steps_per_epoch": 1, "enough_validation": 3})
    result = retrain(store, corrections, config=short, work_dir=work, on_progress=promote_meanwhile)
    assert (result.promoted, store.current().id) == (False, other.id)
    assert other.id in result.verdict


def test_patches_come_from_cases_heads_derived_from_them_and_phantoms_none_of_which_judges(corrections, tmp_path, work):
    settings = {"replay": 2, "replay_share": 0.5, "derived": 1, "derived_share": 0.6}
    mixture = QUICK.model_copy(update=settings).mixture(NETWORK.stride)
    ready = mixture.prepare(corrections, work, lambda message: None)
    cases, derived, phantoms = ready.train[:2], ready.train[2:4], ready.train[4:]
    assert [case.id for case in (*cases, *phantoms)] == [*NAMES[:2], "phantom-500000000", "phantom-500000001"]
    assert [case.id for case in derived] == [wanted.id for wanted in derivations(cases, 1)]
    assert ready.sampling == pytest.approx([0.1, 0.1, 0.15, 0.15, 0.25, 0.25])
    assert [case.id for case in ready.evaluation] == [NAMES[2], f"phantom-{EVALUATION_SEEDS[0]}"]
    assert (ready.corrected, ready.held_out) == (2, 1)
    relabeled = mixture.prepare([all_wrong(corrections[0], tmp_path)], work, lambda message: None).train[0]
    assert relabeled.id == ready.train[0].id
    assert relabeled.key != ready.train[0].key  # a new label is prepared anew


def test_retraining_without_a_usable_label_is_an_error(store, corrections, tmp_path):
    for unusable, message in (([], "nothing to train on"), ([corrections[2]], "held out for validation")):
        with rejected(message):
            check_corrections(unusable)
    truth = synthetic.truth(synthetic.brats_grid((51, 51, 51)))
    other_grid = replace(corrections[0], label=synthetic.save(truth, tmp_path / "wrong.nii.gz"))
    for broken, reason in (
        ([other_grid], "51 x 51 x 51"),
        ([unreadable(corrections[0], tmp_path), corrections[2]], r"junk\.nii\.gz"),
    ):
        with rejected(rf"{NAMES[0]}.*{reason}"):
            retrain(store, broken, config=QUICK, work_dir=tmp_path / "work")
    assert store.versions()[-1].id == "v0000"


def test_the_evaluation_phantoms_hold_plenty_of_every_label():
    for seed in EVALUATION_SEEDS[: RetrainConfig().judge_phantoms]:
        label = generate(seed, shape=(112, 112, 112)).label
        assert all(np.count_nonzero(label == value) > 500 for value in (1, 2, 3)), seed


def test_about_the_requested_share_of_patients_is_held_out():
    patients = [f"patient-{number}" for number in range(2000)]
    held_out = [patient for patient in patients if is_validation(patient, 0.2)]
    assert 0.17 < len(held_out) / len(patients) < 0.23
    assert not any(is_validation(patient, 0.0) for patient in patients)
    assert [is_validation(patient) for patient in patients[:8]] == [patient in held_out for patient in patients[:8]]
