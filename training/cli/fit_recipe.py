"""``fit --recipe``: train with a recipe and store the result."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.table import Table

from training.cli.common import open_store, out, progress, tell_how_to_use, time_limit, warn
from training.cli.resumable import told_when_stopped
from training.errors import InputError
from training.labels import REGIONS

if TYPE_CHECKING:
    from training.models.store import ModelCard, ModelStore, ModelVersion
    from training.models.weights import Weights
    from training.recipes.recipe import Recipe
    from training.recipes.run import RecipeProgress, RecipeResult

#: Options of ``fit`` that may be given with ``--recipe``; the recipe determines all others.
ALLOWED = ("recipe", "bundle", "work", "workers", "devices", "minutes", "promote", "description", "models")


def fit_recipe(
    context: typer.Context,
    name: str,
    *,
    work: Path,
    workers: int,
    devices: int,
    minutes: float,
    promote: bool,
    description: str,
    bundle: Path | None,
    models: Path | None,
) -> None:
    """Train with a recipe, and store the result as a new model version.

    Args:
        context: Context of the command ``fit``, which holds the given options.
        name: Name or path of a recipe.
        work: Work folder.
        workers: Threads that prepare batches; used only if given on the command line.
        devices: Number of devices that share each batch.
        minutes: Minutes of training after which it stops; 0 for no limit.
        promote: Make the version the current one.
        description: For the card; overrides the recipe.
        bundle: Folder to write the model to in the form of the bundled model, or ``None``.
        models: Folder of model versions.

    Raises:
        InputError: If an option contradicts the recipe, or the recipe or the work folder cannot be used.
        typer.Exit: With 130 after Ctrl-C.
    """
    from training.recipes.recipe import load_recipe

    _check_options(context)
    if bundle is not None and bundle.exists():
        raise InputError(f"{bundle} already exists. Delete it first, or name another folder.", field="bundle")
    recipe = load_recipe(name)
    if description:
        recipe = recipe.model_copy(update={"description": description})
    store = open_store(models)
    with told_when_stopped(f"Stopped. All complete epochs are kept in {work}; the same command resumes from there."):
        result = _run(recipe, work, workers if _given(context, "workers") else None, devices, minutes)
    _print_stages(result)
    if result.stopped:
        out.print(
            f"Stopped after {minutes:g} minutes. The checkpoint is kept in {work}; the same command resumes.",
            soft_wrap=True,
        )
    _store(recipe, result, store, promote=promote, bundle=bundle)


def _check_options(context: typer.Context) -> None:
    clashing = [name for name in context.params if name not in ALLOWED and _given(context, name)]
    if clashing:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in clashing)
        raise InputError(
            f"{options} cannot be given together with --recipe: they are set in the recipe. Change a copy of "
            "its file and give the path.",
            field=clashing[0],
        )


def _given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _run(recipe: Recipe, work: Path, workers: int | None, devices: int, minutes: float) -> RecipeResult:
    from training.recipes.run import RecipeCallbacks, run_recipe

    # Validation takes minutes in which no batch ends: the speed is averaged over hours to include it.
    with progress(over_seconds=6 * 3600) as bars:
        training = bars.add_task("starting", total=None, visible=False)
        generating = bars.add_task("generating phantoms", total=None, visible=False)

        def report(at: RecipeProgress) -> None:
            if at.fit is None and bars.tasks[training].total is None:
                bars.reset(
                    training, total=at.total, completed=at.done
                )  # the work of earlier runs does not count for the speed
            bars.update(training, completed=at.done, visible=True, description=_describe(at))

        def report_phantoms(done: int, total: int) -> None:
            bars.update(generating, completed=done, total=total, visible=done < total)

        return run_recipe(
            recipe,
            work,
            workers=workers,
            devices=devices,
            callbacks=RecipeCallbacks(report, report_phantoms, warn),
            should_stop=time_limit(minutes),
        )


def _describe(at: RecipeProgress) -> str:
    text = f"stage {at.number}/{at.stages} {at.stage}"
    if at.fit is None:
        return text
    best = f", best Dice {at.fit.best_metric:.3f}" if at.fit.best_metric >= 0 else ""
    epoch = min(at.fit.epoch + 1, at.fit.total_epochs)
    return f"{text}, epoch {epoch}/{at.fit.total_epochs}, loss {at.fit.loss:.3f}{best}"


def _print_stages(result: RecipeResult) -> None:
    from training.recipes.recipe import phantoms_in

    columns = ("stage", "phantoms", "epoch", *REGIONS, "mean", "hours", "trained")
    table = Table(*columns, title="Validation Dice of the best epoch of each stage")
    for stage in result.stages:
        best = stage.best_epoch()
        table.add_row(
            stage.name,
            str(sum(seeds["count"] for seeds in phantoms_in(stage.settings["stage"]))),
            f"{best['epoch']} of {stage.epochs}",
            *(f"{best[name]:.3f}" for name in (*REGIONS, "mean")),
            f"{stage.seconds() / 3600:.2f}",
            "now" if stage.name in result.trained else "before",
        )
    out.print(table)


def _store(recipe: Recipe, result: RecipeResult, store: ModelStore, *, promote: bool, bundle: Path | None) -> None:
    from training.recipes.run import recipe_card

    card = recipe_card(recipe, result)
    version = _same(store, card)
    if version is not None:
        out.print(f"This model is already stored: {version.id} in {version.folder}", soft_wrap=True)
    else:
        version = store.add(result.weights, card)
        out.print(f"Stored as {version.id} in {version.folder}", soft_wrap=True)
    if promote:
        store.promote(version.id, f"promoted by the fit command, recipe {recipe.name}")
        out.print(f"{version.id} is now the current version.")
    else:
        tell_how_to_use(version)
    if bundle is not None:
        _bundle(result.weights, card, bundle)


def _same(store: ModelStore, card: ModelCard) -> ModelVersion | None:
    """Return the version with the same weights, if an earlier run of the same command stored it."""

    def made_of(training: dict[str, object]) -> object:
        stages = training.get("stages")
        return stages[-1].get("weights_sha256") if isinstance(stages, list) and stages else None

    wanted = made_of(card.training)
    found = [version for version in store.versions() if not store.is_bundled(version.id)]
    return next((version for version in found if made_of(version.card.training) == wanted), None)


def _bundle(weights: Weights, card: ModelCard, folder: Path) -> None:
    from training.models.bundle import BUNDLED_ID
    from training.models.store import write_version

    version = write_version(folder, weights, card.model_copy(update={"version": BUNDLED_ID}), half_precision=True)
    size = sum(file.stat().st_size for file in version.folder.iterdir()) / 1e6
    out.print(f"Bundled as {BUNDLED_ID} in {folder}: {size:.1f} MB, half precision", soft_wrap=True)
