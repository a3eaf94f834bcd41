"""Seconds per stage."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from training.spans import add_spans, in_threads, recorded, span


def test_a_span_within_another_is_subtracted_from_it() -> None:
    with recorded() as spans, span("read"):
        time.sleep(0.02)
        with span("decompress"):
            time.sleep(0.05)

    assert spans.seconds["decompress"] == pytest.approx(0.05, abs=0.03)
    assert spans.seconds["read"] < spans.seconds["decompress"]


def test_the_same_stage_twice_is_added_up_and_a_failed_one_counts() -> None:
    with recorded() as spans:
        for _ in range(2):
            with span("mask"):
                time.sleep(0.01)
        with pytest.raises(ValueError, match="damaged"), span("read"):
            raise ValueError("damaged")

    assert spans.seconds["mask"] >= 0.02
    assert list(spans.seconds) == ["mask", "read"]


def test_nothing_is_recorded_outside_of_a_recording() -> None:
    with recorded() as spans:
        pass
    with span("late"):
        add_spans({"later": 1.0})

    assert spans.seconds == {}


def test_threads_belong_to_the_recording_that_started_them() -> None:
    def decompress(_: int) -> None:
        with span("decompress"):
            time.sleep(0.01)

    with recorded() as spans, ThreadPoolExecutor(4) as pool:
        list(pool.map(in_threads(decompress), range(8)))
        list(pool.map(decompress, range(8)))  # not part of it

    assert 0.08 <= spans.seconds["decompress"] < 0.8


def test_the_seconds_of_another_process_are_added() -> None:
    with recorded() as spans:
        add_spans({"network": 1.25})
        add_spans({"network": 1.0004})

    assert spans.rounded() == {"network": 2.25}


def test_a_recording_within_another_keeps_its_spans_to_itself() -> None:
    with recorded() as outer, recorded() as inner, span("network"):
        pass

    assert "network" in inner.seconds
    assert outer.seconds == {}
