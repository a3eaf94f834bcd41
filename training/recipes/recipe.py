"""Recipes: TOML files that describe how a model is trained on phantoms in several stages.

A recipe holds the network, the validation phantoms, and the stages; ``training/recipes/base.toml`` is an example.
This module reads and validates recipes; :mod:`training.recipes.run` runs them.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import tomllib
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
)
from pydantic_core import ErrorDetails

from training.errors import InputError
from training.fitting.config import FitConfig
from training.network.unet import UNetConfig
from training.phantoms.fixed_seeds import refuse_fixed
from training.phantoms.generate import TumorOption

#: The folder of the bundled recipes.
BUNDLED_RECIPES = Path(__file__).resolve().parent


class Seeds(BaseModel):
    """``count`` consecutive phantom seeds, starting at ``first``.

    ``tumor`` and ``distractors`` are those of :func:`training.phantoms.generate.generate`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    first: int = Field(ge=0)
    count: int = Field(ge=1, le=1_000_000)
    tumor: TumorOption = True
    distractors: Literal["some", "all"] = "some"

    @model_serializer(mode="wrap")
    def _without_defaults(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out default values: most recipes give two numbers."""
        defaults = {"tumor": True, "distractors": "some"}
        return {name: value for name, value in serialize(self).items() if (name, value) not in defaults.items()}

    def range(self) -> range:
        """Return the seeds."""
        return range(self.first, self.first + self.count)


class Stage(FitConfig):
    """One training run of a recipe: its name, its phantoms, and all settings of a training run.

    Attributes:
        name: Letters, digits, ``-`` and ``_``; unique within the recipe.
        phantoms: Seeds of the whole-head phantoms that patches are drawn from.
        more_phantoms: Additional ones, for example with all distractors.
        patch: As in :class:`FitConfig`, or one number for a cube.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,40}$")
    phantoms: Seeds
    more_phantoms: tuple[Seeds, ...] = ()

    @field_validator("patch", mode="before")
    @classmethod
    def _cube(cls, value: Any) -> Any:
        return (value, value, value) if isinstance(value, int) else value

    def fit_config(self, workers: int | None = None) -> FitConfig:
        """Return the settings of the run.

        Args:
            workers: Threads that prepare batches; overrides the recipe.
        """
        settings = {name: getattr(self, name) for name in FitConfig.model_fields}
        return FitConfig(**settings | ({} if workers is None else {"workers": workers}))

    @property
    def all_phantoms(self) -> tuple[Seeds, ...]:
        """All phantoms that patches are drawn from."""
        return (self.phantoms, *self.more_phantoms)

    @property
    def voxels(self) -> int:
        """Maximum number of voxels the stage trains on: a measure of its work."""
        return self.max_epochs * self.steps_per_epoch * self.batch_size * math.prod(self.patch)


class Recipe(BaseModel):
    """A complete training.

    Attributes:
        name: The file name without its ending.
        description: One sentence for the model card.
        network: The architecture, the same in all stages.
        validation: Phantoms used to select the best weights of each stage.
        stages: ``[[stage]]`` in the file; run in this order, each from the best weights of the previous one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    name: str
    description: str = ""
    network: UNetConfig = UNetConfig()
    validation: Seeds
    stages: tuple[Stage, ...] = Field(alias="stage", min_length=1)

    def as_data(self) -> dict[str, Any]:
        """Return the recipe as plain data in the layout of the file, including default values."""
        return self.model_dump(mode="json", by_alias=True)


def phantoms_in(stage: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the seeds of a stage given as plain data, as in model cards; see :attr:`Stage.all_phantoms`."""
    return [stage["phantoms"], *stage.get("more_phantoms", [])]


def recipe_names() -> list[str]:
    """Return the names of the bundled recipes."""
    return sorted(path.stem for path in BUNDLED_RECIPES.glob("*.toml"))


def load_recipe(name: str) -> Recipe:
    """Read a recipe.

    Args:
        name: Of a bundled recipe, or the path of a ``.toml`` file.

    Raises:
        InputError: If it does not exist or is invalid; names the key and the stage.
    """
    path = Path(name).expanduser()
    if path.suffix != ".toml":
        known = recipe_names()
        if name not in known:
            raise InputError(
                f"There is no recipe named {name!r}. Known: {', '.join(known)}. "
                "Give a recipe of your own by its path, which ends in .toml.",
                field="recipe",
            )
        path = BUNDLED_RECIPES / f"{name}.toml"
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"There is no file {path}.", field="recipe") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The recipe {path} cannot be read: {error}", field="recipe") from error
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"The recipe {path} is not valid TOML: {error}", field="recipe") from error
    return parse_recipe(data, name=path.stem, source=str(path))


