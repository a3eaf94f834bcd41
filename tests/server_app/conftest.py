"""A real server process with a tiny network, shared by the tests of this room."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import psutil
import pytest
import requests

from tests import synthetic
from training.modalities import ROLES

REPOSITORY = Path(__file__).resolve().parents[2]
CASES = ("BraTS20_Training_001", "BraTS20_Training_002", "BraTS20_Training_003", "BraTS20_Training_004")
#: Settings with which a training takes seconds. What an untrained network says is chance, hence the tolerance.
QUICK = {"patch": "32", "steps_per_epoch": "2", "batch_size": "1", "replay": "0", "judge_phantoms": "1"}
QUICK["tolerance"] = "0.5"
#: What the tests ask for is computed, also when they ask twice; reusing results has its own tests.
QUICK["reuse_results"] = "false"


class Server:
    """A server process, and raw requests to it."""

    def __init__(self, process: subprocess.Popen[bytes], url: str, studies: Path, workspace: Path, log: Path) -> None:
        self.process = process
        self.url = url
        self.studies = studies
        self.workspace = workspace
        self.log = log

    def request(self, method: str, path: str, **more: Any) -> requests.Response:
        return requests.request(method, self.url + path, timeout=120, **more)

    def get(self, path: str, **more: Any) -> Any:
        response = self.request("GET", path, **more)
        assert response.status_code == 200, response.text
        return response.json()

    def volumes(self, case: str) -> dict[str, Path]:
        return {role: self.studies / case / f"{case}_{role}.nii.gz" for role in ROLES}

    def worker(self) -> psutil.Process | None:
        """The inference process."""
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):  # killed just now: gone, or a zombie not waited for yet
                if "spawn_main" in " ".join(child.cmdline()):
                    return child
        return None

    def stats(self) -> dict[str, Any]:
        return dict(self.get("/info/")["train_stats"]["tumorloop"])

    def submit(self, case: str) -> None:
        """Submit the label that came with a case as the correction."""
        path = self.studies / case / f"{case}_seg.nii.gz"
        with open(path, "rb") as handle:
            answer = self.request("PUT", "/datastore/label", params={"image": case}, files={"label": handle})
        assert answer.status_code == 200, answer.text

    def begin_training(self, case: str, **settings: Any) -> psutil.Process:
        """Start a training that does not end by itself soon; returns its process."""
        self.submit(case)
        settings = {"max_epochs": 900, "validate_every": 900, **settings}
        answer = self.request("POST", "/train/tumorloop", json=settings)
        assert answer.status_code == 200, answer.text
        return psutil.Process(eventually(lambda: self.stats().get("pid"), seconds=300))

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)

    def wait_until_ready(self, seconds: float = 180.0) -> None:
        give_up = time.monotonic() + seconds
        while time.monotonic() < give_up:
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            try:
                requests.get(self.url + "/info/", timeout=30)
                return
            except requests.ConnectionError:
                time.sleep(0.2)
        raise AssertionError(f"no answer within {seconds} s:\n{self.log.read_text()[-3000:]}")


def start_server(command: list[str], port: int, studies: Path, workspace: Path) -> Server:
    """Start a server; the arguments after the module's name are ``command``."""
    workspace.parent.mkdir(parents=True, exist_ok=True)
    log = workspace.with_suffix(".log")
    with open(log, "wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], cwd=REPOSITORY, stdout=sink, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL, start_new_session=True, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )  # fmt: skip
    return Server(process, f"http://127.0.0.1:{port}", studies, workspace, log)


@contextlib.contextmanager
def serving(studies: Path, workspace: Path, model: Path, *options: str, **settings: str) -> Iterator[Server]:
    """``python -m server_app`` with quick trainings, ready to answer; stopped at the end.

    Args:
        studies: Folder of cases.
        workspace: Where it writes.
        model: The model to start with.
        options: Of the command line.
        settings: Given as ``--conf``, beside or instead of :data:`QUICK`.
    """
    port = free_port()
    command = ["server_app", "--studies", str(studies), "--port", str(port), "--workspace", str(workspace)]
    command += options
    for name, value in {"model": str(model), **QUICK, **settings}.items():
        command += ["--conf", f"{name}={value}"]
    running = start_server(command, port, studies, workspace)
    try:
        running.wait_until_ready()
        yield running
    finally:
        running.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Wait until a condition holds, and return its value."""
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        value = condition()
        if value:
            return value
        time.sleep(0.1)
    raise AssertionError(f"not so within {seconds} s")


def is_gone(process: psutil.Process) -> bool:
    """Whether a process has ended (its parent may not have asked for its exit code yet)."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def tree_digest(folder: Path) -> dict[str, str]:
    """Names, times and contents of all files below a folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        found[str(path.relative_to(folder))] = f"{content} {path.stat().st_mtime_ns}"
    return found


def load(path: Path | str) -> nibabel.Nifti1Image:
    image = nibabel.load(path)
    assert isinstance(image, nibabel.Nifti1Image)
    return image


def voxels(path: Path | str) -> np.ndarray:
    return np.asarray(load(path).dataobj)


def untrained_model(folder: Path, **network: int) -> Path:
    """Write a model version with an untrained network, see :class:`training.network.unet.UNetConfig`."""
    import keras

    from training.models.store import ModelCard, write_version
    from training.models.weights import get_weights
    from training.network.unet import UNetConfig, build_unet

    keras.utils.set_random_seed(1)
    config = UNetConfig(**network)
    return write_version(folder, get_weights(build_unet(config)), ModelCard(network=config)).folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model version with a small, untrained network: answers at once, and badly."""
    return untrained_model(tmp_path_factory.mktemp("tiny") / "model", base_filters=4, max_filters=16, levels=2)


@pytest.fixture(scope="session")
def many_cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A studies folder with the four cases of four patients in :data:`CASES`."""
    folder = tmp_path_factory.mktemp("server") / "studies"
    for name in CASES:
        synthetic.write_case(folder, name)
    return folder


@pytest.fixture(scope="session")
def studies_before(many_cases: Path) -> dict[str, str]:
    """What the studies folder was like before any server saw it."""
    return tree_digest(many_cases)


@pytest.fixture(scope="session")
def server(
    many_cases: Path, studies_before: dict[str, str], tiny_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """``python -m server_app`` over the cases; stopped at the end of the session."""
    with serving(many_cases, tmp_path_factory.mktemp("home") / "workspace", tiny_model) as running:
        yield running


@pytest.fixture
def infer(server: Server, tmp_path: Path) -> Callable[..., tuple[np.ndarray, dict[str, Any]]]:
    """Segment through the unmodified MONAI Label client; returns voxels and facts."""
    from monailabel.client.client import MONAILabelClient

    client = MONAILabelClient(server.url, tmpdir=str(tmp_path))

    def run(case: str = "", **more: Any) -> tuple[np.ndarray, dict[str, Any]]:
        file, facts = client.infer("tumorloop", case, more.pop("params", {}), **more)
        return voxels(file), facts

    return run
