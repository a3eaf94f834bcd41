"""A store with two bundled models: alone, and in stores that earlier releases began."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.training import rejected
from training.models import BUNDLED_MODELS
from training.models.bundle import DEFAULT_FILE, model_folder, read_bundle
from training.models.store import ModelCard, ModelStore, read_version, write_version


def some_weights(value: float) -> dict[str, np.ndarray]:
    return {"layer/kernel": np.full((3, 3), value, np.float32)}


@pytest.fixture
def bundled(tmp_path: Path) -> Path:
    """Bundled models v0000 and v0001; the latter is the default."""
    for number in (0, 1):
        card = ModelCard(version=f"v000{number}", description=f"bundled {number}")
        write_version(tmp_path / "bundled" / card.version, some_weights(number), card)
    (tmp_path / "bundled" / DEFAULT_FILE).write_text("v0001\n")
    return tmp_path / "bundled"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def began_earlier(bundled: Path, root: Path) -> ModelStore:
    """The store as an earlier release left it, which had v0000 alone: with a version v0001 of its own."""
    store = ModelStore(root, None)
    write_version(root / "v0001", some_weights(7), ModelCard(version="v0001", description="own"))
    return store


def test_the_released_default_is_one_of_the_bundled_models():
    bundle = read_bundle(BUNDLED_MODELS)
    assert bundle.initial in bundle.folders
    assert "v0000" in bundle.folders
    assert model_folder(bundle.initial) == BUNDLED_MODELS / bundle.initial


def test_a_setting_names_a_bundled_model_or_a_folder(bundled, tmp_path, monkeypatch):
    monkeypatch.setattr("training.models.bundle.BUNDLED_MODELS", bundled)
    monkeypatch.chdir(bundled)
    assert model_folder("v0001") == bundled / "v0001"
    assert model_folder("./v0001") == bundled / "v0001"
    for wrong in ("v0002", "absent", str(tmp_path)):
        with rejected("Bundled: v0000, v0001", field="model"):
            model_folder(wrong)
    (bundled / DEFAULT_FILE).write_text("v0009")
    with rejected("names v0009, which is not there", field="model"):
        read_bundle(bundled)


def test_all_bundled_models_are_offered_can_be_promoted_and_new_versions_are_numbered_after_them(bundled, root):
    store = ModelStore(root, bundled)
    assert ([version.id for version in store.versions()], store.current().id) == (["v0000", "v0001"], "v0001")
    assert store.add(some_weights(2), ModelCard(parent="v0001")).id == "v0002"
    assert (store.current().id, store.history(), store.not_offered()) == ("v0001", [], [])
    for version in ("v0002", "v0000", "v0001"):
        assert store.promote(version, "by hand").id == store.current().id == version
    assert [entry["version"] for entry in store.history()] == ["v0001", "v0002", "v0000", "v0001"]
    assert [store.rollback().id for _ in range(3)] == ["v0000", "v0002", "v0001"]
    assert not (root / "v0001").exists()


@pytest.mark.parametrize("chosen", ["v0000", "v0001"])
def test_a_chosen_bundled_model_is_current_until_another_is_promoted_which_is_told(bundled, root, chosen):
    store = ModelStore(root, bundled / chosen)
    assert store.settle_initial(in_use=True) == ""
    assert store.current().id == ModelStore(root, bundled).current().id == chosen
    other = ModelStore(root, bundled / ("v0000" if chosen == "v0001" else "v0001"))
    assert other.settle_initial(in_use=True) == ""
    assert other.current().id != chosen  # the setting decides as long as nobody promoted anything
    store.promote(store.add(some_weights(2), ModelCard()).id)
    assert f"models promote {chosen} --models {root}" in store.settle_initial(in_use=True)
    assert store.current().id == "v0002"


def test_another_default_changes_new_stores_and_none_that_is_in_use(bundled, root, tmp_path):
    (bundled / DEFAULT_FILE).write_text("v0000")
    with_labels, trained = (ModelStore(tmp_path / name, bundled) for name in ("with-labels", "trained"))
    trained.add(some_weights(2), ModelCard())
    (bundled / DEFAULT_FILE).write_text("v0001")
    for folder, in_use, expected in (
        (with_labels.root, True, "v0000"),
        (trained.root, False, "v0000"),
        (tmp_path / "new", False, "v0001"),
    ):
        ModelStore(folder, bundled).settle_initial(in_use=in_use)
        assert ModelStore(folder, bundled).current().id == expected
    (bundled / DEFAULT_FILE).write_text("v0000")
    new = ModelStore(tmp_path / "new", bundled)
    new.settle_initial(in_use=True)
    assert new.current().id == "v0001"
    new.promote(new.add(some_weights(2), ModelCard()).id)
    assert new.rollback().id == "v0001"


def test_a_version_of_an_earlier_release_keeps_its_number_and_the_bundled_one_can_be_added_under_another(
    bundled, began_earlier, root
):
    store = ModelStore(root, bundled)
    assert [version.card.description for version in store.versions()] == ["bundled 0", "own"]
    assert store.get("v0001").card.description == "own"
    assert store.current().id == "v0000"  # as before the update
    (sentence,) = store.not_offered()
    assert f"models add v0001 --models {root}" in sentence
    added = store.add(read_version(bundled / "v0001").load_weights(), read_version(bundled / "v0001").card)
    assert (added.id, added.card.description) == ("v0002", "bundled 1")
    store.promote("v0001")
    assert (store.current().card.description, store.rollback().id) == ("own", "v0000")
    chosen = ModelStore(root, bundled / "v0001")
    with rejected("has a version v0001 of its own", field="model"):
        chosen.initial()


def test_a_lost_version_is_not_replaced_by_the_bundled_one_of_its_number(bundled, root):
    root.mkdir()
    entries = [{"version": version, "time": "", "reason": "Promoted"} for version in ("v0000", "v0001")]
    (root / "current.json").write_text(json.dumps({"current": "v0001", "history": entries}))
    store = ModelStore(root, bundled)
    with rejected("no model version 'v0001'. Known: v0000"):
        store.current()
    assert store.not_offered()
    assert store.add(some_weights(2), ModelCard()).id == "v0002"
    assert store.rollback().id == "v0000"


def test_a_damaged_list_of_promotions_is_rebuilt_without_the_bundled_models(bundled, root):
    store = ModelStore(root, bundled)
    store.promote(store.add(some_weights(2), ModelCard(verdict="Promoted: better.")).id)
    (root / "current.json").write_text("junk")
    assert store.ids() == ["v0000", "v0001", "v0002"]
    (root / "current.json").unlink()
    store.rebuild_history("damaged")
    assert [entry["version"] for entry in store.history()] == ["v0000", "v0002"]
