"""The first name that stands more than once, also among very many."""

from __future__ import annotations

import time

from training.repeated import first_repeated


def test_the_first_repeated_name_is_found_among_a_hundred_thousand_in_no_time() -> None:
    names = [str(number) for number in range(100_000)]
    started = time.perf_counter()
    assert first_repeated([*names, "b", "a", "a", "b"]) == "b"
    assert first_repeated(names) is None
    assert time.perf_counter() - started < 5
