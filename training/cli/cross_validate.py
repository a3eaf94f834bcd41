"""``cross-validate``: measure on held-out patients what training on labeled cases gains, then train on all of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from training.cli.cases import PatientsOption, labeled_cases
from training.cli.common import ModelsOption, VersionOption, chosen_version, out, retrain_config, store_version
from training.cli.labels import LabelSchemeOption
from training.cli.outcome import refuse_existing
from training.cli.ray import RayCpusOption, RayOption, cluster, training_gigabytes
from training.cli.resumable import told_when_stopped, work_progress
from training.errors import InputError
from training.labels import REGIONS
from training.parallel import available_cores

if TYPE_CHECKING:
    from training.models.store import ModelVersion
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
    ray: RayOption = None,
    ray_cpus: RayCpusOption = 0,
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
    from training.retraining.elsewhere import run_folds

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
    stopped = f"Stopped. All complete epochs are kept in {work}; the same command resumes."
    need = training_gigabytes(parent.card.network, config)
    cpus = ray_cpus or available_cores()
    with (
        told_when_stopped(stopped),
        cluster(ray, gigabytes=need, cpus=cpus, shared=work) as connected,
        work_progress() as report,
    ):
        run = CrossValidation(parent, corrections, folds=folds, config=config, work_dir=work, on_progress=report)
        run.prepare()
        if connected is not None:
            run_folds(run, connected, final=not folds_only)
        finished = [run.run_fold(number) for number in range(1, folds + 1)]
        final = None if folds_only else run.run_final()
    _print(parent, finished)
    if final is not None:
        card = run.card(final, description=description, attribution=attribution)
        store_version(final.load_weights(), card, output, models, half_precision=True)


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
