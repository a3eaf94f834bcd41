"""Learning from corrections: what is promoted, what is not, and what the card says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests import synthetic
from training.cases.case import Case
from training.cases.find import find_cases
from training.errors import InputError
from training.fitting.config import FitConfig
from training.fitting.fit import fit
from training.images.grid import Volume
from training.models.store import ModelCard, ModelStore, write_version
from training.network.unet import UNetConfig
from training.phantoms.generate import generate
from training.preparation.prepare_cases import prepare_case
from training.preparation.store import PreparedStore
from training.retraining.corrections import JUDGE_SEEDS, Correction, check_corrections
from training.retraining.judge import not_worse, verdict_of
from training.retraining.retrain import RetrainConfig, RetrainProgress, retrain

NETWORK = UNetConfig(base_filters=4, max_filters=16, levels=2)
#: No phantoms: one labeled validation case is enough here.
QUICK = RetrainConfig(
    max_epochs=2, steps_per_epoch=3, batch_size=1, patch=32, replay=0, enough_validation=1, learning_rate=1e-3
)


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    """Three labeled cases by id."""
    root = tmp_path_factory.mktemp("retrain")
    for name in ("BraTS20_Training_001", "BraTS20_Training_002", "BraTS20_Training_003"):
        synthetic.write_case(root, name)
    return {case.id: case for case in find_cases(root)[0]}


@pytest.fixture(scope="module")
def parent(cases: dict[str, Case], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version that has learned the synthetic heads, a little."""
    folder = tmp_path_factory.mktemp("parent")
    prepared = [
        prepare_case(case, PreparedStore(folder / "prepared"), stride=NETWORK.stride) for case in cases.values()
    ]
    config = FitConfig(max_epochs=1, steps_per_epoch=60, batch_size=1, patch=(32, 32, 32), learning_rate=1e-2)
    result = fit(config, NETWORK, prepared[:1], prepared[1:2], work_dir=folder)
    assert result.best_metric > 0.3
    return write_version(folder / "model", result.weights, ModelCard(network=NETWORK)).folder


