"""Running recipes: stages one after another, resumed after interruptions."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.training.recipes.conftest import STAGE, tiny
from training.errors import InputError
from training.models.store import ModelStore
from training.models.weights import load_weights
from training.phantoms.generate import GENERATOR_VERSION, phantom_id
from training.preparation.store import PreparedStore, _phantom_key
from training.recipes.recipe import parse_recipe, tomllib
from training.recipes.run import RecipeCallbacks, RecipeProgress, RecipeResult, run_recipe
from training.recipes.work_folder import WorkFolder

TWO = tiny("one", "two", epochs=2)
RECIPE = parse_recipe(tomllib.loads(TWO), name="tiny")


def put_balls(work: Path) -> None:
    """Store small cases under the keys of the recipe's phantoms, so that none is generated."""
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
    """A work folder in which the first stage is finished and the second was killed in its second epoch."""
    work = tmp_path_factory.mktemp("killed")
    put_balls(work)

    def kill(at: RecipeProgress) -> None:
        if at.number == 2 and at.fit is not None and at.fit.epoch == 1 and at.fit.step == 1:
            raise Killed

    with pytest.raises(Killed):
        run_recipe(RECIPE, work, callbacks=RecipeCallbacks(progress=kill))
    return work


@pytest.fixture(scope="module")
def two_stages(
    killed: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, RecipeResult, list[RecipeProgress]]:
    """The same recipe, continued in a copy of the folder."""
    work = tmp_path_factory.mktemp("elsewhere") / "copied"
    shutil.copytree(killed, work)
    seen: list[RecipeProgress] = []
    return work, run_recipe(RECIPE, work, callbacks=RecipeCallbacks(progress=seen.append)), seen


@pytest.fixture
def work(two_stages, tmp_path: Path) -> Path:
    """A copy of the finished folder, to be changed."""
    return Path(shutil.copytree(two_stages[0], tmp_path / "work"))


def change_stage_one(work: Path, **changes: object) -> None:
    file = work / "tiny" / "01-one" / "stage.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_a_killed_stage_resumes_from_its_last_epoch_in_a_copied_folder(two_stages):
    _, result, seen = two_stages
    assert [record["epoch"] for record in result.stages[1].history] == [1, 2]
    assert [run.from_epoch for run in result.stages[1].runs] == [0, 1]
    assert result.trained == ["two"]
    assert (seen[0].number, seen[0].done, seen[0].fit) == (2, seen[0].total * 3 // 4, None)
    assert (seen[-1].stage, seen[-1].done) == ("two", seen[-1].total)
    assert [at.done for at in seen] == sorted(at.done for at in seen)


def test_each_stage_starts_from_the_weights_of_the_one_before_and_records_its_backend(two_stages):
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


def test_finished_stages_are_not_trained_again_even_with_other_threads_or_new_settings_in_the_code(work, load):
    settings = json.loads((work / "tiny" / "01-one" / "stage.json").read_text())["settings"]
    del settings["stage"]["clip_norm"]  # as written before this setting was introduced
    change_stage_one(work, settings=settings)
    seen: list[RecipeProgress] = []
    recipe = load(TWO.replace("workers = 0", "workers = 3"))
    result = run_recipe(recipe, work, workers=2, callbacks=RecipeCallbacks(progress=seen.append))
    assert (result.trained, seen, len(result.stages)) == ([], [], 2)


def test_only_a_new_stage_is_trained(work: Path, load):
    before = (work / "tiny" / "01-one" / "stage.json").read_bytes()
    result = run_recipe(load(TWO + STAGE.format(name="three", epochs=1) + "learning_rate = 1e-4"), work)
    assert result.trained == ["three"]
    assert result.stages[2].start_sha256 == result.stages[1].weights_sha256
    assert (work / "tiny" / "01-one" / "stage.json").read_bytes() == before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            TWO.replace("batch_size = 1", "batch_size = 2"),
            'Stage "one" was finished with other settings: batch_size was 1, is now 2',
        ),
        (TWO.replace("first = 0, count = 2", "first = 0, count = 3"), "phantoms.count was 2, is now 3"),
        (TWO.replace("first = 10", "first = 11"), "validation.first was 10, is now 11"),
        (TWO.replace("max_filters = 8", "max_filters = 9"), "network.max_filters was 8, is now 9"),
        (TWO.replace('name = "one"', 'name = "uno"'), "01-one is a finished stage that the recipe does not have"),
        (tiny("one", epochs=2), "02-two is a finished stage that the recipe does not have"),
    ],
)
def test_a_finished_stage_that_was_changed_or_removed_is_an_error_that_names_the_change(work: Path, load, text, words):
    with pytest.raises(InputError, match="delete") as caught:
        run_recipe(load(text), work)
    assert words in caught.value.message
    assert caught.value.field == "recipe"


