"""Trainings that are killed, stopped, queued, stalled: through a real server. Each test goes on from the last."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests import synthetic
from tests.server_app.conftest import Server, eventually, is_gone, refused, serving

CASE, DAMAGED = "BraTS20_Training_001", "BraTS20_Training_002"
SMALL = {"steps_per_epoch": "1", "patch": "16"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("lost")
    for name in (CASE, DAMAGED):
        synthetic.write_case(folder / "studies", name, grids=synthetic.brats_grid((32, 36, 30)))
    with serving(folder / "studies", folder / "workspace", tiny_model, stall_seconds="3", **SMALL) as running:
        yield running


def post(server: Server, **settings: Any) -> Any:
    return server.request("POST", "/train/tumorloop", params={"enqueue": "true"}, json=settings)


def epochs(server: Server, at_least: int) -> int:
    return int(eventually(lambda: server.stats()["epoch"] >= at_least and server.stats()["epoch"], seconds=300))


def test_a_damaged_label_is_left_out_of_a_training_and_its_case_is_named(server: Server) -> None:
    server.submit(DAMAGED)
    label = server.workspace / "labels" / DAMAGED / "v0001" / "label.nii.gz"
    label.write_bytes(label.read_bytes()[:100])
    server.begin_training(CASE)
    skipped = eventually(lambda: server.stats().get("skipped"), seconds=300)
    assert list(skipped) == [DAMAGED]
    assert "label.nii.gz is not a NIfTI file: cut off" in skipped[DAMAGED]
    assert str(server.workspace) not in str(server.stats())


def test_a_training_that_is_killed_goes_on_from_its_last_epoch_by_itself(server: Server) -> None:
    before, first = epochs(server, 2), server.stats()
    psutil.Process(first["pid"]).kill()
    pid = eventually(lambda: server.stats().get("pid") not in (None, first["pid"]) and server.stats()["pid"], 120)
    stats = eventually(lambda: server.stats()["epoch"] > before and server.stats(), seconds=300)
    assert (stats["run"], stats["pid"]) == (first["run"], pid)
    assert [record["epoch"] for record in stats["history"]] == list(range(1, len(stats["history"]) + 1))
    assert any("was killed; it continued after epoch" in note for note in stats["notes"])
    assert server.get("/train/")["status"] == "RUNNING"


def test_a_training_that_shows_no_progress_counts_as_stalled_until_it_does(server: Server) -> None:
    process = psutil.Process(server.stats()["pid"])
    process.suspend()
    try:
        stalled = eventually(lambda: server.stats().get("stalled") and server.stats(), seconds=60)
        assert "No progress" in stalled["message"]
        assert stalled["idle_seconds"] >= 3
        assert "tumorloop_training_stalled 1.0" in server.request("GET", "/metrics").text
    finally:
        process.resume()
    eventually(lambda: server.stats().get("stalled") is False, seconds=60)


def test_further_trainings_wait_for_it_and_can_be_withdrawn(server: Server) -> None:
    waiting = [post(server, max_epochs=1, client_id="somebody").json() for _ in range(2)]
    found = server.get("/train/tumorloop/queue")
    assert (found["running"]["status"], found["waiting"][0]["user"]) == ("RUNNING", "somebody")
    assert [task["id"] for task in found["waiting"]] == [task["id"] for task in waiting]
    address = f"/train/tumorloop/queue/{waiting[0]['id']}"
    assert server.request("DELETE", address).json()["status"] == "STOPPED"
    assert server.request("DELETE", address).status_code == 404
    running = server.request("DELETE", f"/train/tumorloop/queue/{found['running']['id']}")
    assert refused(running, 409)["field"] == "task"
    assert [task["id"] for task in server.get("/train/tumorloop/queue")["waiting"]] == [waiting[1]["id"]]
    assert server.request("DELETE", f"/train/tumorloop/queue/{waiting[1]['id']}").status_code == 200


def test_a_stopped_training_can_go_on_and_says_so(server: Server) -> None:
    process = psutil.Process(server.stats()["pid"])
    before = epochs(server, 3)
    assert server.request("DELETE", "/train/").status_code == 200
    eventually(lambda: is_gone(process))
    stats = server.stats()
    assert (stats["state"], stats["resumable"]) == ("stopped", True)
    assert server.get("/train/tumorloop/plan")["resumable"]
    assert refused(post(server, resume=True, max_epochs=2))["field"] == "max_epochs"
    assert post(server, resume=True).status_code == 200
    eventually(lambda: server.stats().get("epoch", 0) >= before, seconds=300)
    assert (server.stats()["total_epochs"], server.stats()["history"][0]["epoch"]) == (900, 1)


def test_after_a_kill_of_the_server_the_next_one_reports_it_and_the_training_goes_on_until_it_is_over(
    server: Server, tiny_model: Path
) -> None:
    before, process = epochs(server, 4), psutil.Process(server.stats()["pid"])
    server.process.kill()
    server.process.wait()
    eventually(lambda: is_gone(process))
    settings = {"resume_trainings": "true", "stall_seconds": "600", **SMALL}
    with serving(server.studies, server.workspace, tiny_model, **settings) as again:
        assert "not shut down properly" in again.get("/info/")["server"]["accident"]
        eventually(lambda: again.stats()["epoch"] > before, seconds=300)
        assert again.stats()["history"][0]["epoch"] == 1
        assert any("interrupted" in note for note in again.stats()["notes"])
        assert again.request("DELETE", "/train/").status_code == 200
        assert post(again, max_epochs=1, tolerance=1.0).status_code == 200
        eventually(lambda: again.stats()["state"] == "done", seconds=300)
        assert refused(post(again, resume=True))["field"] == "resume"
        assert not again.get("/train/tumorloop/plan")["resumable"]
