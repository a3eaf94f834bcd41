"""Labels, uploads and the catalog on disk: nothing is overwritten, nothing half-written is seen."""

from __future__ import annotations

import errno
import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi import HTTPException

from server_app.cases.case_ids import CaseIds
from server_app.cases.catalog import Catalog
from server_app.cases.uploads import Uploads, checked_id
from server_app.labels import store as labels_store
from server_app.labels.answers import Answers
from server_app.labels.store import LabelStore
from server_app.settings import ServerSettings, training_settings
from server_app.workspace import Workspace
from tests import synthetic
from training.errors import InputError
from training.images.grid import Volume
from training.images.read import read_labelmap
from training.images.write import write_labelmap
from training.retraining.retrain import RetrainConfig

TRUTH = synthetic.truth(synthetic.brats_grid())
OTHER = Volume((TRUTH.data > 0).astype(np.uint8), TRUTH.grid)


def test_versions_of_a_label_are_kept_and_the_same_twice_is_one(tmp_path: Path) -> None:
    store = LabelStore(tmp_path)
    first, new = store.add("case", TRUTH, {"tag": "final", "user": "a"})
    assert (first.version, new) == ("v0001", True)
    assert store.add("case", TRUTH, {"tag": "final", "user": "b"})[1] is False
    assert store.add("case", OTHER, {"tag": "final"})[0].version == "v0002"
    assert store.add("case", TRUTH, {"tag": "final"})[0].version == "v0003"
    assert np.array_equal(read_labelmap(first.path).data, TRUTH.data)
    assert [label.record["user"] for label in store.versions("case") if "user" in label.record] == ["a"]


def test_a_removed_label_is_kept_aside_and_the_one_before_counts_again(tmp_path: Path) -> None:
    store = LabelStore(tmp_path)
    store.add("case", TRUTH, {"tag": "final"})
    newest, _ = store.add("case", OTHER, {"tag": "final"})
    assert store.remove("case", "final", "me")
    now = store.newest("case", "final")
    assert now is not None
    assert now.version == "v0001"
    assert newest.path.exists()
    assert not store.remove("case", "trial", "me")


