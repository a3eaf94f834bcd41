"""Training through the server: live numbers, a new version, rollback, stop. Each test continues from the last."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from monailabel.client.client import MONAILabelClient

from tests.server_app.conftest import CASES, Server, accepted, eventually, is_gone

Infer = Callable[..., tuple[np.ndarray, dict[str, Any]]]
CASE = CASES[0]


def follow(server: Server) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Wait for the end of the training; return MONAI Label's task and all distinct numbers seen on the way."""
    seen: list[dict[str, Any]] = []

    def ended() -> dict[str, Any] | None:
        task, stats = server.get("/train/"), server.stats()
        if not seen or stats != seen[-1]:
            seen.append(stats)
        return None if task["status"] in ("SUBMITTED", "RUNNING") else dict(task)

    return eventually(ended, 300), seen


def ids(server: Server) -> list[str]:
    return [version["id"] for version in server.get("/versions")["versions"]]


def test_a_training_produces_a_new_version_that_is_served_at_once(server: Server, infer: Infer) -> None:
    server.submit(CASE)
    split = json.loads((server.workspace / "split.json").read_text())
    assert (split[CASE]["split"], bool(split[CASE]["reason"])) == ("train", True)
    server.submit(CASE)
    assert json.loads((server.workspace / "split.json").read_text()) == split
    plan = server.get("/train/tumorloop/plan")
    assert (plan["parent"], plan["expected_seconds"], plan["new"]) == ("v0000", None, plan["total"])
    assert CASE in plan["cases"]

    pid = server.process.pid
    before, facts = infer(CASE)
    versions = ids(server)
    accepted(server.request("POST", "/train/", json={"max_epochs": 2, "learning_rate": 0.01}))
    assert server.stats()["state"] == "starting"
    assert server.request("POST", "/train/tumorloop", json={}).status_code == 429
    task, seen = follow(server)
    assert task["status"] == "DONE", task.get("details")
    assert {stats["total_epochs"] for stats in seen} == {2}
    assert (seen[-1]["state"], seen[-1]["epoch"], len(seen[-1]["history"])) == ("done", 2, 2)
    assert {"preparing", "judging", "done"} <= {stats["state"] for stats in seen}

    (new,) = (version for version in server.get("/versions")["versions"] if version["id"] not in versions)
    assert (new["current"], new["parent"]) == (True, facts["model_version"])
    card, config = new["card"], new["card"]["training"]["config"]
    assert (config["max_epochs"], config["tolerance"]) == (2, 0.5)
    assert CASE in {case["case"] for case in card["data"]}
    assert card["verdict"].startswith("Promoted: not judged on patients yet")
    assert new["outcome"] == seen[-1]["outcome"] == card["metrics"]["outcome"] == "not judged"
    for name in ("before.png", "after.png"):
        picture = server.request("GET", f"/versions/{new['id']}/pictures/{name}")
        assert (picture.status_code, picture.headers["Content-Type"]) == (200, "image/png")
        assert picture.content.startswith(b"\x89PNG")
    after, facts = infer(CASE)
    assert (facts["model_version"], server.process.pid) == (new["id"], pid)
    assert not np.array_equal(before, after)
    plan_after = server.get("/train/tumorloop/plan")
    assert (plan_after["parent"], plan_after["new"], plan_after["total"]) == (new["id"], 0, plan["total"])
    assert 0 < plan_after["seconds_per_epoch"] < plan_after["expected_seconds"]

    accepted(server.request("POST", "/versions/rollback"))
    again, facts = infer(CASE)
    assert facts["model_version"] == new["parent"]
    assert np.array_equal(again, before)
    assert server.get("/train/tumorloop/plan")["cases"] == plan["cases"]
    accepted(server.request("POST", f"/versions/{new['id']}/promote", json={"client_id": "me"}))
    assert np.array_equal(infer(CASE)[0], after)
    accepted(server.request("POST", "/versions/rollback"))
    assert server.get("/versions")["current"] == "v0000"
    assert server.request("POST", "/versions/rollback").status_code == 409


def test_a_stopped_training_leaves_everything_consistent(server: Server, infer: Infer, tmp_path: Path) -> None:
    client = MONAILabelClient(server.url, tmpdir=str(tmp_path))
    before, versions = infer(CASE)[0], ids(server)
    trainer = server.begin_training(CASE)
    eventually(lambda: server.stats()["epoch"] >= 1, seconds=300)
    assert client.train_status(check_if_running=True)
    maps = Path(f"/proc/{trainer.pid}/maps")
    if maps.exists():
        assert "libtorch" not in maps.read_text()
    assert infer(CASE)[0].any()
    client.train_stop()
    eventually(lambda: is_gone(trainer))
    assert client.train_status()["status"] == "STOPPED"
    assert server.stats()["state"] == "stopped"
    assert "of 900 epochs" in server.stats()["message"]
    assert not client.train_status(check_if_running=True)
    assert ids(server) == versions
    assert np.array_equal(infer(CASE)[0], before)
    assert not [path for path in (server.workspace / "models").iterdir() if path.name.startswith(".")]


def test_the_model_is_fitted_to_the_unlabeled_studies_of_the_site_and_rolled_back(server: Server) -> None:
    plan, before = server.get("/train/tumorloop/plan"), server.get("/versions")["current"]
    studies = plan["site"]["studies"]
    assert plan["site"] == {"studies": studies, "needed": 3}
    assert studies >= len(CASES)  # other tests may have added some
    interrupted = plan["resumable"]
    started = accepted(server.request("POST", "/train/tumorloop", json={"mode": "site", "judge_phantoms": 1}))
    assert started["request"]["mode"] == "site"
    task, seen = follow(server)
    assert task["status"] == "DONE", task.get("details")
    assert {stats["mode"] for stats in seen} == {"site"}
    assert {"preparing", "judging", "done"} <= {stats["state"] for stats in seen}
    assert any(f"study 2 of {studies}" in stats["message"] for stats in seen)
    new = server.get("/versions")["versions"][-1]
    card, last = new["card"], seen[-1]
    assert (last["version"], last["verdict"], new["parent"]) == (new["id"], card["verdict"], before)
    assert {case["case"] for case in card["data"]} >= set(CASES)
    assert [(case["label_sha256"], case["split"]) for case in card["data"]] == [("", "unlabeled")] * studies
    assert last["promoted"] is new["current"] is card["verdict"].startswith("Promoted")
    after = server.get("/train/tumorloop/plan")
    assert (after["new"], after["resumable"]) == (plan["new"], interrupted)  # no label counts as seen
    if not new["current"]:
        accepted(server.request("POST", f"/versions/{new['id']}/promote"))
    accepted(server.request("POST", "/versions/rollback"))
    assert server.get("/versions")["current"] == before
