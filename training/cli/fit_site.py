"""``fit-site``: fit a model version to the scanners of a site, from studies without labels."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from training.cli.cases import OrderOption, collect_cases
from training.cli.common import ModelsOption, VersionOption, chosen_version, err, out, progress, store_version
from training.cli.outcome import refuse_existing
from training.cli.resumable import told_when_stopped
from training.errors import InputError
from training.labels import REGIONS

if TYPE_CHECKING:
    from training.models.store import ModelCard
    from training.retraining.retrain import RetrainProgress


def fit_site(
    cases: Annotated[
        list[Path] | None,
        typer.Option("--cases", "-c", help="Folder of studies; may be given several times.", show_default=False),
    ] = None,
    share: Annotated[
        float | None,
        typer.Option(
            help="Share of the statistics of batch normalization that is taken from the studies, up to 1. "
            "Default: see docs/site.md.",
            show_default=False,
        ),
    ] = None,
    model: VersionOption = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="New folder for the version; its name is the id. Default: the next version among --models.",
            show_default=False,
        ),
    ] = None,
    models: ModelsOption = None,
    order: OrderOption = None,
) -> None:
    """Fit a model to the scanners of a site, from studies without labels.

    A share of the statistics of batch normalization is recomputed on the images; labels that some studies have are not
    read. The version is stored only if the Dice to be expected of the studies does not fall and phantoms keep theirs;
    otherwise the command says why not and ends with 1. It is not promoted.

    **Examples**

    `python -m training fit-site --cases studies`

    `python -m training fit-site --cases studies --share 0.5 --output fitted/v0007`
    """
    from training.retraining.site import SiteConfig
    from training.retraining.site import fit_site as fit

    if output is not None:
        refuse_existing([output], overwrite=False)
    if not cases:
        raise InputError("Give a folder of studies with --cases.", field="cases")
    if share is not None and not 0 < share <= 1:
        raise InputError(f"--share must be above 0 and at most 1, not {share:g}.", field="share")
    config = SiteConfig() if share is None else SiteConfig(share=share)
    parent = chosen_version(models, model)
    found = collect_cases(cases, order)
    failures = found.failures()
    with _bar() as report, tempfile.TemporaryDirectory(prefix="tumorloop-") as work:
        fitted = fit(parent, found.cases, config=config, work_dir=Path(work), on_progress=report)
    for case, why in fitted.skipped.items():
        failures.add(case, InputError(why.removeprefix(f"{case}: ")))
    _print(parent.id, fitted.card)
    if fitted.refusal:
        message = f"Nothing was stored: {fitted.refusal}. {fitted.card.verdict}"
        err.print(message, style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1)
    store_version(fitted.weights, fitted.card, output, models)
    failures.finish(len(found.cases) - len(fitted.skipped), "used")


@contextmanager
def _bar() -> Iterator[Callable[[RetrainProgress], None]]:
    """Show what is being done, and the time since the start."""
    with told_when_stopped("Stopped; nothing was stored."), progress() as bars:
        task = bars.add_task("starting", total=None)
        yield lambda at: bars.update(task, description=at.message)


def _print(parent: str, card: ModelCard) -> None:
    table = Table(title=f"Mean Dice of {parent} / of the fitted version")
    for column in ("", *REGIONS, "mean"):
        table.add_column(column, overflow="fold")
    for title, part in (("expected, studies without labels", "expected"), ("measured, phantoms", "phantoms")):
        before, after = card.metrics[part]["parent"], card.metrics[part]["candidate"]
        table.add_row(
            f"{title} ({len(card.metrics[part]['cases'])})",
            *(f"{before[name]:.3f} / {after[name]:.3f}" for name in (*REGIONS, "mean")),
        )
    out.print(table)
