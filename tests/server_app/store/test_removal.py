"""An uploaded case that is taken away: all that belongs to it goes with it, and nothing of another."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from fastapi import HTTPException

from server_app.cases import removal
from server_app.cases.datastore import CaseDatastore
from server_app.common import removal_lock as presence
from server_app.common.removal_lock import stamp_of, while_present
from server_app.inference.maps import MapStore
from server_app.inference.request import InferenceOptions, InferenceRequest
from server_app.inference.results import Results
from server_app.inference.task import GliomaSegmentation
from server_app.integrity.recovery import recover
from tests import synthetic
from tests.server_app.store.conftest import GRID, UPLOAD, Place
from training.images.write import write_labelmap

INFO = [{"name": name, "idx": number} for number, name in enumerate(("NCR", "ED", "ET"), start=1)]


def submit(place: Place, store: CaseDatastore) -> None:
    """Submit a label that the case does not have yet."""
    truth = synthetic.truth(GRID)
    truth.data[truth.data > 0] = 1
    path = synthetic.save(truth, place.root.parent / "sent" / "another.nii.gz")
    store.save_label(UPLOAD, str(path), "final", {"label_info": INFO})


def upload_again(place: Place, store: CaseDatastore) -> None:
    """Upload the files of a removed case under its name."""
    images = next(place.workspace.removed.glob("*/images"))
    store.add_case(UPLOAD, sorted(path for path in images.iterdir() if path.name != "case.json"), {})


def unfinished(place: Place) -> Path:
    """A removal whose images have gone and whose note does not say that it is done."""
    place.open().remove_image(UPLOAD)
    (note,) = place.workspace.removed.glob("*/removal.json")
    facts = json.loads(note.read_text())
    del facts["done"]
    note.write_text(json.dumps(facts))
    return note


def test_finishing_a_removal_takes_nothing_of_a_later_case_of_that_name(place: Place) -> None:
    note = unfinished(place)
    before = sorted(path.name for path in note.parent.iterdir())
    store = place.open()
    upload_again(place, store)
    submit(place, store)
    recover(place.workspace, place.models)
    assert json.loads(note.read_text())["done"]
    assert sorted(path.name for path in note.parent.iterdir()) == before
    assert UPLOAD in place.open().get_labeled_images()


def test_a_removal_that_fails_halfway_leaves_the_images_and_the_next_one_takes_all(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, replace = place.open(), os.replace

    def fail(source: Any, target: Any) -> None:
        if Path(target).name == "images":
            raise OSError(5, "the disk fails")
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(removal.os, "replace", fail)
        with pytest.raises(OSError, match="the disk fails"):
            store.remove_image(UPLOAD)
    assert UPLOAD in place.open().list_images()
    submit(place, store)
    store.remove_image(UPLOAD)
    (removed,) = place.workspace.removed.iterdir()
    assert {path.name for path in removed.iterdir()} == {"removal.json", "images", "labels", "labels-2"}
    assert not (place.workspace.labels / UPLOAD).exists()
    assert recover(place.workspace, place.models) == 0


@pytest.mark.parametrize("again", [False, True])
def test_a_label_that_was_being_checked_while_its_case_was_removed_is_refused(
    place: Place, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    store = place.open()
    origin = store.labels._origin

    def removed_meanwhile(*arguments: Any) -> Any:
        found = origin(*arguments)
        store.remove_image(UPLOAD)
        if again:
            upload_again(place, store)
        return found

    monkeypatch.setattr(store.labels, "_origin", removed_meanwhile)
    with pytest.raises(HTTPException) as caught:
        submit(place, store)
    assert caught.value.status_code == 404
    assert "removed in the meantime" in str(caught.value.detail)
    assert not (place.workspace.labels / UPLOAD).exists()


def test_a_removal_waits_until_a_label_is_stored_and_takes_it_along(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = place.open()
    add, adding, go_on = store.labels.store.add, threading.Event(), threading.Event()

    def slow(*arguments: Any) -> Any:
        adding.set()
        assert go_on.wait(30)
        return add(*arguments)

    monkeypatch.setattr(store.labels.store, "add", slow)
    submitting = threading.Thread(target=submit, args=(place, store))
    submitting.start()
    assert adding.wait(30)
    removing = threading.Thread(target=store.remove_image, args=(UPLOAD,))
    removing.start()
    removing.join(0.3)
    assert removing.is_alive()
    go_on.set()
    submitting.join(30)
    removing.join(30)
    (removed,) = place.workspace.removed.iterdir()
    assert (removed / "labels" / "v0002" / "label.nii.gz").exists()
    assert not (place.workspace.labels / UPLOAD).exists()


class Computes:
    """In the place of the inference process: writes an answer, and then the case is removed."""

    def __init__(self, place: Place, meanwhile: Any) -> None:
        self.models, self.bundled = place.workspace.models, place.model
        self._meanwhile = meanwhile

    def segment(self, job: Any, *_: Any, **__: Any) -> dict[str, Any]:
        write_labelmap(synthetic.truth(GRID), job.result)
        write_labelmap(synthetic.truth(GRID), job.answer)
        self._meanwhile()
        return {"maps": [], "model_version": "v0000"}


def test_an_answer_to_a_case_that_was_removed_meanwhile_is_kept_nowhere(place: Place) -> None:
    store = place.open()
    worker: Any = Computes(place, lambda: store.remove_image(UPLOAD))
    maps = MapStore(place.workspace.maps)
    task = GliomaSegmentation(worker, place.workspace, maps, Results(None), store.labels)
    answer = store.labels.answers.path(UPLOAD)
    with pytest.raises(HTTPException) as caught:
        task(InferenceRequest.for_case(store, UPLOAD, InferenceOptions()))
    assert caught.value.status_code == 404
    assert not answer.parent.exists()
    assert list(place.workspace.incoming.iterdir()) == []


def test_a_note_of_an_answer_that_went_with_its_case_makes_no_folder_anew(place: Place) -> None:
    answers = place.open().labels.answers
    answers.remember(UPLOAD, "v0000", 0.5, "0")
    assert not (place.workspace.answers / UPLOAD).exists()


def test_what_is_said_of_a_case_that_is_just_removed_is_not_kept_for_the_next(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = place.open()
    case = store.case(UPLOAD)
    removal.remove_upload(place.workspace, UPLOAD, "dr-a")  # the catalog does not know yet
    for late in (
        lambda: store.update_image_info(UPLOAD, {"seen": True}),
        lambda: store.labels.note(case, "final", {"seen": True}),
        lambda: store.labels.remove(case, "final", "dr-b"),
        lambda: submit(place, store),
    ):
        with pytest.raises(HTTPException) as caught:
            late()
        assert caught.value.status_code == 404
    assert not (place.workspace.labels / UPLOAD).exists()
    assert not (place.workspace.notes / f"{UPLOAD}.json").exists()


def test_a_case_of_the_studies_needs_no_mark(place: Place) -> None:
    case = place.open().case("BraTS20_Training_001")
    assert stamp_of(place.workspace, case) is None
    with while_present(place.workspace, case):
        assert presence.REMOVAL_LOCK.acquire(blocking=False)
        presence.REMOVAL_LOCK.release()
