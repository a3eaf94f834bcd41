"""An uploaded case that is removed: all that belongs to it goes with it, and nothing of another."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import HTTPException

from server_app.cases import removal
from server_app.cases.datastore import CaseDatastore
from server_app.common import removal_lock
from server_app.common.removal_lock import stamp_of, while_present
from server_app.inference.maps import MapStore
from server_app.inference.preprocessed_cache import PreprocessedCache
from server_app.inference.request import InferenceOptions, InferenceRequest
from server_app.inference.results import Results
from server_app.inference.task import GliomaSegmentation
from server_app.integrity.recovery import recover
from tests import synthetic
from tests.server_app.server_files import CASES, GRID, UPLOAD, ServerFiles
from training.images.write import write_labelmap


def upload_again(files: ServerFiles, store: CaseDatastore) -> None:
    """Upload the images of a removed case under its name."""
    images = next(files.workspace.removed.glob("*/images"))
    store.add_case(UPLOAD, sorted(path for path in images.iterdir() if path.name != "case.json"), {})


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(HTTPException, match=r"^404: ") as caught:
        call()
    return str(caught.value.detail)


def test_a_removed_case_leaves_nothing_to_a_later_one_of_its_name_nor_takes_anything_of_it(files: ServerFiles) -> None:
    store = files.open()
    store.update_image_info(UPLOAD, {"seen": True})
    store.remove_image(UPLOAD)
    (removed,) = files.workspace.removed.iterdir()
    facts = json.loads((removed / "removal.json").read_text())
    assert facts.pop("done")
    before = sorted(path.name for path in removed.iterdir())
    upload_again(files, store)
    assert UPLOAD not in store.get_labeled_images()
    assert "seen" not in store.get_image_info(UPLOAD)
    assert json.loads((removed / "notes.json").read_text())["seen"]
    files.submit(UPLOAD, 1)
    (removed / "removal.json").write_text(json.dumps(facts))  # as if it had been interrupted at its end
    recover(files.workspace, files.models)
    assert json.loads((removed / "removal.json").read_text())["done"]
    assert sorted(path.name for path in removed.iterdir()) == before
    assert UPLOAD in files.open().get_labeled_images()


def test_a_removal_that_fails_halfway_leaves_the_images_and_the_next_one_takes_all(
    files: ServerFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, replace = files.open(), os.replace

    def fail(source: Any, target: Any) -> None:
        if Path(target).name == "images":
            raise OSError(5, "the disk fails")
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(removal.os, "replace", fail)
        with pytest.raises(OSError, match="the disk fails"):
            store.remove_image(UPLOAD)
    assert UPLOAD in files.open().list_images()
    files.submit(UPLOAD, 1)
    store.remove_image(UPLOAD)
    (removed,) = files.workspace.removed.iterdir()
    assert {path.name for path in removed.iterdir()} == {"removal.json", "images", "labels", "labels-2"}
    assert not (files.workspace.labels / UPLOAD).exists()
    assert recover(files.workspace, files.models) == 0


@pytest.mark.parametrize("again", [False, True])
def test_a_label_is_refused_if_its_case_was_removed_while_it_was_checked(
    files: ServerFiles, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    store = files.open()
    origin = store.labels._origin

    def removed_meanwhile(*arguments: Any) -> Any:
        found = origin(*arguments)
        store.remove_image(UPLOAD)
        if again:
            upload_again(files, store)
        return found

    monkeypatch.setattr(store.labels, "_origin", removed_meanwhile)
    assert "removed in the meantime" in refused(lambda: files.submit(UPLOAD, 1, store=store))
    assert not (files.workspace.labels / UPLOAD).exists()


def test_a_removal_waits_until_a_label_is_stored_and_takes_it_along(
    files: ServerFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = files.open()
    add, adding, go_on = store.labels.store.add, threading.Event(), threading.Event()

    def slow(*arguments: Any) -> Any:
        adding.set()
        assert go_on.wait(30)
        return add(*arguments)

    monkeypatch.setattr(store.labels.store, "add", slow)
    with ThreadPoolExecutor() as threads:
        submitting = threads.submit(files.submit, UPLOAD, 1, store=store)
        assert adding.wait(30)
        removing = threads.submit(store.remove_image, UPLOAD)
        assert not wait([removing], 0.3).done
        go_on.set()
        for ended in (submitting, removing):
            ended.result(30)
    (removed,) = files.workspace.removed.iterdir()
    assert (removed / "labels" / "v0002" / "label.nii.gz").exists()
    assert not (files.workspace.labels / UPLOAD).exists()


def test_the_answer_to_a_case_that_was_removed_meanwhile_is_not_kept(files: ServerFiles) -> None:
    def segment(job: Any, *_: Any, **__: Any) -> dict[str, Any]:
        for path in (job.result, job.answer):
            write_labelmap(synthetic.truth(GRID), path)
        store.remove_image(UPLOAD)
        return {"maps": [], "model_version": "v0000"}

    store = files.open()
    worker: Any = SimpleNamespace(
        models=files.workspace.models, bundled=files.model, engine="openvino", segment=segment
    )
    preprocessed = PreprocessedCache(files.workspace.cache / "preprocessed")
    maps = MapStore(files.workspace.maps)
    task = GliomaSegmentation(worker, files.workspace, maps, Results(None), store.labels, preprocessed)
    answer = store.labels.predictions.path(UPLOAD)
    refused(lambda: task(InferenceRequest.for_case(store, UPLOAD, InferenceOptions())))
    assert not answer.parent.exists()
    assert list(files.workspace.incoming.iterdir()) == []


def test_notes_about_a_case_that_was_just_removed_are_not_kept_for_the_next(files: ServerFiles) -> None:
    store = files.open()
    case = store.case(UPLOAD)
    removal.remove_upload(files.workspace, UPLOAD, "dr-a")  # the catalog does not know yet
    for late in (
        lambda: store.update_image_info(UPLOAD, {"seen": True}),
        lambda: store.labels.note(case, "final", {"seen": True}),
        lambda: store.labels.remove(case, "final", "dr-b"),
        lambda: files.submit(UPLOAD, 1, store=store),
    ):
        refused(late)
    assert not (files.workspace.labels / UPLOAD).exists()
    assert not (files.workspace.notes / f"{UPLOAD}.json").exists()
    store.labels.predictions.remember(UPLOAD, "v0000", 0.5, "0")
    assert not (files.workspace.answers / UPLOAD).exists()
    lasting = store.case(CASES[0])  # a case of the studies folder cannot be removed
    assert stamp_of(files.workspace, lasting) is None
    with while_present(files.workspace, lasting):
        assert removal_lock.REMOVAL_LOCK.acquire(blocking=False)
        removal_lock.REMOVAL_LOCK.release()