def parse_recipe(data: Mapping[str, Any], *, name: str, source: str = "recipe") -> Recipe:
    """Build a recipe from the content of a TOML file.

    Args:
        data: Content of the file.
        name: Name of the recipe.
        source: Name of the file in messages.

    Raises:
        InputError: If it is invalid; names the key and the stage.
    """
    if "name" in data:
        raise InputError(f'{source}: unknown key "name". A recipe is named after its file.', field="name")
    if "stages" in data:
        raise InputError(f'{source}: unknown key "stages". Did you mean "stage"?', field="stages")
    if isinstance(data.get("stage"), dict):
        raise InputError(f"{source}: write [[stage]] in double brackets.", field="stage")
    try:
        recipe = Recipe.model_validate({**data, "name": name})
    except ValidationError as error:
        problems = error.errors()
        more = f" ({len(problems) - 1} more errors follow.)" if len(problems) > 1 else ""
        key = next((str(part) for part in reversed(problems[0]["loc"]) if isinstance(part, str)), "recipe")
        raise InputError(f"{source}: {_explain(problems[0], data)}{more}", field=key) from error
    _check(recipe, source)
    return recipe


def _explain(problem: ErrorDetails, data: Mapping[str, Any]) -> str:
    """Translate an error of pydantic for the author of the file."""
    path = list(problem["loc"])
    where = "the recipe"
    model: type[BaseModel] = Recipe
    if path[0] == "stage" and len(path) > 1:
        number = int(path[1])
        entry = data["stage"][number]
        name = entry.get("name") if isinstance(entry, Mapping) else None
        where, model, path = f'stage "{name}"' if name else f"stage {number + 1}", Stage, path[2:]
    key = ".".join(str(part) for part in path)
    if problem["type"] == "missing":
        return f'{where} lacks the key "{key}".'
    if problem["type"] != "extra_forbidden":
        return f'"{key}" in {where}: {problem["msg"]}.'
    known = _keys_at([str(part) for part in path[:-1]], model)
    close = difflib.get_close_matches(str(path[-1]), known, 1, cutoff=0.5)
    hint = f'Did you mean "{close[0]}"?' if close else f"Known: {', '.join(known)}."
    return f'unknown key "{key}" in {where}. {hint}'


def _keys_at(path: list[str], model: type[BaseModel]) -> list[str]:
    """Return the keys allowed in a table of the file."""
    for part in path:
        if part not in model.model_fields:  # the number of an entry in a list
            continue
        annotation = model.model_fields[part].annotation
        annotation = next(iter(get_args(annotation)), annotation)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
    return [field.alias or name for name, field in model.model_fields.items() if (model, name) != (Recipe, "name")]


def _check(recipe: Recipe, source: str) -> None:
    names = [stage.name for stage in recipe.stages]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f'{source}: two stages have the name "{name}".', field="name")
    kept = recipe.validation.range()
    _refuse_evaluation_seeds(kept, f"{source}: the validation")
    for stage in recipe.stages:
        taken = [kept]
        for phantoms in stage.all_phantoms:
            seeds = phantoms.range()
            _refuse_evaluation_seeds(seeds, f'{source}: stage "{stage.name}"')
            for number, other in enumerate(taken):
                if max(seeds.start, other.start) < min(seeds.stop, other.stop):
                    what = "name phantoms twice" if number else "train on phantoms of the validation"
                    raise InputError(
                        f'{source}: stage "{stage.name}" would {what}: seeds {seeds.start} to {seeds.stop - 1} and '
                        f"{other.start} to {other.stop - 1} overlap.",
                        field="phantoms",
                    )
            taken.append(seeds)
        if any(side < 1 or side % recipe.network.stride for side in stage.patch):
            raise InputError(
                f'{source}: "patch" in stage "{stage.name}" is {list(stage.patch)}; the sides must be multiples of '
                f"{recipe.network.stride}.",
                field="patch",
            )


def _refuse_evaluation_seeds(seeds: range, who: str) -> None:
    try:
        refuse_fixed(seeds)
    except InputError as error:
        raise InputError(f"{who}: {error.message}", field="phantoms") from error
