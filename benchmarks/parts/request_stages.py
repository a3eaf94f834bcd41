"""Where the time of a request goes: a span for each stage, from the server's ``Server-Timing`` and from the client."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import requests
from TumorLoopLib.files.nrrd import write_nrrd

from benchmarks.context import Context
from benchmarks.heads import head, write_head
from benchmarks.outcome import Outcome, median_of
from benchmarks.server import serving, warm_up

#: The stages in the order in which a request passes them, and what each is.
STAGES = {
    "upload": "upload: receiving the form",
    "store": "storing and checking the files",
    "hash": "hashing the images, to know the case again",
    "read": "reading headers and voxels",
    "decompress": "decompressing (all threads together)",
    "preprocess": "is registering or stripping needed?",
    "mask": "brain mask",
    "resample": "resampling to the working grid",
    "check": "plausibility checks",
    "crop": "cropping and normalizing",
    "network": "network",
    "labelmap": "labelmap, volumes, expected Dice",
    "maps": "probability maps",
    "compress": "compressing and writing the labelmap",
    "rest": "all else: queue, processes, JSON, HTTP",
    "download": "download",
}


def measure(context: Context) -> Outcome:
    """Send new cases and collect the spans."""
    rounds = context.choose(5, 1)
    cases = [write_head(context.work / "cases" / str(number), shift=number) for number in range(rounds)]
    done = context.counter(rounds)
    spans, totals, panel = [], [], []
    with serving(context.work) as running:
        warm_up(running, context.work / "cases")
        for case in cases:
            found, total = request_spans(running.server.address, case)
            spans.append(found)
            totals.append(total)
            panel.append(_panel_writes(context.work / "panel"))
            done()
    names = [name for name in STAGES if any(name in found for found in spans)]
    names += sorted({name for found in spans for name in found} - set(STAGES))
    figures = [median_of(STAGES.get(name, name), [found.get(name, 0.0) for found in spans]) for name in names]
    figures.append(median_of("all of the request", totals))
    figures.append(median_of("before it, in 3D Slicer: writing four .nrrd", panel))
    return Outcome(figures, remarks=[_REMARK])


def request_spans(server: str, files: Mapping[str, Path]) -> tuple[dict[str, float], float]:
    """Upload a case and have it segmented; return the seconds of each stage, and of all together."""
    began = time.perf_counter()
    parts = [("files", (path.name, path.read_bytes())) for path in files.values()]
    sent = _accepted(requests.put(f"{server}/session/", files=parts, timeout=600))
    query = {"session_id": sent.json()["session_id"], "output": "image"}
    asked = {"params": json.dumps({"result_extension": ".nrrd"})}
    answer = _accepted(requests.post(f"{server}/infer/tumorloop", params=query, data=asked, timeout=600, stream=True))
    at_download = time.perf_counter()
    assert answer.content
    ended = time.perf_counter()
    spans = {"download": ended - at_download}
    for one in (sent, answer):
        for name, seconds in parse_timing(one.headers["Server-Timing"]).items():
            if name != "total":
                spans[name] = spans.get(name, 0.0) + seconds
    total = ended - began
    spans["rest"] = max(0.0, total - sum(spans.values()))
    return spans, total


def parse_timing(header: str) -> dict[str, float]:
    """Return the seconds of each stage in a header ``Server-Timing``."""
    found = {}
    for one in header.split(","):
        name, _, value = one.strip().partition(";dur=")
        found[name] = float(value) / 1000
    return found


def _panel_writes(folder: Path) -> float:
    """Write the volumes as the panel does before it sends them; return the seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    volumes = {role: (np.ascontiguousarray(one.data.T), one.grid.affine) for role, one in head().items()}
    began = time.perf_counter()
    for role, (array, affine) in volumes.items():
        write_nrrd(folder / f"{role}.nrrd", array, affine)
    return time.perf_counter() - began


def _accepted(answer: requests.Response) -> requests.Response:
    if answer.status_code != 200:
        raise RuntimeError(f"The server refused: {answer.status_code} {answer.text[:300]}")
    return answer


_REMARK = (
    "The spans are the server's own (header `Server-Timing` of every reply, and `spans` in the result); upload, "
    "rest and download are seen from the client on the same machine. Stages that run in several threads are added "
    "up."
)
