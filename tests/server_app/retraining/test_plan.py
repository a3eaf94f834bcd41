"""What a training would start from, learn, and how long it would take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from server_app.retraining.plan import plan_of
from training.cases.case import Case, Source
from training.modalities import ROLES
from training.models.store import ModelCard, ModelStore, SeenCase, write_version
from training.retraining.config import RetrainConfig
from training.retraining.corrections import Correction

WEIGHTS = {"layer": np.zeros(2, np.float32)}
TIMES = {"seconds": 100.0, "history": [{"epoch": 1, "seconds": 30.0}, {"epoch": 2, "seconds": 60.0}]}


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    """A store with the bundled model only."""
    write_version(tmp_path / "bundled", WEIGHTS, ModelCard())
    return ModelStore(tmp_path / "models", tmp_path / "bundled")


def trained(store: ModelStore, parent: str, *pairs: tuple[str, str], **training: Any) -> str:
    """Add a version that has seen labels, and promote it."""
    seen = [SeenCase(case=case, patient=case, label_sha256=digest, split="train") for case, digest in pairs]
    version = store.add(WEIGHTS, ModelCard(parent=parent, data=seen, training=training))
    return store.promote(version.id).id


def plan(store: ModelStore, *pairs: tuple[str, str], **config: Any) -> dict[str, Any]:
    """The plan with final labels: case and hash."""
    sources = {role: Source(Path(f"{role}.nii.gz")) for role in ROLES}
    labels = [Correction(Case(case, sources), Path("label.nii.gz"), label_sha256=digest) for case, digest in pairs]
    return plan_of(store, labels, RetrainConfig(**config))


def test_before_the_first_training_every_label_is_new_and_the_time_is_unknown(store: ModelStore) -> None:
    times = {"max_epochs": 4, "expected_seconds": None, "seconds_per_epoch": None}
    expected = {"parent": "v0000", "new": 2, "total": 2, "cases": ["a", "b"], **times}
    assert plan(store, ("a", "1"), ("b", "2"), max_epochs=4) == expected


def test_labels_are_new_unless_the_served_version_or_an_ancestor_saw_them(store: ModelStore) -> None:
    first = trained(store, "v0000", ("a", "1"))
    trained(store, first, ("b", "2"))
    found = plan(store, ("a", "1"), ("b", "2"), ("c", "3"))
    assert (found["parent"], found["new"], found["total"], found["cases"]) == ("v0002", 1, 3, ["c"])
    assert plan(store, ("a", "2"), ("b", "1"))["cases"] == ["a", "b"]  # corrected again; the same label elsewhere
    store.rollback()
    found = plan(store, ("a", "1"), ("b", "2"))
    assert (found["parent"], found["cases"]) == ("v0001", ["b"])


def test_the_expected_time_follows_from_the_last_training_whose_card_has_the_time(store: ModelStore) -> None:
    first = trained(store, "v0000", ("a", "1"), **{**TIMES, "seconds": 999.0})
    second = trained(store, first, ("b", "2"), **TIMES)
    found = plan(store, max_epochs=2)
    assert (found["expected_seconds"], found["seconds_per_epoch"]) == (100.0, 30.0)
    assert plan(store, max_epochs=5)["expected_seconds"] == 190.0
    incomplete: list[dict[str, Any]] = [{}, {"seconds": 3.0}, {"history": []}, {"history": 7}]
    for training in (*incomplete, {"history": [{}], "seconds": 1}):
        trained(store, second, ("c", "3"), **training)
        assert plan(store, max_epochs=2)["expected_seconds"] == 100.0


def test_a_missing_parent_and_a_circle_of_parents_are_tolerated(store: ModelStore) -> None:
    trained(store, "v0042", ("a", "1"))
    assert plan(store, ("a", "1"), ("b", "2"))["cases"] == ["b"]
    trained(store, "v0002", ("b", "2"))
    assert plan(store, ("a", "1"), ("b", "2"))["cases"] == ["a"]
