"""``make crash``: kill the server at random moments, and write down what was found."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from tests.crash.kills import LATEST, Outcome, run
from tests.server_app.conftest import untrained_model


def crash(
    kills: Annotated[int, typer.Option(help="How often the server is killed.", min=1)] = 50,
    seed: Annotated[int, typer.Option(help="Of the moments.")] = 1,
    out: Annotated[Path, typer.Option(help="Where crash.json and crash.md go.")] = Path("build/crash"),
) -> None:
    """Kill a real server with -9 at random moments while three clients submit labels; exit with 1 if any is lost."""
    with tempfile.TemporaryDirectory(prefix="crash-") as folder:
        model = untrained_model(Path(folder) / "model", base_filters=4, max_filters=16, levels=2)
        outcome = run(Path(folder) / "server", model, kills, seed, report=lambda text: print(text, flush=True))
    out.mkdir(parents=True, exist_ok=True)
    (out / "crash.json").write_text(json.dumps(outcome.to_json(), indent=2) + "\n", encoding="utf-8")
    (out / "crash.md").write_text(table(outcome), encoding="utf-8")
    print(table(outcome))
    sys.exit(0 if outcome.good else 1)


def table(outcome: Outcome) -> str:
    """Say in Markdown what was found."""
    kills = outcome.kills
    ready = sorted(kill.ready for kill in kills)
    rows = [
        ("kills with -9", len(kills)),
        ("moments, seconds after the first label of a round", f"0 to {LATEST} (seed {outcome.seed})"),
        ("times the store opened afterwards", f"{outcome.opened - 1} of {len(kills)}"),
        ("labels acknowledged", sum(kill.acknowledged for kill in kills)),
        ("of these lost or changed", sum(len(kill.lost) for kill in kills)),
        ("labels stored that nobody could be told of", kills[-1].unannounced if kills else 0),
        ("versions half-written", sum(len(kill.damaged) for kill in kills)),
        ("folders under way when the server died, never seen", max((kill.unfinished for kill in kills), default=0)),
        ("label versions at the end", outcome.versions),
        ("`check` at the end", "sound" if outcome.sound else "; ".join(outcome.findings)),
        ("seconds to start on what was left, median and most", f"{ready[len(ready) // 2]:.1f}, {ready[-1]:.1f}"),
    ]
    lines = ["| Measured | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    typer.run(crash)
