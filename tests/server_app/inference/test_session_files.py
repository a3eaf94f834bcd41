"""Volumes that are sent once: sessions based on earlier ones, cases made of sessions, volumes fetched as NRRD."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nrrd
import numpy as np
import pytest
import requests

from tests import synthetic
from tests.server_app.conftest import CASES, Server, accepted, four_in_one, load, refused, save
from training.cases.case import DECATHLON_ORDER
from training.images.read import read_labelmap, read_volume
from training.modalities import ROLES

CASE = CASES[0]
OBLIQUE = "oblique"


@pytest.fixture(scope="module")
def oblique(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a case that lies obliquely, in voxels of another size, uploaded as :data:`OBLIQUE`."""
    grid = synthetic.oblique_grid((1.1, 0.9, 2.3), (60, 70, 30), degrees=(8, -13, 21), center=(1.5, -2.25, 3.125))
    folder = synthetic.write_case(tmp_path_factory.mktemp("oblique"), OBLIQUE, grids=grid)
    files = {path.name: path.read_bytes() for path in folder.iterdir() if "seg" not in path.name}
    accepted(server.send(f"/cases/{OBLIQUE}", files))
    yield folder
    accepted(server.request("DELETE", "/datastore/", params={"id": OBLIQUE}))


@pytest.fixture(scope="module")
def whole(server: Server) -> str:
    """A session of the four volumes of :data:`CASE`."""
    return server.session(CASE)


def sent(server: Server, *roles: str, base: str, **query: str) -> requests.Response:
    """Send some volumes of :data:`CASE` as a session based on another one."""
    return server.send("/session/", server.contents(CASE, *roles), base=base, **query)


@pytest.mark.parametrize("path", ["/session/", "/cases/mixed"])
def test_the_files_of_two_patients_are_no_case(server: Server, path: str) -> None:
    files = {f"{CASE}_{name}": content for name, content in server.contents(CASE).items()}
    files[f"{CASES[1]}_flair.nii.gz"] = files.pop(f"{CASE}_flair.nii.gz")
    found = refused(server.send(path, files))
    assert (found["field"], CASES[1] in found["message"]) == ("files", True)


def case_of(server: Server, name: str, session: str, **query: str) -> requests.Response:
    return server.request("PUT", f"/cases/{name}", params={"session_id": session, **query})


def segment(server: Server, folder: Path, **where: Any) -> np.ndarray:
    path = folder / "result.nii.gz"
    path.write_bytes(server.infer(output="image", **where).content)
    return read_labelmap(path).data


def fetched(server: Server, address: str, path: Path, **query: str) -> Path:
    answer = server.request("GET", address, params=query)
    assert answer.status_code == 200, answer.text
    assert 'filename="' in answer.headers["Content-Disposition"]
    assert answer.headers["Content-Disposition"].endswith('.nrrd"')
    path.write_bytes(answer.content)
    return path


# === Sessions based on earlier ones ===


def test_one_exchanged_volume_gives_the_result_of_all_four(server: Server, whole: str, tmp_path: Path) -> None:
    image = load(server.volumes(CASE)["flair"])
    changed = save(np.asarray(image.dataobj)[::-1].copy(), image.affine, tmp_path / "flair.nii.gz").read_bytes()
    based = accepted(server.send("/session/", {"flair.nii.gz": changed}, base=whole))["session_id"]
    afresh = accepted(server.send("/session/", {**server.contents(CASE), "flair.nii.gz": changed}))["session_id"]
    results = [segment(server, tmp_path, session_id=session) for session in (whole, based, afresh)]
    assert np.array_equal(results[1], results[2])
    assert not np.array_equal(results[0], results[1])


