"""The same question is not computed twice; another one is."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from server_app.inference import results as reuse
from server_app.inference.results import Results
from server_app.inference.worker_child import SegmentJob
from tests import synthetic
from training.cases.find import case_from_folder
from training.models.store import ModelCard, ModelStore

FACTS: dict[str, Any] = {"maps": [], "seconds": {"total": 1.0}}


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results(tmp_path / "results")


@pytest.fixture
def job(tmp_path: Path, tiny_model: Path) -> Callable[..., SegmentJob]:
    """Make a question; its files are those of a request of its own."""
    folder = synthetic.write_case(tmp_path / "studies")
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


def computed(job: SegmentJob) -> SegmentJob:
    """What the inference process would have written."""
    job.result.write_bytes(b"the result")
    if job.answer is not None:
        job.answer.write_bytes(b"the answer")
    return job


def kept(results: Results, job: SegmentJob, facts: dict[str, Any] = FACTS) -> str:
    key = results.key(job)
    assert key is not None
    results.keep(key, computed(job), {**facts, **by(job)})
    return key


def by(job: SegmentJob) -> dict[str, Any]:
    """Which model computes a job now."""
    version = ModelStore(job.models, job.bundled).current()
    return {"model_version": version.id, "weights_sha256": version.weights_sha256()}


def test_the_same_question_finds_the_result_of_the_first(results: Results, job: Callable[..., SegmentJob]) -> None:
    first, second = job(), job()
    assert results.find(results.key(second), second) is None
    kept(results, first)
    found = results.find(results.key(second), second)
    assert found == {**FACTS, **by(first), "reused": True}
    assert second.result.read_bytes() == b"the result"
    assert second.answer is not None
    assert second.answer.read_bytes() == b"the answer"


def test_taking_a_result_leaves_it_for_the_next(results: Results, job: Callable[..., SegmentJob]) -> None:
    kept(results, job())
    for _ in range(2):
        another = job()
        assert results.find(results.key(another), another)
        another.result.unlink()


@pytest.mark.parametrize(
    "other", [{"reference": "flair"}, {"allow_missing": True}, {"result": "case-2.nrrd"}, {"maps": "maps"}]
)
def test_another_wish_is_another_question(
    results: Results, job: Callable[..., SegmentJob], tmp_path: Path, other: dict[str, Any]
) -> None:
    places = {name: tmp_path / value if name in ("result", "maps") else value for name, value in other.items()}
    kept(results, job())
    assert results.find(results.key(job(**places)), job(**places)) is None


def test_other_bytes_of_one_modality_are_another_question(results: Results, job: Callable[..., SegmentJob]) -> None:
    first = job()
    key = kept(results, first)
    file = first.case.sources["flair"].path
    file.write_bytes(file.read_bytes() + b"\0")
    assert results.key(job()) != key


def test_other_weights_are_another_question_also_under_the_same_name(
    results: Results, job: Callable[..., SegmentJob], tmp_path: Path
) -> None:
    from tests.server_app.conftest import untrained_model

    other = untrained_model(tmp_path / "other", base_filters=8, max_filters=16, levels=2)
    assert results.key(job()) != results.key(job(bundled=other))


def test_what_another_version_computed_is_not_kept_under_the_one_that_was_served_before_the_wait(
    results: Results, job: Callable[..., SegmentJob]
) -> None:
    waiting = job()
    key = results.key(waiting)
    models = ModelStore(waiting.models, waiting.bundled)
    models.add(models.current().load_weights(), ModelCard(network=models.current().card.network))
    models.promote("v0001", "better")
    results.keep(key, computed(waiting), {**FACTS, **by(waiting)})
    models.rollback()
    again = job()
    assert results.key(again) == key
    assert results.find(key, again) is None


def test_what_other_weights_of_the_same_name_computed_is_not_kept(
    results: Results, job: Callable[..., SegmentJob]
) -> None:
    waiting = job()
    key = results.key(waiting)
    results.keep(key, computed(waiting), {**FACTS, **by(waiting), "weights_sha256": "0" * 64})
    assert results.find(key, job()) is None


def test_a_result_of_images_that_changed_meanwhile_is_not_kept(
    results: Results, job: Callable[..., SegmentJob]
) -> None:
    waiting = job()
    key = results.key(waiting)
    file = waiting.case.sources["flair"].path
    before = file.read_bytes()
    file.write_bytes(before + b"\0")
    results.keep(key, computed(waiting), {**FACTS, **by(waiting)})
    file.write_bytes(before)
    assert results.find(key, job()) is None


def test_maps_are_kept_with_the_result(results: Results, job: Callable[..., SegmentJob], tmp_path: Path) -> None:
    folders = [tmp_path / "maps-1", tmp_path / "maps-2"]
    for folder in folders:
        folder.mkdir()
    (folders[0] / "entropy.nii.gz").write_bytes(b"a map")
    kept(results, job(maps=folders[0]), {**FACTS, "maps": ["entropy"]})
    again = job(maps=folders[1])
    assert results.find(results.key(again), again)
    assert (folders[1] / "entropy.nii.gz").read_bytes() == b"a map"


def test_what_is_old_is_not_taken_and_goes(
    results: Results, job: Callable[..., SegmentJob], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    key = kept(results, job())
    yesterday = time.time() - 2 * reuse.KEEP_SECONDS
    os.utime(tmp_path / "results" / key, (yesterday, yesterday))
    assert results.find(key, job()) is None
    results.prune()
    assert list((tmp_path / "results").iterdir()) == []


def test_what_is_too_much_goes_the_oldest_first(
    results: Results, job: Callable[..., SegmentJob], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(reuse, "KEEP", 1)
    first = kept(results, job())
    past = time.time() - 60
    os.utime(tmp_path / "results" / first, (past, past))
    second = kept(results, job(reference="flair"))
    assert [folder.name for folder in (tmp_path / "results").iterdir()] == [second]


def test_a_damaged_result_is_computed_again(results: Results, job: Callable[..., SegmentJob], tmp_path: Path) -> None:
    key = kept(results, job())
    (tmp_path / "results" / key / "facts.json").write_text("{half")
    assert results.find(key, job()) is None


def test_a_result_that_cannot_be_kept_is_no_error(job: Callable[..., SegmentJob], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    results = Results(tmp_path / "file" / "results")
    kept(results, job())


def test_images_that_cannot_be_read_have_no_key(results: Results, job: Callable[..., SegmentJob]) -> None:
    broken = job()
    broken.case.sources["t1"].path.unlink()
    assert results.key(broken) is None


def test_where_nothing_is_kept_nothing_is_found(job: Callable[..., SegmentJob]) -> None:
    results = Results(None)
    assert results.key(job()) is None
    results.keep(None, job(), FACTS)
    assert results.find(None, job()) is None
    results.prune()
