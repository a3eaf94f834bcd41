"""A full disk under a real server: told in a sentence, nothing half-written, and it goes on when there is room again.

The workspace and the temporary files lie on a file system of a few megabytes, which only root can mount; elsewhere
those tests are skipped, and what recognizes the error is tested on its own.
"""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import requests
from fastapi import APIRouter, FastAPI, HTTPException
from fastapi.testclient import TestClient

from server_app.disk import StoringRoute, is_disk_full
from tests import synthetic
from tests.server_app.conftest import Server, eventually, load, serving, tree_digest
from training.modalities import ROLES

CASE = "BraTS20_Training_001"
#: Folders of the workspace that hold what must not be lost.
KEPT = ("labels", "uploads", "sessions", "answers", "models", "maps")


@contextlib.contextmanager
def small_disk(place: Path, megabytes: int) -> Iterator[Path]:
    """A file system of its own at ``place``."""
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tumorloop-test", str(place)]
    try:
        mounted = subprocess.run(command, capture_output=True, text=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("needs the right to mount a small file system")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Server]:
    """A server that keeps everything on a disk of 24 MB."""
    folder = tmp_path_factory.mktemp("full")
    synthetic.write_case(folder / "studies", CASE)
    with small_disk(folder / "disk", 24) as disk, pytest.MonkeyPatch.context() as patch:
        (disk / "tmp").mkdir()
        patch.setenv("TMPDIR", str(disk / "tmp"))
        # Files that are sent are written until nothing is left, not refused before.
        with serving(folder / "studies", disk / "workspace", tiny_model, min_free_mb="0") as running:
            running.submit(CASE)
            assert infer(running).status_code == 200
            yield running


def fill(disk: Path) -> Path:
    """Take all the room there is; return the file to remove."""
    ballast = disk / "ballast"
    with open(ballast, "wb", buffering=0) as handle, contextlib.suppress(OSError):
        while True:
            handle.write(bytes(1 << 16))
    with open(ballast, "ab", buffering=0) as handle, contextlib.suppress(OSError):
        while True:
            handle.write(b"0")
    return ballast


def infer(server: Server, **where: str) -> requests.Response:
    return server.request("POST", "/infer/tumorloop", params={"image": CASE, "output": "json", **where})


def session(server: Server, **more: bytes) -> requests.Response:
    files = {**{role: server.volumes(CASE)[role].read_bytes() for role in ROLES}, **more}
    return server.request("PUT", "/session/", files=[("files", (f"{n}.nii.gz", c)) for n, c in files.items()])


def case(server: Server) -> requests.Response:
    files = [("files", (f"{role}.nii.gz", path.read_bytes())) for role, path in server.volumes(CASE).items()]
    return server.request("PUT", "/cases/too-much", files=files)


def label(server: Server) -> requests.Response:
    image = load(server.studies / CASE / f"{CASE}_seg.nii.gz")
    data = np.asarray(image.dataobj)
    path = server.studies.parent / "other.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.where(data == 4, 2, data).astype(np.uint8), image.affine), path)
    with open(path, "rb") as handle:
        return server.request("PUT", "/datastore/label", params={"image": CASE}, files={"label": handle})


def four_d(server: Server) -> requests.Response:
    images = [load(server.volumes(CASE)[role]) for role in ROLES]
    path = server.studies.parent / "four.nii.gz"
    stacked = np.stack([np.asarray(image.dataobj) for image in images], axis=-1)
    nibabel.save(nibabel.Nifti1Image(stacked, images[0].affine), path)
    with open(path, "rb") as handle:
        return server.request("PUT", "/datastore/", params={"image": "four"}, files={"file": handle})


def large_upload(server: Server) -> requests.Response:
    return session(server, t1=os.urandom(3 << 20))


def volume(server: Server) -> requests.Response:
    return server.request("GET", f"/cases/{CASE}/volumes/t1")


def promotion(server: Server) -> requests.Response:
    return server.request("POST", "/versions/v0000/promote")


def note(server: Server) -> requests.Response:
    where, data = {"image": CASE}, {"info": '{"seen": true}'}
    return server.request("PUT", "/datastore/image/info", params=where, data=data)


def claim(server: Server) -> requests.Response:
    return server.request("PUT", f"/cases/{CASE}/claim", json={"client_id": "dr-a"})


