"""What a server that starts does with a workspace that is not in order."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from server_app.common.quarantine import Quarantine
from server_app.integrity.recovery import recover
from server_app.labels.split import VALIDATION
from tests.server_app.conftest import serving, tree_digest
from tests.server_app.store.conftest import CASES, UPLOAD, Place


def report(place: Place) -> list[tuple[str, str]]:
    """What was set aside or mended, and what was done about it."""
    return [(entry["what"], entry["done"]) for entry in Quarantine.of(place.root).entries()]


def test_nothing_is_touched_where_everything_is_in_order(place: Place) -> None:
    before = tree_digest(place.root)
    assert recover(place.workspace, place.models) == 0
    assert tree_digest(place.root) == before


@pytest.mark.parametrize("content", [b"", b"{half", b"[]", b'{"user": "no tag"}', b"\xff\xfe\x00", None])
def test_a_label_without_readable_provenance_is_set_aside_and_its_number_stays_taken(
    place: Place, content: bytes | None
) -> None:
    folder = place.workspace.labels / CASES[0] / "v0002"
    (folder / "label.json").unlink() if content is None else (folder / "label.json").write_bytes(content)
    label = (folder / "label.nii.gz").read_bytes()
    assert recover(place.workspace, place.models) == 1
    assert recover(place.workspace, place.models) == 0
    (entry,) = Quarantine.of(place.root).entries()
    assert (place.root / entry["moved_to"] / "label.nii.gz").read_bytes() == label
    store = place.open()
    assert store.get_label_info(CASES[0], "final")["version"] == "v0001"
    place.submit(CASES[0], 3)
    assert store.get_label_info(CASES[0], "final")["version"] == "v0003"


def test_a_label_without_its_voxels_is_set_aside(place: Place) -> None:
    (place.workspace.labels / CASES[0] / "v0001" / "label.nii.gz").unlink()
    assert recover(place.workspace, place.models) == 1
    assert report(place)[0][0] == f"labels/{CASES[0]}/v0001"
    assert place.open().get_label_info(CASES[0], "final")["version"] == "v0002"


def test_an_upload_is_made_anew_from_the_names_of_its_files(place: Place) -> None:
    note = place.workspace.uploads / UPLOAD / "case.json"
    before = json.loads(note.read_text())
    note.write_text("{")
    assert UPLOAD not in place.open().list_images()
    assert recover(place.workspace, place.models) == 1
    after = json.loads(note.read_text())
    assert after["sources"] == before["sources"]
    assert after["sha256"] == before["sha256"]
    assert place.open().get_labeled_images() == [CASES[0], UPLOAD]


def test_an_upload_that_nobody_can_make_sense_of_is_set_aside(place: Place) -> None:
    folder = place.workspace.uploads / UPLOAD
    (folder / "case.json").unlink()
    (folder / "t1.nii.gz").unlink()
    assert recover(place.workspace, place.models) == 1
    assert not folder.exists()
    (entry,) = Quarantine.of(place.root).entries()
    assert (place.root / entry["moved_to"] / "t2.nii.gz").exists()
    assert (place.workspace.labels / UPLOAD).is_dir()


@pytest.mark.parametrize("content", ["{", "[]", '{"history": [{"no": 1}]}', '{"history": [3]}'])
def test_the_list_of_promotions_is_made_anew_from_the_cards(place: Place, content: str) -> None:
    (place.workspace.models / "current.json").write_text(content)
    assert recover(place.workspace, place.models) == 2
    assert place.models.current().id == "v0001"
    assert [entry["version"] for entry in place.models.history()] == ["v0000", "v0001"]
    assert any("v0001 is served now" in done for _, done in report(place))


@pytest.mark.parametrize("content", ["", "{", "[]", '{"a": {"split": "both"}}', None])
def test_the_split_is_taken_from_the_labels_and_not_drawn_again(place: Place, content: str | None) -> None:
    record = place.workspace.labels / CASES[0] / "v0001" / "label.json"
    facts = json.loads(record.read_text())
    record.write_text(json.dumps({**facts, "split": VALIDATION}))  # against its hash and its place among the first
    split = place.workspace.split_file
    split.unlink() if content is None else split.write_text(content)
    store = place.open()
    assert store.labels.split.of(CASES[0]) == VALIDATION
    assert store.labels.split.of(UPLOAD) == "train"
    assert json.loads(split.read_text())[CASES[0]]["reason"] == "taken from the labels"
    assert len(Quarantine.of(place.root).entries()) == (content is not None)


def test_notes_that_cannot_be_read_are_set_aside_before_new_ones_take_their_place(place: Place) -> None:
    place.open().update_image_info(CASES[0], {"seen": True})
    (place.workspace.notes / f"{CASES[0]}.json").write_text("{")
    assert recover(place.workspace, place.models) == 1
    place.open().update_image_info(CASES[0], {"again": True})
    (entry,) = Quarantine.of(place.root).entries()
    assert (place.root / entry["moved_to"]).read_text() == "{"


def test_what_a_killed_server_was_writing_is_removed_once_it_is_old(place: Place) -> None:
    old, new = (place.workspace.labels / CASES[0] / f".writing-{age}" for age in ("old", "new"))
    for folder in (old, new):
        folder.mkdir()
        (folder / "label.nii.gz").write_bytes(b"half")
    hour_ago = time.time() - 3600
    os.utime(old, (hour_ago, hour_ago))
    assert recover(place.workspace, place.models) == 0
    assert not old.exists()
    assert new.exists()


def test_what_the_disk_does_not_give_is_not_set_aside(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    read = Path.read_text

    def failing(path: Path, *args: Any, **more: Any) -> str:
        if path.name in ("label.json", "case.json", "current.json"):
            raise OSError(5, "Input/output error")
        return read(path, *args, **more)

    before = tree_digest(place.root)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_text", failing)
        assert recover(place.workspace, place.models) == 0
    assert tree_digest(place.root) == before


def test_a_full_disk_does_not_keep_a_server_from_starting(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    (place.workspace.labels / CASES[0] / "v0002" / "label.json").write_text("{")
    place.workspace.split_file.write_text("{")
    place.workspace.claims.write_text("{")

    def full(*args: Any, **more: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("server_app.common.quarantine.make_folder", full)
    assert recover(place.workspace, place.models) == 0
    store = place.open()
    assert store.get_labeled_images() == [CASES[0], UPLOAD]
    assert (place.workspace.labels / CASES[0] / "v0002" / "label.nii.gz").exists()


@pytest.mark.parametrize("done", [(), ("labels",), ("labels", "images")])
def test_a_removal_that_was_interrupted_is_finished(place: Place, done: tuple[str, ...]) -> None:
    removed = place.workspace.removed / f"{UPLOAD}-x"
    removed.mkdir(parents=True)
    (removed / "removal.json").write_text(json.dumps({"case": UPLOAD, "user": "dr-a", "time": "2026"}))
    for name, parent in (("images", place.workspace.uploads), ("labels", place.workspace.labels)):
        if name in done:
            os.replace(parent / UPLOAD, removed / name)
    assert recover(place.workspace, place.models) == 1
    assert (removed / "images" / "t1.nii.gz").exists()
    assert (removed / "labels" / "v0001").is_dir()
    assert UPLOAD not in place.open().list_images()
    assert recover(place.workspace, place.models) == 0


def test_a_removed_case_leaves_nothing_to_one_that_comes_under_its_name(place: Place, tmp_path: Path) -> None:
    store = place.open()
    store.update_image_info(UPLOAD, {"seen": True})
    store.remove_image(UPLOAD)
    (removed,) = place.workspace.removed.iterdir()
    assert json.loads((removed / "removal.json").read_text())["done"]
    files = [path for path in (removed / "images").iterdir() if path.name != "case.json"]
    store.add_case(UPLOAD, sorted(files), {})
    assert UPLOAD not in store.get_labeled_images()
    assert "seen" not in store.get_image_info(UPLOAD)
    assert json.loads((removed / "notes.json").read_text())["seen"]


def test_a_server_starts_on_a_damaged_workspace_and_says_so(place: Place) -> None:
    label = place.workspace.labels / CASES[0] / "v0002" / "label.json"
    lists = (place.workspace.split_file, place.workspace.case_ids, place.workspace.claims)
    for file in (label, place.workspace.models / "current.json", *lists):
        file.write_text("{half")
    with serving(place.studies, place.root, place.model) as server:
        info = server.get("/info/")
        cases = {case["id"]: case for case in server.get("/cases")["cases"]}
        assert set(cases) == {*CASES, UPLOAD}
        assert cases[CASES[0]]["label_version"] == "v0001"
        assert {case["split"] for case in cases.values() if case["labeled"]} == {"train"}
        assert info["model_version"] == "v0001"
        assert info["datastore"]["set_aside"] == 6, report(place)
    told = {what for what, _ in report(place)}
    assert told == {
        f"labels/{CASES[0]}/v0002",
        "models/current.json",
        "split.json",
        "cases.json",
        "claims.json",
    }
