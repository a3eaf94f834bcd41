"""``python -m tests.attack --out attack``: all attacks on both servers, and the table; exit 1 if ours let one pass."""

from __future__ import annotations

import platform
import sys
import tempfile
import time
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from tests.attack import access, addresses, answers, bodies, files, headers, report, traffic
from tests.attack.attack import Attack, find
from tests.attack.report import Row
from tests.attack.targets import SHORT, Target, our_server, stock_server
from training import __version__


def all_attacks() -> list[Attack]:
    """Return all attacks, in the order of the table."""
    return [
        attack for part in (addresses, files, headers, bodies, answers, traffic, access) for attack in part.attacks()
    ]


def run(attacks: list[Attack], ours: Target, with_tokens: Target, stock: Target | None) -> list[Row]:
    rows = []
    for number, attack in enumerate(attacks, start=1):
        theirs = find(attack, stock) if stock is not None else None
        found = find(attack, with_tokens if attack.tokens else ours)
        rows.append(Row(attack, theirs, found))
        said = f"{theirs.verdict.value} / {found.verdict.value}" if theirs else found.verdict.value
        typer.secho(f"{number:3} {attack.name}: {said}", fg=None if found.good else "red")
    return rows


def main(
    out: Annotated[Path, typer.Option(help="Folder for attacks.md and attacks.html.")] = Path("attack"),
    ours_only: Annotated[bool, typer.Option(help="Leave stock MONAI Label out.")] = False,
) -> None:
    """Attack a stock MONAI Label server and ours."""
    from tests.server_app.conftest import untrained_model

    begun = time.monotonic()
    folder = tempfile.TemporaryDirectory(prefix="tumorloop-attack-", ignore_cleanup_errors=True)
    with folder as name, ExitStack() as servers:
        box = Path(name)
        model = untrained_model(box / "model", base_filters=4, max_filters=16, levels=2)
        stock = None if ours_only else servers.enter_context(stock_server(box / "stock"))
        ours = servers.enter_context(our_server(box / "ours", model))
        with_tokens = servers.enter_context(our_server(box / "tokens", model, tokens=True))
        rows = run(all_attacks(), ours, with_tokens, stock)
    limits = ", ".join(f"{name} {value}" for name, value in SHORT.items())
    about = f"Python {platform.python_version()}; {time.monotonic() - begun:.0f} s; shortened for this run: {limits}."
    report.write(rows, out, {"stock": version("monailabel"), "ours": __version__}, about)
    typer.echo(f"{report.summary(rows)} Written: {out / 'attacks.html'}")
    sys.exit(0 if all(row.ours.good for row in rows) else 1)


if __name__ == "__main__":
    typer.run(main)