def kept(server: Server) -> dict[str, Any]:
    folders = [server.workspace / name for name in KEPT] + [server.workspace.parent / "tmp"]
    return {folder.name: tree_digest(folder) for folder in folders if folder.exists()}


@pytest.mark.parametrize("store", [session, case, label, four_d, infer, large_upload, volume, promotion, note, claim])
def test_what_cannot_be_stored_is_told_in_a_sentence_and_leaves_nothing(server: Server, store: Any) -> None:
    before = kept(server)
    ballast = fill(server.workspace.parent)
    try:
        answer = store(server)
    finally:
        ballast.unlink()
    assert answer.status_code == 507, answer.text
    assert answer.json()["detail"]["field"] == "disk"
    assert "The server's disk is full" in answer.json()["detail"]["message"]
    assert kept(server) == before
    assert list((server.workspace / "incoming").iterdir()) == []


def test_on_a_full_disk_reading_goes_on_and_with_room_writing_too(server: Server) -> None:
    created = session(server)
    assert created.status_code == 200, created.text
    ballast = fill(server.workspace.parent)
    try:
        for path in ("/info/", "/cases", f"/cases/{CASE}/labels/v0001", "/versions", "/train/tumorloop/plan"):
            assert server.request("GET", path).status_code == 200
        assert label(server).status_code == 507
    finally:
        ballast.unlink()
    assert label(server).json()["version"] == "v0002"
    assert case(server).status_code == 200
    assert infer(server, image="", session_id=created.json()["session_id"]).status_code == 200


def test_a_training_that_finds_no_room_stops_with_a_sentence_and_the_server_goes_on(server: Server) -> None:
    before = sorted(path.name for path in (server.workspace / "models").iterdir())
    started = server.request("POST", "/train/tumorloop", json={"max_epochs": 1})  # the phantoms alone take 29 MB
    assert started.status_code == 200, started.text
    stats = eventually(lambda: server.stats().get("state") == "failed" and server.stats(), seconds=300)
    assert stats["message"].startswith("The server's disk is full, so the training has stopped.")
    assert eventually(lambda: server.stats()["resumable"], seconds=60)  # its process has to end first
    assert sorted(path.name for path in (server.workspace / "models").iterdir()) == before
    assert server.request("GET", "/versions").status_code == 200


# === Recognizing it ===


def full(code: int = errno.ENOSPC) -> OSError:
    return OSError(code, os.strerror(code))


def wrapped(error: Exception) -> Exception:
    """The error as others hand it on."""
    try:
        try:
            raise error
        except OSError as cause:
            raise HTTPException(400, "There was an error parsing the body") from cause
    except HTTPException as found:
        return found


NUMPYS = [OSError("100 requested and 7 written"), OSError("Not enough free space to write 23592960 bytes")]


@pytest.mark.parametrize("error", [full(), full(errno.EDQUOT), wrapped(full()), *NUMPYS])
def test_a_full_disk_and_a_full_quota_are_recognized_also_when_wrapped(error: Exception) -> None:
    assert is_disk_full(error)


@pytest.mark.parametrize("error", [full(errno.EACCES), OSError("?"), ValueError(), wrapped(full(errno.EIO)), None])
def test_other_errors_are_not_taken_for_it(error: Exception | None) -> None:
    assert not is_disk_full(error)


def test_a_circle_of_causes_comes_to_an_end() -> None:
    first, second = ValueError(), KeyError()
    first.__cause__, second.__cause__ = second, first
    assert not is_disk_full(first)


def test_a_route_turns_a_full_disk_into_507_and_leaves_other_errors_alone() -> None:
    router = APIRouter(route_class=StoringRoute)

    @router.get("/full")
    def fill_up() -> None:
        raise full()

    @router.get("/broken")
    def fail() -> None:
        raise RuntimeError

    @router.get("/refused")
    def refuse() -> None:
        raise HTTPException(409, "taken")

    app = FastAPI()
    app.include_router(router)
    client = TestClient(app, raise_server_exceptions=False)
    answer = client.get("/full")
    assert (answer.status_code, answer.json()["detail"]["field"]) == (507, "disk")
    assert client.get("/broken").status_code == 500
    assert client.get("/refused").status_code == 409
