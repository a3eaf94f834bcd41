"""The work folder of a recipe: its stages on disk, from which the same command resumes.

Layout, below the work folder::

    prepared/                               phantoms, shared by all recipes
    <recipe>/01-<stage>/begun.json          settings and start of the stage, and its runs so far
    <recipe>/01-<stage>/checkpoint.npz      while it is unfinished (see training.fitting.checkpoint)
    <recipe>/01-<stage>/weights.npz         its best weights, once it is finished or has run out of time
    <recipe>/01-<stage>/stage.json          once it is finished; written last

Nothing in it depends on the machine or on Keras's backend: the folder can be copied and continued elsewhere.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from training import __version__
from training.atomic import write_json
from training.clock import now
from training.errors import InputError
from training.hashes import file_sha256
from training.models.weights import Weights, load_weights, save_weights
from training.network.unet import UNetConfig
from training.phantoms.generate import GENERATOR_VERSION
from training.recipes.recipe import Recipe, Seeds, Stage

#: Settings that affect the speed of a stage, not its outcome.
_NOT_COMPARED = {"name", "workers"}


class StageRun(BaseModel):
    """One run of a stage: when it started, from which epoch, and in which environment."""

    started: str
    from_epoch: int
    backend: str
    precision: str
    code_version: str = __version__


class StageStart(BaseModel):
    """Everything that determines the outcome of a stage, and its runs so far.

    Attributes:
        settings: ``network``, ``validation`` and ``stage`` as in the recipe, including default values.
        start_sha256: SHA-256 of the initial weights; empty for the first stage.
        generator: Version of the phantom generator.
        runs: Oldest first.
    """

    settings: dict[str, dict[str, Any]]
    start_sha256: str
    generator: int = GENERATOR_VERSION
    runs: list[StageRun] = []


class FinishedStage(StageStart):
    """A finished stage.

    Attributes:
        name: Name of the stage.
        weights_sha256: SHA-256 of ``weights.npz``.
        epochs: Number of epochs that ran.
        best_metric: Mean validation Dice of the weights.
        stopped_early: Whether early stopping ended it.
        history: One record per epoch; ``seconds`` counts from the start of the run it belongs to.
        finished: UTC, ISO 8601.
    """

    name: str
    weights_sha256: str
    epochs: int
    best_metric: float
    stopped_early: bool
    history: list[dict[str, Any]]
    finished: str = ""

    def best_epoch(self) -> dict[str, Any]:
        """Return the record of the epoch whose weights were kept."""
        validated = [record for record in self.history if "mean" in record]
        return max(validated, key=lambda record: record["mean"])

    def seconds(self) -> float:
        """Return the time of all finished epochs, over all runs."""
        times = [float(record["seconds"]) for record in self.history]
        starts = {run.from_epoch for run in self.runs}
        # The times drop where a run starts, unless its first epoch took longer than the whole previous run.
        return sum(
            time
            for epoch, (time, after) in enumerate(zip(times, [*times[1:], 0.0], strict=True), start=1)
            if after < time or epoch in starts
        )


class WorkFolder:
    """The stages of one recipe in one work folder.

    Args:
        recipe: The recipe.
        work: The work folder.
    """

    def __init__(self, recipe: Recipe, work: Path) -> None:
        self.recipe = recipe
        self.root = Path(work) / recipe.name

    def folder(self, number: int) -> Path:
        """Return the folder of stage ``number`` (0 is the first)."""
        return self.root / f"{number + 1:02d}-{self.recipe.stages[number].name}"

    def checkpoint(self, number: int) -> Path:
        """Return the checkpoint file of an unfinished stage."""
        return self.folder(number) / "checkpoint.npz"

    def finished(self) -> list[FinishedStage]:
        """Return the finished stages, which are the first ones of the recipe.

        Raises:
            InputError: If one of them no longer matches the recipe or is damaged; says what to do.
        """
        self._check_for_unknown_stages()
        found: list[FinishedStage] = []
        for number in range(len(self.recipe.stages)):
            if not (self.folder(number) / "stage.json").is_file():
                continue
            if number > len(found):
                raise InputError(
                    f'Stage "{self.recipe.stages[number].name}" is finished, but stage '
                    f'"{self.recipe.stages[len(found)].name}" before it is not: its folder {self.folder(len(found))} '
                    f"is missing or incomplete. Restore it, or {self._retrain_advice(len(found))}.",
                    field="work",
                )
            found.append(self._read_finished(number, found[-1].weights_sha256 if found else ""))
        return found

    def weights(self, number: int) -> Weights:
        """Read the weights of a finished stage."""
        return load_weights(self.folder(number) / "weights.npz")

    def stage_start(self, number: int, start_sha256: str) -> StageStart:
        """Return the record of a start of stage ``number`` from the weights with this hash."""
        return StageStart(settings=_settings(self.recipe, self.recipe.stages[number]), start_sha256=start_sha256)

    def begin(self, number: int, start: StageStart) -> tuple[StageStart, list[str]]:
        """Tell whether stage ``number`` can resume; a checkpoint made with other settings is moved aside.

        Returns:
            ``start`` with the runs so far, and the differences from the last one (empty if it can resume).
        """
        path = self.folder(number) / "begun.json"
        if not path.is_file() or not self.checkpoint(number).is_file():
            return start, []
        before = _read(StageStart, path)
        changes = _changes(before.settings, start.settings)
        if before.start_sha256 != start.start_sha256:
            changes.append("the initial weights")
        if before.generator != start.generator:
            changes.append(f"the phantom generator: version was {before.generator}, is now {start.generator}")
        if not changes:
            return start.model_copy(update={"runs": before.runs}), []
        self.checkpoint(number).replace(self.checkpoint(number).with_name("checkpoint-set-aside.npz"))
        return start, changes

    def write_start(self, number: int, start: StageStart) -> None:
        """Record the start of a stage."""
        write_json(self.folder(number) / "begun.json", start.model_dump(mode="json"))

    def write_finished(self, number: int, weights: Weights, stage: FinishedStage) -> FinishedStage:
        """Store a finished stage, then delete its checkpoint."""
        file = save_weights(weights, self.folder(number) / "weights.npz")
        done = stage.model_copy(update={"weights_sha256": file_sha256(file), "finished": now()})
        write_json(self.folder(number) / "stage.json", done.model_dump(mode="json"))
        self.checkpoint(number).unlink(missing_ok=True)
        return done

    def write_stopped(self, number: int, weights: Weights, stage: FinishedStage) -> FinishedStage:
        """Store the weights of a stage that ran out of time; its checkpoint is kept, and the stage can resume."""
        file = save_weights(weights, self.folder(number) / "weights.npz")
        return stage.model_copy(update={"weights_sha256": file_sha256(file)})

    def _read_finished(self, number: int, start_sha256: str) -> FinishedStage:
        stage, folder = self.recipe.stages[number], self.folder(number)
        found = _read(FinishedStage, folder / "stage.json")
        changes = _changes(found.settings, _settings(self.recipe, stage))
        if changes:
            raise InputError(
                f'Stage "{stage.name}" was finished with other settings: {"; ".join(changes)}. Undo this and put the '
                f"change into a new stage after the last one, or {self._retrain_advice(number)}.",
                field="recipe",
            )
        if found.start_sha256 != start_sha256:
            raise InputError(
                f'Stage "{stage.name}" did not start from the weights of the stage before it. Restore those, or '
                f"{self._retrain_advice(number)}.",
                field="work",
            )
        weights = folder / "weights.npz"
        if not weights.is_file() or file_sha256(weights) != found.weights_sha256:
            raise InputError(
                f'The weights of stage "{stage.name}", {weights}, are missing or damaged. Copy them again, or '
                f"{self._retrain_advice(number)}.",
                field="work",
            )
        return found

    def _check_for_unknown_stages(self) -> None:
        wanted = {self.folder(number) for number in range(len(self.recipe.stages))}
        others = sorted(file.parent for file in self.root.glob("*/stage.json") if file.parent not in wanted)
        if others:
            raise InputError(
                f"{others[0]} is a finished stage that the recipe does not have in this place: it was renamed, moved "
                "or removed. Finished stages must not change; put it back, delete this folder and those after it, or "
                "give another work folder.",
                field="recipe",
            )

    def _retrain_advice(self, number: int) -> str:
        later = [str(self.folder(index)) for index in range(number, len(self.recipe.stages))]
        folders = " and ".join(folder for folder in later if Path(folder).exists())
        return f"delete {folders} to train again from there, or give another work folder"


def _settings(recipe: Recipe, stage: Stage) -> dict[str, dict[str, Any]]:
    return {
        "network": recipe.network.model_dump(mode="json"),
        "validation": recipe.validation.model_dump(mode="json"),
        "stage": stage.model_dump(mode="json", exclude=_NOT_COMPARED),
    }


def _changes(before: dict[str, dict[str, Any]], after: dict[str, dict[str, Any]]) -> list[str]:
    """Describe the differences: ``learning_rate was 0.002, is now 0.001``."""
    old, new = _flat(_with_defaults(before)), _flat(after)
    return [
        f"{key} was {old.get(key, 'absent')}, is now {new.get(key, 'absent')}"
        for key in sorted(old | new)
        if old.get(key) != new.get(key)
    ]


def _with_defaults(settings: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Add settings introduced since these were written: at their defaults, nothing has changed."""
    try:
        stage = Stage.model_validate({**settings["stage"], "name": "before"})
        recipe = Recipe(
            name="before",
            network=UNetConfig.model_validate(settings["network"]),
            validation=Seeds.model_validate(settings["validation"]),
            stages=(stage,),
        )
    except (KeyError, ValidationError):
        return settings  # a setting was removed from the code: the comparison will name it
    return _settings(recipe, stage)


def _flat(settings: dict[str, dict[str, Any]]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for table, values in settings.items():
        for key, value in values.items():
            name = key if table == "stage" else f"{table}.{key}"
            flat |= (
                {f"{name}.{inner}": part for inner, part in value.items()} if isinstance(value, dict) else {name: value}
            )
    return flat


def _read(model: type[Any], path: Path) -> Any:
    try:
        return model.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read: {error}. Delete its folder to train the stage again.", field="work"
        ) from error
