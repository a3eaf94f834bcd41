"""Images that are replaced after a label was submitted, or between a segmentation and its correction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from fastapi import HTTPException

from server_app.cases import image_changes
from server_app.cases.case_ids import images_digest
from server_app.cases.datastore import CaseDatastore
from server_app.labels.submission import Submission
from tests import synthetic
from tests.server_app.server_files import CASES, GRID, ServerFiles
from training.cases.case import Case
from training.images.write import write_labelmap

CASE = CASES[0]


@pytest.fixture
def store(files: ServerFiles) -> CaseDatastore:
    return files.open()


def replace_image(files: ServerFiles, role: str = "flair", case: str = CASE) -> None:
    """Replace one modality of a case by a brighter one on the same grid."""
    path = files.studies / case / f"{case}_{role}.nii.gz"
    image = nibabel.Nifti1Image.from_filename(path)
    brighter = np.asarray(image.dataobj) * 2
    nibabel.save(nibabel.Nifti1Image(brighter, image.affine), path)


def submit(store: CaseDatastore, files: ServerFiles, value: int = 1, **params: Any) -> bool:
    """Submit a label with one value; returns whether it is a new version."""
    truth = synthetic.truth(GRID)
    truth.data[truth.data > 0] = value
    path = synthetic.save(truth, files.root.parent / "sent" / "label.nii.gz")
    info = [{"name": name, "idx": number} for number, name in enumerate(("NCR", "ED", "ET"), start=1)]
    submission = Submission.parse("final", {"label_info": info, **params})
    return store.labels.submit(store.case(CASE), path, submission)[1]


def training(store: CaseDatastore) -> set[str]:
    return {correction.case.id for correction in store.labels.corrections()}


def test_a_label_of_images_that_were_replaced_does_not_train_and_that_is_told_until_it_is_submitted_again(
    files: ServerFiles, store: CaseDatastore
) -> None:
    assert CASE in training(store)
    assert store.labels.problems() == []
    submit(store, files, 3)
    replace_image(files)
    assert CASE not in training(store)
    assert CASE not in store.get_labeled_images()
    assert {item["image"] for item in store.datalist()}.isdisjoint({store.get_image_uri(CASE)})
    (problem,) = store.labels.problems()
    assert problem["path"].startswith(CASE)
    assert "have changed" in problem["message"]
    assert len(store.labels.store.versions(CASE, "final")) == 3  # nothing is lost
    assert submit(store, files, 3)  # the same label, of other images
    assert CASE in training(store)
    assert store.labels.problems() == []
    assert not submit(store, files, 3)


def test_files_that_were_only_copied_or_touched_are_the_same_images(files: ServerFiles, store: CaseDatastore) -> None:
    for path in (files.studies / CASE).iterdir():
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)
    assert CASE in training(store)


def test_files_are_read_once_for_each_change(
    files: ServerFiles, store: CaseDatastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def counted(case: Case) -> str:
        read.append(case.id)
        return images_digest(case)

    monkeypatch.setattr(image_changes, "images_digest", counted)
    training(store)
    first = len(read)
    replace_image(files)
    for _ in range(3):
        training(store)
    assert read[first:] == [CASE]


def test_a_label_without_a_note_of_its_images_or_whose_files_are_gone_does_not_count_as_changed(
    files: ServerFiles, store: CaseDatastore
) -> None:
    case, changes = store.case(CASE), image_changes.ImageChanges()
    label = store.labels.newest(case, "final")
    replace_image(files)
    assert changes.since(case, label)
    del label.record["images"]
    assert not changes.since(case, label)
    label.record["images"] = "another"
    next(iter(case.sources.values())).path.unlink()
    assert not changes.since(case, label)


def test_the_correction_of_a_segmentation_of_other_images_is_refused(files: ServerFiles, store: CaseDatastore) -> None:
    case, predictions = store.case(CASE), store.labels.predictions
    write_labelmap(synthetic.truth(GRID), predictions.path(CASE))
    predictions.remember(CASE, "v0000", images=images_digest(case))
    submit(store, files, 1, model_version="v0000")
    assert set(store.labels.newest(case, "final").record["dice_against_model"]) == {"WT", "TC", "ET"}
    replace_image(files)
    with pytest.raises(HTTPException) as caught:
        submit(store, files, 2, model_version="v0000")
    detail: Any = caught.value.detail
    assert (caught.value.status_code, detail["field"]) == (409, "image")
    assert "Segment them again" in detail["message"]
    submit(store, files, 2)  # who corrected nothing is not compared with it
    record = store.labels.newest(case, "final").record
    assert (record["source"], "dice_against_model" in record) == ("manual", False)
    predictions.remember(CASE, "v0000", images=images_digest(case))
    assert submit(store, files, 3, model_version="v0000")


def test_a_prediction_of_an_earlier_release_counts_as_one_of_the_same_images(
    files: ServerFiles, store: CaseDatastore
) -> None:
    predictions = store.labels.predictions
    write_labelmap(synthetic.truth(GRID), predictions.path(CASE))
    predictions.remember(CASE, "v0000")
    replace_image(files)
    assert submit(store, files, 2, model_version="v0000")
    assert not Path(predictions.path("nobody")).exists()
    assert not predictions.is_of_other_images("nobody", "v0000", "x")
