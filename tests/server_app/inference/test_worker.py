"""The inference process: light, replaceable, and never left behind."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from tests.server_app.conftest import CASES, REPOSITORY, Server, eventually, is_gone

Infer = Callable[..., tuple[np.ndarray, dict[str, Any]]]
_SLEEP = "import time; time.sleep(60)"
#: A program that ends with its parent, as a training does, and one whose inference process does.
_FOLLOWER = f"from server_app.spawning import end_with_parent; end_with_parent(); print(1, flush=True); {_SLEEP}"
_STARTS_A_FOLLOWER = f"""
import subprocess, sys
print(subprocess.Popen([sys.executable, "-c", {_FOLLOWER!r}]).pid, flush=True)
"""
_STARTS_A_WORKER = """
from pathlib import Path
from server_app.inference import worker_child
from server_app.inference.worker import InferenceWorker
worker = InferenceWorker(Path("none"), Path("none"))
worker.call(worker_child.loaded_modules)
print(next(iter(worker._pool._processes)), 1, sep="\\n", flush=True)
"""


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc")
def test_the_engine_is_in_the_inference_process_alone_without_tensorflow_and_torch(
    server: Server, infer: Infer
) -> None:
    infer(CASES[0])
    worker = server.worker()
    assert worker is not None
    libraries = {pid: Path(f"/proc/{pid}/maps").read_text() for pid in (worker.pid, server.process.pid)}
    assert "libopenvino" in libraries[worker.pid]
    assert "libtorch" not in libraries[worker.pid]
    assert "libtensorflow" not in libraries[worker.pid]
    assert "libtensorflow" not in libraries[server.process.pid]
    assert "openvino" not in libraries[server.process.pid]


def test_an_inference_survives_the_death_of_its_process(server: Server, infer: Infer) -> None:
    before, _ = infer(CASES[0])
    results: list[np.ndarray] = []
    thread = threading.Thread(target=lambda: results.append(infer(CASES[0])[0]))
    worker = server.worker()
    assert worker is not None
    worker.suspend()
    thread.start()
    eventually(lambda: server.get("/info/")["server"]["inference"]["queue"] == 1)
    worker.kill()
    thread.join(120)
    assert len(results) == 1
    assert np.array_equal(results[0], before)
    second = server.worker()
    assert second is not None
    assert second.pid != worker.pid


@pytest.mark.parametrize("program", [_STARTS_A_FOLLOWER, _STARTS_A_WORKER], ids=["training", "inference process"])
def test_no_child_outlives_a_killed_server(program: str) -> None:
    command = [sys.executable, "-c", f"{program}{_SLEEP}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=REPOSITORY) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        assert parent.stdout.readline().strip() == b"1"
        parent.kill()
    eventually(lambda: is_gone(child))
