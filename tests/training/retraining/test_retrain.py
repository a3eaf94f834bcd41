from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests import synthetic
from tests.training import rejected
from training.cases.case import Case
from training.cases.find import find_cases
from training.fitting.config import FitConfig
from training.fitting.fit import fit
from training.images.grid import Volume
from training.models.store import ModelCard, ModelStore, write_version
from training.network.unet import UNetConfig
from training.phantoms.generate import generate, phantom_id
from training.preparation.prepare_cases import prepare_case
from training.preparation.store import PreparedStore, _phantom_key, prepare_phantom
from training.retraining.config import RetrainConfig
from training.retraining.corrections import EVALUATION_SEEDS, REPLAY_SEED, Correction, check_corrections
from training.retraining.promotion import decide, not_worse
from training.retraining.retrain import RetrainProgress, retrain
from training.retraining.split import is_validation

NETWORK = UNetConfig(base_filters=4, max_filters=16, levels=2)
#: No phantoms: one labeled validation case is enough here.
QUICK = RetrainConfig(
    max_epochs=2, steps_per_epoch=3, batch_size=1, patch=32, replay=0, enough_validation=1, learning_rate=1e-3
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


def all_wrong(correction: Correction, folder: Path) -> Correction:
    """The same correction with a label that calls healthy tissue tumor, and tumor healthy."""
    truth = correction.case.read_label()
    wrong = Volume(np.where(truth.data > 0, 0, 2 * synthetic.brain(truth.grid)).astype(np.uint8), truth.grid)
    return replace(correction, label=synthetic.save(wrong, folder / f"{correction.case.id}.nii.gz"))


def unreadable(correction: Correction, folder: Path) -> Correction:
    (folder / "junk.nii.gz").write_bytes(b"no image")
    return replace(correction, label=folder / "junk.nii.gz")


def test_a_candidate_that_is_not_worse_is_promoted_and_unreadable_cases_are_skipped(store, corrections, tmp_path):
    first, second, third = corrections
    seen: list[RetrainProgress] = []
    mixed = [first, unreadable(second, tmp_path), third]
    result = retrain(store, mixed, config=QUICK, work_dir=tmp_path / "work", on_progress=seen.append)
    assert result.promoted
    assert store.current().id == result.version.id == "v0001"
    card = store.get("v0001").card
    assert card.parent == "v0000"
    assert [(case.case, case.split) for case in card.data] == [(NAMES[0], "train"), (NAMES[2], "validation")]
    assert all(len(case.label_sha256) == 64 for case in card.data)
    assert (card.training["config"]["tolerance"], len(card.training["history"])) == (0.01, 2)
    assert list(card.metrics["cases"]) == [NAMES[2]]
    scores = card.metrics["cases"][NAMES[2]]
    assert card.metrics["candidate"]["mean"] == pytest.approx(np.mean(list(scores["candidate"].values())), abs=1e-4)
    assert card.metrics["candidate"]["mean"] >= card.metrics["parent"]["mean"] - 0.01
    assert card.verdict == result.verdict == store.history()[-1]["reason"]
    assert {progress.state for progress in seen} == {"preparing", "training", "judging"}
    last = [progress.fit for progress in seen if progress.fit is not None][-1]
    assert (last.epoch, last.total_epochs) == (2, 2)
    assert not (tmp_path / "work" / "checkpoint.npz").exists()
    assert list(result.skipped) == card.training["skipped"] == [NAMES[1]]
    assert "junk.nii.gz" in result.skipped[NAMES[1]]
    assert "on 1 corrected case" in card.description
    assert any(f"skipped {NAMES[1]}" in progress.message for progress in seen)


def test_a_candidate_that_is_worse_is_stored_but_not_promoted(store, corrections, tmp_path):
    wrecking = QUICK.model_copy(update={"learning_rate": 0.1, "freeze_normalization": False, "steps_per_epoch": 8})
    wrong = [all_wrong(correction, tmp_path) for correction in corrections[:2]]
    result = retrain(store, [*wrong, corrections[2]], config=wrecking, work_dir=tmp_path / "work")
    assert (result.promoted, store.current().id, store.history()) == (False, "v0000", [])
    assert store.get("v0001").card.verdict.startswith("Not promoted")


def test_a_candidate_does_not_replace_a_version_promoted_meanwhile(store, corrections, tmp_path):
    other = store.add(store.current().load_weights(), ModelCard(network=NETWORK, parent="v0000"))

    def promote_meanwhile(progress: RetrainProgress) -> None:
        if progress.state == "training" and store.current().id != other.id:
            store.promote(other.id, "by hand")

    short = QUICK.model_copy(update={"max_epochs": 1, "steps_per_epoch": 1})
    result = retrain(store, corrections, config=short, work_dir=tmp_path / "work", on_progress=promote_meanwhile)
    assert (result.promoted, store.current().id) == (False, other.id)
    assert other.id in result.verdict


def test_phantoms_are_half_of_the_patches_and_none_is_both_for_training_and_judging(corrections, tmp_path):
    config = QUICK.model_copy(update={"replay": 2, "judge_phantoms": 1, "enough_validation": 2})
    phantoms = PreparedStore(tmp_path / "phantoms")
    seeds = (REPLAY_SEED, REPLAY_SEED + 1, EVALUATION_SEEDS[0])
    for seed in seeds:  # patches stand for the whole heads, which take seconds to generate
        image, label, _ = prepare_phantom(generate(seed, (32, 32, 32)))
        phantoms.put(phantom_id(seed), image, label, key=_phantom_key(seed, True, "some"))
    mixture = config.mixture(NETWORK.stride)
    ready = mixture.prepare(corrections, tmp_path, lambda message: None)
    assert [case.id for case in ready.train] == [*NAMES[:2], "phantom-500000000", "phantom-500000001"]
    assert ready.sampling == pytest.approx([0.25, 0.25, 0.25, 0.25])
    assert [case.id for case in ready.evaluation] == [NAMES[2], f"phantom-{EVALUATION_SEEDS[0]}"]
    relabeled = mixture.prepare([all_wrong(corrections[0], tmp_path)], tmp_path, lambda message: None).train[0]
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


def test_not_worse_means_within_the_tolerance_and_the_evaluation_phantoms_hold_plenty_of_every_label():
    before, slightly, clearly = ([{"WT": x, "TC": x, "ET": x}] for x in (0.8, 0.795, 0.78))
    assert not_worse(before, slightly, 0.01)
    assert not not_worse(before, clearly, 0.01)
    for after, current, promoted, verdict in (
        (slightly, "v0000", True, "Promoted: mean Dice 0.7950 against 0.8000"),
        (clearly, "v0000", False, "a loss of more than 0.01"),
        (slightly, "v0007", False, "Not promoted: v0007 became the current model"),
    ):
        decision = decide(before, after, 0.01, parent="v0000", current=current)
        assert decision.promoted is promoted
        assert verdict in decision.verdict
    for seed in EVALUATION_SEEDS[: RetrainConfig().judge_phantoms]:
        label = generate(seed, shape=(112, 112, 112)).label
        assert all(np.count_nonzero(label == value) > 500 for value in (1, 2, 3)), seed


def test_about_the_requested_share_of_patients_is_held_out():
    patients = [f"patient-{number}" for number in range(2000)]
    held_out = [patient for patient in patients if is_validation(patient, 0.2)]
    assert 0.17 < len(held_out) / len(patients) < 0.23
    assert not any(is_validation(patient, 0.0) for patient in patients)
    assert [is_validation(patient) for patient in patients[:8]] == [patient in held_out for patient in patients[:8]]
