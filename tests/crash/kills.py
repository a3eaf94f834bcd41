"""One kill after the other, and what is looked at after each."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from server_app.integrity.integrity import check_workspace
from server_app.labels.store import LabelStore
from server_app.workspace import Workspace
from tests import synthetic
from tests.crash.labels import GRID, Ledger, Submitter, number_of
from tests.server_app.conftest import Server, serving
from training.errors import InputError
from training.images.read import read_labelmap
from training.models.store import ModelStore

CASES = ("BraTS20_Training_001", "BraTS20_Training_002")
#: Clients; the first two submit labels of the same case.
CLIENTS = (("dr-a", CASES[0]), ("dr-b", CASES[0]), ("dr-c", CASES[1]))
#: A kill comes at most so many seconds after the first label of its round was acknowledged.
LATEST = 1.5


@dataclass
class Kill:
    """One round."""

    after: float  # seconds from the first acknowledged label to the kill
    ready: float  # seconds the server took to open the store and answer
    acknowledged: int = 0
    unannounced: int = 0  # labels that are stored although no reply said so
    lost: list[str] = field(default_factory=list)  # acknowledged, and not there, or not as they were sent
    damaged: list[str] = field(default_factory=list)  # versions in the store that are no whole label
    unfinished: int = 0  # folders that the killed server was writing; nobody sees them


@dataclass
class Outcome:
    """All rounds, what ``check`` finds at the end, and what the ledger says of answers that there must not be."""

    seed: int
    kills: list[Kill] = field(default_factory=list)
    versions: int = 0
    sound: bool = False
    findings: list[str] = field(default_factory=list)
    opened: int = 0
    refused: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether nothing was lost, nothing half-written, and the store opened every time."""
        clean = not any(kill.lost or kill.damaged for kill in self.kills)
        return clean and self.sound and not self.refused and not self.twice and self.opened == len(self.kills) + 1

    def to_json(self) -> dict[str, Any]:
        """Return everything, for programs."""
        return {"good": self.good, **asdict(self)}


def run(folder: Path, model: Path, kills: int, seed: int = 1, report: Callable[[str], object] = str) -> Outcome:
    """Kill a server again and again, at moments that the seed decides, while labels are submitted."""
    for name in CASES:
        synthetic.write_case(folder / "studies", name, grids=GRID, label=False)
    moments, ledger, outcome = random.Random(seed), Ledger(), Outcome(seed)
    for number in range(1, kills + 2):
        began = time.monotonic()
        with serving(folder / "studies", folder / "workspace", model, warm_up="false") as server:
            ready = time.monotonic() - began
            outcome.opened += 1
            _all_listed(server, ledger)
            if number > kills:
                break
            kill = _round(server, ready, ledger, moments.uniform(0.0, LATEST))
        inspect(server.workspace, ledger, kill)
        outcome.kills.append(kill)
        report(f"{number} of {kills}: {kill.acknowledged} labels in {kill.after:.2f} s, {kill.ready:.1f} s to open")
    workspace = Workspace.for_studies(server.studies, server.workspace)
    findings = check_workspace(server.studies, workspace, ModelStore(workspace.models, model))
    outcome.versions, outcome.sound = findings.checked["labels"], findings.sound
    outcome.findings = [f"{found.what}: {found.message}" for found in findings.found]
    outcome.refused, outcome.twice = ledger.refused, [" ".join(one) for one in ledger.twice]
    return outcome


def _round(server: Server, ready: float, ledger: Ledger, after: float) -> Kill:
    before = len(ledger.stored)
    clients = [Submitter(server.url, case, ledger, server.workspace.parent, name) for name, case in CLIENTS]
    for client in clients:
        client.start()
    give_up = time.monotonic() + 120
    while len(ledger.stored) == before and any(client.is_alive() for client in clients):
        assert time.monotonic() < give_up, "no label was acknowledged"
        time.sleep(0.005)
    time.sleep(after)
    server.process.kill()
    server.process.wait(30)
    for client in clients:
        client.join(90)
    return Kill(after, ready, acknowledged=len(ledger.stored) - before)


def inspect(workspace: Path, ledger: Ledger, kill: Kill) -> None:
    """Look at the files that the killed server left."""
    store = LabelStore(workspace / "labels")
    found: dict[tuple[str, str], int | None] = {}
    for case in store.cases():
        kill.unfinished += len(list((workspace / "labels" / case).glob(".writing-*")))
        folders = {path.name for path in (workspace / "labels" / case).glob("v*")}
        versions = {label.version: label for label in store.versions(case)}
        kill.damaged += [f"{case} {name} is no whole version" for name in sorted(folders - set(versions))]
        for name, label in versions.items():
            try:
                found[case, name] = number_of(read_labelmap(label.path).data)
            except InputError as error:
                found[case, name] = None
                kill.damaged.append(f"{case} {name}: {error.message}")
            if found[case, name] not in ledger.sent:
                kill.damaged.append(f"{case} {name} holds no label that was sent")
    for (case, name), number in ledger.stored.items():
        if found.get((case, name)) != number:
            kill.lost.append(f"{case} {name}: label {number} was acknowledged, {found.get((case, name))} is there")
    kill.unannounced = len(set(found) - set(ledger.stored))


def _all_listed(server: Server, ledger: Ledger) -> None:
    """Make sure that the server tells of every label it has ever acknowledged."""
    for case in CASES:
        listed = {label["version"]: label for label in server.get(f"/cases/{case}/labels")["labels"]}
        for (owner, version), number in ledger.stored.items():
            if owner == case:
                assert listed[version]["comment"] == f"label {number}", (case, version)
