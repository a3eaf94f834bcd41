import json
import re
from pathlib import Path

import pytest

from tests.training import rejected
from tests.training.recipes.conftest import HEAD, tiny
from training.fitting.config import FitConfig
from training.recipes.recipe import BUNDLED_RECIPES, load_recipe, parse_recipe, recipe_names


def test_the_bundled_recipe_is_packaged_and_loaded_by_name_and_an_unknown_name_answered_with_the_known_ones():
    assert "base" in recipe_names()
    recipe = load_recipe("base")
    assert (recipe.name, recipe.stages[0].patch) == ("base", (96, 96, 96))
    packaging = (Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8")
    assert '"recipes/*.toml"' in packaging.partition("[tool.setuptools.package-data]")[2].partition("[tool.ruff]")[0]
    assert (BUNDLED_RECIPES.name, BUNDLED_RECIPES.parent.name) == ("recipes", "training")
    for name, message in (("nonsense", r"no recipe named 'nonsense'\. Known: base"), ("at/all.toml", "no file at/all")):
        with rejected(message):
            load_recipe(name)


def test_a_stage_takes_every_setting_of_a_training_and_a_recipe_survives_as_plain_data(load):
    stage = load(tiny("one") + "average = 0.5\nseed = 3\nearly_stop_patience = 4").stages[0]
    config = stage.fit_config()
    assert type(config) is FitConfig
    assert (config.average, config.seed, config.early_stop_patience) == (0.5, 3, 4)
    assert (stage.fit_config(workers=7).workers, stage.voxels) == (7, 2 * 32**3)
    recipe = load(tiny("one", "two"))
    data = json.loads(json.dumps(recipe.as_data()))
    assert parse_recipe({key: value for key, value in data.items() if key != "name"}, name="tiny") == recipe


MISSPELLED = 'unknown key "more_phantoms.0.distractor" in stage "one". Did you mean "distractors"'
TUMOR_VALUES = '"phantoms.tumor" in stage "one": Input should be True, False or \'small\''


def changed(old: str, new: str) -> str:
    return tiny("one").replace(old, new)


def more(phantoms: str) -> str:
    return tiny("one") + f"more_phantoms = [{{ count = 2, {phantoms} }}]"


@pytest.mark.parametrize(
    ("text", "words", "field"),
    [
        (tiny("one") + "epochs = 3", 'unknown key "epochs" in stage "one". Did you mean "max_epochs"', "epochs"),
        (tiny("one") + "xyzzy = 3", 'unknown key "xyzzy" in stage "one". Known: max_epochs', "xyzzy"),
        (tiny("one") + "[extra]\nx = 1", 'unknown key "extra" in the recipe', "extra"),
        (changed("base_filters", "filters"), 'unknown key "network.filters"', "filters"),
        (changed("count = 2", "number = 2"), 'stage "one" lacks the key "phantoms.count"', "count"),
        (tiny("one") + "learning_rate = 7", '"learning_rate" in stage "one": ', "learning_rate"),
        (changed('name = "one"', ""), 'stage 1 lacks the key "name"', "name"),
        (changed("patch = 32", "patch = 30"), "sides must be multiples of 4", "patch"),
        (changed("patch = 32", "patch = 0"), "sides must be multiples of 4", "patch"),
        (tiny("one", "one"), 'two stages have the name "one"', "name"),
        (changed("first = 0, count = 2", "first = 9, count = 2"), "9 to 10 and 10 to 10 overlap", "phantoms"),
        (more("first = 1"), "name phantoms twice: seeds 1 to 2 and 0 to 1 overlap", "phantoms"),
        (more('first = 3, distractor = "all"'), MISSPELLED, "distractor"),
        (changed("first = 0", 'tumor = "tiny", first = 0'), TUMOR_VALUES, "tumor"),
        (changed("first = 0", "first = 910000000"), 'stage "one": Phantom 910000000 is reserved', "phantoms"),
        (changed("first = 10", "first = 910000000"), "the validation: Phantom 910000000 is reserved", "phantoms"),
        (changed("[[stage]]", "[stage]"), "double brackets", "stage"),
        (changed("[[stage]]", "[[stages]]"), 'unknown key "stages"', "stages"),
        (HEAD, 'the recipe lacks the key "stage"', "stage"),
        ('name = "x"' + tiny("one"), "named after its file", "name"),
        ("nonsense", "not valid TOML", "recipe"),
    ],
)
def test_errors_in_a_recipe_name_the_key_and_the_stage(load, text: str, words: str, field: str):
    with rejected(re.escape(words), field) as caught:
        load(text)
    assert "tiny.toml" in caught.value.message
