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

from tests.end_to_end.demo.errors import DemoFailed
from tests.end_to_end.demo.loop import Loop
from tests.end_to_end.demo.report import write_report
from tests.end_to_end.demo.server import ServerProcess
from tests.end_to_end.demo.studies import Studies, adopt, make_phantoms, prepare_out
from tests.end_to_end.demo.teller import Teller
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
    phantoms: Annotated[int, typer.Option(min=1, help="How many phantoms to make.")] = 2,
    seed: Annotated[int, typer.Option(help="Of the phantoms.")] = 2026,
    epochs: Annotated[int | None, typer.Option(min=1, help="Of the retraining; default is the server's.")] = None,
    keep_running: Annotated[bool, typer.Option(help="Leave the server up at the end.")] = False,
) -> None:
    """Walk through the whole loop on a real server: segment, correct, submit, retrain, segment again.

    Ends with exit code 0 only if every step happened and every corrected case is segmented better than before;
    with 1 if not, and with 2 if a folder cannot be used.

    Examples:

      python -m tests.end_to_end.demo

      python -m tests.end_to_end.demo --cases ../cases --out /tmp/demo --keep-running
    """
    console = Console()
    teller = Teller(console)
    signal.signal(signal.SIGTERM, _interrupt)
    started = time.perf_counter()
    try:
        prepare_out(out, cases)
        studies = _studies(cases, out, phantoms, seed, console)
        params = {} if epochs is None else {"max_epochs": epochs}
        count = corrections or (1 if cases is None else 2)
        code = _serve_and_walk(studies, out, teller, count, params, keep_running, started)
    except InputError as error:
        console.print(f"[red]{escape(error.message)}[/red]", highlight=False)
        raise typer.Exit(2) from error
    except KeyboardInterrupt:
        console.print("Interrupted; the server is stopped.")
        raise typer.Exit(130) from None
    raise typer.Exit(code)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _studies(cases: Path | None, out: Path, phantoms: int, seed: int, console: Console) -> Studies:
    if cases is not None:
        studies = adopt(cases)
        for note in studies.notes:
            console.print(f"[yellow]Left out:[/yellow] {escape(note)}", highlight=False)
        return studies
    with console.status("Making synthetic patients") as status:
        studies = make_phantoms(
            out, phantoms, seed, lambda done, total: status.update(f"Making synthetic patients: {done} of {total}")
        )
    console.print(f"[green]✓[/green] Made {phantoms} synthetic patients", highlight=False)
    return studies


def _serve_and_walk(
    studies: Studies,
    out: Path,
    teller: Teller,
    corrections: int,
    params: dict[str, Any],
    keep_running: bool,
    started: float,
) -> int:
    console = teller.console
    log = out / "server.log"
    with ServerProcess(studies.folder, out / "workspace", log, keep_running=keep_running) as server:
        client = TumorLoopClient(server.url, user="demo")
        loop = Loop(client, studies, out, teller, corrections=corrections, train_params=params)
        failure = ""
        try:
            with teller.step("Started the server", loop.record) as step:
                loop.record.server = server.wait_until_ready(client)
                step.note = server.url
            loop.run()
        except (DemoFailed, ClientError, InputError) as error:
            failure = str(error)
        tail = server.log_tail()
    if loop.record.cases:
        teller.table(loop.record)
    report = write_report(loop.record, out, failure=failure, seconds=time.perf_counter() - started)
    console.print(f"Report: {escape(str(report))}", highlight=False)
    if keep_running:
        console.print(f"The server is still at {server.url}; stop it with: kill {server.pid}", highlight=False)
    if not failure:
        return 0
    console.print(f"\n[red]The demo failed.[/red] {escape(failure)}", highlight=False)
    console.print(f"\nEnd of {escape(str(log))}:\n{escape(tail)}", style="dim", highlight=False, soft_wrap=True)
    return 1


if __name__ == "__main__":
    app()
