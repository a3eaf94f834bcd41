"""A real server process with a tiny network, shared by the server's tests."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel
import numpy as np
import psutil
import pytest
import requests

from tests import synthetic
from tests.server_app.server_files import copied_files, sound_files  # noqa: F401 - fixtures
from training.cases.case import DECATHLON_ORDER
from training.modalities import ROLES

if TYPE_CHECKING:
    from server_app.app import TumorLoopApp

REPOSITORY = Path(__file__).resolve().parents[2]
CASES = ("BraTS20_Training_001", "BraTS20_Training_002", "BraTS20_Training_003", "BraTS20_Training_004")
#: A case without T2: no case for whoever does not ask for incomplete ones.
INCOMPLETE = "BraTS20_Training_005"
#: Settings with which a training takes seconds. What an untrained network says is chance, hence the tolerance.
#: Results are not reused, so that each request is computed; reusing results has its own tests.
QUICK = {"patch": "32", "steps_per_epoch": "2", "batch_size": "1", "replay": "0", "derived": "0", "judge_phantoms": "1"}
QUICK |= {"tolerance": "0.5", "drift": "0.5", "reuse_results": "false"}


@dataclass
class Server:
    """A server process, and raw requests to it."""

    process: subprocess.Popen[bytes]
    url: str
    studies: Path
    workspace: Path
    log: Path

    def request(self, method: str, path: str, **more: Any) -> requests.Response:
        return requests.request(method, self.url + path, timeout=120, **more)

    def get(self, path: str, **more: Any) -> Any:
        return accepted(self.request("GET", path, **more))

    def volumes(self, case: str) -> dict[str, Path]:
        return {role: self.studies / case / f"{case}_{role}.nii.gz" for role in ROLES}

    def contents(self, case: str, *roles: str) -> dict[str, bytes]:
        """The volumes of a case by file name; all four where no roles are named."""
        volumes = self.volumes(case)
        return {f"{role}.nii.gz": volumes[role].read_bytes() for role in roles or ROLES}

    def send(self, path: str, files: dict[str, bytes], **query: Any) -> requests.Response:
        return self.request("PUT", path, files=[("files", item) for item in files.items()], params=query)

    def session(self, case: str, *roles: str) -> str:
        return str(accepted(self.send("/session/", self.contents(case, *roles), allow_missing="true"))["session_id"])

    def infer(self, params: dict[str, Any] | None = None, output: str = "json", **where: str) -> requests.Response:
        """Segment; ``image`` or ``session_id`` says what."""
        data = {"params": json.dumps(params or {})}
        return self.request("POST", "/infer/tumorloop", params={**where, "output": output}, data=data)

    def send_label(self, case: str, label: Path, tag: str = "final", **params: Any) -> requests.Response:
        where, data = {"image": case, "tag": tag}, {"params": json.dumps(params)}
        files = {"label": (label.name, label.read_bytes())}
        return self.request("PUT", "/datastore/label", params=where, data=data, files=files)

    def case_ids(self) -> set[str]:
        return {case["id"] for case in self.get("/cases")["cases"]}

    def worker(self) -> psutil.Process | None:
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):  # killed just now: gone, or a zombie not waited for yet
                if "spawn_main" in " ".join(child.cmdline()):
                    return child
        return None

    def stats(self) -> dict[str, Any]:
        return dict(self.get("/info/")["train_stats"]["tumorloop"])

    def submit(self, case: str) -> None:
        """Submit the label that came with a case as the correction."""
        accepted(self.send_label(case, self.studies / case / f"{case}_seg.nii.gz"))

    def begin_training(self, case: str, **settings: Any) -> psutil.Process:
        """Start a training that does not end by itself soon; returns its process."""
        self.submit(case)
        settings = {"max_epochs": 900, "validate_every": 900, **settings}
        accepted(self.request("POST", "/train/tumorloop", json=settings))
        return psutil.Process(eventually(lambda: self.stats().get("pid"), seconds=300))

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)

    def wait_until_ready(self) -> None:
        def answers() -> bool:
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            with contextlib.suppress(requests.ConnectionError):
                return requests.get(self.url + "/info/", timeout=30).status_code > 0
            return False

        eventually(answers, seconds=180)


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
    """``python -m server_app`` with :data:`QUICK` and other settings, ready to answer; stopped at the end."""
    port = free_port()
    command = ["server_app", "--studies", str(studies), "--port", str(port), "--workspace", str(workspace), *options]
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
        time.sleep(0.05)
    raise AssertionError(f"not so within {seconds} s")


def accepted(answer: requests.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(answer: requests.Response, status: int = 422) -> dict[str, str]:
    """The detail of a refusal, which must not name folders of the server."""
    assert answer.status_code == status, answer.text
    found = dict(answer.json()["detail"])
    assert str(REPOSITORY) not in found["message"]
    assert "/workspace" not in found["message"]
    return found


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


def save(data: np.ndarray, affine: np.ndarray, path: Path) -> Path:
    nibabel.save(nibabel.Nifti1Image(data, affine), path)
    return path


def four_in_one(server: Server, case: str, path: Path) -> Path:
    """Write a case as one 4D file in the Decathlon's order."""
    images = [load(server.volumes(case)[role]) for role in DECATHLON_ORDER]
    return save(np.stack([np.asarray(image.dataobj) for image in images], axis=-1), images[0].affine, path)


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
    """A studies folder with the cases of :data:`CASES`, each of a patient of its own, and :data:`INCOMPLETE`."""
    folder = tmp_path_factory.mktemp("server") / "studies"
    for name in (*CASES, INCOMPLETE):
        synthetic.write_case(folder, name)
    (folder / INCOMPLETE / f"{INCOMPLETE}_t2.nii.gz").unlink()
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
def app(studies: Path, tmp_path: Path, tiny_model: Path) -> Iterator[TumorLoopApp]:
    """The app over two cases, without the web around it."""
    from server_app.app import TumorLoopApp

    conf = {"workspace": str(tmp_path / "workspace"), "model": str(tiny_model)}
    made = TumorLoopApp("server_app", str(studies), conf)
    yield made
    made.close()


@pytest.fixture
def infer(server: Server, tmp_path: Path) -> Callable[..., tuple[np.ndarray, dict[str, Any]]]:
    """Segment through the unmodified MONAI Label client; returns voxels and facts."""
    from monailabel.client.client import MONAILabelClient

    client = MONAILabelClient(server.url, tmpdir=str(tmp_path))

    def run(case: str = "", **more: Any) -> tuple[np.ndarray, dict[str, Any]]:
        file, facts = client.infer("tumorloop", case, more.pop("params", {}), **more)
        return voxels(file), facts

    return run