def test_what_is_no_whole_version_is_passed_over(tmp_path: Path) -> None:
    store = LabelStore(tmp_path)
    store.add("case", TRUTH, {"tag": "final"})
    (tmp_path / "case" / "v0002").mkdir()
    (tmp_path / "case" / "v0003").mkdir()
    (tmp_path / "case" / "v0003" / "label.json").write_text("{half")
    (tmp_path / "case" / ".writing-x").mkdir()
    assert [label.version for label in LabelStore(tmp_path).versions("case")] == ["v0001"]
    assert store.add("case", OTHER, {"tag": "final"})[0].version == "v0004"


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO])
def test_a_label_that_cannot_be_read_for_a_moment_is_not_taken_for_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    LabelStore(tmp_path).add("case", TRUTH, {"tag": "final"})
    long_ago = time.time() - 3600
    os.utime(tmp_path / "case", (long_ago, long_ago))  # so that what was read is remembered
    store, read = LabelStore(tmp_path), Path.read_text

    def fail(path: Path, *arguments: Any, **more: Any) -> str:
        if path.name == "label.json":
            raise OSError(number, os.strerror(number))
        return read(path, *arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_text", fail)
        with pytest.raises(OSError, match=os.strerror(number)):
            store.versions("case")
    assert [label.version for label in store.versions("case")] == ["v0001"]


def test_a_new_version_does_not_make_the_earlier_ones_be_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, opened, read = LabelStore(tmp_path), list[str](), Path.read_text

    def count(path: Path, *arguments: Any, **more: Any) -> str:
        opened.append(path.parent.name)
        return read(path, *arguments, **more)

    monkeypatch.setattr(Path, "read_text", count)
    for number in range(6):
        store.add("case", (TRUTH, OTHER)[number % 2], {"tag": "final"})
        assert len(store.versions("case")) == number + 1
    assert opened == [f"v{number:04d}" for number in range(1, 7)]


def test_a_version_that_takes_the_name_of_one_set_aside_is_read(tmp_path: Path) -> None:
    store = LabelStore(tmp_path / "labels")
    store.add("case", TRUTH, {"tag": "final", "user": "a"})
    (tmp_path / "labels" / "case" / "v0001").rename(tmp_path / "aside")
    store.add("case", OTHER, {"tag": "final", "user": "b"})
    assert [(label.version, label.record["user"]) for label in store.versions("case")] == [("v0001", "b")]


def test_who_reads_does_not_wait_for_a_label_that_is_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LabelStore(tmp_path)
    store.add("case", TRUTH, {"tag": "final"})
    begun, go_on = threading.Event(), threading.Event()

    def slowly(label: Volume, path: Path) -> None:
        begun.set()
        assert go_on.wait(60)
        write_labelmap(label, path)

    monkeypatch.setattr(labels_store, "write_labelmap", slowly)
    writer = threading.Thread(target=store.add, args=("case", OTHER, {"tag": "final"}))
    writer.start()
    assert begun.wait(60)
    found: list[str] = []
    reader = threading.Thread(target=lambda: found.extend(label.version for label in store.versions("case")))
    reader.start()
    reader.join(30)
    in_time = list(found)
    go_on.set()
    writer.join()
    reader.join()
    assert in_time == ["v0001"]
    assert len(store.versions("case")) == 2


def test_notes_that_cannot_be_read_for_a_moment_are_not_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LabelStore(tmp_path)
    label, _ = store.add("case", TRUTH, {"tag": "final"})
    store.note(label, {"first": 1})

    def fail(path: Path, *arguments: Any, **more: Any) -> str:
        raise OSError(errno.EIO, "the disk fails")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_text", fail)
        with pytest.raises(OSError, match="the disk fails"):
            store.note(label, {"second": 2})
    assert label.notes() == {"first": 1}


def test_labels_that_arrive_at_once_get_versions_of_their_own(tmp_path: Path) -> None:
    stores = [LabelStore(tmp_path) for _ in range(2)]
    versions: list[str] = []

    def submit(number: int) -> None:
        label = Volume(np.full_like(TRUTH.data, number % 3 + 1), TRUTH.grid)
        versions.append(stores[number % 2].add("case", label, {"tag": f"tag{number}"})[0].version)

    threads = [threading.Thread(target=submit, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(versions) == [f"v{number:04d}" for number in range(1, 9)]
    assert len(LabelStore(tmp_path).versions("case")) == 8


def test_an_answer_is_compared_on_its_own_grid_only(tmp_path: Path) -> None:
    answers = Answers(tmp_path)
    assert answers.compare("case", TRUTH) == {}
    write_labelmap(OTHER, answers.path("case"))
    answers.remember("case", "v0003")
    found = answers.compare("case", TRUTH)
    assert found["model_version"] == "v0003"
    assert found["dice_against_model"]["WT"] == 1.0
    assert found["dice_against_model"]["ET"] == 0.0
    elsewhere = synthetic.truth(synthetic.brats_grid((50, 50, 50)))
    assert answers.compare("case", elsewhere) == {}


def test_an_answer_whose_note_is_of_an_earlier_one_says_nothing(tmp_path: Path) -> None:
    answers = Answers(tmp_path)
    write_labelmap(OTHER, answers.path("case"))
    answers.remember("case", "v0003")
    write_labelmap(TRUTH, answers.path("case"))  # and the server dies
    assert answers.compare("case", TRUTH) == {}
    answers.remember("case", "v0004")
    assert answers.compare("case", TRUTH)["model_version"] == "v0004"


def test_an_upload_is_whole_or_not_there(tmp_path: Path) -> None:
    source = synthetic.write_case(tmp_path / "sent", "x", label=False)
    uploads = Uploads(tmp_path / "uploads")
    files = sorted(source.iterdir())
    case = uploads.add_files("case", files, {"user": "me"})
    assert json.loads((tmp_path / "uploads" / "case" / "case.json").read_text())["user"] == "me"
    assert [found.id for found in uploads.cases()] == ["case"]
    assert all(path.path.is_relative_to(tmp_path / "uploads") for path in case.sources.values())
    (tmp_path / "uploads" / "broken").mkdir()
    (tmp_path / "uploads" / "broken" / "case.json").write_text('{"sources": {"t1": ')
    assert [found.id for found in uploads.cases()] == ["case"]
    other = sorted(synthetic.write_case(tmp_path / "more", "y", label=False).iterdir())
    (tmp_path / "more" / "y" / "y_t1.nii.gz").write_bytes(files[-1].read_bytes())
    with pytest.raises(HTTPException) as caught:
        uploads.add_files("case", other, {})
    assert caught.value.status_code == 409


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".x", "a\\b", "x\n"])
def test_a_path_is_no_name_of_a_case(name: str) -> None:
    with pytest.raises(InputError):
        checked_id(name)


def test_a_case_that_appears_later_is_found(tmp_path: Path) -> None:
    (tmp_path / "studies").mkdir()
    ids = CaseIds(tmp_path / "cases.json", LabelStore(tmp_path / "labels"))
    catalog = Catalog(tmp_path / "studies", Uploads(tmp_path / "u"), tmp_path / "cache", ids)
    assert catalog.all() == {}
    synthetic.write_case(tmp_path / "studies", "BraTS20_Training_009")
    catalog.search()
    assert list(catalog.all()) == ["BraTS20_Training_009"]
    with pytest.raises(HTTPException) as caught:
        catalog.get("BraTS20_Training_010")
    assert caught.value.status_code == 404


def test_the_workspace_is_named_after_the_studies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUMORLOOP_HOME", str(tmp_path / "home"))
    one, two = (Workspace.for_studies(tmp_path / name / "studies") for name in ("a", "b"))
    assert one.root.parent == tmp_path / "home"
    assert one.root.name.startswith("studies-")
    assert one.root != two.root
    with pytest.raises(InputError, match="never written to"):
        Workspace.for_studies(tmp_path, tmp_path / "inside")


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_a_new_workspace_is_open_to_its_owner_alone(tmp_path: Path) -> None:
    (tmp_path / "studies").mkdir()
    place = Workspace.for_studies(tmp_path / "studies", tmp_path / "home" / "workspace").make()
    assert place.root.stat().st_mode & 0o777 == 0o700
    place.root.chmod(0o750)
    assert place.make().root.stat().st_mode & 0o777 == 0o750  # what the owner chose stays


def test_settings_come_from_conf_and_name_what_is_wrong() -> None:
    settings = ServerSettings.from_conf({"max_epochs": "3", "source_labels": "true", "models": "whatever"})
    assert settings.retrain.max_epochs == 3
    assert settings.source_labels
    with pytest.raises(InputError, match="patch cannot be"):
        ServerSettings.from_conf({"patch": "big"})


def test_a_training_takes_settings_flat_or_under_its_name_and_ignores_what_stock_clients_add() -> None:
    defaults = RetrainConfig()
    stock = {"client_id": "x", "device": "cuda", "gpus": "all", "pretrained": True, "tumorloop": {"max_epochs": "7"}}
    assert training_settings(defaults, stock, "tumorloop").max_epochs == 7
    assert training_settings(defaults, {"max_epochs": 2}, "tumorloop").max_epochs == 2
    with pytest.raises(InputError, match="no setting 'epochs'"):
        training_settings(defaults, {"epochs": 2}, "tumorloop")