def test_a_session_outlives_the_one_it_is_based_on_and_completes_it(server: Server, whole: str, tmp_path: Path) -> None:
    expected = segment(server, tmp_path, session_id=whole)
    first = accepted(sent(server, "t1", base=whole))["session_id"]
    second = accepted(sent(server, "t1", base=first))["session_id"]
    accepted(server.request("DELETE", f"/session/{first}"))
    assert np.array_equal(segment(server, tmp_path, session_id=second), expected)
    third = accepted(sent(server, "t2", "flair", base=second))["session_id"]
    assert np.array_equal(segment(server, tmp_path, session_id=third), expected)
    assert refused(sent(server, "t1", base=first), 404)["field"] == "base"
    short = server.session(CASE, "t1ce")
    assert refused(sent(server, "t1", base=short))["field"] == "t2"
    still_short = accepted(sent(server, "t1", base=short, allow_missing="true"))["session_id"]
    accepted(sent(server, "t2", "flair", base=still_short))


def test_files_that_cannot_be_exchanged_are_refused_and_nothing_is_kept(server: Server, whole: str) -> None:
    before = set((server.workspace / "sessions").rglob("*"))
    unnamed = refused(server.send("/session/", {"new.nii.gz": server.contents(CASE)["t1.nii.gz"]}, base=whole))
    assert (unnamed["field"], "new.nii.gz" in unnamed["message"]) == ("files", True)
    junk = refused(server.send("/session/", {"t1.nii.gz": b"this is no image"}, base=whole))
    assert "t1.nii.gz" in junk["message"]
    assert refused(sent(server, "t1", base="nobody"), 404)["field"] == "base"
    assert set((server.workspace / "sessions").rglob("*")) == before
    assert list((server.workspace / "incoming").iterdir()) == []


# === Cases made of sessions ===


def test_a_session_becomes_a_case_with_its_result_and_holds_labels(server: Server, tmp_path: Path) -> None:
    session = server.session(CASE)
    result = segment(server, tmp_path, session_id=session)
    made = accepted(case_of(server, "from-session", session, client_id="ann"))
    assert (made["id"], made["source"]) == ("from-session", "upload")
    assert json.loads((server.workspace / "uploads" / "from-session" / "case.json").read_text())["user"] == "ann"
    label = accepted(server.send_label("from-session", tmp_path / "result.nii.gz"))
    assert label["dice_against_model"] == {"WT": 1.0, "TC": 1.0, "ET": 1.0}
    assert np.array_equal(segment(server, tmp_path, image="from-session"), result)
    accepted(server.request("DELETE", "/datastore/", params={"id": "from-session"}))


def test_the_same_session_twice_is_one_case_and_other_volumes_are_a_conflict(server: Server) -> None:
    session = server.session(CASES[1])
    for _ in range(2):
        accepted(case_of(server, "twice", session))
    assert not (server.workspace / "answers" / "twice").exists()  # nothing was segmented yet
    files = {**server.contents(CASES[1]), "t1.nii.gz": server.contents(CASE)["t2.nii.gz"]}
    other = accepted(server.send("/session/", files))["session_id"]
    found = refused(case_of(server, "twice", other), 409)
    assert (found["field"], "Choose another name" in found["message"]) == ("image", True)


def test_what_is_not_a_session_of_four_volumes_becomes_no_case(server: Server, whole: str, tmp_path: Path) -> None:
    short = refused(case_of(server, "none", server.session(CASE, "t1", "t1ce", "flair")))
    assert (short["field"], "T2 (t2)" in short["message"]) == ("t2", True)
    content = four_in_one(server, CASE, tmp_path / "all.nii.gz").read_bytes()
    in_one = accepted(server.send("/session/", {"all.nii.gz": content}))["session_id"]
    assert refused(sent(server, "t1", base=in_one))["field"] == "base"
    assert refused(case_of(server, "none", in_one))["field"] == "session_id"
    assert refused(case_of(server, "none", "nobody"), 404)["field"] == "session_id"
    assert refused(server.request("PUT", "/cases/none"))["field"] == "files"
    assert refused(server.send("/cases/none", server.contents(CASE), session_id=whole))["field"] == "files"
    assert "none" not in server.case_ids()


