"""Measuring in turns, memory of several processes, and processes of their own."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from functools import partial

import numpy as np
import pytest

from benchmarks.alone import Alone, peak_mib
from benchmarks.context import Context
from benchmarks.measure import MemoryWatch, in_turns
from benchmarks.outcome import median_of
from benchmarks.peers import without_tensorflow

_HUNDRED_MIB = 100 * 2**20


def _hold() -> int:
    return int(np.ones(_HUNDRED_MIB, np.uint8).sum())


def test_in_every_round_each_is_measured_once_and_the_order_alternates() -> None:
    order: list[str] = []
    counted: list[int] = []

    def run(name: str, number: int) -> int:
        order.append(name)
        return number

    found = in_turns(3, {name: partial(run, name) for name in "ab"}, lambda: counted.append(1))

    assert "".join(order) == "abbaab"
    assert found == {"a": [0, 1, 2], "b": [0, 1, 2]}
    assert len(counted) == 6


def test_a_process_of_its_own_keeps_its_state_and_its_memory_to_itself() -> None:
    with Alone() as other:
        assert other.call(os.getpid) == other.call(os.getpid) != os.getpid()
        before = other.peak_mib()
        timed = other.timed(_hold)
        assert timed.result == _HUNDRED_MIB
        assert timed.cpu > 0
        assert 90 < other.peak_mib() - before < 200


def test_peers_run_without_tensorflow() -> None:
    with Alone(without_tensorflow) as peer, pytest.raises(ImportError):
        peer.call(importlib.import_module, "tensorflow")


def test_the_peak_is_that_of_the_process_and_not_of_the_one_that_started_it() -> None:
    large = np.ones(_HUNDRED_MIB, np.uint8)
    with Alone() as other:
        assert other.peak_mib() < peak_mib() - 50
    assert large[-1]


def test_the_memory_of_child_processes_counts() -> None:
    watch = MemoryWatch(os.getpid())
    before = watch.now()
    hold = "x = bytearray(b'1' * 100 * 2**20); print(len(x), flush=True); input()"
    with watch.watching(0.01), subprocess.Popen(
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:  # fmt: skip
        assert child.stdout is not None
        assert child.stdin is not None
        child.stdout.readline()
        assert watch.now() > before + 90
        child.stdin.close()

    assert watch.peak > before + 90


def test_a_figure_has_the_median_of_its_runs_and_their_range() -> None:
    one = median_of("step", [3.0, 1.0, 2.0], cpu=[5.0], peer="PyTorch", peer_value=4.0)

    assert (one.value, one.low, one.high, one.runs, one.cpu) == (2.0, 1.0, 3.0, 3, 5.0)
    assert one.ratio == 2.0


def test_a_quick_run_chooses_the_smaller_value_and_progress_ends_at_one(tmp_path: os.PathLike[str]) -> None:
    shares: list[float] = []
    context = Context(tmp_path, quick=True, report=shares.append)  # type: ignore[arg-type]
    count = context.counter(context.choose(4, 2))
    for _ in range(3):
        count()

    assert shares == [0.5, 1.0, 1.0]
