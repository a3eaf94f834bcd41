"""The same question is not computed twice; another one is."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from server_app.inference import results as module
from server_app.inference.results import Results
from server_app.inference.worker_child import SegmentJob
from tests import synthetic
from tests.server_app.conftest import untrained_model
from training.cases.find import case_from_folder
from training.models.store import ModelCard, ModelStore

FACTS: dict[str, Any] = {"maps": [], "seconds": {"total": 1.0}}
MakeJob = Callable[..., SegmentJob]


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results(tmp_path / "results")


@pytest.fixture
def job(tmp_path: Path, tiny_model: Path) -> MakeJob:
    """Make a job; its files are those of a request of its own."""
    folder = synthetic.write_case(tmp_path / "studies", grids=synthetic.brats_grid((24, 26, 22)))
    count = iter(range(100))

    def make(**more: Any) -> SegmentJob:
        request = tmp_path / f"request-{next(count)}"
        request.mkdir()
        usual = SegmentJob(
            tmp_path / "models", tiny_model, case_from_folder(folder), None, request / "case-1.nii.gz",
            answer=request / "answer.nii.gz",
        )  # fmt: skip
        return replace(usual, **more)

    return make


def compute(job: SegmentJob) -> SegmentJob:
    """Write what the inference process would write."""
    job.result.write_bytes(b"the result")
    if job.answer is not None:
        job.answer.write_bytes(b"the answer")
    return job


def by(job: SegmentJob) -> dict[str, Any]:
    """Which model computes a job now."""
    version = ModelStore(job.models, job.bundled).current()
    return {"model_version": version.id, "weights_sha256": version.weights_sha256()}


def keep(results: Results, job: SegmentJob, facts: dict[str, Any] = FACTS) -> str:
    key = results.key(job)
    assert key is not None
    results.keep(key, compute(job), {**facts, **by(job)})
    return key


def make_old(path: Path, seconds: float) -> None:
    os.utime(path, (time.time() - seconds,) * 2)


def test_the_same_question_finds_the_result_of_the_first_and_leaves_it(results: Results, job: MakeJob) -> None:
    first = job()
    assert results.find(results.key(first), first) is None
    keep(results, first)
    for _ in range(2):
        again = job()
        assert results.find(results.key(again), again) == {**FACTS, **by(first), "reused": True}
        assert again.result.read_bytes() == b"the result"
        assert again.answer is not None
        assert again.answer.read_bytes() == b"the answer"
        again.result.unlink()


def test_other_parameters_images_or_weights_are_another_question(
    results: Results, job: MakeJob, tmp_path: Path
) -> None:
    first = job()
    key = keep(results, first)
    other = untrained_model(tmp_path / "other", base_filters=8, max_filters=16, levels=2)  # also called v0000
    for more in (
        {"reference": "flair"}, {"allow_missing": True}, {"allow_whole_head": True},
        {"result": tmp_path / "case-2.nrrd"},
        {"maps": tmp_path / "maps"}, {"bundled": other},
    ):  # fmt: skip
        assert results.key(job(**more)) != key
        assert results.find(results.key(job(**more)), job(**more)) is None
    file = first.case.sources["flair"].path
    file.write_bytes(file.read_bytes() + b"\0")
    assert results.key(job()) != key


# === What changed between the question and its result ===


def test_a_result_of_other_weights_or_of_images_that_changed_meanwhile_is_not_kept(
    results: Results, job: MakeJob
) -> None:
    waiting = job()
    key, file = results.key(waiting), waiting.case.sources["flair"].path
    models = ModelStore(waiting.models, waiting.bundled)
    models.add(models.current().load_weights(), ModelCard(network=models.current().card.network))
    models.promote("v0001", "better")
    results.keep(key, compute(waiting), {**FACTS, **by(waiting)})
    models.rollback()
    assert results.key(job()) == key
    results.keep(key, compute(waiting), {**FACTS, **by(waiting), "weights_sha256": "0" * 64})  # of the same name
    assert results.find(key, job()) is None
    before = file.read_bytes()
    file.write_bytes(before + b"\0")
    results.keep(key, compute(waiting), {**FACTS, **by(waiting)})
    file.write_bytes(before)
    assert results.find(key, job()) is None


# === What is kept ===


def test_maps_are_kept_with_the_result(results: Results, job: MakeJob, tmp_path: Path) -> None:
    folders = [tmp_path / "maps-1", tmp_path / "maps-2"]
    for folder in folders:
        folder.mkdir()
    (folders[0] / "entropy.nii.gz").write_bytes(b"a map")
    keep(results, job(maps=folders[0]), {**FACTS, "maps": ["entropy"]})
    again = job(maps=folders[1])
    assert results.find(results.key(again), again)
    assert (folders[1] / "entropy.nii.gz").read_bytes() == b"a map"


def test_old_results_are_not_used_and_the_oldest_of_too_many_go_first(
    results: Results, job: MakeJob, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    old, folder = keep(results, job()), tmp_path / "results"
    make_old(folder / old, 2 * module.KEEP_SECONDS)
    assert results.find(old, job()) is None
    results.prune()
    assert list(folder.iterdir()) == []
    monkeypatch.setattr(module, "KEEP", 1)
    make_old(folder / keep(results, job()), 60)
    second = keep(results, job(reference="flair"))
    assert [path.name for path in folder.iterdir()] == [second]


def test_a_damaged_result_or_one_that_cannot_be_kept_is_not_found(
    results: Results, job: MakeJob, tmp_path: Path
) -> None:
    key = keep(results, job())
    (tmp_path / "results" / key / "facts.json").write_text("{half")
    assert results.find(key, job()) is None
    (tmp_path / "file").write_text("in the way")
    elsewhere = Results(tmp_path / "file" / "results")
    assert elsewhere.find(keep(elsewhere, job()), job()) is None


def test_without_readable_images_or_a_folder_there_is_no_key(results: Results, job: MakeJob) -> None:
    nowhere = Results(None)
    assert nowhere.key(job()) is None
    nowhere.keep(None, job(), FACTS)
    assert nowhere.find(None, job()) is None
    nowhere.prune()
    broken = job()
    broken.case.sources["t1"].path.unlink()
    assert results.key(broken) is None
