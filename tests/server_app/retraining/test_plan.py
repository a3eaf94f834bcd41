"""What a training would start from, learn and take: from cards and labels, and through a real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from server_app.retraining.plan import plan_of
from tests import synthetic
from tests.server_app.conftest import Server, eventually, serving
from training.cases.case import Case, Source
from training.modalities import ROLES
from training.models.store import ModelCard, ModelStore, SeenCase, write_version
from training.retraining.corrections import Correction
from training.retraining.retrain import RetrainConfig

CASES = ("BraTS20_Training_001", "BraTS20_Training_002")
WEIGHTS = {"layer": np.zeros(2, np.float32)}
TIMES = {"seconds": 100.0, "history": [{"epoch": 1, "seconds": 30.0}, {"epoch": 2, "seconds": 60.0}]}


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    """A store with the bundled model only."""
    write_version(tmp_path / "bundled", WEIGHTS, ModelCard())
    return ModelStore(tmp_path / "models", tmp_path / "bundled")


def labeled(*pairs: tuple[str, str]) -> list[Correction]:
    """Final labels: case and hash."""
    sources = {role: Source(Path(f"{role}.nii.gz")) for role in ROLES}
    return [Correction(Case(case, sources), Path("label.nii.gz"), label_sha256=digest) for case, digest in pairs]


def trained(store: ModelStore, parent: str, *pairs: tuple[str, str], **training: Any) -> str:
    """Add a version that has seen labels, and promote it."""
    seen = [SeenCase(case=case, patient=case, label_sha256=digest, split="train") for case, digest in pairs]
    version = store.add(WEIGHTS, ModelCard(parent=parent, data=seen, training=training))
    return store.promote(version.id).id


def plan(store: ModelStore, *pairs: tuple[str, str], **config: Any) -> dict[str, Any]:
    return plan_of(store, labeled(*pairs), RetrainConfig(**config))


def test_before_the_first_training_every_label_is_new_and_nobody_knows_how_long_it_takes(store: ModelStore) -> None:
    assert plan(store, ("a", "1"), ("b", "2"), max_epochs=4) == {
        "parent": "v0000",
        "new": 2,
        "total": 2,
        "cases": ["a", "b"],
        "max_epochs": 4,
        "expected_seconds": None,
        "seconds_per_epoch": None,
    }


def test_labels_that_an_ancestor_saw_are_not_new(store: ModelStore) -> None:
    first = trained(store, "v0000", ("a", "1"))
    trained(store, first, ("b", "2"))
    found = plan(store, ("a", "1"), ("b", "2"), ("c", "3"))
    assert (found["parent"], found["new"], found["total"], found["cases"]) == ("v0002", 1, 3, ["c"])


def test_a_label_that_was_corrected_again_is_new_and_so_is_the_same_label_of_another_case(store: ModelStore) -> None:
    trained(store, "v0000", ("a", "1"))
    assert plan(store, ("a", "2"), ("b", "1"))["cases"] == ["a", "b"]


def test_what_only_a_version_saw_that_is_not_served_any_more_is_new_again(store: ModelStore) -> None:
    trained(store, "v0000", ("a", "1"))
    store.rollback()
    found = plan(store, ("a", "1"))
    assert (found["parent"], found["cases"]) == ("v0000", ["a"])


def test_the_time_is_that_of_the_last_training_for_so_many_epochs(store: ModelStore) -> None:
    first = trained(store, "v0000", ("a", "1"), **{**TIMES, "seconds": 999.0})
    trained(store, first, ("b", "2"), **TIMES)
    found = plan(store, max_epochs=2)
    assert (found["expected_seconds"], found["seconds_per_epoch"]) == (100.0, 30.0)
    assert plan(store, max_epochs=5)["expected_seconds"] == 190.0


@pytest.mark.parametrize(
    "training", [{}, {"seconds": 3.0}, {"history": []}, {"history": [{}], "seconds": 1}, {"history": 7}]
)
def test_a_card_that_does_not_tell_the_time_is_passed_over(store: ModelStore, training: dict[str, Any]) -> None:
    first = trained(store, "v0000", ("a", "1"), **TIMES)
    trained(store, first, ("b", "2"), **training)
    assert plan(store, max_epochs=2)["expected_seconds"] == 100.0


def test_a_parent_that_is_gone_or_a_circle_of_parents_does_no_harm(store: ModelStore) -> None:
    trained(store, "v0042", ("a", "1"))
    assert plan(store, ("a", "1"), ("b", "2"))["cases"] == ["b"]
    trained(store, "v0002", ("b", "2"))
    assert plan(store, ("a", "1"), ("b", "2"))["cases"] == ["a"]


# === Through a server ===


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("plan")
    for name in CASES:
        synthetic.write_case(folder / "studies", name)
    with serving(folder / "studies", folder / "workspace", tiny_model) as running:
        yield running


def told(server: Server) -> tuple[str, list[str], int]:
    found = server.get("/train/tumorloop/plan")
    assert found["new"] == len(found["cases"])
    return found["parent"], found["cases"], found["total"]


def test_the_plan_follows_submissions_trainings_and_a_rollback(server: Server) -> None:
    assert told(server) == ("v0000", [], 0)
    assert server.get("/train/tumorloop/plan")["expected_seconds"] is None
    server.submit(CASES[0])
    assert told(server) == ("v0000", [CASES[0]], 1)
    settings = {"max_epochs": 2, "tolerance": 1.0}
    assert server.request("POST", "/train/tumorloop", json=settings).status_code == 200
    eventually(lambda: server.stats()["state"] == "done", seconds=300)
    assert told(server) == ("v0001", [], 1)
    after = server.get("/train/tumorloop/plan")
    assert 0 < after["seconds_per_epoch"] < after["expected_seconds"]
    server.submit(CASES[1])
    assert told(server) == ("v0001", [CASES[1]], 2)
    assert server.request("POST", "/versions/rollback").status_code == 200
    assert told(server) == ("v0000", list(CASES), 2)


@pytest.mark.parametrize("model", ["spleen", "..", "%2e%2e"])
def test_a_model_that_nobody_knows_has_no_plan(server: Server, model: str) -> None:
    answer = server.request("GET", f"/train/{model}/plan")
    assert answer.status_code in (404, 422)  # what looks like a path is refused as such
    if model == "spleen":
        assert answer.json()["detail"]["field"] == "model"