# === Volumes, labels and maps as NRRD ===


def assert_holds(path: Path, data: np.ndarray, affine: np.ndarray) -> None:
    found = read_volume(path)
    assert np.array_equal(found.data, data)
    assert np.array_equal(found.grid.affine, affine)


@pytest.mark.parametrize("role", ROLES)
def test_every_volume_of_a_case_comes_as_nrrd_exactly(server: Server, oblique: Path, tmp_path: Path, role: str) -> None:
    for case, source in ((CASE, server.volumes(CASE)[role]), (OBLIQUE, oblique / f"{OBLIQUE}_{role}.nii.gz")):
        path = fetched(server, f"/cases/{case}/volumes/{role}", tmp_path / "a.nrrd")
        expected = read_volume(source)
        assert_holds(path, expected.data, expected.grid.affine)
        _, header = nrrd.read(str(path))
        assert header["type"] in ("int16", "short")  # whole numbers are sent in two bytes
        assert header["encoding"] == "gzip"


def test_volumes_of_a_4d_file_with_fractions_come_exactly_too(server: Server, tmp_path: Path) -> None:
    grid = synthetic.oblique_grid((1.0, 1.25, 1.5), (40, 44, 32), degrees=(3, 5, 7))
    volumes = synthetic.four_volumes(grid)
    stacked = np.stack([volumes[role].data + 1 / 3 for role in DECATHLON_ORDER], axis=-1).astype(np.float32)
    path = save(stacked, grid.affine, tmp_path / "four.nii.gz")
    files = {"file": (path.name, path.read_bytes())}
    accepted(server.request("PUT", "/datastore/", params={"image": "fractions"}, files=files))
    for role in ROLES:
        volume = fetched(server, f"/cases/fractions/volumes/{role}", tmp_path / f"{role}.nrrd")
        assert_holds(volume, stacked[..., DECATHLON_ORDER.index(role)], load(path).affine)
    accepted(server.request("DELETE", "/datastore/", params={"id": "fractions"}))


def test_a_volume_that_cannot_be_read_any_more_is_named(server: Server) -> None:
    accepted(server.send("/cases/damaged", server.contents(CASE)))
    path = server.workspace / "uploads" / "damaged" / "t2.nii.gz"
    path.write_bytes(path.read_bytes()[:-500])
    assert refused(server.request("GET", "/cases/damaged/volumes/t2"))["field"] == "t2"
    assert server.request("GET", "/cases/damaged/volumes/t1").status_code == 200
    accepted(server.request("DELETE", "/datastore/", params={"id": "damaged"}))


def test_a_label_and_a_map_come_as_nrrd_on_request(server: Server, oblique: Path, tmp_path: Path) -> None:
    accepted(server.send_label(OBLIQUE, oblique / f"{OBLIQUE}_seg.nii.gz"))
    address = f"/cases/{OBLIQUE}/labels/v0001"
    expected = synthetic.truth(read_volume(oblique / f"{OBLIQUE}_t1ce.nii.gz").grid)
    found = read_labelmap(fetched(server, address, tmp_path / "label.nrrd", ending=".nrrd"))
    assert found.data.dtype == np.uint8
    assert np.array_equal(found.data, expected.data)
    assert found.grid.matches(expected.grid, 1e-6)
    for ending in (".png", "nrrd", "../x.nrrd", ""):
        assert refused(server.request("GET", address, params={"ending": ending}))["field"] == "ending"

    address = accepted(server.infer({"output_maps": True}, image=OBLIQUE))["maps"]["entropy"]
    plain = tmp_path / "entropy.nii.gz"
    plain.write_bytes(server.request("GET", address).content)
    as_nrrd = read_volume(fetched(server, address, tmp_path / "entropy.nrrd", ending=".nrrd"))
    assert np.array_equal(as_nrrd.data, read_volume(plain).data)
    assert as_nrrd.grid.matches(read_volume(plain).grid, 1e-4)
