"""A full disk under a real server: a clear refusal, nothing half-written, and it goes on when there is room again.

The workspace lies on a file system of a few megabytes, which only root can mount; elsewhere those tests are skipped.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from fastapi import APIRouter, FastAPI, HTTPException
from fastapi.testclient import TestClient

from server_app.api.upload_route import UploadRoute
from server_app.disk import is_disk_full
from tests import synthetic
from tests.server_app.conftest import Server, accepted, eventually, four_in_one, refused, save, serving, tree_digest

CASE = "BraTS20_Training_001"
#: Folders of the workspace that hold what must not be lost.
KEPT = ("labels", "uploads", "sessions", "answers", "models", "maps")


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system of its own in a new folder."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tumorloop-test", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("needs the right to mount a small file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


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
            accepted(running.infer(image=CASE))
            yield running


@contextlib.contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Take all the space there is, to the last byte."""
    ballast = disk / "ballast"
    for size in (1 << 16, 1):
        with open(ballast, "ab", buffering=0) as handle, contextlib.suppress(OSError):
            while True:
                handle.write(bytes(size))
    try:
        yield
    finally:
        ballast.unlink()


def label(server: Server) -> requests.Response:
    truth = synthetic.truth(synthetic.brats_grid())
    truth.data[truth.data == 3] = 2  # another label than the one that is stored
    return server.send_label(CASE, save(truth.data, truth.grid.affine, server.studies.parent / "other.nii.gz"))


def four_d(server: Server) -> requests.Response:
    content = four_in_one(server, CASE, server.studies.parent / "four.nii.gz").read_bytes()
    return server.request("PUT", "/datastore/", params={"image": "four"}, files={"file": ("four.nii.gz", content)})


WRITES: dict[str, Callable[[Server], requests.Response]] = {
    "session": lambda server: server.send("/session/", server.contents(CASE)),
    "case": lambda server: server.send("/cases/too-much", server.contents(CASE)),
    "label": label,
    "4D file": four_d,
    "inference": lambda server: server.infer(image=CASE),
    "large file": lambda server: server.send("/session/", {"t1.nii.gz": os.urandom(3 << 20)}),
    "volume as NRRD": lambda server: server.request("GET", f"/cases/{CASE}/volumes/t1"),
    "promotion": lambda server: server.request("POST", "/versions/v0000/promote"),
    "note": lambda server: server.request(
        "PUT", f"/datastore/image/info?image={CASE}", data={"info": '{"seen": true}'}
    ),
    "claim": lambda server: server.request("PUT", f"/cases/{CASE}/claim", json={"client_id": "dr-a"}),
}


def kept(server: Server) -> dict[str, Any]:
    folders = [server.workspace / name for name in KEPT] + [server.workspace.parent / "tmp"]
    return {folder.name: tree_digest(folder) for folder in folders if folder.exists()}


@pytest.mark.parametrize("write", WRITES)
def test_a_write_on_a_full_disk_is_refused_in_a_sentence_and_leaves_nothing(server: Server, write: str) -> None:
    before = kept(server)
    with filled(server.workspace.parent):
        answer = WRITES[write](server)
    found = refused(answer, 507)
    assert (found["field"], "The server's disk is full" in found["message"]) == ("disk", True)
    assert kept(server) == before
    assert list((server.workspace / "incoming").iterdir()) == []


def test_reading_goes_on_while_the_disk_is_full_and_writing_afterwards(server: Server) -> None:
    session = server.session(CASE)
    with filled(server.workspace.parent):
        for path in ("/info/", "/cases", f"/cases/{CASE}/labels/v0001", "/versions", "/train/tumorloop/plan"):
            assert server.request("GET", path).status_code == 200
        assert label(server).status_code == 507
    assert label(server).json()["version"] == "v0002"
    accepted(WRITES["case"](server))
    accepted(server.infer(session_id=session))


def test_a_training_on_a_full_disk_stops_with_a_sentence_and_the_server_goes_on(server: Server) -> None:
    before = sorted(path.name for path in (server.workspace / "models").iterdir())
    accepted(server.request("POST", "/train/tumorloop", json={"max_epochs": 1}))  # the phantoms alone take 29 MB
    stats = eventually(lambda: server.stats().get("state") == "failed" and server.stats(), seconds=300)
    assert stats["message"].startswith("The server's disk is full, so the training has stopped.")
    assert eventually(lambda: server.stats()["resumable"], seconds=60)  # its process has to end first
    assert sorted(path.name for path in (server.workspace / "models").iterdir()) == before
    assert server.request("GET", "/versions").status_code == 200


# === Recognizing it ===


def full(code: int = errno.ENOSPC) -> OSError:
    return OSError(code, os.strerror(code))


def wrapped(error: Exception) -> Exception:
    """The error as FastAPI passes it on."""
    found = HTTPException(400, "There was an error parsing the body")
    found.__cause__ = error
    return found


def circular() -> Exception:
    first = wrapped(second := ValueError())
    second.__cause__ = first
    return first


NUMPYS = [OSError("100 requested and 7 written"), OSError("Not enough free space to write 23592960 bytes")]
OTHERS = [full(errno.EACCES), OSError("?"), ValueError(), wrapped(full(errno.EIO)), None, circular()]


def test_a_full_disk_and_a_full_quota_are_recognized_even_when_wrapped() -> None:
    assert [is_disk_full(error) for error in (full(), full(errno.EDQUOT), wrapped(full()), *NUMPYS)] == [True] * 5
    assert [is_disk_full(error) for error in OTHERS] == [False] * 6


def test_a_route_turns_a_full_disk_into_507_and_leaves_other_errors_alone() -> None:
    router = APIRouter(route_class=UploadRoute)
    errors = {"full": full(), "broken": RuntimeError(), "taken": HTTPException(409, "taken")}

    @router.get("/{name}")
    def fail(name: str) -> None:
        raise errors[name]

    app = FastAPI()
    app.include_router(router)
    answers = {name: TestClient(app, raise_server_exceptions=False).get(f"/{name}") for name in errors}
    assert {name: answer.status_code for name, answer in answers.items()} == {"full": 507, "broken": 500, "taken": 409}
    assert answers["full"].json()["detail"]["field"] == "disk"
