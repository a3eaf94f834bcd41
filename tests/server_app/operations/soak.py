"""Many clients at once for minutes: ``make soak``, and a short version in the tests.

Eight clients infer, submit labels and read progress while a training runs. Measured are the times of the answers and
the memory of the web process; any answer that is not the expected one is an error.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import psutil
import requests

from tests import synthetic
from tests.server_app.conftest import CASES, Server, accepted, load, serving
from training.models import BUNDLED_MODELS

#: What the server is held to.
INFO_P99_SECONDS, MEMORY_GROWTH = 0.2, 0.05
#: The share of the time at the beginning that does not count: libraries load at their first use, and buffers grow.
_WARM_UP_SHARE = 0.2


@dataclass
class Measured:
    """The times of the answers, the errors, and the memory of the web process as pairs of time and size."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    memory: list[tuple[float, int]] = field(default_factory=list)
    lasted: float = 0.0

    def percentile(self, kind: str, share: float) -> float:
        values = sorted(self.seconds.get(kind, [float("nan")]))
        return values[min(len(values) - 1, int(share * len(values)))]

    def growth(self) -> float:
        """How much more memory the web process took at the end than after warming up, as a share.

        The medians of the first and the last fifth after the warm-up are compared: single requests come and go.
        """
        began = self.memory[0][0] + _WARM_UP_SHARE * (self.memory[-1][0] - self.memory[0][0])
        steady = [size for at, size in self.memory if at >= began]
        fifth = max(1, len(steady) // 5)
        first, last = statistics.median(steady[:fifth]), statistics.median(steady[-fifth:])
        return (last - first) / first

    def report(self) -> dict[str, Any]:
        shares = {"p50": 0.5, "p99": 0.99, "worst": 1.0}
        sizes, times = [size >> 20 for _, size in self.memory], {}
        for kind in sorted(self.seconds):
            times[kind] = {name: round(1000 * self.percentile(kind, share), 1) for name, share in shares.items()}
        sized = {"first": sizes[0], "last": sizes[-1], "most": max(sizes), "growth": round(self.growth(), 4)}
        answers = {kind: len(values) for kind, values in sorted(self.seconds.items())}
        found = {"lasted_seconds": round(self.lasted, 1), "answers": answers, "milliseconds": times}
        return {**found, "errors": dict(Counter(self.errors)), "web_process_mb": sized}


class Client(threading.Thread):
    """One client: asks again and again until a time; its number decides what."""

    def __init__(
        self, server: Server, number: int, measured: Measured, labels: dict[str, list[Path]], cases: list[str],
        until: float,
    ) -> None:  # fmt: skip
        super().__init__(name=f"client-{number}")
        self._server, self._measured, self._labels, self._cases, self._until = server, measured, labels, cases, until
        self._random, self._session = random.Random(number), requests.Session()
        works = (self._infer, self._submit, self._read, self._infer, self._submit, self._read, self._read, self._infer)
        self._work = works[number % len(works)]

    def run(self) -> None:
        while time.monotonic() < self._until:
            try:
                self._work()
            except requests.RequestException as error:
                self._measured.errors.append(f"{self._work.__name__}: {type(error).__name__}")

    def _ask(self, kind: str, method: str, path: str, **more: Any) -> None:
        started = time.monotonic()
        answer = self._session.request(method, self._server.url + path, timeout=120, **more)
        self._measured.seconds.setdefault(kind, []).append(time.monotonic() - started)  # one step each: no lock
        if answer.status_code != 200:
            self._measured.errors.append(f"{kind}: {answer.status_code} {answer.text[:200]}")

    def _infer(self) -> None:
        params = {"image": self._random.choice(self._cases), "output": "image"}
        self._ask("infer", "POST", "/infer/tumorloop", params=params, data=self._form())

    def _submit(self) -> None:
        case = self._random.choice(sorted(self._labels))
        files = {"label": ("label.nii.gz", self._random.choice(self._labels[case]).read_bytes())}
        data = self._form(comment="soak")
        self._ask("submit", "PUT", "/datastore/label", params={"image": case}, data=data, files=files)
        time.sleep(0.5)  # nobody corrects faster

    def _read(self) -> None:
        self._ask("info", "GET", "/info/")
        self._ask("progress", "GET", "/train/tumorloop/queue")
        self._ask("cases", "GET", "/cases")
        time.sleep(0.1)

    def _form(self, **params: str) -> dict[str, str]:
        return {"params": json.dumps({"client_id": self.name, **params})}


def soak(server: Server, seconds: float, clients: int, cases: list[str], labels: dict[str, list[Path]]) -> Measured:
    """Let the clients loose on a server and measure."""
    measured, started = Measured(), time.monotonic()
    threads = [Client(server, number, measured, labels, cases, started + seconds) for number in range(clients)]
    web = psutil.Process(server.process.pid)
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        measured.memory.append((time.monotonic() - started, web.memory_info().rss))
        time.sleep(0.5)
    measured.lasted = time.monotonic() - started
    if server.process.poll() is not None:
        measured.errors.append("the server ended")
    return measured


def labels_for(grid_of: Path, folder: Path, count: int) -> list[Path]:
    """Write different labels on the grid of an image: a ball of tumor that moves."""
    image = load(grid_of)
    where = np.indices(image.shape).reshape(3, -1).T
    files = []
    for number in range(count):
        middle = np.array(image.shape) / 2 + [2.0 * number - count, 0, 0]
        distance = np.linalg.norm(where - middle, axis=1).reshape(image.shape)
        label = np.select([distance < 6, distance < 10, distance < 16], [1, 3, 2], 0).astype(np.uint8)
        files.append(folder / f"{grid_of.parent.name}-{number}.nii.gz")
        nibabel.save(nibabel.Nifti1Image(label, image.affine), files[-1])
    return files


def main() -> int:
    """Run the long version; 0 if the server kept what it is held to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--model", type=Path, default=BUNDLED_MODELS)
    parser.add_argument("--no-training", action="store_true", help="no training runs meanwhile")
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tumorloop-soak-") as name:
        folder = Path(name)
        for case in CASES:
            synthetic.write_case(folder / "studies", case)
        with serving(folder / "studies", folder / "workspace", given.model, "--log-level", "WARNING") as server:
            grids, samples = {name: server.volumes(name)["t1ce"] for name in CASES[:2]}, []
            for seed in (1, 2):  # of the size of a real head
                samples.append(accepted(server.request("POST", "/samples", json={"seed": seed}))["id"])
                grids[samples[-1]] = server.workspace / "uploads" / samples[-1] / "t1ce.nii.gz"
            labels = {name: labels_for(path, folder, 6) for name, path in grids.items()}
            if not given.no_training:
                server.begin_training(CASES[3])
            measured = soak(server, given.seconds, given.clients, [*CASES, *samples], labels)
    kept = not measured.errors and measured.percentile("info", 0.99) < INFO_P99_SECONDS
    kept = kept and abs(measured.growth()) < MEMORY_GROWTH
    report = {**measured.report(), "clients": given.clients, "training": not given.no_training, "kept": kept}
    text = json.dumps({**report, "load_at_the_end": os.getloadavg()[1], "cores": os.cpu_count()}, indent=2)
    print(text)
    if given.out is not None:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(text + "\n")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
