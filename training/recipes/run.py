"""Running a recipe: its stages one after another, across interruptions, days and machines.

Each stage starts from the best weights of the one before. What is finished is remembered in the work folder (see
:mod:`training.recipes.work_folder`) and not done again; an unfinished stage goes on from its last whole epoch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.clock import now
from training.models.store import ModelCard
from training.models.weights import Weights
from training.phantoms.generate import GENERATOR_VERSION
from training.recipes.recipe import Recipe, Stage
from training.recipes.work_folder import FinishedStage, StageRun, StageStart, WorkFolder

if TYPE_CHECKING:
    from training.fitting.config import FitProgress, FitResult
    from training.preparation.store import PreparedCase


@dataclass(frozen=True)
class RecipeProgress:
    """Where a recipe stands.

    Attributes:
        stage: Name of the stage that runs.
        number: Its place, from 1.
        stages: How many there are.
        done: Voxels trained on so far, over all stages: a measure of work that fits stages of any patch size.
        total: Voxels of all stages.
        fit: Where the stage stands; ``None`` before its first batch.
    """

    stage: str
    number: int
    stages: int
    done: int
    total: int
    fit: FitProgress | None


@dataclass(frozen=True)
class RecipeResult:
    """What came out.

    Attributes:
        weights: The last stage's best.
        stages: All of them.
        trained: Names of those that were trained in this very run.
    """

    weights: Weights
    stages: list[FinishedStage]
    trained: list[str]


@dataclass(frozen=True)
class RecipeCallbacks:
    """What a caller of :func:`run_recipe` is told.

    Attributes:
        progress: Called at the start of a stage and after every batch and epoch.
        phantoms: Called with the number of phantoms ready and wanted, while they are made.
        warning: Called with a sentence for people.
    """

    progress: Callable[[RecipeProgress], None] = lambda at: None
    phantoms: Callable[[int, int], None] = lambda done, total: None
    warning: Callable[[str], None] = lambda message: None


def run_recipe(
    recipe: Recipe, work: Path, *, workers: int | None = None, listener: RecipeCallbacks | None = None
) -> RecipeResult:
    """Run what is not finished yet of a recipe.

    Args:
        recipe: What to do.
        work: Holds the phantoms and what was reached so far; the same call goes on from it.
        workers: Threads that prepare batches, instead of the recipe's number; changes nothing but the speed.
        listener: Is told of progress and warnings.

    Raises:
        InputError: If a finished stage is no longer what the recipe says, or the work folder is damaged.
    """
    listener = listener or RecipeCallbacks()
    memory = WorkFolder(recipe, work)
    done = memory.finished()
    for stage in done:
        if stage.generator != GENERATOR_VERSION:
            listener.warning(
                f'Stage "{stage.name}" was trained on phantoms of generator version {stage.generator}; it is now '
                f"{GENERATOR_VERSION}. The stage is kept as it is."
            )
    trained = [stage.name for stage in recipe.stages[len(done) :]]
    weights = memory.weights(len(done) - 1) if done else None
    for number in range(len(done), len(recipe.stages)):
        stage, weights = _run_stage(memory, Path(work), number, weights, done, workers, listener)
        done.append(stage)
    assert weights is not None  # a recipe has at least one stage
    return RecipeResult(weights, done, trained)


def recipe_card(recipe: Recipe, result: RecipeResult) -> ModelCard:
    """Write the card of a recipe's model: the recipe as data, and how each stage went on what."""
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
            "validation_dice": {name: last[name] for name in ("WT", "TC", "ET")},
        },
    )


def _run_stage(
    memory: WorkFolder,
    work: Path,
    number: int,
    start: Weights | None,
    before: list[FinishedStage],
    workers: int | None,
    listener: RecipeCallbacks,
) -> tuple[FinishedStage, Weights]:
    from training.fitting.fit import fit

    recipe, stage = memory.recipe, memory.recipe.stages[number]
    decided = memory.stage_start(number, before[-1].weights_sha256 if before else "")
    begun, changes = memory.begin(number, decided)
    if changes:
        listener.warning(
            f'Stage "{stage.name}" was begun with something else ({"; ".join(changes)}). It starts anew; the old '
            f"checkpoint is set aside in {memory.folder(number)}."
        )
    tell = _progress_callback(recipe, number, listener)
    first = _epochs_so_far(memory, number)
    tell(None, first)
    train, validation = _phantoms(recipe, stage, work, listener)
    begun = begun.model_copy(update={"runs": [*begun.runs, _this_run(stage, first)]})
    memory.write_start(number, begun)
    result = fit(
        stage.fit_config(workers),
        recipe.network,
        train,
        validation,
        work_dir=memory.folder(number),
        start=start,
        on_progress=lambda at: tell(at, 0),
    )
    finished = memory.write_finished(number, result.weights, _finished(stage, begun, result))
    return finished, result.weights


def _phantoms(
    recipe: Recipe, stage: Stage, work: Path, listener: RecipeCallbacks
) -> tuple[list[PreparedCase], list[PreparedCase]]:
    """Make the phantoms of a stage and of the validation, on all cores; nothing trains meanwhile."""
    from training.preparation.store import PreparedStore, prepare_phantoms

    store, wanted = PreparedStore(work / "prepared"), (*stage.all_phantoms, recipe.validation)
    total = sum(seeds.count for seeds in wanted)
    cases: list[PreparedCase] = []
    for seeds in wanted:
        before = len(cases)
        cases += prepare_phantoms(
            store,
            seeds.range(),
            on_progress=lambda done, _, before=before: listener.phantoms(before + done, total),  # type: ignore[misc]
            tumor=seeds.tumor,
            distractors=seeds.distractors,
        )
    return cases[: -recipe.validation.count], cases[-recipe.validation.count :]


def _progress_callback(
    recipe: Recipe, number: int, listener: RecipeCallbacks
) -> Callable[[FitProgress | None, int], None]:
    stage = recipe.stages[number]
    before = sum(earlier.voxels for earlier in recipe.stages[:number])
    total = sum(each.voxels for each in recipe.stages)

    def tell(at: FitProgress | None, epochs: int) -> None:
        # At the end of an epoch Keras's step starts at 0 again, with the epoch counted.
        steps = epochs * stage.steps_per_epoch if at is None else at.epoch * at.steps + at.step
        done = before + stage.voxels * steps // (stage.max_epochs * stage.steps_per_epoch)
        listener.progress(RecipeProgress(stage.name, number + 1, len(recipe.stages), done, total, at))

    return tell


def _epochs_so_far(memory: WorkFolder, number: int) -> int:
    from training.fitting.checkpoint import load_state

    state = load_state(memory.checkpoint(number))
    return state.epoch if state is not None else 0


def _this_run(stage: Stage, first: int) -> StageRun:
    from training.hardware import best_policy

    precision = best_policy() if stage.precision == "auto" else stage.precision
    import keras

    return StageRun(started=now(), from_epoch=first, backend=keras.backend.backend(), precision=precision)


def _finished(stage: Stage, begun: StageStart, result: FitResult) -> FinishedStage:
    about: dict[str, Any] = begun.model_dump()
    return FinishedStage(
        **about,
        name=stage.name,
        weights_sha256="",
        epochs=result.epochs,
        best_metric=result.best_metric,
        stopped_early=result.stopped_early,
        history=result.history,
    )
