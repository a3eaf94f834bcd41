"""Labels, and the model's predictions, on the disk: nothing is overwritten, and nothing half-written is seen."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from server_app.labels import store as labels_store
from server_app.labels.predictions import Predictions
from server_app.labels.store import LabelStore
from tests import synthetic
from training.images.grid import Volume
from training.images.read import read_labelmap
from training.images.write import write_labelmap

TRUTH = synthetic.truth(synthetic.brats_grid((24, 26, 22)))
OTHER = Volume((TRUTH.data > 0).astype(np.uint8), TRUTH.grid)
FINAL = {"tag": "final"}


@pytest.fixture
def store(tmp_path: Path) -> LabelStore:
    """A store with one version of one label."""
    store = LabelStore(tmp_path / "labels")
    store.add("case", TRUTH, {**FINAL, "user": "a"})
    return store


@contextlib.contextmanager
def unreadable(name: str, number: int) -> Iterator[None]:
    """Have reading files of a name fail."""
    read = Path.read_text

    def fail(path: Path, *arguments: Any, **more: Any) -> str:
        if path.name == name:
            raise OSError(number, os.strerror(number))
        return read(path, *arguments, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "read_text", fail)
        yield


def versions(store: LabelStore) -> list[str]:
    return [label.version for label in store.versions("case")]


def test_every_version_of_a_label_is_kept_and_the_same_label_twice_is_one(store: LabelStore) -> None:
    (first,) = store.versions("case")
    assert store.add("case", TRUTH, {**FINAL, "user": "b"}) == (first, False)
    assert store.add("case", OTHER, FINAL)[0].version == "v0002"
    assert store.add("case", TRUTH, FINAL)[0].version == "v0003"
    assert np.array_equal(read_labelmap(first.path).data, TRUTH.data)
    assert [label.record.get("user") for label in store.versions("case")] == ["a", None, None]


def test_a_removed_label_is_set_aside_and_the_one_before_counts_again(store: LabelStore) -> None:
    newest, _ = store.add("case", OTHER, FINAL)
    assert store.remove("case", "final", "me")
    assert getattr(store.newest("case", "final"), "version", None) == "v0001"
    assert newest.path.exists()
    assert not store.remove("case", "trial", "me")


def test_an_incomplete_version_is_ignored(store: LabelStore, tmp_path: Path) -> None:
    for name in ("v0002", "v0003", ".writing-x"):
        (tmp_path / "labels" / "case" / name).mkdir()
    (tmp_path / "labels" / "case" / "v0003" / "label.json").write_text("{half")
    assert versions(LabelStore(tmp_path / "labels")) == ["v0001"]
    assert store.add("case", OTHER, FINAL)[0].version == "v0004"


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO])
def test_what_is_unreadable_for_a_moment_is_not_lost(store: LabelStore, tmp_path: Path, number: int) -> None:
    (label,) = store.versions("case")
    store.note(label, {"first": 1})
    os.utime(tmp_path / "labels" / "case", (time.time() - 3600,) * 2)  # so that what was read is remembered
    afresh = LabelStore(tmp_path / "labels")
    with unreadable("label.json", number), pytest.raises(OSError, match=os.strerror(number)):
        afresh.versions("case")
    assert versions(afresh) == ["v0001"]
    with unreadable("notes.json", number), pytest.raises(OSError, match=os.strerror(number)):
        store.note(label, {"second": 2})
    assert label.notes() == {"first": 1}


def test_a_new_version_does_not_have_the_others_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, opened, read = LabelStore(tmp_path), list[str](), Path.read_text

    def count(path: Path, *arguments: Any, **more: Any) -> str:
        opened.append(path.parent.name)
        return read(path, *arguments, **more)

    monkeypatch.setattr(Path, "read_text", count)
    for number in range(6):
        store.add("case", (TRUTH, OTHER)[number % 2], FINAL)
        assert len(versions(store)) == number + 1
    assert opened == [f"v{number:04d}" for number in range(1, 7)]


def test_a_version_that_takes_the_name_of_one_set_aside_is_read(store: LabelStore, tmp_path: Path) -> None:
    assert versions(store) == ["v0001"]
    (tmp_path / "labels" / "case" / "v0001").rename(tmp_path / "aside")
    store.add("case", OTHER, {**FINAL, "user": "b"})
    assert [(label.version, label.record["user"]) for label in store.versions("case")] == [("v0001", "b")]


def test_reading_a_label_does_not_wait_for_writing(store: LabelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(label: Volume, path: Path) -> None:
        begun.set()
        assert go_on.wait(60)
        write_labelmap(label, path)

    monkeypatch.setattr(labels_store, "write_labelmap", slow)
    with ThreadPoolExecutor(2) as pool:
        writer = pool.submit(store.add, "case", OTHER, FINAL)
        try:
            assert begun.wait(60)
            assert pool.submit(versions, store).result(30) == ["v0001"]
        finally:
            go_on.set()
        writer.result(60)
    assert versions(store) == ["v0001", "v0002"]


def test_labels_that_arrive_at_the_same_time_get_different_versions(tmp_path: Path) -> None:
    stores = [LabelStore(tmp_path) for _ in range(2)]

    def submit(number: int) -> str:
        label = Volume(np.full_like(TRUTH.data, number % 3 + 1), TRUTH.grid)
        return stores[number % 2].add("case", label, {"tag": f"tag{number}"})[0].version

    with ThreadPoolExecutor(8) as pool:
        given = sorted(pool.map(submit, range(8)))
    assert given == versions(LabelStore(tmp_path)) == [f"v{number:04d}" for number in range(1, 9)]


def test_an_answer_is_compared_on_its_own_grid_and_with_its_own_note_only(tmp_path: Path) -> None:
    answers = Predictions(tmp_path)
    assert answers.compare("case", TRUTH) == {}
    write_labelmap(OTHER, answers.path("case"))
    answers.remember("case", "v0003")
    found = answers.compare("case", TRUTH)
    dice = found["dice_against_model"]
    assert (found["model_version"], dice["WT"], dice["ET"]) == ("v0003", 1.0, 0.0)
    elsewhere = synthetic.truth(synthetic.brats_grid((20, 20, 20)))
    assert answers.compare("case", elsewhere) == {}
    write_labelmap(TRUTH, answers.path("case"))  # and the server dies
    assert answers.compare("case", TRUTH) == {}
    answers.remember("case", "v0004")
    assert answers.compare("case", TRUTH)["model_version"] == "v0004"
