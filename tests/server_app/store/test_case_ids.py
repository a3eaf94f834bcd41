"""Ids of cases stay what they were once given, whatever comes, goes or moves beside them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from fastapi import HTTPException

from server_app.cases.datastore import CaseDatastore
from server_app.workspace import Workspace
from tests import synthetic

NAME = "BraTS20_Training_001"
#: Small, because every test writes some cases.
GRID = synthetic.brats_grid((24, 26, 22))


def write(root: Path, name: str = NAME) -> Path:
    return synthetic.write_case(root, name, grids=GRID)


def open_store(folder: Path) -> CaseDatastore:
    """What a server that starts anew sees."""
    return CaseDatastore(folder / "studies", Workspace.for_studies(folder / "studies", folder / "workspace").make())


def submit(store: CaseDatastore, case: str, **params: Any) -> None:
    found = store.case(case)
    assert found.label is not None
    store.save_label(case, str(found.label), "final", params)


def other_head(folder: Path) -> None:
    """Put another patient's images in a case's place."""
    for file in folder.glob("*_t1.nii.gz"):
        volume = synthetic.head(GRID, "t2")
        synthetic.save(volume, file)


def test_a_second_case_of_the_same_name_does_not_rename_the_first(tmp_path: Path) -> None:
    write(tmp_path / "studies" / "a")
    store = open_store(tmp_path)
    assert store.list_images() == [NAME]
    submit(store, NAME)
    other_head(write(tmp_path / "studies" / "b"))
    for seen in (open_store(tmp_path), store):
        seen.refresh()
        assert seen.list_images() == [NAME, f"b-{NAME}"]
        assert seen.get_labeled_images() == [NAME]
        assert seen.case(NAME).folder == tmp_path / "studies" / "a" / NAME
        assert seen.case(f"b-{NAME}").patient == NAME


def test_ids_do_not_change_when_the_other_of_two_goes(tmp_path: Path) -> None:
    write(tmp_path / "studies" / "a")
    write(tmp_path / "studies" / "b")
    assert open_store(tmp_path).list_images() == [f"a-{NAME}", f"b-{NAME}"]
    shutil.rmtree(tmp_path / "studies" / "a")
    assert open_store(tmp_path).list_images() == [f"b-{NAME}"]


def test_a_folder_that_is_moved_keeps_its_id_and_its_labels(tmp_path: Path) -> None:
    write(tmp_path / "studies")
    submit(open_store(tmp_path), NAME)
    (tmp_path / "studies" / "2024").mkdir()
    (tmp_path / "studies" / NAME).rename(tmp_path / "studies" / "2024" / NAME)
    assert open_store(tmp_path).get_labeled_images() == [NAME]


def test_a_folder_that_holds_other_images_does_not_inherit_labels(tmp_path: Path) -> None:
    write(tmp_path / "studies" / "a")
    submit(open_store(tmp_path), NAME)
    shutil.rmtree(tmp_path / "studies" / "a")
    other_head(write(tmp_path / "studies" / "b"))
    store = open_store(tmp_path)
    assert store.list_images() == [f"b-{NAME}"]
    assert store.get_labeled_images() == []
    with pytest.raises(HTTPException, match="not there now") as caught:
        store.add_case(NAME, sorted((tmp_path / "studies" / "b" / NAME).glob("*_[tf]*.nii.gz")), {})
    assert caught.value.status_code == 409


def test_a_set_of_files_keeps_its_id_when_another_set_is_put_beside_it(tmp_path: Path) -> None:
    folder = write(tmp_path / "studies" / "x", "one")
    folder.rename(tmp_path / "studies" / "flat")
    assert open_store(tmp_path).list_images() == ["flat"]
    more = write(tmp_path / "more", "two")
    for file in more.iterdir():
        file.rename(tmp_path / "studies" / "flat" / file.name)
    assert open_store(tmp_path).list_images() == ["flat", "two"]


def test_a_case_that_appears_under_the_name_of_an_uploaded_one_gets_another(tmp_path: Path) -> None:
    (tmp_path / "studies").mkdir()
    store = open_store(tmp_path)
    sent = write(tmp_path / "sent")
    store.add_case(NAME, sorted(sent.glob("*_[tf]*.nii.gz")), {})
    store.save_label(NAME, str(sent / f"{NAME}_seg.nii.gz"), "final", {})
    other_head(write(tmp_path / "studies"))
    store = open_store(tmp_path)
    assert len(store.list_images()) == 2
    assert store.catalog.is_uploaded(NAME)
    assert store.get_labeled_images() == [NAME]


@pytest.mark.parametrize("damage", ["", "{half", "[]", '{"cases": {"a": 1}}', '{"format": 1}', None])
def test_the_list_of_ids_is_made_anew_from_the_labels(tmp_path: Path, damage: str | None) -> None:
    write(tmp_path / "studies" / "a")
    submit(open_store(tmp_path), NAME)
    write(tmp_path / "studies" / "b")
    before = open_store(tmp_path).list_images()
    assert before == [NAME, f"b-{NAME}"]
    file = tmp_path / "workspace" / "cases.json"
    file.unlink() if damage is None else file.write_text(damage)
    store = open_store(tmp_path)
    assert store.list_images() == before
    assert store.get_labeled_images() == [NAME]
    assert {one["id"] for one in json.loads(file.read_text())["cases"].values()} == set(before)
    report = tmp_path / "workspace" / "quarantine" / "report.jsonl"
    assert report.exists() == (damage is not None)
    if damage is not None:
        (entry,) = map(json.loads, report.read_text().splitlines())
        assert entry["what"] == "cases.json"
        assert (tmp_path / "workspace" / entry["moved_to"]).read_text() == damage


def test_two_processes_that_look_at_once_agree(tmp_path: Path) -> None:
    write(tmp_path / "studies" / "a")
    one, two = open_store(tmp_path), open_store(tmp_path)
    write(tmp_path / "studies" / "b")
    write(tmp_path / "studies" / "c")
    one.refresh()
    two.refresh()
    assert one.list_images() == two.list_images() == [NAME, f"b-{NAME}", f"c-{NAME}"]


def test_a_disk_that_takes_no_new_ids_does_not_stop_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: Any) -> Path:
        raise OSError(28, "No space left on device")

    write(tmp_path / "studies" / "a")
    monkeypatch.setattr("server_app.cases.case_ids.write_json", full)
    store = open_store(tmp_path)
    assert store.list_images() == [NAME]
    write(tmp_path / "studies" / "b")
    store.refresh()
    assert store.list_images() == [NAME, f"b-{NAME}"]


def test_labels_do_not_tell_clients_where_files_lie(tmp_path: Path) -> None:
    write(tmp_path / "studies" / "a secret")
    store = open_store(tmp_path)
    submit(store, NAME)
    assert "secret" in str(store.labels.store.versions(NAME)[0].record)
    assert "secret" not in str(store.get_label_info(NAME, "final"))
    assert "secret" not in str(store.json())
