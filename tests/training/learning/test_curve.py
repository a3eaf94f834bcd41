import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.training import rejected
from tests.training.learning.conftest import QUICK, put_phantoms
from training.evaluation.evaluate import evaluate_subject
from training.evaluation.subjects import subject_of_case
from training.images.read import read_labelmap
from training.learning.curve import LearningCurve
from training.learning.editing import editing
from training.learning.hospital import Hospital
from training.learning.robot import submitted_label
from training.learning.settings import CurveSettings
from training.learning.stage import Stage
from training.models.store import ModelStore, ModelVersion, SeenCase, read_version
from training.prediction.segmenter import Segmenter
from training.retraining.config import RetrainConfig
from training.retraining.resumable import WorkProgress

SETTINGS = CurveSettings(counts=(0, 1, 3), orders=1, unseen=1, others=1, phantoms=1)


class Recorder:
    """Keeps the reports, and stops like Ctrl-C at a message that contains ``stop_at``."""

    def __init__(self, stop_at: str = "nothing") -> None:
        self.stop_at = stop_at
        self.seen: list[WorkProgress] = []

    def __call__(self, progress: WorkProgress) -> None:
        self.seen.append(progress)
        if self.stop_at in progress.message:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def parent(tiny_models: Path) -> ModelVersion:
    return ModelStore(tiny_models).current()


