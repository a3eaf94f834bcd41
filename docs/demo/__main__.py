"""The command line of the demo."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from TumorLoopLib.client import TumorLoopClient
from TumorLoopLib.client.errors import ClientError

from docs.demo.cases import DemoCases, labeled_cases, make_phantoms, prepare_folder
from docs.demo.loop import DemoFailed, Loop
from docs.demo.report import write_report
from docs.demo.server import running_server
from docs.demo.terminal import Terminal
from training.errors import InputError

app = typer.Typer(add_completion=False)


@app.command()
def main(
    cases: Annotated[
        Path | None, typer.Option(help="Folder of labeled cases to use instead of phantoms; only read.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Where the report and everything else goes.")] = Path("demo"),
    corrections: Annotated[
        int | None, typer.Option(min=1, help="How many cases to correct; default is 1 phantom, or 2 real cases.")
    ] = None,
    phantoms: Annotated[int, typer.Option(min=1, help="How many phantoms to generate.")] = 2,
    seed: Annotated[int, typer.Option(help="Of the phantoms.")] = 2026,
    epochs: Annotated[int | None, typer.Option(min=1, help="Of the retraining; default is the server's.")] = None,
    keep_running: Annotated[bool, typer.Option(help="Leave the server running at the end.")] = False,
) -> None:
    """Walk through the whole loop on a real server: segment, correct, submit, retrain, segment again.

    Ends with exit code 0 only if every step succeeded and every corrected case is segmented better than before;
    with 1 if not, and with 2 if a folder cannot be used.

    Two ways to run it:

      python -m docs.demo

      python -m docs.demo --cases ../cases --out /tmp/demo --keep-running
    """
    console = Console()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        prepare_folder(out, cases)
        demo_cases = _cases(cases, out, phantoms, seed, console)
        params = {} if epochs is None else {"max_epochs": epochs}
        code = _run(demo_cases, out, console, corrections or (1 if cases is None else 2), params, keep_running)
    except InputError as error:
        console.print(f"[red]{escape(error.message)}[/red]", highlight=False)
        raise typer.Exit(2) from error
    except KeyboardInterrupt:
        console.print("Interrupted; the server is stopped.")
        raise typer.Exit(130) from None
    raise typer.Exit(code)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _cases(cases: Path | None, out: Path, phantoms: int, seed: int, console: Console) -> DemoCases:
    if cases is not None:
        title = "Registering and stripping raw studies"
        with console.status("Looking for cases") as status:
            found = labeled_cases(cases, out, lambda done, total: status.update(f"{title}: {done + 1} of {total}"))
        for note in found.notes:
            console.print(f"[yellow]Left out:[/yellow] {escape(note)}", highlight=False)
        return found
    title = "Generating synthetic patients"
    with console.status(title) as status:
        made = make_phantoms(out, phantoms, seed, lambda done, total: status.update(f"{title}: {done} of {total}"))
    console.print(f"[green]✓[/green] Generated {phantoms} synthetic patients", highlight=False)
    return made


def _run(
    cases: DemoCases, out: Path, console: Console, corrections: int, params: dict[str, Any], keep_running: bool
) -> int:
    """Start the server, walk through the loop, write the report; return the exit code."""
    started, failure, log = time.perf_counter(), "", out / "server.log"
    terminal = Terminal(console)
    with running_server(cases.folder, out / "workspace", log, keep_running=keep_running) as server:
        loop = Loop(TumorLoopClient(server.address, user="demo"), cases, out, terminal, corrections, params)
        try:
            loop.wait_for(server)
            loop.run()
        except (DemoFailed, ClientError, InputError) as error:
            failure = str(error)
        last_lines = log.read_text("utf-8", "replace").splitlines()[-15:]
    if loop.record.cases:
        terminal.tables(loop.record)
    report = write_report(loop.record, out, failure=failure, seconds=time.perf_counter() - started)
    console.print(f"Report: {escape(str(report))}", highlight=False)
    if keep_running:
        console.print(f"The server is still at {server.address}; stop it with: kill {server.pid}", highlight=False)
    if not failure:
        return 0
    console.print(f"\n[red]The demo failed.[/red] {escape(failure)}", highlight=False)
    tail = escape("\n".join(last_lines))
    console.print(f"\nEnd of {escape(str(log))}:\n{tail}", style="dim", highlight=False, soft_wrap=True)
    return 1


if __name__ == "__main__":
    app()
