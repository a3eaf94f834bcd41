"""The servers under attack, each in a box: a folder that holds what it serves, what it may write, and what it may not.

``box/elsewhere`` holds secrets and is where attacks try to write; ``box/a/b/studies`` is served; ``box/home`` is the
server's own. Whatever appears or changes outside ``home`` was written by an attack; stock MONAI Label keeps its index
and labels in the studies, so there it is what appears outside both.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.attack.samples import CASE, SECRET, hidden_case, secret_volume, write_volumes
from tests.attack.wire import Reply, send
from tests.server_app.conftest import REPOSITORY, free_port

#: Limits of our server that would make the run long; as short as a client on the same machine allows.
SHORT = {"header_seconds": "3", "body_seconds": "3", "max_upload_mb": "64"}
#: Seconds after which a server that does not answer counts as stuck.
PATIENCE = 20.0


@dataclass
class Target:
    """One server and its box."""

    name: str
    stock: bool
    port: int
    box: Path
    process: subprocess.Popen[bytes]
    tokens: dict[str, str] = field(default_factory=dict)
    #: What a folder outside the server's own held, after the attacks so far.
    outside: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def studies(self) -> Path:
        return self.box / "a" / "b" / "studies"

    @property
    def elsewhere(self) -> Path:
        return self.box / "elsewhere"

    def send(self, method: str, address: str, **more: Any) -> Reply:
        """Send a request; a path in the address goes out byte for byte."""
        return send(self.port, method, address, **more)

    def is_alive(self, seconds: float = 10.0) -> bool:
        """Whether the server describes itself within some seconds."""
        headers = {"Authorization": f"Bearer {self.tokens['trainer']}"} if self.tokens else {}
        return self.send("GET", "/info/", headers=headers, timeout=seconds).status == 200

    def written_outside(self) -> list[str]:
        """What appeared or changed outside the server's own folders since the last call."""
        now = self._look()
        changed = sorted(name for name, state in now.items() if self.outside.get(name) != state)
        gone = sorted(f"{name} (gone)" for name in self.outside if name not in now)
        self.outside = now
        return changed + gone

    def memory_mb(self) -> float:
        """Memory of the server's processes, in MiB."""
        total = 0.0
        try:
            parent = psutil.Process(self.process.pid)
            for process in [parent, *parent.children(recursive=True)]:
                total += process.memory_info().rss / 2**20
        except psutil.NoSuchProcess:
            pass
        return total

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _look(self) -> dict[str, tuple[int, int]]:
        own = [self.box / "home", *([self.studies] if self.stock else [])]
        found = {}
        for path in self.box.rglob("*"):
            if path.is_file() and not any(folder in path.parents for folder in own):
                stat = path.stat()
                found[str(path.relative_to(self.box))] = (stat.st_size, stat.st_mtime_ns)
        return found


@contextmanager
def stock_server(box: Path) -> Iterator[Target]:
    """A stock MONAI Label server over the studies of a box."""
    studies = make_box(box)
    for path in write_volumes(studies / "four"):
        if "t1ce" in path.name:  # it serves single files
            os.replace(path, studies / f"{CASE}.nii.gz")
    (studies / "linked.nii.gz").symlink_to(box / "elsewhere" / "secret.nii.gz")
    port, app = free_port(), box / "home" / "app"
    app.mkdir(parents=True)
    (app / "main.py").write_text((Path(__file__).parent / "stock_app" / "main.py").read_text())
    command = ["-m", "monailabel.main", "start_server", "--app", str(app), "--studies", str(studies)]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    with _running("MONAI Label", command, port, box, stock=True) as target:
        yield target


@contextmanager
def our_server(box: Path, model: Path, *, tokens: bool = False) -> Iterator[Target]:
    """Our server over the studies of a box; with ``tokens`` it asks for them, and there are users of all roles."""
    studies = make_box(box)
    write_volumes(studies / CASE)
    hidden_case(studies / "linked", box / "elsewhere")
    port, workspace = free_port(), box / "home" / "workspace"
    given = {role: _add_user(role, studies, workspace) for role in ("reader", "annotator", "trainer")} if tokens else {}
    if tokens:
        given["revoked"] = _add_user("revoked", studies, workspace, role="trainer")
        _manage("users", "revoke", "revoked", "--studies", str(studies), "--workspace", str(workspace))
    command = ["-m", "server_app", "--studies", str(studies), "--workspace", str(workspace), "--port", str(port)]
    for name, value in {"model": str(model), "warm_up": "false", **SHORT}.items():
        command += ["--conf", f"{name}={value}"]
    name = "TumorLoop with tokens" if tokens else "TumorLoop"
    with _running(name, command + ["--require-token"] * tokens, port, box, stock=False) as target:
        target.tokens = given
        _wait(target)
        target.written_outside()
        yield target


def make_box(box: Path) -> Path:
    """Make the folders and the secrets; return the studies folder."""
    studies = box / "a" / "b" / "studies"
    for folder in (studies, box / "home", box / "elsewhere"):
        folder.mkdir(parents=True)
    (box / "elsewhere" / "secret.txt").write_bytes(SECRET)
    secret_volume(box / "elsewhere" / "secret.nii.gz")
    return studies


@contextmanager
def _running(name: str, command: list[str], port: int, box: Path, *, stock: bool) -> Iterator[Target]:
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(REPOSITORY)}
    environment["MONAI_LABEL_SESSION_PATH"] = str(box / "home" / "sessions")
    with open(box / "home" / "log.txt", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, *command], cwd=REPOSITORY, stdout=log, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL, start_new_session=True, env=environment,
        )  # fmt: skip
    target = Target(name, stock, port, box, process)
    try:
        if stock:
            _wait(target)
            target.written_outside()
        yield target
    finally:
        target.stop()


def _wait(target: Target, seconds: float = 180.0) -> None:
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up and target.process.poll() is None:
        if target.is_alive(5.0):
            return
        time.sleep(0.3)
    log = (target.box / "home" / "log.txt").read_text(errors="replace")[-3000:]
    raise RuntimeError(f"{target.name} did not start:\n{log}")


def _add_user(name: str, studies: Path, workspace: Path, role: str = "") -> str:
    place = ["--studies", str(studies), "--workspace", str(workspace)]
    said = _manage("users", "add", name, "--role", role or name, *place)
    return next(word for word in said.split() if word.startswith("tumorloop_"))


def _manage(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "server_app", *command], cwd=REPOSITORY, capture_output=True, text=True, timeout=120
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout
