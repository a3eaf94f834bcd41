"""Many cases through Ray on this machine: two workers against one, with a worker killed, and what a case costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from benchmarks.context import Context
from benchmarks.outcome import Curve, Figure, Outcome, rounded
from training.cases.case import Case
from training.cases.find import find_cases
from training.cli.label_format import label_format
from training.cli.predict_case import PredictJob, predict_elsewhere
from training.cli.ray import segmenting_gigabytes
from training.cluster.connection import connect
from training.cluster.jobs import RayCluster
from training.hashes import file_sha256
from training.models import BUNDLED_MODELS
from training.models.bundle import model_folder, read_bundle
from training.models.store import read_version
from training.parallel import map_unordered
from training.phantoms.files import write_cases
from training.prediction.lazy import LazySegmenter

#: What the project wants of two workers.
FASTER = 1.7
#: Names of the figures from which ``docs/cluster.md`` is computed.
GENERATE, SEGMENT, START, WORKER_MEMORY, RAY_MEMORY = (
    "a phantom, processor time",
    "a case segmented, processor time",
    "start of a Ray on this machine",
    "largest memory of a worker that segments",
    "memory of Ray beside its workers",
)


def measure(context: Context) -> Outcome:
    """Generate phantoms with one and with two workers and with one killed, and segment some of them."""
    count, segmented = context.choose(64, 4), context.choose(12, 2)
    done = context.counter(3 * count + 2 * segmented)
    told: list[str] = []
    started = time.perf_counter()
    with connect(workers=2, tell=told.append) as two:
        start = time.perf_counter() - started
        ray_memory = sum(_memory(child) for child in two.children)
        one = replace(two, workers=1)
        two = replace(two, workers=2)
        _warm(two, context.work)
        folders = {name: context.work / name for name in ("one", "two", "killed")}
        runs = {
            "1 worker": _phantoms(one, folders["one"], count, done),
            "2 workers": _phantoms(two, folders["two"], count, done),
        }
        killed = _phantoms(two, folders["killed"], count, done, kill_after=count // 4)
        equal = _hashes(folders["one"]) == _hashes(folders["two"]) == _hashes(folders["killed"])
        predictions = {
            "1 worker": _segmented(one, folders["one"], context.work / "s1", segmented, done),
            "2 workers": _segmented(two, folders["one"], context.work / "s2", segmented, done),
        }
        same = _hashes(context.work / "s1") == _hashes(context.work / "s2")
        worker_memory = max((_memory(process) for process in _workers(two)), default=0)
    again = any("computed again" in text for text in told)
    return Outcome(
        [
            _against(f"{count} phantoms, 2 workers", runs, FASTER),
            Figure(
                f"{count} phantoms, one of 2 workers killed",
                rounded(killed[-1][1]),
                peer="none killed",
                peer_value=rounded(runs["2 workers"][-1][1]),
                bar="complete and equal, bit for bit",
                kept=equal and again,
            ),
            replace(_against(f"{segmented} cases segmented, 2 workers", predictions, FASTER), bar="", kept=None),
            Figure("results of both, bit for bit", float(same), unit="(1: equal)", bar="equal", kept=same),
            Figure(GENERATE, _cost(runs)),
            Figure(SEGMENT, _cost(predictions)),
            Figure(START, rounded(start)),
            Figure(WORKER_MEMORY, rounded(worker_memory / 2**20), unit="MiB"),
            Figure(RAY_MEMORY, rounded(ray_memory / 2**20), unit="MiB"),
        ],
        curves=[
            Curve("Phantoms through Ray", "cases", "seconds", runs),
            Curve("Cases segmented through Ray", "cases", "seconds", predictions),
        ],
        remarks=[_REMARK],
    )


_REMARK = (
    "One Ray with two CPUs for all of it; its start is told apart. With one worker, one job is given to it at a time. "
    "The processor time of a case is the time of one worker divided by the cases: a worker computes in one thread."
)

_Run = list[tuple[float, float]]


def _phantoms(cluster: RayCluster, folder: Path, count: int, done: Callable[[], None], *, kill_after: int = 0) -> _Run:
    """Return the seconds after which each number of phantoms was there; a worker is killed after some."""
    points: _Run = []
    started = time.perf_counter()

    def on_progress(number: int, _: int) -> None:
        points.append((float(number), time.perf_counter() - started))
        done()
        if number == kill_after:
            next(_workers(cluster)).kill()

    write_cases(folder, count, workers=cluster.needing(gigabytes=1.0, shared=folder), on_progress=on_progress)
    return _thinned(points)


def _segmented(cluster: RayCluster, cases: Path, output: Path, count: int, done: Callable[[], None]) -> _Run:
    """Return the seconds after which each number of cases was segmented."""
    found = find_cases(cases)[0][:count]
    cluster = cluster.needing(gigabytes=segmenting_gigabytes(), shared=output)
    # the first case of a worker loads TensorFlow and the network, which a cohort does once
    list(
        map_unordered(
            predict_elsewhere, _jobs(found[:2], output.parent / f"{output.name}-warm"), replace(cluster, workers=2)
        )
    )
    points: _Run = []
    started = time.perf_counter()
    for number, _ in enumerate(map_unordered(predict_elsewhere, _jobs(found, output), cluster), start=1):
        points.append((float(number), time.perf_counter() - started))
        done()
    return _thinned(points)


def _jobs(cases: Sequence[Case], output: Path) -> list[PredictJob]:
    version = read_version(model_folder(read_bundle(BUNDLED_MODELS).initial))
    target = label_format(".nii.gz")
    return [
        PredictJob(
            case=case,
            segmenter=LazySegmenter.of(version),
            output=output,
            targets={"label": output / target.file_name(case.id)},
            format=target,
            reference=None,
            brats_values=False,
            options={},
            key="benchmark",
        )
        for case in cases
    ]


def _warm(cluster: RayCluster, work: Path) -> None:
    """Let each worker import what it needs."""
    write_cases(work / "warm-phantoms", 2, workers=cluster.needing(gigabytes=1.0))


def _thinned(points: _Run) -> _Run:
    """Keep the points at powers of two, and the last."""
    return [(x, rounded(y)) for x, y in points if x == points[-1][0] or (int(x) & (int(x) - 1)) == 0]


def _against(name: str, runs: dict[str, _Run], bar: float) -> Figure:
    one, two = runs["1 worker"][-1][1], runs["2 workers"][-1][1]
    return Figure(
        name, two, peer="1 worker", peer_value=one, bar=f"at least {bar:g} times faster", kept=one >= bar * two
    )


def _cost(runs: dict[str, _Run]) -> float:
    number, seconds = runs["1 worker"][-1]
    return rounded(seconds / number)


def _workers(cluster: RayCluster) -> Iterator[psutil.Process]:
    """Yield the processes that compute, the busiest first."""
    found: Sequence[psutil.Process] = [
        child
        for child in psutil.Process().children(recursive=True)
        if child.name().startswith("ray::") and "Agent" not in child.name()
    ]
    yield from sorted(found, key=lambda child: -child.cpu_times().user)


def _memory(process: Any) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def _hashes(folder: Path) -> dict[str, str]:
    found = (path for path in folder.rglob("*.nii.gz") if path.is_file())
    return {path.relative_to(folder).as_posix(): file_sha256(path) for path in found}
