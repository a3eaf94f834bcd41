"""What a server that starts does with a workspace that is not in order."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from server_app.integrity.recovery import recover
from server_app.labels.split import VALIDATION
from tests.server_app.conftest import serving, tree_digest
from tests.server_app.server_files import CASES, UPLOAD, ServerFiles


def version(files: ServerFiles, name: str, case: str = CASES[0]) -> Path:
    return files.workspace.labels / case / name


@pytest.mark.parametrize("content", [b"", b"{half", b"[]", b'{"user": "no tag"}', b"\xff\xfe\x00", None])
def test_a_label_without_a_readable_record_is_set_aside_and_its_number_stays_taken(
    files: ServerFiles, content: bytes | None
) -> None:
    record = version(files, "v0002") / "label.json"
    record.unlink() if content is None else record.write_bytes(content)
    label = (version(files, "v0002") / "label.nii.gz").read_bytes()
    assert recover(files.workspace, files.models) == 1
    assert recover(files.workspace, files.models) == 0
    (entry,) = files.quarantined()
    assert (files.root / entry["moved_to"] / "label.nii.gz").read_bytes() == label
    store = files.open()
    assert store.get_label_info(CASES[0], "final")["version"] == "v0001"
    files.submit(CASES[0], 3)
    assert store.get_label_info(CASES[0], "final")["version"] == "v0003"
    (version(files, "v0003") / "label.nii.gz").unlink()
    assert recover(files.workspace, files.models) == 1
    assert files.quarantined()[-1]["what"] == f"labels/{CASES[0]}/v0003"
    assert files.open().get_label_info(CASES[0], "final")["version"] == "v0001"


def test_an_upload_is_set_aside_only_if_its_record_cannot_be_rebuilt_from_the_names_of_its_files(
    files: ServerFiles,
) -> None:
    folder = files.workspace.uploads / UPLOAD
    record = folder / "case.json"
    before = json.loads(record.read_text())
    record.write_text("{")
    assert UPLOAD not in files.open().list_images()
    assert recover(files.workspace, files.models) == 1
    after = json.loads(record.read_text())
    assert (after["sources"], after["sha256"]) == (before["sources"], before["sha256"])
    assert files.open().get_labeled_images() == [CASES[0], UPLOAD]
    record.unlink()
    (folder / "t1.nii.gz").unlink()
    assert recover(files.workspace, files.models) == 1
    assert not folder.exists()
    assert (files.root / files.quarantined()[-1]["moved_to"] / "t2.nii.gz").exists()
    assert (files.workspace.labels / UPLOAD).is_dir()


@pytest.mark.parametrize("content", ["{", "[]", '{"history": [{"no": 1}]}', '{"history": [3]}'])
def test_the_list_of_promotions_is_rebuilt_from_the_cards(files: ServerFiles, content: str) -> None:
    (files.workspace.models / "current.json").write_text(content)
    assert recover(files.workspace, files.models) == 2
    assert files.models.current().id == "v0001"
    assert [entry["version"] for entry in files.models.history()] == ["v0000", "v0001"]
    assert any("v0001 is served now" in entry["done"] for entry in files.quarantined())


@pytest.mark.parametrize("content", ["", "{", "[]", '{"a": {"split": "both"}}', None])
def test_a_lost_split_is_taken_from_the_labels_and_not_drawn_again(files: ServerFiles, content: str | None) -> None:
    record = version(files, "v0001") / "label.json"
    # against what its hash and its rank among the first cases would say
    record.write_text(json.dumps({**json.loads(record.read_text()), "split": VALIDATION}))
    split = files.workspace.split_file
    split.unlink() if content is None else split.write_text(content)
    store = files.open()
    assert store.labels.split.of(CASES[0]) == VALIDATION
    assert store.labels.split.of(UPLOAD) == "train"
    assert json.loads(split.read_text())[CASES[0]]["reason"] == "taken from the labels"
    assert len(files.quarantined()) == (content is not None)


def test_unreadable_notes_are_set_aside_before_new_ones_replace_them_and_old_unfinished_files_are_removed(
    files: ServerFiles,
) -> None:
    files.open().update_image_info(CASES[0], {"seen": True})
    (files.workspace.notes / f"{CASES[0]}.json").write_text("{")
    assert recover(files.workspace, files.models) == 1
    files.open().update_image_info(CASES[0], {"again": True})
    (entry,) = files.quarantined()
    assert (files.root / entry["moved_to"]).read_text() == "{"
    old, new = (version(files, f".writing-{age}") for age in ("old", "new"))
    for folder in (old, new):
        folder.mkdir()
        (folder / "label.nii.gz").write_bytes(b"half")
    hour_ago = time.time() - 3600
    os.utime(old, (hour_ago, hour_ago))
    assert recover(files.workspace, files.models) == 0
    assert (old.exists(), new.exists()) == (False, True)


def test_neither_a_workspace_in_order_nor_files_that_a_failing_disk_cannot_read_are_touched(
    files: ServerFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Path.read_text

    def failing(path: Path, *args: Any, **more: Any) -> str:
        if path.name in ("label.json", "case.json", "current.json"):
            raise OSError(5, "Input/output error")
        return read(path, *args, **more)

    before = tree_digest(files.root)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_text", failing)
        assert recover(files.workspace, files.models) == 0
    assert recover(files.workspace, files.models) == 0
    assert tree_digest(files.root) == before


def test_a_full_disk_does_not_keep_a_server_from_starting(files: ServerFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (version(files, "v0002") / "label.json", files.workspace.split_file, files.workspace.claims):
        path.write_text("{")

    monkeypatch.setattr(
        "server_app.common.quarantine.make_folder", Mock(side_effect=OSError(28, "No space left on device"))
    )
    assert recover(files.workspace, files.models) == 0
    assert files.open().get_labeled_images() == [CASES[0], UPLOAD]
    assert (version(files, "v0002") / "label.nii.gz").exists()


@pytest.mark.parametrize("done", [(), ("labels",), ("labels", "images")])
def test_a_removal_that_was_interrupted_is_finished(files: ServerFiles, done: tuple[str, ...]) -> None:
    removed = files.workspace.removed / f"{UPLOAD}-x"
    removed.mkdir(parents=True)
    (removed / "removal.json").write_text(json.dumps({"case": UPLOAD, "user": "dr-a", "time": "2026"}))
    for name, parent in (("images", files.workspace.uploads), ("labels", files.workspace.labels)):
        if name in done:
            os.replace(parent / UPLOAD, removed / name)
    assert recover(files.workspace, files.models) == 1
    assert (removed / "images" / "t1.nii.gz").exists()
    assert (removed / "labels" / "v0001").is_dir()
    assert UPLOAD not in files.open().list_images()
    assert recover(files.workspace, files.models) == 0


def test_the_server_starts_on_a_damaged_workspace_and_says_so(files: ServerFiles) -> None:
    lists = (files.workspace.split_file, files.workspace.case_ids, files.workspace.claims)
    for file in (version(files, "v0002") / "label.json", files.workspace.models / "current.json", *lists):
        file.write_text("{half")
    with serving(files.studies, files.root, files.model, warm_up="false") as server:
        info = server.get("/info/")
        cases = {case["id"]: case for case in server.get("/cases")["cases"]}
        assert set(cases) == {*CASES, UPLOAD}
        assert cases[CASES[0]]["label_version"] == "v0001"
        assert {case["split"] for case in cases.values() if case["labeled"]} == {"train"}
        assert info["model_version"] == "v0001"
        assert info["datastore"]["set_aside"] == 6, files.quarantined()
    assert {entry["what"] for entry in files.quarantined()} == {
        f"labels/{CASES[0]}/v0002", "models/current.json", "split.json", "cases.json", "claims.json",
    }  # fmt: skip
