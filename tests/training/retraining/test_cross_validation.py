import json
from dataclasses import replace

import numpy as np
import pytest

from tests import synthetic
from tests.training import rejected
from training.cases.case import Case
from training.cases.find import find_cases
from training.evaluation.evaluate import evaluate_subject
from training.evaluation.subjects import subject_of_case
from training.models.store import ModelCard, ModelVersion, read_version, write_version
from training.models.weights import get_weights
from training.network.unet import UNetConfig, build_unet
from training.prediction.segmenter import Segmenter
from training.retraining.config import RetrainConfig
from training.retraining.corrections import Correction
from training.retraining.cross_validation import CrossValidation
from training.retraining.folds import split_patients
from training.retraining.resumable import WorkProgress

NETWORK = UNetConfig(base_filters=2, max_filters=4, levels=2)
QUICK = RetrainConfig(max_epochs=2, steps_per_epoch=3, batch_size=1, patch=32, replay=0, derived=1, learning_rate=1e-2)
#: Three patients, one of them with two visits.
NAMES = ("sub-1_ses-1", "sub-1_ses-2", "sub-2_ses-1", "sub-3_ses-1")


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    root = tmp_path_factory.mktemp("cross-validation")
    for name in NAMES:
        synthetic.write_case(root, name)
    return find_cases(root)[0]


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> ModelVersion:
    """An untrained network that labels the whole brain edema."""
    weights = get_weights(build_unet(NETWORK))
    weights["logits/bias"] = np.array([0, 0, 5, 0], np.float32)
    card = ModelCard(version="v0000", network=NETWORK, attribution="Phantoms of somebody, CC BY 4.0")
    return write_version(tmp_path_factory.mktemp("parent") / "v0000", weights, card)


@pytest.fixture(scope="module")
def corrections(cases: list[Case]) -> list[Correction]:
    return [Correction(case, case.label, split="validation") for case in cases if case.label]


class Recorder:
    """Keeps the reports, and stops like Ctrl-C at a message that begins with ``stop_at``."""

    def __init__(self, stop_at: str = "nothing") -> None:
        self.stop_at = stop_at
        self.seen: list[WorkProgress] = []

    def __call__(self, progress: WorkProgress) -> None:
        self.seen.append(progress)
        if progress.message.startswith(self.stop_at):
            raise KeyboardInterrupt

    def about(self, words: str) -> int:
        return sum(words in progress.message for progress in self.seen)


def run_all(run: CrossValidation) -> ModelVersion:
    run.prepare()
    for number in range(1, len(run.folds) + 1):
        run.run_fold(number)
    return run.run_final()


@pytest.fixture(scope="module")
def finished(parent, corrections, tmp_path_factory) -> tuple[CrossValidation, ModelVersion, Recorder]:
    """A finished cross-validation, the version trained on all cases, and what was reported."""
    told = Recorder()
    work = tmp_path_factory.mktemp("finished")
    run = CrossValidation(parent, corrections, folds=3, config=QUICK, work_dir=work, on_progress=told)
    return run, run_all(run), told


def test_every_patient_is_in_exactly_one_fold_in_the_order_of_the_ids_whatever_the_order_given():
    patients = [f"p{number:02d}" for number in range(10)]
    folds = split_patients([*reversed(patients), "p03"], 4)
    assert folds == split_patients(patients, 4)
    assert folds[0] == ("p00", "p04", "p08")
    assert sorted(patient for fold in folds for patient in fold) == patients
    for count, message in ((1, "at least 2 folds"), (11, "there are 10")):
        with rejected(message, field="folds"):
            split_patients(patients, count)


def test_every_case_is_held_out_once_from_a_model_that_never_saw_its_patient(finished, cases, parent):
    run, _, _ = finished
    folds = run.finished()
    assert sorted(case.case for fold in folds for case in fold.cases) == sorted(case.id for case in cases)
    by_id = {case.id: case for case in cases}
    for fold in folds:
        model = read_version(run.work_dir / f"fold-{fold.fold}" / "model")
        learned = {seen.patient for seen in model.card.data if seen.split == "train"}
        assert learned == {case.patient for case in cases} - {case.patient for case in fold.cases}
        assert (fold.weights_sha256, fold.trained_on) == (model.weights_sha256(), len(model.card.data))
        for case in fold.cases:
            for version, score in ((parent, case.parent), (model, case.model)):
                _, result = evaluate_subject(subject_of_case(by_id[case.case]), Segmenter(version))
                assert score.dice == pytest.approx(result.dice, abs=1e-4)
                assert score.predicted_ml["WT"] == pytest.approx(result.predicted_ml["WT"], abs=1e-3)
                assert case.true_ml["WT"] == pytest.approx(result.true_ml["WT"], abs=1e-3)


def test_the_card_names_parent_cases_credit_and_the_means_over_held_out_cases(finished, cases, corrections):
    run, final, _ = finished
    card = run.card(final, attribution="Cases of somebody else, CC BY 3.0")
    assert card.parent == "v0000"
    assert [(seen.case, seen.split) for seen in card.data] == [(case.id, "train") for case in cases]
    assert [seen.label_sha256 for seen in card.data] == [correction.digest() for correction in corrections]
    assert card.attribution == "Phantoms of somebody, CC BY 4.0\nCases of somebody else, CC BY 3.0"
    assert "on 4 labeled cases of 3 patients" in card.description
    measured = card.metrics["cross_validation"]
    assert (measured["folds"], measured["patients"], len(measured["cases"])) == (3, 3, 4)
    for which in ("parent", "model"):
        scores = [case[which]["dice"]["TC"] for case in measured["cases"]]
        assert measured[which]["TC"] == pytest.approx(np.mean(scores), abs=1e-4)
    assert f"{measured['model']['mean']:.4f}" in card.verdict
    assert "history" not in card.training  # by which the server would estimate the time of a retraining
    trained = final.load_weights()
    assert any(not np.array_equal(trained[key], value) for key, value in run.parent.load_weights().items())


def test_the_progress_ends_at_its_total(finished):
    run, _, told = finished
    assert {progress.total for progress in told.seen} == {4 * 6 + 2 * 4}
    done = [progress.done for progress in told.seen]
    assert done == sorted(done)
    assert run._done() == told.seen[-1].total


def test_a_killed_cross_validation_resumes_and_ends_the_same(finished, parent, corrections, tmp_path):
    def begin(told: Recorder) -> CrossValidation:
        more_threads = QUICK.model_copy(update={"workers": 2})
        return CrossValidation(
            parent, corrections, folds=3, config=more_threads, work_dir=tmp_path / "work", on_progress=told
        )

    for stop_at in ("fold 2 of 3, training", "fold 2 of 3, evaluating its model", "all cases, training"):
        with pytest.raises(KeyboardInterrupt):
            run_all(begin(Recorder(stop_at)))
    told = Recorder()
    run = begin(told)
    final = run_all(run)
    assert told.about("fold") == 0
    assert told.about("all cases, training") > 0
    assert final.weights_sha256() == finished[1].weights_sha256()
    assert run.finished() == finished[0].finished()


def test_a_work_folder_of_another_cross_validation_is_refused(finished, parent, corrections):
    run, _, _ = finished

    def again(**changed: object) -> None:
        given = {"folds": 3, "config": QUICK, **changed}
        CrossValidation(parent, given.pop("corrections", corrections), work_dir=run.work_dir, **given)  # type: ignore[arg-type]

    again()
    for changed, words in (
        ({"folds": 2}, "another folds"),
        ({"config": QUICK.model_copy(update={"learning_rate": 1e-3})}, "another learning_rate"),
        ({"corrections": corrections[1:]}, "another cases"),
        ({"corrections": [replace(corrections[0], label_sha256="0" * 64), *corrections[1:]]}, "another cases"),
    ):
        with rejected(words, field="work"):
            again(**changed)
    damaged = run.work_dir / "fold-1" / "fold.json"
    kept = damaged.read_text()
    damaged.write_text(json.dumps({"fold": 1}))
    with rejected(r"fold\.json is damaged", field="work"):
        run.finished()
    damaged.write_text(kept)


def test_a_card_needs_all_folds_and_an_unusable_case_is_told_before_any_training(parent, corrections, tmp_path):
    (tmp_path / "junk.nii.gz").write_bytes(b"no image")
    broken = [replace(corrections[0], label=tmp_path / "junk.nii.gz"), *corrections[1:]]
    run = CrossValidation(parent, broken, folds=3, config=QUICK, work_dir=tmp_path / "work")
    with rejected(r"Not usable: .*junk\.nii\.gz.* leave them out", field="cases"):
        run.prepare()
    with rejected("fold 1, 2, 3", field="folds"):
        run.card(parent)


def test_recomputed_normalization_comes_from_the_training_cases_of_the_fold(parent, corrections, tmp_path):
    settings = QUICK.model_copy(update={"recompute_normalization": 1.0, "max_epochs": 1, "learning_rate": 1e-9})
    told = Recorder()
    run = CrossValidation(parent, corrections, folds=3, config=settings, work_dir=tmp_path, on_progress=told)
    run.run_fold(1)
    assert told.about("recomputing normalization on case 2 of 2") == 1
    weights = read_version(tmp_path / "fold-1" / "model").load_weights()
    before: dict[str, np.ndarray] = parent.load_weights()
    variances = [key for key in weights if "moving_variance" in key]
    assert variances
    assert not any(np.allclose(weights[key], before[key], rtol=1e-3) for key in variances)
    kernel = "down0_conv1/kernel"
    np.testing.assert_allclose(weights[kernel], before[kernel], atol=1e-5)
