"""Sending made-up requests, and counting what comes back."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.core.result import Ok

#: Seconds within which every request must be answered.
PATIENCE = 180.0
#: Routes of which a valid request takes seconds of computing, with the most requests they get.
EXPENSIVE = {"POST /samples": 2, "POST /batch/infer/{model}": 4, "POST /infer/{model}": 100}


@dataclass
class Tally:
    """What came back on one route."""

    statuses: Counter[int] = field(default_factory=Counter)
    slowest: float = 0.0
    faults: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        return self.statuses.total()


def fuzz(
    url: str, count: int, known: Mapping[str, str], *, seed: int = 0, leave_out: Collection[str] = ()
) -> dict[str, Tally]:
    """Send at least so many made-up requests to a server; return tallies by route, as ``GET /cases/{case_id}``.

    ``known`` holds real values by the parameter's name.
    """
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    names = {operation.label: operation for operation in operations if operation.label not in leave_out}
    cheap = [name for name in names if name not in EXPENSIVE]
    planned = {name: min(EXPENSIVE[name], -(-count // len(names))) for name in names if name in EXPENSIVE}
    planned |= dict.fromkeys(cheap, -(-(count - sum(planned.values())) // len(cheap)))
    tallies = {name: Tally() for name in names}
    for name, operation in names.items():
        half = -(-planned[name] // 2)
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            _send_all(operation.as_strategy(generation_mode=mode), half, url, known, tallies[name], seed)
    for turn in range(1, 20):  # make up for the routes of which there are not so many different requests
        missing = count - sum(tally.count for tally in tallies.values())
        for name in cheap if missing > 0 else ():
            strategy = names[name].as_strategy(generation_mode=GenerationMode.POSITIVE)
            _send_all(strategy, -(-missing // len(cheap)), url, known, tallies[name], seed + turn)
    return tallies


def _send_all(
    strategy: st.SearchStrategy[Case], count: int, url: str, known: Mapping[str, str], tally: Tally, seed: int
) -> None:
    session = requests.Session()

    quiet: dict[str, Any] = {"database": None, "deadline": None, "suppress_health_check": list(HealthCheck)}

    @seeded(seed)
    @settings(max_examples=count, phases=[Phase.generate], **quiet)
    @given(case=strategy, real=st.integers(0, 3))
    def send(case: Case, real: int) -> None:
        if real:  # three of four times
            _make_real(case, known)
        _send(lambda: case.call(base_url=url, session=session, timeout=PATIENCE), case, tally)

    with contextlib.suppress(Unsatisfiable):  # of a route without parameters, no request is wrong
        send()


def _make_real(case: Case, known: Mapping[str, str]) -> None:
    for values in (case.path_parameters, case.query):
        for name in values if isinstance(values, dict) else ():
            if name in known:
                values[name] = known[name]


def _send(call: Callable[[], Any], case: Case, tally: Tally) -> None:
    started = time.monotonic()
    try:
        status = int(call().status_code)
    except requests.Timeout:
        status = -1
    except requests.ConnectionError:
        status = 0
    tally.statuses[status] += 1
    tally.slowest = max(tally.slowest, time.monotonic() - started)
    # 503 is said on purpose, of a queue that is full; what is no HTTP at all is answered by closing.
    if status < 200 or (status >= 500 and status != 503):
        tally.faults.append(f"{status}: {case.as_curl_command()[:600]}")