def begin(parent: ModelVersion, hospitals: list[Hospital], work: Path, **given: object) -> LearningCurve:
    options = {"settings": SETTINGS, "config": QUICK, "only": ["north"], **given}
    return LearningCurve(parent, hospitals, work_dir=work, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def finished(parent, hospitals, tmp_path_factory) -> tuple[LearningCurve, list[Stage], Recorder]:
    told = Recorder()
    curve = begin(parent, hospitals, put_phantoms(tmp_path_factory.mktemp("curve")), on_progress=told)
    return curve, curve.run(), told


def test_each_stage_corrects_the_next_cases_and_the_unseen_case_takes_no_part(finished):
    curve, stages, _ = finished
    (line,) = curve.lines
    assert [stage.corrected for stage in stages] == [0, 1, 3]
    assert [len(stage.new) for stage in stages] == [0, 1, 2]
    assert sorted(line.corrected) == sorted(line.draw.pool)
    for stage in stages:
        assert [score.case for score in stage.unseen] == list(line.draw.unseen)
        assert [score.case for score in stage.others] == ["south0"]
        assert [score.case for score in stage.phantoms] == ["phantom-910000000"]
        assert (stage.seconds is None, stage.promoted is None) == (
            (True, True) if not stage.corrected else (False, False)
        )
    versions = [version for version in stages[-1].versions if version not in stages[0].versions]
    assert len(versions) == 2
    for version, stage in zip(versions, stages[1:], strict=True):
        card = read_version(line.folder / "models" / version).card
        assert [seen.case for seen in card.data] == line.corrected[: stage.corrected]
        assert not {seen.case for seen in card.data} & set(line.draw.unseen)
        assert (stage.training, stage.validation) == (stage.corrected, 0)  # the first three patients train
        assert stage.verdict == card.verdict


def test_the_scores_are_those_of_the_current_version_by_hand(finished, hospitals, parent):
    curve, stages, _ = finished
    (line,) = curve.lines
    store = ModelStore(line.folder / "models", parent.folder)
    for stage in stages:
        version = store.get(stage.version)
        assert version.weights_sha256() == stage.weights_sha256
        for score, hospital in ((stage.unseen[0], hospitals[0]), (stage.others[0], hospitals[1])):
            subject = subject_of_case(hospital.case(score.case))
            found, result = evaluate_subject(subject, Segmenter(version))
            assert score.dice == pytest.approx(result.dice, abs=1e-4)
            label = submitted_label(found.labelmap.data, subject.truth.data, (1, 1, 1), seed=0, case=score.case)
            # the random error of the boundary lies on another grid here
            seconds = editing(found.labelmap.data, label, (1, 1, 1)).seconds
            assert score.editing_seconds == pytest.approx(seconds, rel=0.1, abs=3)


def test_the_submitted_labels_are_the_robots_corrections_of_the_version_before(finished, hospitals, parent):
    curve, stages, _ = finished
    (line,) = curve.lines
    store = ModelStore(line.folder / "models", parent.folder)
    for before, stage in itertools.pairwise(stages):
        for score in stage.new:
            subject = subject_of_case(hospitals[0].case(score.case))
            answer, result = evaluate_subject(subject, Segmenter(store.get(before.version)))
            label = submitted_label(answer.labelmap.data, subject.truth.data, (1, 1, 1), seed=0, case=score.case)
            assert np.array_equal(read_labelmap(line.label_file(score.case)).data, label)
            assert score.dice == pytest.approx(result.dice, abs=1e-4)


def test_the_progress_rises_to_its_total(finished):
    _, _, told = finished
    done = [progress.done for progress in told.seen]
    assert done == sorted(done)
    assert told.seen[-1].done == told.seen[-1].total == 3 * 3 + 2 * 2 + 2 * 3


def without_times(stages: list[Stage]) -> list[dict]:
    return [stage.model_dump(exclude={"seconds"}) for stage in stages]


def test_a_killed_curve_resumes_and_ends_the_same(finished, parent, hospitals, tmp_path):
    put_phantoms(tmp_path)
    for stop_at in (
        "preparing north2",
        "0 corrected, measuring",
        "order 1, correcting",
        "1 corrected, epoch",
        "1 corrected, measuring",  # the version exists and may be promoted, but the stage is not finished
        "3 corrected, measuring south0",
    ):
        with pytest.raises(KeyboardInterrupt):
            begin(parent, hospitals, tmp_path, on_progress=Recorder(stop_at)).run()
    more_threads = QUICK.model_copy(update={"workers": 2})
    told = Recorder()
    stages = begin(parent, hospitals, tmp_path, config=more_threads, on_progress=told).run()
    assert not any("1 corrected" in progress.message for progress in told.seen)
    assert without_times(stages) == without_times(finished[1])
    again = Recorder()
    assert begin(parent, hospitals, tmp_path, on_progress=again).run() == stages
    assert [progress.message for progress in again.seen] == ["done"]


def test_another_curve_is_refused_but_orders_and_strategies_can_be_added(finished, parent, hospitals):
    work = finished[0].work_dir

    def again(**changed: object) -> LearningCurve:
        return begin(parent, changed.pop("hospitals", hospitals), work, **changed)  # type: ignore[arg-type]

    for changed, words in (
        ({"settings": SETTINGS.model_copy(update={"unseen": 2, "counts": (0, 1)})}, "another counts, unseen"),
        ({"settings": SETTINGS.model_copy(update={"seed": 3})}, "another seed"),
        ({"config": QUICK.model_copy(update={"learning_rate": 1e-3})}, "another learning_rate"),
        ({"hospitals": hospitals[:1]}, "another cases"),
        ({"hospitals": [hospitals[0], replace(hospitals[1], name="east")]}, "another cases"),
    ):
        with rejected(words, field="work"):
            again(**changed)
    more = again(settings=SETTINGS.model_copy(update={"orders": 2, "strategies": ("random", "stratified")}))
    assert len(more.lines) == 4
    assert len(more.stages()) == 3
    damaged = more.lines[0].stage_file(1)
    kept = damaged.read_text()
    damaged.write_text(json.dumps({"hospital": "north"}))
    with rejected(r"stage-1\.json is damaged .strategy: .*repeat the stage", field="work"):
        more.stages()
    damaged.write_text(kept)


def test_settings_that_do_not_fit_are_refused_before_anything_is_written(parent, hospitals, tmp_path):
    for changed, field in (
        ({"counts": (1, 2)}, "counts"),
        ({"counts": (0, 2, 2)}, "counts"),
        ({"counts": ()}, "counts"),
        ({"counts": (0, 4)}, "cases"),
        ({"strategies": ("greedy",)}, "strategy"),
    ):
        with rejected(".", field=field):
            begin(parent, hospitals, tmp_path / "work", settings=SETTINGS.model_copy(update=changed))
    with rejected("given are north, south", field="only"):
        begin(parent, hospitals, tmp_path / "work", only=["west"])
    with rejected("Two hospitals", field="cases"):
        begin(parent, [hospitals[0], hospitals[0]], tmp_path / "work")
    patient = hospitals[1].cases[0].patient
    seen = SeenCase(case="another", patient=patient, label_sha256="", split="train")
    taught = replace(parent, card=parent.card.model_copy(update={"data": [seen]}))
    with rejected("v0001 was made with south0.*--model v0000", field="model"):
        begin(taught, hospitals, tmp_path / "work")
    assert not (tmp_path / "work").exists()


def test_unusable_cases_are_told_before_any_training(parent, hospitals, tmp_path):
    case = hospitals[0].cases[0]
    (tmp_path / "junk.nii.gz").write_bytes(b"no image")
    broken = replace(hospitals[0], cases=(replace(case, label=tmp_path / "junk.nii.gz"), *hospitals[0].cases[1:]))
    settings = CurveSettings(counts=(0, 1), orders=1, unseen=1, phantoms=0)
    with rejected(r"Not usable: .*junk\.nii\.gz.* leave them out", field="cases"):
        begin(parent, [broken], tmp_path / "work", settings=settings, config=RetrainConfig()).run()
    assert not (tmp_path / "work" / "retraining").exists()
