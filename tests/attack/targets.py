"""The servers under attack, each in a box: a folder that holds what it serves, what it may write, and what it may not.

``box/elsewhere`` holds secrets and is where attacks try to write; ``box/a/b/studies`` is served; ``box/home`` is the
server's own. Whatever appears or changes outside ``home`` was written by an attack; stock MONAI Label keeps its index
and labels in the studies, so there it is what appears outside both.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from server_app.access.users import Users
from server_app.common.identity import ROLES, Role
from tests.attack.samples import CASE, SECRET, hidden_case, secret_volume, write_volumes
from tests.attack.wire import Reply, send
from tests.server_app.conftest import Server, free_port, start_server

#: Limits of our server that would make the run long; as short as a client on the same machine allows.
SHORT = {"header_seconds": "3", "body_seconds": "3", "max_upload_mb": "64"}


@dataclass
class Target:
    """One server, stock or ours, its box, and the tokens of its users by role."""

    server: Server
    box: Path
    stock: bool
    tokens: dict[str, str] = field(default_factory=dict)
    #: What lay outside the server's own folders after the attacks so far: size and time by path.
    outside: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def port(self) -> int:
        return int(self.server.url.rpartition(":")[2])

    def send(self, method: str, address: str, **more: Any) -> Reply:
        """Send a request; a path in the address goes out byte for byte."""
        return send(self.port, method, address, **more)

    def is_alive(self) -> bool:
        """Whether the server describes itself within ten seconds."""
        headers = {"Authorization": f"Bearer {self.tokens['trainer']}"} if self.tokens else {}
        return self.send("GET", "/info/", headers=headers, timeout=10.0).status == 200

    def written_outside(self) -> list[str]:
        """What appeared, changed or disappeared outside the server's own folders since the last call."""
        own, now = [self.box / "home", *([self.server.studies] if self.stock else [])], {}
        for path in self.box.rglob("*"):
            if path.is_file() and not any(folder in path.parents for folder in own):
                now[str(path.relative_to(self.box))] = (path.stat().st_size, path.stat().st_mtime_ns)
        changed = sorted(name for name, state in now.items() if self.outside.get(name) != state)
        gone = sorted(f"{name} (gone)" for name in self.outside if name not in now)
        self.outside = now
        return changed + gone

    def memory_mb(self) -> float:
        """Memory of the server's processes, in MiB."""
        total = 0.0
        with suppress(psutil.NoSuchProcess):
            parent = psutil.Process(self.server.process.pid)
            for process in [parent, *parent.children(recursive=True)]:
                total += process.memory_info().rss / 2**20
        return total


#: Sends an attack; returns the answer that tells.
Run = Callable[[Target], Reply]


def request(method: str, address: str, **more: Any) -> Run:
    """Return what sends one request, which is the same for every server."""
    return lambda target: target.send(method, address, **more)


@contextmanager
def stock_server(box: Path) -> Iterator[Target]:
    """A stock MONAI Label server over the studies of a box."""
    studies = make_box(box)
    for path in write_volumes(studies, "four"):
        if "t1ce" in path.name:  # it serves single files
            os.replace(path, studies / f"{CASE}.nii.gz")
    (studies / "linked.nii.gz").symlink_to(box / "elsewhere" / "secret.nii.gz")
    app = box / "home" / "app"
    app.mkdir(parents=True)
    (app / "main.py").write_text((Path(__file__).parent / "stock_app" / "main.py").read_text())
    command = ["monailabel.main", "start_server", "--app", str(app), "--studies", str(studies), "--host", "127.0.0.1"]
    with _running(command, box, stock=True) as target:
        yield target


@contextmanager
def our_server(box: Path, model: Path, *, tokens: bool = False) -> Iterator[Target]:
    """Our server over the studies of a box; with ``tokens`` it asks for them, and there are users of all roles."""
    studies, workspace = make_box(box), box / "home" / "workspace"
    write_volumes(studies, CASE)
    hidden_case(studies / "linked", box / "elsewhere")
    given, users = {}, Users(workspace / "users.json")
    if tokens:
        given = {name: users.add(name, role) for name, role in {**ROLES, "revoked": Role.TRAINER}.items()}
        users.revoke("revoked")
    command = ["server_app", "--studies", str(studies), "--workspace", str(workspace)]
    for name, value in {"model": str(model), "warm_up": "false", **SHORT}.items():
        command += ["--conf", f"{name}={value}"]
    with _running(command + ["--require-token"] * tokens, box, stock=False) as target:
        target.tokens = given
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
def _running(command: list[str], box: Path, *, stock: bool) -> Iterator[Target]:
    port = free_port()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MONAI_LABEL_SESSION_PATH", str(box / "home" / "sessions"))
        server = start_server([*command, "--port", str(port)], port, box / "a" / "b" / "studies", box / "home" / "own")
    try:
        server.wait_until_ready()
        target = Target(server, box, stock)
        target.written_outside()
        yield target
    finally:
        with suppress(subprocess.TimeoutExpired):  # an attack keeps it busy
            server.stop()
        server.process.kill()
        server.process.wait()
