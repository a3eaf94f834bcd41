"""Recipes: stages one after another, across interruptions; what is wrong with one is said by key and stage."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from training.cli import app
from training.errors import InputError
from training.fitting.config import FitConfig
from training.models.store import ModelStore
from training.models.weights import load_weights
from training.phantoms.generate import GENERATOR_VERSION, phantom_id
from training.preparation.store import PreparedStore, _phantom_key
from training.recipes.recipe import BUNDLED_RECIPES, Recipe, load_recipe, parse_recipe, recipe_names
from training.recipes.run import RecipeCallbacks, RecipeProgress, RecipeResult, run_recipe
from training.recipes.work_folder import WorkFolder

STAGE = """
[[stage]]
name = "{name}"
phantoms = {{ first = 0, count = 2 }}
max_epochs = {epochs}
steps_per_epoch = 2
batch_size = 1
patch = 32
precision = "float32"
workers = 0
"""
HEAD = """
description = "tiny"
[network]
base_filters = 8
max_filters = 8
levels = 2
[validation]
first = 10
count = 1
"""


def tiny(*stages: str, epochs: int = 1) -> str:
    """Return a recipe's text: 8 filters, 2 levels, patches of 32, 2 phantoms."""
    return HEAD + "".join(STAGE.format(name=name, epochs=epochs) for name in stages)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def write_recipe(text: str) -> Path:
        path = tmp_path / "tiny.toml"
        path.write_text(text)
        return path

    return write_recipe


@pytest.fixture
def load(write: Callable[[str], Path]) -> Callable[[str], Recipe]:
    return lambda text: load_recipe(str(write(text)))


# === Reading ===


def test_the_recipe_that_comes_with_the_software_can_be_loaded_by_name():
    assert "base" in recipe_names()
    recipe = load_recipe("base")
    assert recipe.name == "base"
    assert recipe.stages[0].patch == (96, 96, 96)


