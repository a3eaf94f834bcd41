"""Start and memory of the server: idle, during a request, during a training; against MONAI Label with the bundle."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import requests

from benchmarks.context import Context
from benchmarks.heads import head, label, write_head
from benchmarks.measure import MemoryWatch
from benchmarks.outcome import Figure, Outcome, rounded
from benchmarks.peers.monai_label import serving_bundle
from benchmarks.server import Running, serving, warm_up
from training.images.write import write_labelmap
from training.labels import LABEL_NAMES

_QUIET_SECONDS = 8.0
#: A short training; what it needs at its peak does not depend on its length.
_TRAINING = {"max_epochs": 1, "steps_per_epoch": 4, "replay": 2, "derived": 1, "judge_phantoms": 1}
_PEER = "MONAI Label with the bundle"


def measure(context: Context) -> Outcome:
    """Measure our server, then MONAI Label's: both at once might not fit into memory."""
    trains = context.choose(True, False)
    done = context.counter(2 * (3 + trains))
    with serving(context.work / "own") as running:
        own = _own(running, context.work / "own", trains, done)
    image = np.stack([volume.data for volume in head().values()], axis=-1)
    with serving_bundle(context.work / "peer", image, label().data) as (server, started):
        peer = measure_bundle(server.address, server.pid, trains, done)
        peer["start of the server, until it answers"] = started
    figures = []
    for name, value in own.items():
        is_memory = "memory" in name
        figures.append(
            Figure(
                name,
                rounded(value),
                "MiB" if is_memory else "s",
                peer=_PEER,
                peer_value=rounded(peer[name]) if name in peer else None,
                bar="lower" if is_memory else "",
                kept=value < peer[name] if is_memory and name in peer else None,
            )
        )
    failed = (
        [] if set(own) <= set(peer) else ["MONAI Label's training failed, so there is nothing to compare ours with."]
    )
    return Outcome(figures, remarks=[_REMARK, *failed])


def _own(running: Running, work: Path, trains: bool, done: Callable[[], None]) -> dict[str, float]:
    watch, client = MemoryWatch(running.server.pid), running.client
    found = {"start of the server, until it answers": running.started}
    done()
    warm_up(running, work / "cases", requests=1)
    time.sleep(_QUIET_SECONDS)
    found["memory of the idle server, a model loaded"] = watch.now()
    done()
    files = write_head(work / "cases" / "0")
    with watch.watching():
        client.infer(session_id=client.create_session(files), folder=work / "answers")
    found["peak memory of a request"] = watch.peak
    done()
    if trains:
        client.upload_case("head", files)
        truth = write_labelmap(label(), work / "truth.nii.gz")
        named = [{"name": name, "idx": value} for name, value in LABEL_NAMES.items()]
        client.save_label("head", truth, {"label_info": named, "comment": "the truth"})
        with watch.watching():
            client.train(params=_TRAINING)
            _until_ended(lambda: str((client.train_status() or {}).get("status")))
        found["peak memory of a training"] = watch.peak
        done()
    return found


def measure_bundle(address: str, pid: int, trains: bool, done: Callable[[], None]) -> dict[str, float]:
    """Measure the memory of MONAI Label's server and its processes, in MiB, by what they did."""
    watch, found = MemoryWatch(pid), {}
    done()
    where = {"image": "head", "output": "image"}

    def segment() -> None:
        answer = requests.post(f"{address}/infer/bundle", params=where, data={"params": "{}"}, timeout=1800)
        if answer.status_code != 200:
            raise RuntimeError(f"MONAI Label does not segment: {answer.status_code} {answer.text[:300]}")

    with watch.watching():
        segment()
    found["peak memory of a request"] = watch.peak
    done()
    time.sleep(_QUIET_SECONDS)
    found["memory of the idle server, a model loaded"] = watch.now()
    done()
    if trains:
        params: dict[str, Any] = {"max_epochs": 1, "val_split": 0.0, "dataset": "Dataset", "tracking": "None"}
        # a failure of the peer must not discard what was measured of our server for minutes
        with contextlib.suppress(RuntimeError), watch.watching():
            requests.post(f"{address}/train/bundle", json=params, timeout=60).raise_for_status()
            _until_ended(lambda: str(requests.get(f"{address}/train/", timeout=60).json().get("status")))
            found["peak memory of a training"] = watch.peak
        done()
    return found


def _until_ended(status: Callable[[], str], limit: float = 1800.0) -> None:
    ends = time.monotonic() + limit
    while (now := status()) not in ("DONE", "ERROR", "STOPPED"):
        if time.monotonic() > ends:
            raise RuntimeError(f"The training did not end within {limit:.0f} s.")
        time.sleep(1.0)
    if now != "DONE":
        raise RuntimeError(f"The training ended with {now}.")


_REMARK = (
    "All processes of the server together; pages that several of them share count in each. MONAI Label runs an "
    "app with the bundle's network, transforms and sliding window, random weights. Its training takes one crop of "
    "128 x 128 x 112 voxels a step, as many as our two patches of 96 voxels cubed; the bundle's own crop, 224 x "
    "224 x 144, has four times as many."
)