@pytest.fixture
def store(parent: Path, tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models", parent)


def corrections(cases: dict[str, Case]) -> list[Correction]:
    first, second, third = cases.values()
    assert first.label is not None
    assert second.label is not None
    assert third.label is not None
    return [
        Correction(first, first.label),
        Correction(second, second.label),
        Correction(third, third.label, split="validation"),
    ]


def test_a_candidate_that_is_not_worse_is_promoted_and_its_card_says_why(
    store: ModelStore, cases: dict[str, Case], tmp_path: Path
) -> None:
    seen: list[RetrainProgress] = []
    result = retrain(store, corrections(cases), config=QUICK, work_dir=tmp_path / "work", on_progress=seen.append)
    assert result.promoted
    assert store.current().id == result.version.id == "v0001"
    card = store.get("v0001").card
    assert card.parent == "v0000"
    assert [(case.case, case.split) for case in card.data] == [
        ("BraTS20_Training_001", "train"),
        ("BraTS20_Training_002", "train"),
        ("BraTS20_Training_003", "validation"),
    ]
    assert all(len(case.label_sha256) == 64 for case in card.data)
    assert card.training["config"]["tolerance"] == 0.01
    assert len(card.training["history"]) == 2
    assert list(card.metrics["cases"]) == ["BraTS20_Training_003"]
    scores = card.metrics["cases"]["BraTS20_Training_003"]
    assert card.metrics["candidate"]["mean"] == pytest.approx(np.mean(list(scores["candidate"].values())), abs=1e-4)
    assert card.metrics["candidate"]["mean"] >= card.metrics["parent"]["mean"] - 0.01
    assert card.verdict == result.verdict == store.history()[-1]["reason"]
    assert {progress.state for progress in seen} == {"preparing", "training", "judging"}
    last = [progress.fit for progress in seen if progress.fit is not None][-1]
    assert (last.epoch, last.total_epochs) == (2, 2)
    assert not (tmp_path / "work" / "checkpoint.npz").exists()


def test_a_candidate_that_is_worse_is_stored_and_not_promoted(
    store: ModelStore, cases: dict[str, Case], tmp_path: Path
) -> None:
    wrecking = QUICK.model_copy(update={"learning_rate": 0.1, "freeze_normalization": False, "steps_per_epoch": 8})
    swapped = [replace(correction, label=_all_wrong(correction, tmp_path)) for correction in corrections(cases)[:2]]
    result = retrain(store, [*swapped, corrections(cases)[2]], config=wrecking, work_dir=tmp_path / "work")
    assert not result.promoted
    assert store.current().id == "v0000"
    assert store.history() == []
    assert store.get("v0001").card.verdict.startswith("Not promoted")


def test_nothing_is_promoted_over_a_version_that_came_meanwhile(
    store: ModelStore, cases: dict[str, Case], tmp_path: Path
) -> None:
    other = store.add(store.current().load_weights(), ModelCard(network=NETWORK, parent="v0000"))

    def promote_meanwhile(progress: RetrainProgress) -> None:
        if progress.state == "training" and store.current().id != other.id:
            store.promote(other.id, "by hand")

    result = retrain(store, corrections(cases), config=QUICK, work_dir=tmp_path / "work", on_progress=promote_meanwhile)
    assert not result.promoted
    assert store.current().id == other.id
    assert other.id in result.verdict


def test_a_new_label_of_the_same_case_is_prepared_anew(cases: dict[str, Case], tmp_path: Path) -> None:
    (first, *_) = corrections(cases)
    mixture = QUICK.mixture(NETWORK.stride)
    before = mixture.prepare([first], tmp_path, lambda message: None).train[0]
    after = mixture.prepare([replace(first, label=_all_wrong(first, tmp_path))], tmp_path, lambda message: None).train[
        0
    ]
    assert before.key != after.key
    assert after.id == before.id


def test_phantoms_are_mixed_half_and_half_and_never_judge_what_they_trained(
    cases: dict[str, Case], tmp_path: Path
) -> None:
    config = QUICK.model_copy(update={"replay": 2, "judge_phantoms": 1, "enough_validation": 2})
    ready = config.mixture(NETWORK.stride).prepare(corrections(cases), tmp_path, lambda message: None)
    assert [case.id for case in ready.train] == [
        "BraTS20_Training_001",
        "BraTS20_Training_002",
        "phantom-500000000",
        "phantom-500000001",
    ]
    assert ready.sampling == pytest.approx([0.25, 0.25, 0.25, 0.25])
    assert [case.id for case in ready.judge] == ["BraTS20_Training_003", f"phantom-{JUDGE_SEEDS[0]}"]


def test_the_judging_phantoms_hold_every_label_in_plenty() -> None:
    for seed in JUDGE_SEEDS[: RetrainConfig().judge_phantoms]:
        label = generate(seed, shape=(112, 112, 112)).label
        assert all(np.count_nonzero(label == value) > 500 for value in (1, 2, 3)), seed


def test_without_a_label_there_is_nothing_to_train_on(cases: dict[str, Case]) -> None:
    with pytest.raises(InputError, match="nothing to train on"):
        check_corrections([])
    with pytest.raises(InputError, match="kept for validation"):
        check_corrections([corrections(cases)[2]])


def test_a_label_on_another_grid_names_the_case(cases: dict[str, Case], store: ModelStore, tmp_path: Path) -> None:
    (first, *_) = corrections(cases)
    wrong = synthetic.save(synthetic.truth(synthetic.brats_grid((50, 50, 50))), tmp_path / "wrong.nii.gz")
    with pytest.raises(InputError, match=r"BraTS20_Training_001.*50 x 50 x 50"):
        retrain(store, [replace(first, label=wrong)], config=QUICK, work_dir=tmp_path / "work")
    assert store.versions()[-1].id == "v0000"


def test_not_worse_means_within_the_tolerance() -> None:
    before, slightly, clearly = ([{"WT": x, "TC": x, "ET": x}] for x in (0.8, 0.795, 0.78))
    assert not_worse(before, slightly, 0.01)
    assert not not_worse(before, clearly, 0.01)
    assert verdict_of(before, slightly, 0.01).startswith("Promoted: mean Dice 0.7950 against 0.8000")
    assert "more than 0.01 is lost" in verdict_of(before, clearly, 0.01)
    assert "v0007" in verdict_of(before, slightly, 0.01, "v0007")


def _all_wrong(correction: Correction, folder: Path) -> Path:
    """Write a label that calls healthy tissue tumor, and tumor healthy."""
    case = replace(correction.case, label=correction.label)
    truth = case.read_label()
    brain = synthetic.brain(truth.grid)
    wrong = Volume(np.where(truth.data > 0, 0, 2 * brain).astype(np.uint8), truth.grid)
    return synthetic.save(wrong, folder / f"{case.id}.nii.gz")


def test_a_case_that_cannot_be_read_is_left_out_and_named(
    store: ModelStore, cases: dict[str, Case], tmp_path: Path
) -> None:
    first, second, third = corrections(cases)
    (tmp_path / "junk.nii.gz").write_bytes(b"no image")
    damaged = replace(second, label=tmp_path / "junk.nii.gz")
    seen: list[RetrainProgress] = []
    result = retrain(store, [first, damaged, third], config=QUICK, work_dir=tmp_path / "work", on_progress=seen.append)
    assert list(result.skipped) == ["BraTS20_Training_002"]
    assert "junk.nii.gz" in result.skipped["BraTS20_Training_002"]
    card = result.version.card
    assert [case.case for case in card.data] == ["BraTS20_Training_001", "BraTS20_Training_003"]
    assert card.training["skipped"] == ["BraTS20_Training_002"]
    assert "on 1 corrected cases" in card.description
    assert any("skipped BraTS20_Training_002" in progress.message for progress in seen)


def test_nothing_is_trained_when_no_case_can_be_read(store: ModelStore, cases: dict[str, Case], tmp_path: Path) -> None:
    first, _, third = corrections(cases)
    (tmp_path / "junk.nii.gz").write_bytes(b"no image")
    damaged = replace(first, label=tmp_path / "junk.nii.gz")
    with pytest.raises(InputError, match=r"BraTS20_Training_001.*junk\.nii\.gz"):
        retrain(store, [damaged, third], config=QUICK, work_dir=tmp_path / "work")
    assert store.versions()[-1].id == "v0000"
