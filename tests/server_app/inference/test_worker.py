"""The inference process: light, replaceable, out of the way. And the two ways to start the server."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import requests

from server_app.inference import worker_child
from server_app.inference.worker import InferenceWorker
from tests import synthetic
from tests.server_app.conftest import (
    CASES,
    QUICK,
    REPOSITORY,
    Server,
    eventually,
    free_port,
    is_gone,
    start_server,
    tree_digest,
)
from training.errors import InputError

Infer = Callable[..., tuple[np.ndarray, dict[str, Any]]]


def test_the_worker_computes_without_torch_and_monai_label(tiny_model: Path, tmp_path: Path) -> None:
    import monailabel.interfaces.app  # noqa: F401 - the parent has it, and torch; the child must not

    assert "torch" in sys.modules
    worker = InferenceWorker(tmp_path / "models", tiny_model)
    try:
        assert worker.call(worker_child.warm_up, tmp_path / "models", tiny_model) == "v0000"
        modules = set(worker.call(worker_child.loaded_modules))
    finally:
        worker.close()
    assert "tensorflow" in modules
    assert not {name for name in modules if name.split(".")[0] in ("torch", "monai", "monailabel", "fastapi_utils")}


def test_an_error_in_the_worker_keeps_its_message_and_field(tiny_model: Path, tmp_path: Path) -> None:
    worker = InferenceWorker(tmp_path / "models", tmp_path / "no model")
    try:
        with pytest.raises(InputError, match="no model") as caught:
            worker.call(worker_child.warm_up, tmp_path / "models", tmp_path / "no model")
    finally:
        worker.close()
    assert caught.value.field == "model"


def test_the_servers_worker_maps_no_torch(server: Server, infer: Infer) -> None:
    infer(CASES[0])
    worker = server.worker()
    assert worker is not None
    maps = Path(f"/proc/{worker.pid}/maps")
    if not maps.exists():
        pytest.skip("needs /proc")
    text = maps.read_text()
    assert "libtensorflow" in text
    assert "libtorch" not in text


def test_the_web_process_maps_no_tensorflow(server: Server) -> None:
    maps = Path(f"/proc/{server.process.pid}/maps")
    if not maps.exists():
        pytest.skip("needs /proc")
    assert "tensorflow" not in maps.read_text()


def test_after_a_kill_of_the_worker_the_next_request_works(server: Server, infer: Infer) -> None:
    before, _ = infer(CASES[0])
    first = server.worker()
    assert first is not None
    first.kill()
    after, _ = infer(CASES[0])
    assert np.array_equal(before, after)
    second = server.worker()
    assert second is not None
    assert second.pid != first.pid


def test_a_kill_in_the_middle_of_an_inference_is_not_even_noticed(server: Server, infer: Infer) -> None:
    before, _ = infer(CASES[0])
    results: list[np.ndarray] = []
    thread = threading.Thread(target=lambda: results.append(infer(CASES[0])[0]))
    worker = server.worker()
    assert worker is not None
    worker.suspend()
    thread.start()
    time.sleep(0.5)
    worker.kill()
    thread.join(120)
    assert len(results) == 1
    assert np.array_equal(results[0], before)


def test_info_answers_while_an_inference_runs(server: Server, infer: Infer) -> None:
    infer(CASES[0])
    worker = server.worker()
    assert worker is not None
    results: list[np.ndarray] = []
    thread = threading.Thread(target=lambda: results.append(infer(CASES[0])[0]))
    worker.suspend()
    try:
        thread.start()
        time.sleep(0.3)
        for path in ("/info/", "/cases", "/versions", "/datastore/"):
            started = time.monotonic()
            assert server.request("GET", path).status_code == 200
            assert time.monotonic() - started < 3.0
        assert results == []
    finally:
        worker.resume()
    thread.join(120)
    assert len(results) == 1


@pytest.fixture
def studies_with_a_broken_case(tmp_path: Path) -> Path:
    synthetic.write_case(tmp_path / "studies", "BraTS20_Training_001")
    broken = synthetic.write_case(tmp_path / "studies", "BraTS20_Training_002")
    (broken / "BraTS20_Training_002_t2.nii.gz").unlink()
    return tmp_path / "studies"


def test_monai_labels_own_command_starts_it_too(
    studies_with_a_broken_case: Path, tiny_model: Path, tmp_path: Path
) -> None:
    studies, workspace, port = studies_with_a_broken_case, tmp_path / "workspace", free_port()
    before = tree_digest(studies)
    command = ["monailabel.main", "start_server", "--app", "server_app", "--studies", str(studies)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--conf", "workspace", str(workspace)]
    for name, value in {"model": str(tiny_model), "warm_up": "false", **QUICK}.items():
        command += ["--conf", name, value]
    server = start_server(command, port, studies, workspace)
    try:
        server.wait_until_ready()
        listed = server.get("/cases")
        assert [case["id"] for case in listed["cases"]] == ["BraTS20_Training_001"]
        assert "T2 (t2)" in listed["problems"][0]["message"]
        answer = server.request("POST", "/infer/tumorloop", params={"image": "BraTS20_Training_001", "output": "json"})
        assert answer.status_code == 200, answer.text
        nothing = server.request("POST", "/train/", json={"max_epochs": 2})
        assert nothing.status_code == 422
        assert nothing.json()["detail"]["field"] == "label"
        assert "nothing to train on" in nothing.json()["detail"]["message"]
        assert server.request("GET", "/train/").status_code == 404
        assert server.stats() == {}
        worker, trainer = server.worker(), server.begin_training("BraTS20_Training_001")
        trainer_parent = trainer.parent()
    finally:
        server.stop()
    assert worker is not None
    assert trainer_parent is not None
    eventually(lambda: is_gone(worker) and is_gone(trainer) and is_gone(trainer_parent))
    assert tree_digest(studies) == before


def test_the_worker_does_not_outlive_a_server_that_is_killed(tiny_model: Path, tmp_path: Path) -> None:
    synthetic.write_case(tmp_path / "studies")
    port = free_port()
    command = ["server_app", "--studies", str(tmp_path / "studies"), "--port", str(port), "--workspace"]
    command += [str(tmp_path / "workspace"), "--conf", f"model={tiny_model}"]
    server = start_server(command, port, tmp_path / "studies", tmp_path / "workspace")
    server.wait_until_ready()
    worker = eventually(server.worker)
    server.process.kill()
    server.process.wait()
    with pytest.raises(requests.ConnectionError):
        server.get("/info/")
    eventually(lambda: is_gone(worker))


def test_a_training_does_not_outlive_the_process_that_started_it() -> None:
    follower = "from server_app.spawning import end_with_parent; end_with_parent(); print(1, flush=True); "
    follower += "import time; time.sleep(60)"
    starter = f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {follower!r}]).pid, flush=True)"
    parent = subprocess.Popen(
        [sys.executable, "-c", f"{starter}; import time; time.sleep(60)"], stdout=subprocess.PIPE, cwd=REPOSITORY
    )
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    assert parent.stdout.readline().strip() == b"1"
    parent.kill()
    parent.wait()
    eventually(lambda: is_gone(child))


def test_the_workspace_may_not_lie_in_the_studies(tmp_path: Path) -> None:
    synthetic.write_case(tmp_path / "studies")
    command = [sys.executable, "-m", "server_app", "--studies", str(tmp_path / "studies")]
    done = subprocess.run(
        [*command, "--workspace", str(tmp_path / "studies" / "ws")], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2
    assert "inside the studies" in done.stderr


def test_a_web_page_from_elsewhere_may_not_use_the_server(server: Server) -> None:
    foreign = server.request("GET", "/info/", headers={"Origin": "http://elsewhere.example"})
    assert "access-control-allow-origin" not in foreign.headers
    own = server.request("GET", "/info/", headers={"Origin": server.url})
    assert own.headers["access-control-allow-origin"] == server.url
