"""What a recipe's work folder remembers of its stages, so that the same command goes on from there.

Layout, below the work folder::

    prepared/                               phantoms, shared by all recipes
    <recipe>/01-<stage>/begun.json          what decides the stage, and on what it ran so far
    <recipe>/01-<stage>/checkpoint.npz      while it runs (see training.fitting.checkpoint)
    <recipe>/01-<stage>/{weights.npz, stage.json}   once it is finished; stage.json is written last

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

#: Settings that change how fast a stage is, not what comes out of it.
_NOT_COMPARED = {"name", "workers"}


class StageRun(BaseModel):
    """One start of a stage: when, from which epoch, and on what."""

    started: str
    from_epoch: int
    backend: str
    precision: str
    code_version: str = __version__


class StageStart(BaseModel):
    """What decides a stage's outcome, and its starts so far.

    Attributes:
        settings: ``network``, ``validation`` and ``stage``, as in the recipe, every default filled in.
        start_sha256: Of the weights it starts from; empty for the first stage.
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
        name: Of the stage.
        weights_sha256: Of ``weights.npz``.
        epochs: That ran.
        best_metric: Mean validation Dice of the weights.
        stopped_early: Whether patience ended it.
        history: One record per epoch; ``seconds`` counts from the start of the run the epoch was in.
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
        """Return the history's record of the epoch whose weights were kept."""
        validated = [record for record in self.history if "mean" in record]
        return max(validated, key=lambda record: record["mean"])

    def seconds(self) -> float:
        """Return how long the finished epochs took, over all runs."""
        times = [float(record["seconds"]) for record in self.history]
        starts = {run.from_epoch for run in self.runs}
        # The clock falls back where a run starts, unless its first epoch took longer than the whole run before.
        return sum(
            time
            for epoch, (time, after) in enumerate(zip(times, [*times[1:], 0.0], strict=True), start=1)
            if after < time or epoch in starts
        )


class WorkFolder:
    """The stages of one recipe in one work folder.

    Args:
        recipe: What is to be run.
        work: The work folder.
    """

    def __init__(self, recipe: Recipe, work: Path) -> None:
        self.recipe = recipe
        self.root = Path(work) / recipe.name

    def folder(self, number: int) -> Path:
        """Return the folder of stage ``number`` (0 is the first)."""
        return self.root / f"{number + 1:02d}-{self.recipe.stages[number].name}"

    def checkpoint(self, number: int) -> Path:
        """Return the file an unfinished stage goes on from."""
        return self.folder(number) / "checkpoint.npz"

    def finished(self) -> list[FinishedStage]:
        """Return the finished stages, which are the first ones of the recipe.

        Raises:
            InputError: If one of them is not what the recipe says now, or is damaged; says what to do.
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
        """Return what decides stage ``number``, given the weights it starts from."""
        return StageStart(settings=_settings(self.recipe, self.recipe.stages[number]), start_sha256=start_sha256)

    def begin(self, number: int, begun: StageStart) -> tuple[StageStart, list[str]]:
        """Find out whether stage ``number`` can go on; a checkpoint of something else is set aside.

        Returns:
            ``begun`` with the runs so far, and what was different at the last one (empty if it goes on).
        """
        path = self.folder(number) / "begun.json"
        if not path.is_file() or not self.checkpoint(number).is_file():
            return begun, []
        before = _read(StageStart, path)
        changes = _changes(before.settings, begun.settings)
        if before.start_sha256 != begun.start_sha256:
            changes.append("the weights it starts from")
        if before.generator != begun.generator:
            changes.append(f"the phantom generator: was version {before.generator}, is now {begun.generator}")
        if not changes:
            return begun.model_copy(update={"runs": before.runs}), []
        self.checkpoint(number).replace(self.checkpoint(number).with_name("checkpoint-set-aside.npz"))
        return begun, changes

    def write_start(self, number: int, begun: StageStart) -> None:
        """Write down what the stage that starts now is decided by, and its runs."""
        write_json(self.folder(number) / "begun.json", begun.model_dump(mode="json"))

    def write_finished(self, number: int, weights: Weights, stage: FinishedStage) -> FinishedStage:
        """Store a finished stage; only then is its checkpoint dropped."""
        file = save_weights(weights, self.folder(number) / "weights.npz")
        done = stage.model_copy(update={"weights_sha256": file_sha256(file), "finished": now()})
        write_json(self.folder(number) / "stage.json", done.model_dump(mode="json"))
        self.checkpoint(number).unlink(missing_ok=True)
        return done

    def _read_finished(self, number: int, start_sha256: str) -> FinishedStage:
        stage, folder = self.recipe.stages[number], self.folder(number)
        found = _read(FinishedStage, folder / "stage.json")
        changes = _changes(found.settings, _settings(self.recipe, stage))
        if changes:
            raise InputError(
                f'Stage "{stage.name}" was finished with other settings: {"; ".join(changes)}. Set this back and put '
                f"the change into a new stage after the last one, or {self._retrain_advice(number)}.",
                field="recipe",
            )
        if found.start_sha256 != start_sha256:
            raise InputError(
                f'Stage "{stage.name}" did not start from the weights that now lie before it. Bring those back, or '
                f"{self._retrain_advice(number)}.",
                field="work",
            )
        weights = folder / "weights.npz"
        if not weights.is_file() or file_sha256(weights) != found.weights_sha256:
            raise InputError(
                f'The weights of stage "{stage.name}", {weights}, are missing or damaged. Copy them anew, or '
                f"{self._retrain_advice(number)}.",
                field="work",
            )
        return found

    def _check_for_unknown_stages(self) -> None:
        wanted = {self.folder(number) for number in range(len(self.recipe.stages))}
        others = sorted(file.parent for file in self.root.glob("*/stage.json") if file.parent not in wanted)
        if others:
            raise InputError(
                f"{others[0]} is a finished stage that the recipe does not have at this place: it was renamed, moved "
                "or taken out. Finished stages stay as they are; put it back, delete the folder and those after it, or "
                "give another work folder.",
                field="recipe",
            )

    def _retrain_advice(self, number: int) -> str:
        later = [str(self.folder(index)) for index in range(number, len(self.recipe.stages))]
        folders = " and ".join(folder for folder in later if Path(folder).exists())
        return f"delete {folders} to train from there anew, or give another work folder"


def _settings(recipe: Recipe, stage: Stage) -> dict[str, dict[str, Any]]:
    return {
        "network": recipe.network.model_dump(mode="json"),
        "validation": recipe.validation.model_dump(mode="json"),
        "stage": stage.model_dump(mode="json", exclude=_NOT_COMPARED),
    }


def _changes(before: dict[str, dict[str, Any]], after: dict[str, dict[str, Any]]) -> list[str]:
    """Return what differs, for people: ``learning_rate was 0.002, is now 0.001``."""
    old, new = _flat(_with_defaults(before)), _flat(after)
    return [
        f"{key} was {old.get(key, 'not there')}, is now {new.get(key, 'not there')}"
        for key in sorted(old | new)
        if old.get(key) != new.get(key)
    ]


def _with_defaults(settings: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Fill in settings that came into the code after these were written: at their defaults, nothing has changed."""
    try:
        stage = Stage.model_validate({**settings["stage"], "name": "before"})
        recipe = Recipe(
            name="before",
            network=UNetConfig.model_validate(settings["network"]),
            validation=Seeds.model_validate(settings["validation"]),
            stages=(stage,),
        )
    except (KeyError, ValidationError):
        return settings  # a setting is gone from the code: the comparison will name it
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
            f"{path} cannot be read: {error}. Delete its folder to train the stage anew.", field="work"
        ) from error
