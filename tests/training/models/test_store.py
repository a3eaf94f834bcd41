import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.training import rejected
from training.models.bundle import BUNDLED_ID
from training.models.store import ModelCard, ModelStore, write_version


def some_weights(value: float = 1.0):
    return {"layer/kernel": np.full((3, 3), value, np.float32)}


@pytest.fixture
def a_store(tmp_path: Path) -> ModelStore:
    write_version(tmp_path / "bundled", some_weights(0.0), ModelCard(version=BUNDLED_ID, description="bundled"))
    return ModelStore(tmp_path / "store", bundled=tmp_path / "bundled")


def test_the_bundled_model_is_current_until_another_is_promoted_and_each_rollback_undoes_one_promotion(a_store):
    added = a_store.add(some_weights(), ModelCard(parent=BUNDLED_ID))
    assert a_store.current().id == BUNDLED_ID
    ModelStore(a_store.root, bundled=a_store.bundled).promote(added.id, "better")
    assert a_store.current().id == "v0001"
    assert [entry["version"] for entry in a_store.history()] == [BUNDLED_ID, "v0001"]
    a_store.promote(a_store.add(some_weights(2.0), ModelCard()).id)
    assert [a_store.rollback().id, a_store.rollback().id] == ["v0001", BUNDLED_ID]
    with rejected("no earlier version"):
        a_store.rollback()
    with rejected("python -m training fit"):
        ModelStore(a_store.root / "empty").current()


def test_unknown_damaged_and_newer_versions_are_rejected_and_a_folder_without_a_card_hides_no_other(
    a_store: ModelStore,
):
    a_store.add(some_weights(), ModelCard())
    (a_store.root / "v0007").mkdir()
    assert [version.id for version in a_store.versions()] == [BUNDLED_ID, "v0001"]
    assert a_store.add(some_weights(), ModelCard()).id == "v0008"
    card = a_store.root / "v0008" / "card.json"
    card.write_text(json.dumps({**json.loads(card.read_text()), "format_version": 99}))
    with rejected("Update TumorLoop"):
        a_store.get("v0008")
    for wrong in ("v0042", "../bundled", ""):
        with rejected("Known: v0000"):
            a_store.promote(wrong)
    added = a_store.add(some_weights(), ModelCard())
    (added.folder / "weights.npz").write_bytes(b"junk")
    with rejected("cannot be read"):
        a_store.promote(added.id)
    assert a_store.current().id == BUNDLED_ID


def test_versions_added_concurrently_get_distinct_numbers(a_store: ModelStore):
    with ThreadPoolExecutor(8) as pool:
        added = list(pool.map(lambda value: a_store.add(some_weights(value), ModelCard()), range(16)))
    assert sorted(version.id for version in added) == [f"v{number:04d}" for number in range(1, 17)]
    assert {float(version.load_weights()["layer/kernel"][0, 0]) for version in added} == set(range(16))
