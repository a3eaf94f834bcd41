"""The case with the most uncertain segmentation comes next."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from monailabel.client.client import MONAILabelClient

from server_app.cases.datastore import CaseDatastore
from server_app.cases.next_case import First, Random, UncertaintySampling
from server_app.cases.scores import Scores
from server_app.labels.predictions import Predictions
from server_app.workspace import Workspace
from tests import synthetic
from tests.server_app.conftest import CASES, Server, accepted, untrained_model
from training.labels import REGIONS
from training.models.store import ModelStore

Infer = Callable[..., tuple[np.ndarray, dict[str, Any]]]


@pytest.fixture
def store(tmp_path: Path) -> CaseDatastore:
    grid = synthetic.brats_grid((20, 22, 18))
    for name in "abcd":
        synthetic.write_case(tmp_path / "studies", f"case-{name}", grids=grid, label=False)
    return CaseDatastore(tmp_path / "studies", Workspace.for_studies(tmp_path / "studies", tmp_path / "w").make())


@pytest.fixture
def scores(tmp_path: Path, tiny_model: Path) -> Scores:
    return Scores(ModelStore(tmp_path / "models", tiny_model))


def answered(store: CaseDatastore, scores: Scores, case: str, uncertainty: float, version: str = "v0000") -> None:
    answers = store.labels.predictions
    answers.path(case).parent.mkdir(parents=True, exist_ok=True)
    answers.path(case).write_bytes(b"a labelmap")
    answers.remember(case, version, uncertainty, scores.models.get(version).weights_sha256())


def ranking(strategy: Callable[..., Any], store: CaseDatastore, **request: Any) -> list[str]:
    """The cases in the order in which they are proposed while none of them is labeled."""
    order: list[str] = []
    while True:
        found = strategy({**request, "after": order[-1] if order else ""}, store)
        if found is None or found["id"] in order:
            return order
        order.append(found["id"])


def test_the_least_sure_comes_first_and_cases_without_a_score_last(store: CaseDatastore, scores: Scores) -> None:
    strategy = UncertaintySampling(scores)
    unscored: dict[str, Any] = strategy({}, store) or {}
    assert (unscored["id"], unscored["uncertainty"]) == ("case-a", None)
    assert "v0000 has not segmented any" in unscored["reason"]
    assert ranking(First(), store) == ranking(strategy, store) == [f"case-{name}" for name in "abcd"]
    answered(store, scores, "case-d", 0.31)
    answered(store, scores, "case-b", 0.07)
    assert ranking(strategy, store) == ["case-d", "case-b", "case-a", "case-c"]
    first: dict[str, Any] = strategy({}, store) or {}
    assert first == {"id": "case-d", "uncertainty": 0.31, "reason": first["reason"]}
    assert all(words in first["reason"] for words in ("Ranked 1 of 2 unlabeled cases", "0.31"))
    assert "Ranked 2 of 2" in (strategy({"after": "case-d"}, store) or {})["reason"]
    third: dict[str, Any] = strategy({"after": "case-b"}, store) or {}
    assert third["uncertainty"] is None
    assert "has not segmented this case yet" in third["reason"]


def test_scores_of_another_model_version_do_not_count(store: CaseDatastore, scores: Scores, tmp_path: Path) -> None:
    other = untrained_model(tmp_path / "other", base_filters=2, max_filters=4, levels=2)
    models = ModelStore(tmp_path / "models", other)
    answered(store, scores, "case-c", 0.9)
    assert ranking(UncertaintySampling(scores), store)[0] == "case-c"
    replaced = UncertaintySampling(Scores(models))  # another release brings another v0000
    assert ranking(replaced, store)[0] == "case-a"
    version = models.add(models.current().load_weights(), models.current().card)
    models.promote(version.id)
    answered(store, Scores(models), "case-b", 0.5, version.id)
    assert ranking(replaced, store) == ["case-b", "case-a", "case-c", "case-d"]
    models.rollback()
    assert ranking(replaced, store)[0] == "case-a"


def test_cases_that_others_have_claimed_are_skipped(store: CaseDatastore, scores: Scores) -> None:
    for case, value in {"case-a": 0.2, "case-b": 0.8, "case-c": 0.5}.items():
        answered(store, scores, case, value)
    store.claims.claim("case-b", "dr-a", 10)
    strategy = UncertaintySampling(scores)
    assert ranking(strategy, store, client_id="dr-a") == ["case-b", "case-c", "case-a", "case-d"]
    assert ranking(strategy, store, client_id="dr-b") == ["case-c", "case-a", "case-d"]
    assert First()({"client_id": "dr-b"}, store) == {"id": "case-a"}
    drawn = {(Random()({"client_id": "dr-b"}, store) or {})["id"] for _ in range(60)}
    assert drawn == {"case-a", "case-c", "case-d"}
    for case in ("case-a", "case-c", "case-d"):
        store.claims.claim(case, "dr-a", 10)
    assert [choose({"client_id": "dr-b"}, store) for choose in (strategy, First(), Random())] == [None] * 3


def test_without_a_model_there_is_still_a_next_case_and_a_damaged_note_is_no_score(
    store: CaseDatastore, tmp_path: Path
) -> None:
    assert (UncertaintySampling(Scores(ModelStore(tmp_path / "none")))({}, store) or {})["id"] == "case-a"
    answers = Predictions(tmp_path)
    answers.path("a").parent.mkdir()
    earlier = '{"model_version": "v0000", "weights_sha256": "", "uncertainty": 0.5}'  # estimated in another way
    for note in ("", "[]", "{", '{"model_version": "v0000"}', '"text"', earlier):
        (tmp_path / "a" / "answer.json").write_text(note)
        assert answers.uncertainty("a", "v0000", "") is answers.uncertainty("b", "v0000", "") is None


def test_the_server_proposes_cases_by_uncertainty(server: Server, infer: Infer, tmp_path: Path) -> None:
    for case in CASES[1:3]:
        _, facts = infer(case)
        assert set(facts["expected_dice"]) == set(REGIONS)
        assert facts["uncertainty"] == pytest.approx(1 - sum(facts["expected_dice"].values()) / 3, abs=1e-3)
    client = MONAILabelClient(server.url, tmpdir=str(tmp_path))
    order: list[dict[str, Any]] = []
    while not order or order[-1]["id"] not in [one["id"] for one in order[:-1]]:
        order.append(client.next_sample("uncertainty", {"after": order[-1]["id"]} if order else {}))
    order.pop()
    waiting = [case["id"] for case in server.get("/cases")["cases"] if not case["labeled"] and not case["claim"]]
    assert sorted(one["id"] for one in order) == sorted(waiting)
    known = [one["uncertainty"] for one in order if one["uncertainty"] is not None]
    assert len(known) >= 2
    assert [one["uncertainty"] for one in order[: len(known)]] == sorted(known, reverse=True)
    others = [one["id"] for one in order[len(known) :]]
    assert others == sorted(others)
    assert all(one["reason"] and one["path"] and one["checksum"] for one in order)


def test_a_case_made_from_a_session_keeps_the_score_of_the_session(server: Server) -> None:
    session = server.session(CASES[1])
    answer = accepted(server.infer(session_id=session))
    case = accepted(server.request("PUT", "/cases/from-a-session", params={"session_id": session}))["id"]
    note = json.loads((server.workspace / "answers" / case / "answer.json").read_text())
    assert note["uncertainty"] == answer["uncertainty"]
    accepted(server.request("DELETE", "/datastore/", params={"id": case}))
