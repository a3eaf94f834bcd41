"""Case ids stay what they once were, whatever arrives, disappears or moves beside them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from unittest.mock import Mock

import pytest
from fastapi import HTTPException

from server_app.cases.datastore import CaseDatastore
from tests import synthetic
from tests.server_app.server_files import GRID, ServerFiles

NAME = "BraTS20_Training_001"


@pytest.fixture
def empty(tmp_path: Path, tiny_model: Path) -> ServerFiles:
    (tmp_path / "studies").mkdir()
    return ServerFiles(tmp_path, tiny_model)


def write(root: Path, name: str = NAME) -> Path:
    return synthetic.write_case(root, name, grids=GRID)


def write_other_patient(root: Path) -> Path:
    folder = write(root)
    synthetic.save(synthetic.head(GRID, "t2"), folder / f"{NAME}_t1.nii.gz")
    return folder


def submit(store: CaseDatastore) -> None:
    label = store.case(NAME).label
    assert label is not None
    store.save_label(NAME, str(label), "final", {})


def test_a_second_case_of_the_same_name_does_not_rename_the_first(empty: ServerFiles) -> None:
    write(empty.studies / "a")
    store = empty.open()
    assert store.list_images() == [NAME]
    submit(store)
    write_other_patient(empty.studies / "b")
    for seen in (empty.open(), store):
        seen.refresh()
        assert seen.list_images() == [NAME, f"b-{NAME}"]
        assert seen.get_labeled_images() == [NAME]
        assert seen.case(NAME).folder == empty.studies / "a" / NAME
        assert seen.case(f"b-{NAME}").patient == NAME


def test_a_folder_that_is_moved_keeps_its_labels_and_other_images_under_its_name_inherit_none(
    empty: ServerFiles,
) -> None:
    folder = write(empty.studies)
    submit(empty.open())
    (empty.studies / "a").mkdir()
    folder.rename(empty.studies / "a" / NAME)
    assert empty.open().get_labeled_images() == [NAME]
    shutil.rmtree(empty.studies / "a")
    other = write_other_patient(empty.studies / "b")
    store = empty.open()
    assert (store.list_images(), store.get_labeled_images()) == ([f"b-{NAME}"], [])
    with pytest.raises(HTTPException, match=r"^409: .*absent now"):
        store.add_case(NAME, sorted(other.glob("*_[tf]*.nii.gz")), {})


def test_a_set_of_files_keeps_its_id_when_another_set_is_put_beside_it(empty: ServerFiles, tmp_path: Path) -> None:
    write(empty.studies / "x", "one").rename(empty.studies / "flat")
    assert empty.open().list_images() == ["flat"]
    for file in write(tmp_path / "more", "two").iterdir():
        file.rename(empty.studies / "flat" / file.name)
    assert empty.open().list_images() == ["flat", "two"]


def test_a_case_that_appears_under_the_name_of_an_uploaded_one_gets_another(empty: ServerFiles, tmp_path: Path) -> None:
    sent = write(tmp_path / "sent")
    store = empty.open()
    store.add_case(NAME, sorted(sent.glob("*_[tf]*.nii.gz")), {})
    store.save_label(NAME, str(sent / f"{NAME}_seg.nii.gz"), "final", {})
    write_other_patient(empty.studies)
    store = empty.open()
    assert (len(store.list_images()), store.catalog.is_uploaded(NAME)) == (2, True)
    assert store.get_labeled_images() == [NAME]


def test_a_lost_list_of_ids_is_rebuilt_from_the_labels(empty: ServerFiles) -> None:
    write(empty.studies / "a")
    submit(empty.open())
    write(empty.studies / "b")
    file, damages = empty.workspace.case_ids, ["", "{half", "[]", '{"cases": {"a": 1}}', '{"format": 1}']
    for damage in (None, *damages):
        empty.open()
        file.unlink() if damage is None else file.write_text(damage)
        store = empty.open()
        assert (store.list_images(), store.get_labeled_images()) == ([NAME, f"b-{NAME}"], [NAME])
        assert {one["id"] for one in json.loads(file.read_text())["cases"].values()} == {NAME, f"b-{NAME}"}
    set_aside = [(entry["what"], (empty.root / entry["moved_to"]).read_text()) for entry in empty.quarantined()]
    assert set_aside == [("cases.json", damage) for damage in damages]


def test_two_processes_that_look_at_the_same_time_agree_and_no_id_changes_when_a_case_goes(empty: ServerFiles) -> None:
    write(empty.studies / "a")
    write(empty.studies / "b")
    one, two = empty.open(), empty.open()
    write(empty.studies / "c")
    for store in (one, two):
        store.refresh()
        assert store.list_images() == [f"{folder}-{NAME}" for folder in "abc"]
    for folder in "ab":
        shutil.rmtree(empty.studies / folder)
    assert empty.open().list_images() == [f"c-{NAME}"]


def test_cases_can_be_read_on_a_disk_that_takes_no_new_ids(empty: ServerFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    write(empty.studies / "a")
    monkeypatch.setattr(
        "server_app.cases.case_ids.write_json", Mock(side_effect=OSError(28, "No space left on device"))
    )
    store = empty.open()
    assert store.list_images() == [NAME]
    write(empty.studies / "b")
    store.refresh()
    assert store.list_images() == [NAME, f"b-{NAME}"]


def test_labels_do_not_reveal_to_clients_where_files_lie(empty: ServerFiles) -> None:
    write(empty.studies / "a secret")
    store = empty.open()
    submit(store)
    assert "secret" in str(store.labels.store.versions(NAME)[0].record)
    assert "secret" not in str(store.get_label_info(NAME, "final"))
    assert "secret" not in str(store.json())