def test_the_packaging_takes_the_recipes_along():
    listed = (Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8")
    assert 'training = ["recipes/*.toml"]' in listed
    assert BUNDLED_RECIPES.parent.name == "training"


def test_a_stage_takes_every_setting_of_a_training(load):
    stage = load(tiny("one") + "average = 0.5\nseed = 3\nearly_stop_patience = 4").stages[0]
    config = stage.fit_config()
    assert type(config) is FitConfig
    assert (config.average, config.seed, config.early_stop_patience) == (0.5, 3, 4)
    assert stage.fit_config(workers=7).workers == 7
    assert stage.voxels == 2 * 32**3


def test_a_recipe_as_data_gives_the_same_recipe_again(load):
    recipe = load(tiny("one", "two"))
    data = json.loads(json.dumps(recipe.as_data()))
    assert parse_recipe({key: value for key, value in data.items() if key != "name"}, name="tiny") == recipe


def test_an_unknown_name_is_answered_with_those_there_are():
    with pytest.raises(InputError, match=r"no recipe named 'nonsense'\. Those there are: base"):
        load_recipe("nonsense")
    with pytest.raises(InputError, match=r"no file nowhere/at-all\.toml"):
        load_recipe("nowhere/at-all.toml")


@pytest.mark.parametrize(
    ("text", "words", "field"),
    [
        (tiny("one") + "epochs = 3", 'unknown key "epochs" in stage "one". Did you mean "max_epochs"', "epochs"),
        (tiny("one") + "xyzzy = 3", 'unknown key "xyzzy" in stage "one". Those there are: max_epochs', "xyzzy"),
        (tiny("one") + "[extra]\nx = 1", 'unknown key "extra" in the recipe', "extra"),
        (tiny("one").replace("base_filters", "filters"), 'unknown key "network.filters"', "filters"),
        (tiny("one").replace("count = 2", "number = 2"), 'stage "one" lacks the key "phantoms.count"', "count"),
        (tiny("one") + "learning_rate = 7", '"learning_rate" in stage "one": ', "learning_rate"),
        (tiny("one").replace('name = "one"', ""), 'stage 1 lacks the key "name"', "name"),
        (tiny("one").replace("patch = 32", "patch = 30"), "sides must be multiples of 4", "patch"),
        (tiny("one").replace("patch = 32", "patch = 0"), "sides must be multiples of 4", "patch"),
        (tiny("one", "one"), 'two stages have the name "one"', "name"),
        (
            tiny("one").replace("first = 0, count = 2", "first = 9, count = 2"),
            "9 to 10 and 10 to 10 overlap",
            "phantoms",
        ),
        (
            tiny("one") + "more_phantoms = [{ first = 1, count = 2 }]",
            "name phantoms twice: seeds 1 to 2 and 0 to 1 overlap",
            "phantoms",
        ),
        (
            tiny("one") + 'more_phantoms = [{ first = 3, count = 2, distractor = "all" }]',
            'unknown key "more_phantoms.0.distractor" in stage "one". Did you mean "distractors"',
            "distractor",
        ),
        (
            tiny("one").replace("first = 0", 'tumor = "tiny", first = 0'),
            '"phantoms.tumor" in stage "one": Input should be True, False or \'small\'',
            "tumor",
        ),
        (
            tiny("one").replace("first = 0", "first = 910000000"),
            'stage "one": Phantom 910000000 is reserved for evaluation',
            "phantoms",
        ),
        (
            tiny("one").replace("first = 10", "first = 910000000"),
            "the validation: Phantom 910000000 is reserved",
            "phantoms",
        ),
        (tiny("one").replace("[[stage]]", "[stage]"), "two brackets", "stage"),
        (tiny("one").replace("[[stage]]", "[[stages]]"), 'unknown key "stages"', "stages"),
        (HEAD, 'the recipe lacks the key "stage"', "stage"),
        ('name = "x"' + tiny("one"), "has the name of its file", "name"),
        ("nonsense", "no valid TOML", "recipe"),
    ],
)
def test_what_is_wrong_with_a_recipe_is_said_by_key_and_stage(load, text: str, words: str, field: str):
    with pytest.raises(InputError) as caught:
        load(text)
    assert words in caught.value.message
    assert "tiny.toml" in caught.value.message
    assert caught.value.field == field


# === Running ===


def put_balls(work: Path) -> None:
    """Put small cases where the recipe's phantoms are looked for, so that none is generated."""
    store = PreparedStore(work / "prepared")
    for seed in (0, 1, 10):
        rng = np.random.default_rng(seed)
        x, y, z = np.ogrid[:40, :40, :40]
        radius = np.sqrt((x - 20) ** 2 + (y - 18) ** 2 + (z - 20) ** 2)
        label = np.select([radius < 5, radius < 8, radius < 13], [1, 3, 2], 0).astype(np.uint8)
        image = rng.normal(0, 0.3, (40, 40, 40, 4)).astype(np.float32)
        image[..., 3] += 4.0 * (label > 0)
        store.put(phantom_id(seed), image, label, key=_phantom_key(seed, True, "some"))


class Killed(BaseException):
    pass


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder of two stages of two epochs: the first is finished, the second was killed in its second epoch."""
    work = tmp_path_factory.mktemp("killed")
    put_balls(work)

    def kill(at: RecipeProgress) -> None:
        if at.number == 2 and at.fit is not None and at.fit.epoch == 1 and at.fit.step == 1:
            raise Killed

    recipe = parse_recipe(_data(tiny("one", "two", epochs=2)), name="tiny")
    with pytest.raises(Killed):
        run_recipe(recipe, work, listener=RecipeCallbacks(progress=kill))
    return work


@pytest.fixture(scope="module")
def two_stages(
    killed: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, RecipeResult, list[RecipeProgress]]:
    """The same, continued in a copy of the folder."""
    work = tmp_path_factory.mktemp("elsewhere") / "copied"
    shutil.copytree(killed, work)
    seen: list[RecipeProgress] = []
    recipe = parse_recipe(_data(tiny("one", "two", epochs=2)), name="tiny")
    return work, run_recipe(recipe, work, listener=RecipeCallbacks(progress=seen.append)), seen


@pytest.fixture
def work(two_stages, tmp_path: Path) -> Path:
    """A copy of the finished folder, to be changed."""
    shutil.copytree(two_stages[0], tmp_path / "work")
    return tmp_path / "work"


def _data(text: str) -> dict[str, Any]:
    from training.recipes.recipe import tomllib

    return dict(tomllib.loads(text))


def test_a_stage_that_was_killed_goes_on_where_it_was_in_a_copied_folder(two_stages):
    _, result, seen = two_stages
    assert [record["epoch"] for record in result.stages[1].history] == [1, 2]
    assert [run.from_epoch for run in result.stages[1].runs] == [0, 1]
    assert result.trained == ["two"]
    assert (seen[0].number, seen[0].done, seen[0].fit) == (2, seen[0].total * 3 // 4, None)
    assert (seen[-1].stage, seen[-1].done) == ("two", seen[-1].total)
    assert [at.done for at in seen] == sorted(at.done for at in seen)


def test_each_stage_starts_from_the_weights_of_the_one_before_and_says_on_what_it_ran(two_stages):
    work, result, _ = two_stages
    first, second = result.stages
    assert first.start_sha256 == ""
    assert second.start_sha256 == first.weights_sha256
    assert first.runs[0].backend in ("tensorflow", "jax", "torch")
    assert first.runs[0].precision == "float32"
    assert first.generator == GENERATOR_VERSION
    assert not (work / "tiny" / "01-one" / "checkpoint.npz").exists()
    stored = load_weights(work / "tiny" / "02-two" / "weights.npz")
    assert all(np.array_equal(stored[key], value) for key, value in result.weights.items())


def test_what_is_finished_is_not_trained_again(work: Path, load):
    seen: list[RecipeProgress] = []
    result = run_recipe(load(tiny("one", "two", epochs=2)), work, listener=RecipeCallbacks(progress=seen.append))
    assert result.trained == []
    assert seen == []
    assert len(result.stages) == 2


def test_another_number_of_threads_is_no_other_recipe(work: Path, load):
    text = tiny("one", "two", epochs=2).replace("workers = 0", "workers = 3")
    assert run_recipe(load(text), work, workers=2).trained == []


def test_only_a_new_stage_is_trained(work: Path, load):
    text = tiny("one", "two", epochs=2) + STAGE.format(name="three", epochs=1) + "learning_rate = 1e-4"
    before = (work / "tiny" / "01-one" / "stage.json").read_bytes()
    result = run_recipe(load(text), work)
    assert result.trained == ["three"]
    assert result.stages[2].start_sha256 == result.stages[1].weights_sha256
    assert (work / "tiny" / "01-one" / "stage.json").read_bytes() == before


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (
            "batch_size = 1",
            "batch_size = 2",
            'Stage "one" was finished with other settings: batch_size was 1, is now 2',
        ),
        ("first = 0, count = 2", "first = 0, count = 3", "phantoms.count was 2, is now 3"),
        ("first = 10", "first = 11", "validation.first was 10, is now 11"),
        ("max_filters = 8", "max_filters = 9", "network.max_filters was 8, is now 9"),
        ('name = "one"', 'name = "uno"', "01-one is a finished stage that the recipe does not have at this place"),
    ],
)
def test_a_finished_stage_that_was_changed_is_refused_with_what_changed(work: Path, load, before, after, words):
    with pytest.raises(InputError, match="delete") as caught:
        run_recipe(load(tiny("one", "two", epochs=2).replace(before, after)), work)
    assert words in caught.value.message
    assert caught.value.field == "recipe"


def test_a_finished_stage_that_was_taken_out_is_refused(work: Path, load):
    with pytest.raises(InputError, match="02-two is a finished stage that the recipe does not have"):
        run_recipe(load(tiny("one", epochs=2)), work)


def test_a_missing_first_stage_and_damaged_weights_are_told_before_anything_is_trained(work: Path, load):
    recipe = load(tiny("one", "two", epochs=2))
    weights = work / "tiny" / "02-two" / "weights.npz"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InputError, match=r'weights of stage "two".*missing or damaged'):
        run_recipe(recipe, work)
    shutil.rmtree(work / "tiny" / "01-one")
    with pytest.raises(InputError, match='Stage "two" is finished, but stage "one" before it is not'):
        run_recipe(recipe, work)


def test_a_setting_that_came_into_the_code_later_does_not_change_a_finished_stage(work: Path, load):
    file = work / "tiny" / "01-one" / "stage.json"
    about = json.loads(file.read_text())
    del about["settings"]["stage"]["clip_norm"]
    file.write_text(json.dumps(about))
    assert run_recipe(load(tiny("one", "two", epochs=2)), work).trained == []


def test_phantoms_of_an_older_generator_are_warned_of(work: Path, load):
    file = work / "tiny" / "01-one" / "stage.json"
    about = json.loads(file.read_text())
    file.write_text(json.dumps(about | {"generator": 1}))
    warnings: list[str] = []
    run_recipe(load(tiny("one", "two", epochs=2)), work, listener=RecipeCallbacks(warning=warnings.append))
    assert len(warnings) == 1
    assert 'Stage "one" was trained on phantoms of generator version 1' in warnings[0]


def test_an_unfinished_stage_that_was_changed_starts_anew_and_its_checkpoint_is_set_aside(killed, tmp_path, load):
    shutil.copytree(killed / "tiny", tmp_path / "tiny")
    for text, expected in (("two", []), ('two"\nseed = 5 # "', ["seed was 0, is now 5"])):
        memory = WorkFolder(load(tiny("one", text, epochs=2)), tmp_path)
        begun, changes = memory.begin(1, memory.stage_start(1, memory.finished()[0].weights_sha256))
        assert changes == expected
        assert len(begun.runs) == (0 if changes else 1)
        assert memory.checkpoint(1).is_file() == (not changes)
    assert (tmp_path / "tiny" / "02-two" / "checkpoint-set-aside.npz").is_file()


def test_the_time_of_a_stage_is_that_of_all_its_runs(two_stages):
    stage = two_stages[1].stages[0]
    records = [{"epoch": 1, "seconds": 10.0}, {"epoch": 2, "seconds": 30.0}, {"epoch": 3, "seconds": 5.0}]
    assert stage.model_copy(update={"history": records}).seconds() == 35.0
    slower = [{"epoch": 1, "seconds": 10.0}, {"epoch": 2, "seconds": 30.0}]
    runs = [stage.runs[0], stage.runs[0].model_copy(update={"from_epoch": 1})]
    assert stage.model_copy(update={"history": slower}).seconds() == 30.0
    assert stage.model_copy(update={"history": slower, "runs": runs}).seconds() == 40.0


# === The command ===


@pytest.fixture
def fit(monkeypatch, tmp_path: Path) -> Callable[..., tuple[int, str, str]]:
    monkeypatch.setenv("COLUMNS", "200")

    def invoke(*arguments: object) -> tuple[int, str, str]:
        options = ["fit", *arguments, "--work", tmp_path / "work", "--models", tmp_path / "models"]
        result = CliRunner().invoke(app, [str(option) for option in options])
        return result.exit_code, result.stdout, result.stderr

    return invoke


def test_the_command_trains_on_real_phantoms_stores_promotes_and_bundles(fit, write, tmp_path: Path):
    recipe, bundle = write(tiny("only")), tmp_path / "bundle"
    code, stdout, _ = fit("--recipe", recipe, "--promote", "--bundle", bundle)
    assert code == 0
    assert "now" in stdout
    assert "v0001 is the current version now" in stdout
    card = ModelStore(tmp_path / "models").current().card
    assert card.description == "tiny"
    assert card.network.base_filters == 8
    assert card.training["recipe"]["stage"][0]["phantoms"] == {"first": 0, "count": 2}
    assert card.training["phantoms"]["only"] == {"first": 0, "count": 2, "generator": GENERATOR_VERSION}
    (stage,) = card.training["stages"]
    assert len(stage["history"]) == 1
    assert stage["runs"][0]["backend"]
    assert card.metrics["validation_mean_dice"] == stage["best_metric"]
    bundled = ModelStore(tmp_path / "none", bundle).current()
    assert (bundled.id, bundled.card.version) == ("v0000", "v0000")
    with np.load(bundle / "weights.npz") as archive:
        assert archive["logits/kernel"].dtype == np.float16

    code, stdout, _ = fit("--recipe", recipe)
    assert code == 0
    assert "stored already: v0001" in stdout
    assert "before" in stdout
    code, _, stderr = fit("--recipe", recipe, "--bundle", bundle)
    assert code == 2
    assert "is there already" in stderr


def test_ctrl_c_ends_with_130_and_says_how_to_go_on(fit, write, tmp_path: Path, monkeypatch):
    put_balls(tmp_path / "work")

    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("training.fitting.fit.fit", interrupted)
    code, _, stderr = fit("--recipe", write(tiny("one")))
    assert code == 130
    assert "the same command goes on from there" in stderr
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--recipe", "nonsense"], "Error (recipe): There is no recipe named 'nonsense'. Those there are: base"),
        (["--recipe", "base", "--epochs", 3, "--base-filters", 8], "--epochs, --base-filters cannot be given together"),
        (["--recipe", "base", "--phantoms", 0], "Error (phantoms): --phantoms cannot be given together with --recipe"),
        (["--bundle", "somewhere", "--phantoms", 1], "--bundle goes together with --recipe"),
    ],
)
def test_options_that_contradict_the_recipe_end_with_2(fit, options, words):
    code, _, stderr = fit(*options)
    assert code == 2
    assert words in stderr


def test_a_bad_key_ends_with_2_and_one_line(fit, write):
    code, _, stderr = fit("--recipe", write(tiny("one") + "epochs = 3"))
    assert code == 2
    assert 'unknown key "epochs" in stage "one"' in stderr
    assert len(stderr.strip().splitlines()) == 1


def test_the_work_folder_tells_recipes_apart(tmp_path: Path, load):
    recipe = load(tiny("one"))
    other = recipe.model_copy(update={"name": "other"})
    assert WorkFolder(recipe, tmp_path).folder(0) != WorkFolder(other, tmp_path).folder(0)
