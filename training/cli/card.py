"""``card``: measure the numbers of a model card, and write it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table as RichTable

from training.cli.cases import labeled_cases
from training.cli.common import err, out, progress
from training.cli.labels import LabelSchemeOption
from training.cli.outcome import Failures, OverwriteOption, refuse_existing
from training.errors import InputError
from training.hashes import file_sha256
from training.models import BUNDLED_MODELS
from training.models.bundle import model_folder, read_bundle

if TYPE_CHECKING:
    from training.cases.case import Case
    from training.models.store import ModelVersion
    from training.release.tables import Table

_REPOSITORY = Path(__file__).resolve().parents[2]


def card(
    cases: Annotated[
        list[Path] | None,
        typer.Option("--cases", "-c", help="Labeled cases to evaluate as well; may be given several times."),
    ] = None,
    phantoms: Annotated[int, typer.Option(min=0, max=100, help="Number of evaluation phantoms.")] = 100,
    heads: Annotated[
        int | None,
        typer.Option(
            min=0, max=20, help="Heads without tumor, in two sets. Default: 20, or fewer with fewer phantoms."
        ),
    ] = None,
    mirror: Annotated[
        bool, typer.Option("--mirror", help="Also evaluate predictions averaged over mirror images.")
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(
            help="The id of a bundled model, or the folder of a version. Default: the default model.",
            show_default=False,
        ),
    ] = None,
    document: Annotated[
        Path | None,
        typer.Option(
            help="Document to write. Default: docs/model-card-v0000.md for v0000 (and so on), or model-card.md in the "
            "folder of another model.",
            show_default=False,
        ),
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Write the numbers to card.json and the document.")] = False,
    render: Annotated[bool, typer.Option("--render", help="Only regenerate the document from card.json.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Only check that document, card.json and weights match.")
    ] = False,
    workers: Annotated[int, typer.Option(min=0, help="Processes that generate phantoms; 0 uses all cores.")] = 0,
    overwrite: OverwriteOption = False,
    label_scheme: LabelSchemeOption = None,
) -> None:
    """Evaluate a model on phantoms, on heads without tumor and on labeled cases, and print the tables.

    Nothing is written without `--write`, and with it only if every case can be used. `--check` exits with 1 if the
    document, the card and the weights do not match.

    **Examples**

    `python -m training card --phantoms 2`

    `python -m training card --cases studies --write`
    """
    from training.models.store import read_version
    from training.release import card as model_card

    if sum((write, render, check)) > 1:
        raise InputError("Give only one of --write, --render and --check.", field="write")
    folder = model_folder(model or read_bundle(BUNDLED_MODELS).initial)
    document = document or _document(folder)
    if (write or render) and not model_card.is_generated(document):
        refuse_existing([document], overwrite)
    if check:
        _check(model_card.inconsistencies(folder, document))
    elif render:
        out.print(str(model_card.write_document(folder, document)), soft_wrap=True)
    else:
        heads = min(20, phantoms) if heads is None else heads
        found = labeled_cases(cases, label_scheme=label_scheme)
        failures = found.failures()
        version = read_version(folder)
        usable = _usable(_unseen(version, found.cases), failures)
        if write and failures.entries:
            failures.finish(0, "measured")
        benchmark = _measure(version, usable, phantoms, heads, mirror, workers)
        if write:
            model_card.record(folder, benchmark)
            out.print(f"{folder / 'card.json'}\n{model_card.write_document(folder, document)}", soft_wrap=True)
        failures.finish(len(usable) + phantoms + heads, "measured")


def _document(folder: Path) -> Path:
    if folder.parent == BUNDLED_MODELS:
        return _REPOSITORY / "docs" / f"model-card-{folder.name}.md"
    return folder / "model-card.md"


def _unseen(version: ModelVersion, cases: Sequence[Case]) -> list[Case]:
    """Return the cases that the version was not trained on; what it achieves on the others belongs in no card."""
    seen = [case for case in version.card.data if case.split == "train"]
    ids, labels = {case.case for case in seen}, {case.label_sha256 for case in seen}
    known = [case for case in cases if case.id in ids or (case.label and file_sha256(case.label) in labels)]
    if known:
        names = ", ".join(case.id for case in known)
        err.print(f"Left out, since {version.id} was trained on them: {names}", markup=False, soft_wrap=True)
    return [case for case in cases if case not in known]


def _usable(cases: Sequence[Case], failures: Failures) -> list[Case]:
    """Return the cases that can be read: a bad one is told before the measurement, not after an hour of it."""
    from training.evaluation.subjects import subject_of_case

    usable = []
    for case in cases:
        with failures.caught(case):
            subject_of_case(case)
            usable.append(case)
    return usable


def _measure(
    version: ModelVersion, cases: Sequence[Case], phantoms: int, heads: int, mirror: bool, workers: int
) -> dict[str, object]:
    from training.release.benchmark import Plan, run_benchmark
    from training.release.tables import tables

    plan = Plan(phantoms=phantoms, heads=heads, cases=cases, mirrored=mirror)
    if not plan.steps:
        raise InputError("There is nothing to measure: give --phantoms, --heads or --cases.", field="phantoms")
    with err.status(f"Loading model {version.id} ..."):
        from training.prediction.segmenter import Segmenter

        segmenter = Segmenter(version)
        mirrored = Segmenter(version, mirror=True) if mirror else None
    with progress(steps=True, over_seconds=300) as bars:
        task = bars.add_task("measuring", total=plan.steps)
        benchmark = run_benchmark(
            segmenter,
            plan,
            mirrored=mirrored,
            workers=workers or None,
            on_progress=lambda done, total, what: bars.update(task, completed=done, total=total, description=what),
        )
    _print(version, tables(benchmark), benchmark["phantoms"]["low"])
    return benchmark


def _print(version: ModelVersion, tables: Sequence[Table], low: Sequence[dict[str, object]]) -> None:
    out.print(f"Model {version.id}, research use only")
    for table in tables:
        drawn = RichTable(title=table.title)
        for name in table.header:
            drawn.add_column(name, overflow="fold")
        for row in table.rows:
            drawn.add_row(*row)
        out.print(drawn)
        for note in table.notes:
            out.print(note, soft_wrap=True)
    for case in low:
        out.print(f"{case['case']} ({case['kind']}) is below 0.6: {case['why']}", soft_wrap=True)


def _check(problems: Sequence[str]) -> None:
    for problem in problems:
        err.print(problem, style="red", markup=False, soft_wrap=True)
    if problems:
        raise typer.Exit(1)
    out.print("Document, card and weights match.")