def test_missing_stages_and_damaged_weights_are_reported_before_anything_is_trained(work: Path):
    weights = work / "tiny" / "02-two" / "weights.npz"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InputError, match=r'weights of stage "two".*missing or damaged'):
        run_recipe(RECIPE, work)
    shutil.rmtree(work / "tiny" / "01-one")
    with pytest.raises(InputError, match='Stage "two" is finished, but stage "one" before it is not'):
        run_recipe(RECIPE, work)


def test_phantoms_of_an_older_generator_give_a_warning(work: Path):
    change_stage_one(work, generator=1)
    warnings: list[str] = []
    run_recipe(RECIPE, work, callbacks=RecipeCallbacks(warning=warnings.append))
    (warning,) = warnings
    assert 'Stage "one" was trained on phantoms of generator version 1' in warning


def test_an_unfinished_stage_that_was_changed_starts_over_and_its_checkpoint_is_set_aside(killed, tmp_path, load):
    shutil.copytree(killed / "tiny", tmp_path / "tiny")
    for text, expected in (("two", []), ('two"\nseed = 5 # "', ["seed was 0, is now 5"])):
        folder = WorkFolder(load(tiny("one", text, epochs=2)), tmp_path)
        start, changes = folder.begin(1, folder.stage_start(1, folder.finished()[0].weights_sha256))
        assert changes == expected
        assert len(start.runs) == (0 if changes else 1)
        assert folder.checkpoint(1).is_file() == (not changes)
    assert (tmp_path / "tiny" / "02-two" / "checkpoint-set-aside.npz").is_file()
    assert WorkFolder(RECIPE.model_copy(update={"name": "other"}), tmp_path).folder(0) != folder.folder(0)


def test_the_time_of_a_stage_is_the_sum_over_its_runs(two_stages):
    stage = two_stages[1].stages[0]

    def seconds(*times: float, **changes: object) -> float:
        history = [{"epoch": epoch, "seconds": time} for epoch, time in enumerate(times, start=1)]
        return stage.model_copy(update={"history": history, **changes}).seconds()

    assert seconds(10.0, 30.0, 5.0) == 35.0
    assert seconds(10.0, 30.0) == 30.0
    runs = [stage.runs[0], stage.runs[0].model_copy(update={"from_epoch": 1})]
    assert seconds(10.0, 30.0, runs=runs) == 40.0


# === The command ===


@pytest.fixture
def fit(run, tmp_path: Path):
    return lambda *arguments: run("fit", *arguments, "--work", tmp_path / "work", "--models", tmp_path / "models")


def test_the_command_trains_stores_promotes_and_bundles_a_model(fit, write, tmp_path: Path):
    put_balls(tmp_path / "work")
    recipe, bundle = write(tiny("only")), tmp_path / "bundle"
    code, stdout, _ = fit("--recipe", recipe, "--promote", "--bundle", bundle)
    assert code == 0
    assert "now" in stdout
    assert "v0001 is now the current version" in stdout
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
    assert "already stored: v0001" in stdout
    assert "before" in stdout
    code, _, stderr = fit("--recipe", recipe, "--bundle", bundle)
    assert code == 2
    assert "already exists" in stderr


def test_ctrl_c_ends_with_130_and_says_how_to_resume(fit, write, tmp_path: Path, monkeypatch):
    put_balls(tmp_path / "work")

    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("training.fitting.fit.fit", interrupted)
    code, _, stderr = fit("--recipe", write(tiny("one")))
    assert code == 130
    assert "the same command resumes from there" in stderr
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--recipe", "nonsense"], "Error (recipe): There is no recipe named 'nonsense'. Known: base"),
        (["--recipe", "base", "--epochs", 3, "--base-filters", 8], "--epochs, --base-filters cannot be given together"),
        (["--recipe", "base", "--phantoms", 0], "Error (phantoms): --phantoms cannot be given together with --recipe"),
        (["--bundle", "somewhere", "--phantoms", 1], "--bundle requires --recipe"),
    ],
)
def test_options_that_contradict_the_recipe_end_with_2_and_one_line(fit, options, words):
    code, _, stderr = fit(*options)
    assert code == 2
    assert words in stderr
    assert len(stderr.strip().splitlines()) == 1
