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
_STARTS = "start of the server, until it answers"
#: A short training; what it needs at its peak does not depend on its length.
_TRAINING = {"max_epochs": 1, "steps_per_epoch": 4, "replay": 2, "derived": 1, "judge_phantoms": 1}
_PEER = "MONAI Label with the bundle"
_TRAINS, _SAME_VOXELS = "peak memory of a training", "the same, the bundle with as many voxels a step as we"
#: As many voxels as two patches of 96 voxels cubed.
_SAME_CROP = [128, 128, 112]


def measure(context: Context) -> Outcome:
    """Measure our server, then MONAI Label's: both at once might not fit into memory."""
    trains = context.choose(True, False)
    done = context.counter(6 + 3 * trains)
    with serving(context.work / "own") as running:
        own = _own(running, context.work / "own", trains, done)
    image = np.stack([volume.data for volume in head().values()], axis=-1)
    with serving_bundle(context.work / "peer", image, label().data) as (server, started):
        peer = measure_bundle(server.address, server.pid, trains, done)
        peer[_STARTS] = started
    figures = []
    for name, value in own.items():
        has_bar = name not in (_STARTS, _SAME_VOXELS)
        figures.append(
            Figure(
                name,
                rounded(value),
                "s" if name == _STARTS else "MiB",
                peer=_PEER,
                peer_value=rounded(peer[name]) if name in peer else None,
                bar="lower" if has_bar else "",
                kept=value < peer[name] if has_bar and name in peer else None,
            )
        )
    failed = (
        [] if set(own) <= set(peer) else ["MONAI Label's training failed, so there is nothing to compare ours with."]
    )
    return Outcome(figures, remarks=[_REMARK, *failed])


def _own(running: Running, work: Path, trains: bool, done: Callable[[], None]) -> dict[str, float]:
    watch, client = MemoryWatch(running.server.pid), running.client
    found = {_STARTS: running.started}
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
        found[_TRAINS] = found[_SAME_VOXELS] = watch.peak
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
    for name, crop in {_SAME_VOXELS: _SAME_CROP, _TRAINS: None}.items() if trains else ():
        params: dict[str, Any] = {"max_epochs": 1, "val_split": 0.0, "dataset": "Dataset", "tracking": "None"}
        # a failure of the peer must not discard what was measured of our server for minutes
        with contextlib.suppress(RuntimeError), watch.watching():
            sent = {**params, "name": name.replace(" ", "-"), **({"crop": crop} if crop else {})}
            requests.post(f"{address}/train/bundle", json=sent, timeout=60).raise_for_status()
            _until_ended(lambda: str(requests.get(f"{address}/train/", timeout=60).json().get("status")))
            found[name] = watch.peak
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
    "app with the bundle's network, transforms, sliding window and crop (224 x 224 x 144 voxels a step), random "
    "weights. Ours trains on two patches of 96 voxels cubed, which is a quarter; so the bundle is measured with a "
    "crop of 128 x 128 x 112 as well."
)
