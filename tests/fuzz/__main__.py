"""``python -m tests.fuzz``: thousands of made-up requests to our server; exit 1 if one was answered with 500 or not."""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from tests.fuzz.fuzzing import Tally, fuzz


def main(
    count: Annotated[int, typer.Option(help="Requests, at least.")] = 5000,
    seed: Annotated[int, typer.Option(help="Other requests for another one.")] = 0,
) -> None:
    """Fuzz our server."""
    from tests import synthetic
    from tests.server_app.conftest import CASES, serving, untrained_model

    with tempfile.TemporaryDirectory(prefix="tumorloop-fuzz-") as folder:
        place, begun = Path(folder), time.monotonic()
        for name in CASES[:2]:
            synthetic.write_case(place / "studies", name)
        model = untrained_model(place / "model", base_filters=4, max_filters=16, levels=2)
        with serving(place / "studies", place / "workspace", model) as server:
            tallies = fuzz(server.url, count, known_values(CASES[0]), seed=seed)
            alive = server.request("GET", "/info/").status_code == 200
            if any(tally.faults for tally in tallies.values()):
                typer.echo(server.log.read_text(errors="replace")[-20_000:])
    faults = show(tallies)
    typer.echo(f"{time.monotonic() - begun:.0f} s; the server {'goes on' if alive else 'is gone'}.")
    sys.exit(0 if alive and not faults else 1)


def known_values(case: str) -> dict[str, str]:
    """Return real values for the parameters of the routes."""
    real = {"model": "tumorloop", "version": "v0000", "tag": "final", "role": "t1", "strategy": "first"}
    return real | dict.fromkeys(("case_id", "image", "id", "label"), case)


def show(tallies: Mapping[str, Tally]) -> int:
    """Print the table; return the number of faults."""
    total: Counter[int] = Counter()
    for name, tally in sorted(tallies.items()):
        total.update(tally.statuses)
        statuses = ", ".join(f"{count} x {status}" for status, count in sorted(tally.statuses.items()))
        typer.echo(f"{name:45} {tally.count:5}  {tally.slowest:6.2f} s at most  {statuses}")
        for fault in tally.faults[:5]:
            typer.secho(f"    {fault}", fg="red")
    faults = sum(len(tally.faults) for tally in tallies.values())
    said = ", ".join(f"{count} x {status}" for status, count in sorted(total.items()))
    typer.echo(f"{total.total()} requests to {len(tallies)} routes: {said}. {faults} faults.")
    return faults


if __name__ == "__main__":
    typer.run(main)
