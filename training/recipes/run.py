"""Running a recipe: its stages one after another, resumable after interruptions and on other machines.

Each stage starts from the best weights of the previous one. Finished stages are kept in the work folder
(:mod:`training.recipes.work_folder`) and not repeated; an unfinished stage resumes from its last complete epoch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from training.clock import now
from training.fitting.checkpoint import load_state
from training.fitting.config import FitProgress, FitResult
from training.fitting.fit import fit
from training.hardware import best_policy
from training.labels import REGIONS
from training.models.store import ModelCard
from training.models.weights import Weights
from training.phantoms.generate import GENERATOR_VERSION
from training.preparation.store import PreparedCase, PreparedStore, prepare_phantoms
from training.recipes.recipe import Recipe, Stage
from training.recipes.work_folder import FinishedStage, StageRun, StageStart, WorkFolder


@dataclass(frozen=True)
class RecipeProgress:
    """Progress of a recipe.

    Attributes:
        stage: Name of the current stage.
        number: Its number, from 1.
        stages: Number of stages.
        done: Voxels trained on so far, over all stages: a measure of work that is independent of the patch size.
        total: Voxels of all stages.
        fit: Progress of the stage; ``None`` before its first batch.
    """

    stage: str
    number: int
    stages: int
    done: int
    total: int
    fit: FitProgress | None


@dataclass(frozen=True)
class RecipeResult:
    """The outcome of a recipe.

    Attributes:
        weights: The best weights of the last stage.
        stages: All stages.
        trained: Names of the stages that were trained in this run.
        stopped: Whether ``should_stop`` ended the last of ``stages`` before it was finished.
    """

    weights: Weights
    stages: list[FinishedStage]
    trained: list[str]
    stopped: bool = False


@dataclass(frozen=True)
class RecipeCallbacks:
    """Callbacks of :func:`run_recipe`.

    Attributes:
        progress: Called at the start of a stage and after every batch and epoch.
        phantoms: Called with the number of phantoms done and the total, while they are generated.
        warning: Called with a message.
    """

    progress: Callable[[RecipeProgress], None] = lambda at: None
    phantoms: Callable[[int, int], None] = lambda done, total: None
    warning: Callable[[str], None] = lambda message: None


def run_recipe(
    recipe: Recipe,
    work: Path,
    *,
    workers: int | None = None,
    devices: int = 1,
    callbacks: RecipeCallbacks | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> RecipeResult:
    """Run the unfinished stages of a recipe.

    Args:
        recipe: The recipe.
        work: Work folder with the phantoms and finished stages; the same call resumes from it.
        workers: Threads that prepare batches; overrides the recipe, and affects the speed alone.
        devices: Number of devices that share each batch; see :mod:`training.fitting.devices`.
        callbacks: Called with progress and warnings.
        should_stop: Called after every batch; ``True`` ends the training. The stage keeps its checkpoint, from which
            the same call resumes.

    Raises:
        InputError: If a finished stage no longer matches the recipe, or the work folder is damaged.
    """
    callbacks = callbacks or RecipeCallbacks()
    folder = WorkFolder(recipe, work)
    done = folder.finished()
    for stage in done:
        if stage.generator != GENERATOR_VERSION:
            callbacks.warning(
                f'Stage "{stage.name}" was trained on phantoms of generator version {stage.generator}; it is now '
                f"{GENERATOR_VERSION}. The stage is kept."
            )
    trained = [stage.name for stage in recipe.stages[len(done) :]]
    weights = folder.weights(len(done) - 1) if done else None
    for number in range(len(done), len(recipe.stages)):
        stage, weights, stopped = _run_stage(
            folder, Path(work), number, weights, done, workers, devices, callbacks, should_stop
        )
        done.append(stage)
        if stopped:
            return RecipeResult(weights, done, [name for name in trained if name in {each.name for each in done}], True)
    assert weights is not None  # a recipe has at least one stage
    return RecipeResult(weights, done, trained)


def recipe_card(recipe: Recipe, result: RecipeResult) -> ModelCard:
    """Return the model card of a recipe: the recipe itself, and the history and environment of each stage."""
    last = result.stages[-1].best_epoch()
    return ModelCard(
        description=recipe.description,
        network=recipe.network,
        training={
            "recipe": recipe.as_data(),
            "stages": [stage.model_dump(mode="json", exclude={"settings"}) for stage in result.stages],
            "phantoms": {
                stage.name: {**stage.settings["stage"]["phantoms"], "generator": stage.generator}
                for stage in result.stages
            },
        },
        metrics={
            "validation_mean_dice": result.stages[-1].best_metric,
            "validation_dice": {name: last[name] for name in REGIONS},
        },
    )


def _run_stage(
    folder: WorkFolder,
    work: Path,
    number: int,
    start: Weights | None,
    before: list[FinishedStage],
    workers: int | None,
    devices: int,
    callbacks: RecipeCallbacks,
    should_stop: Callable[[], bool] | None,
) -> tuple[FinishedStage, Weights, bool]:
    recipe, stage = folder.recipe, folder.recipe.stages[number]
    decided = folder.stage_start(number, before[-1].weights_sha256 if before else "")
    start_record, changes = folder.begin(number, decided)
    if changes:
        callbacks.warning(
            f'Stage "{stage.name}" was started with other settings ({"; ".join(changes)}). It starts over; the old '
            f"checkpoint is kept in {folder.folder(number)}."
        )
    report = _progress_callback(recipe, number, callbacks)
    state = load_state(folder.checkpoint(number))
    first = state.epoch if state is not None else 0
    report(None, first)
    train, validation = _phantoms(recipe, stage, work, callbacks)
    start_record = start_record.model_copy(update={"runs": [*start_record.runs, _this_run(stage, first)]})
    folder.write_start(number, start_record)
    result = fit(
        stage.fit_config(workers),
        recipe.network,
        train,
        validation,
        work_dir=folder.folder(number),
        start=start,
        devices=devices,
        on_progress=lambda at: report(at, 0),
        should_stop=should_stop,
    )
    stopped = result.stopped_early and should_stop is not None and should_stop()
    write = folder.write_stopped if stopped else folder.write_finished
    return write(number, result.weights, _finished(stage, start_record, result)), result.weights, stopped


def _phantoms(
    recipe: Recipe, stage: Stage, work: Path, callbacks: RecipeCallbacks
) -> tuple[list[PreparedCase], list[PreparedCase]]:
    """Generate the phantoms of a stage and of the validation, on all cores; training waits."""
    store, wanted = PreparedStore(work / "prepared"), (*stage.all_phantoms, recipe.validation)
    total = sum(seeds.count for seeds in wanted)
    cases: list[PreparedCase] = []
    for seeds in wanted:
        before = len(cases)
        cases += prepare_phantoms(
            store,
            seeds.range(),
            on_progress=lambda done, _, before=before: callbacks.phantoms(before + done, total),  # type: ignore[misc]
            tumor=seeds.tumor,
            distractors=seeds.distractors,
        )
    return cases[: -recipe.validation.count], cases[-recipe.validation.count :]


def _progress_callback(
    recipe: Recipe, number: int, callbacks: RecipeCallbacks
) -> Callable[[FitProgress | None, int], None]:
    stage = recipe.stages[number]
    before = sum(earlier.voxels for earlier in recipe.stages[:number])
    total = sum(each.voxels for each in recipe.stages)

    def report(at: FitProgress | None, epochs: int) -> None:
        # At the end of an epoch the step is 0 again and the epoch has been counted.
        steps = epochs * stage.steps_per_epoch if at is None else at.epoch * at.steps + at.step
        done = before + stage.voxels * steps // (stage.max_epochs * stage.steps_per_epoch)
        callbacks.progress(RecipeProgress(stage.name, number + 1, len(recipe.stages), done, total, at))

    return report


def _this_run(stage: Stage, first: int) -> StageRun:
    precision = best_policy() if stage.precision == "auto" else stage.precision
    import keras

    return StageRun(started=now(), from_epoch=first, backend=keras.backend.backend(), precision=precision)


def _finished(stage: Stage, start_record: StageStart, result: FitResult) -> FinishedStage:
    return FinishedStage(
        **start_record.model_dump(),
        name=stage.name,
        weights_sha256="",
        epochs=result.epochs,
        best_metric=result.best_metric,
        stopped_early=result.stopped_early,
        history=result.history,
    )
