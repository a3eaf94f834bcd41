"""``cross-validate``: measure on held-out patients what training on labeled cases gains, then train on all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from training.cli.cases import PatientsOption, labeled_cases
from training.cli.common import (
    ModelsOption,
    VersionOption,
    chosen_version,
    err,
    open_store,
    out,
    progress,
    retrain_config,
    tell_how_to_use,
    warn,
)
from training.cli.labels import LabelSchemeOption
from training.cli.outcome import INTERRUPTED, refuse_existing
from training.errors import InputError
from training.labels import REGIONS

if TYPE_CHECKING:
    from training.models.store import ModelVersion
    from training.retraining.cross_validation import CrossValidation, CrossValidationProgress
    from training.retraining.folds import FinishedFold


def cross_validate(
    cases: Annotated[
        list[Path] | None,
        typer.Option("--cases", "-c", help="Folder of labeled cases; may be given several times.", show_default=False),
    ] = None,
    folds: Annotated[int, typer.Option(min=2, help="Number of folds; the patients are dealt out by their ids.")] = 4,
    model: VersionOption = None,
    work: Annotated[
        Path, typer.Option(help="Folder for prepared cases and finished folds; the same command resumes from it.")
    ] = Path("cross-validation"),
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="New folder for the version, in half precision like the bundled ones; its name is the id. Default: "
            "the next version among --models.",
            show_default=False,
        ),
    ] = None,
    folds_only: Annotated[bool, typer.Option("--folds-only", help="Do not train on all cases.")] = False,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs of each training.")] = 6,
    steps: Annotated[int, typer.Option(min=1, help="Batches per epoch.")] = 46,
    batch_size: Annotated[int, typer.Option(min=1, help="Patches per batch.")] = 2,
    patch: Annotated[int, typer.Option(min=16, help="Side of a patch in voxels, a multiple of 16.")] = 96,
    learning_rate: Annotated[float, typer.Option(help="Peak learning rate.")] = 3e-3,
    average: Annotated[
        float, typer.Option(min=0.0, help="Momentum per step of a moving average of the weights, which is kept.")
    ] = 0.97,
    derived: Annotated[
        int, typer.Option(min=0, help="Heads derived from each case: moved, scanned otherwise, with tumors of others.")
    ] = 6,
    derived_share: Annotated[
        float, typer.Option(min=0.0, help="Fraction of the patches of cases that is taken from derived heads.")
    ] = 0.6,
    replay: Annotated[int, typer.Option(min=0, help="Number of synthetic cases mixed in.")] = 32,
    replay_share: Annotated[float, typer.Option(min=0.0, help="Fraction of patches taken from them.")] = 0.25,
    freeze_normalization: Annotated[
        bool, typer.Option(help="Keep the statistics of batch normalization during the training.")
    ] = False,
    freeze_statistics_after: Annotated[
        int,
        typer.Option(
            min=0, help="With --no-freeze-normalization: epochs after which its statistics are frozen; 0: never."
        ),
    ] = 3,
    recompute_normalization: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="Share of these statistics that is taken from the cases before it."),
    ] = 0.0,
    workers: Annotated[int, typer.Option(min=0, help="Threads that prepare batches.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of patches and augmentation.")] = 0,
    description: Annotated[str, typer.Option(help="One sentence for the model card.")] = "",
    attribution: Annotated[
        str, typer.Option(help="Credit and license of the cases for the model card, if they are public.")
    ] = "",
    patients: PatientsOption = None,
    models: ModelsOption = None,
    label_scheme: LabelSchemeOption = None,
) -> None:
    """Train a version on labeled cases, and measure it on patients that the training has not seen.

    Each fold is trained like a retraining, from the same model, on the patients of the other folds, and evaluated on
    its own. The last training is on all cases; the card of the version holds the results of the folds. It is not
    promoted.

    **Examples**

    `python -m training cross-validate --cases studies --folds 4`

    `python -m training cross-validate --cases studies --model v0000 --folds-only`
    """
    from training.retraining.corrections import Correction
    from training.retraining.cross_validation import CrossValidation

    if output is not None and not folds_only:
        refuse_existing([output], overwrite=False)
    if not cases:
        raise InputError("Give labeled cases with --cases.", field="cases")
    config = retrain_config(
        {
            "max_epochs": epochs,
            "steps_per_epoch": steps,
            "batch_size": batch_size,
            "patch": patch,
            "learning_rate": learning_rate,
            "average": average,
            "derived": derived,
            "derived_share": derived_share,
            "replay": replay,
            "replay_share": replay_share,
            "freeze_normalization": freeze_normalization,
            "freeze_statistics_after": freeze_statistics_after,
            "recompute_normalization": recompute_normalization,
            "workers": workers,
            "seed": seed,
        }
    )
    parent = chosen_version(models, model)
    found = labeled_cases(cases, patients=patients, split=True, label_scheme=label_scheme)
    failures = found.failures()
    if failures.entries:
        failures.finish(0, "trained on")  # it is told before hours of training
    corrections = [Correction(case, case.label) for case in found.cases if case.label is not None]
    with _bar(work) as report:
        run = CrossValidation(parent, corrections, folds=folds, config=config, work_dir=work, on_progress=report)
        run.prepare()
        finished = [run.run_fold(number) for number in range(1, folds + 1)]
        final = None if folds_only else run.run_final()
    _print(parent, finished)
    if final is not None:
        _store(run, final, output, models, description, attribution)


@contextmanager
def _bar(work: Path) -> Iterator[Callable[[CrossValidationProgress], None]]:
    """Show the progress; after Ctrl-C, say how to continue."""
    try:
        # Evaluations and training steps alternate: the speed is averaged over hours.
        with progress(over_seconds=6 * 3600) as bars:
            task = bars.add_task("preparing", total=None)

            def report(at: CrossValidationProgress) -> None:
                if bars.tasks[task].total is None:  # the work of earlier runs does not count for the speed
                    bars.reset(task, total=at.total, completed=at.done)
                bars.update(task, completed=at.done, description=at.message)
                if at.note:
                    warn(at.note)

            yield report
    except KeyboardInterrupt:
        err.print(f"Stopped. All complete epochs are kept in {work}; the same command resumes.", soft_wrap=True)
        raise typer.Exit(INTERRUPTED) from None


def _print(parent: ModelVersion, folds: list[FinishedFold]) -> None:
    from training.retraining.folds import summarize

    summary = summarize(folds)
    table = Table(title=f"Held-out cases: Dice of {parent.id} / of the model of the fold")
    for column in ("fold", "case", *REGIONS):
        table.add_column(column, overflow="fold")
    for case in summary["cases"]:
        before, after = case["parent"]["dice"], case["model"]["dice"]
        table.add_row(
            str(case["fold"]), case["case"], *(f"{before[region]:.3f} / {after[region]:.3f}" for region in REGIONS)
        )
    before, after = summary["parent"], summary["model"]
    table.add_row(
        "all", "mean", *(f"{before[region]:.3f} / {after[region]:.3f}" for region in REGIONS), end_section=True
    )
    out.print(table)


def _store(
    run: CrossValidation,
    final: ModelVersion,
    output: Path | None,
    models: Path | None,
    description: str,
    attribution: str,
) -> None:
    from training.models.store import write_version

    card = run.card(final, description=description, attribution=attribution)
    weights = final.load_weights()
    if output is not None:
        version = write_version(output, weights, card.model_copy(update={"version": output.name}), half_precision=True)
        out.print(f"Written as {version.id} to {version.folder}", soft_wrap=True)
        return
    version = open_store(models).add(weights, card)
    out.print(f"Stored as {version.id} in {version.folder}", soft_wrap=True)
    tell_how_to_use(version)
