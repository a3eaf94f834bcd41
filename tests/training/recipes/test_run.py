import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.training import rejected
from tests.training.recipes.conftest import STAGE, tiny
from training.models.store import ModelStore
from training.models.weights import load_weights
from training.phantoms.generate import GENERATOR_VERSION, phantom_id
from training.preparation.store import PreparedStore, _phantom_key
from training.recipes.recipe import parse_recipe, tomllib
from training.recipes.run import RecipeCallbacks, RecipeProgress, RecipeResult, run_recipe
from training.recipes.work_folder import WorkFolder

TWO = tiny("one", "two", epochs=2)
RECIPE = parse_recipe(tomllib.loads(TWO), name="tiny")


def put_balls(work: Path) -> Path:
    """Store small cases under the keys of the recipe's phantoms, so that none is generated."""
    x, y, z = np.ogrid[:40, :40, :40]
    radius = np.sqrt((x - 20) ** 2 + (y - 18) ** 2 + (z - 20) ** 2)
    label = np.select([radius < 5, radius < 8, radius < 13], [1, 3, 2], 0).astype(np.uint8)
    for seed in (0, 1, 10):
        image = np.random.default_rng(seed).normal(0, 0.3, (40, 40, 40, 4)).astype(np.float32)
        image[..., 3] += 4.0 * (label > 0)
        PreparedStore(work / "prepared").put(phantom_id(seed), image, label, key=_phantom_key(seed, True, "some"))
    return work


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder in which the first stage is finished and the second was interrupted in its second epoch."""
    work = put_balls(tmp_path_factory.mktemp("killed"))

    def kill(at: RecipeProgress) -> None:
        if at.number == 2 and at.fit is not None and at.fit.epoch == 1 and at.fit.step == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_recipe(RECIPE, work, callbacks=RecipeCallbacks(progress=kill))
    return work


@pytest.fixture(scope="module")
def two_stages(killed: Path, tmp_path_factory) -> tuple[Path, RecipeResult, list[RecipeProgress]]:
    """The same recipe, continued in a copy of the folder."""
    work = Path(shutil.copytree(killed, tmp_path_factory.mktemp("elsewhere") / "copied"))
    seen: list[RecipeProgress] = []
    return work, run_recipe(RECIPE, work, callbacks=RecipeCallbacks(progress=seen.append)), seen


@pytest.fixture
def work(two_stages, tmp_path: Path) -> Path:
    """A copy of the finished folder, to be changed."""
    return Path(shutil.copytree(two_stages[0], tmp_path / "work"))


def test_finished_stages_are_kept_with_other_threads_settings_new_in_the_code_and_an_older_generator(work, load):
    file = work / "tiny" / "01-one" / "stage.json"
    about = json.loads(file.read_text()) | {"generator": 1}
    del about["settings"]["stage"]["clip_norm"]  # as written before this setting was introduced
    file.write_text(json.dumps(about))
    seen: list[RecipeProgress] = []
    warnings: list[str] = []
    recipe = load(TWO.replace("workers = 0", "workers = 3"))
    result = run_recipe(recipe, work, workers=2, callbacks=RecipeCallbacks(seen.append, warning=warnings.append))
    assert (result.trained, seen, len(result.stages), len(warnings)) == ([], [], 2, 1)
    assert 'Stage "one" was trained on phantoms of generator version 1' in warnings[0]


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("batch_size = 1", "batch_size = 2", "finished with other settings: batch_size was 1, is now 2"),
        ("first = 0, count = 2", "first = 0, count = 3", "phantoms.count was 2, is now 3"),
        ("first = 10", "first = 11", "validation.first was 10, is now 11"),
        ("max_filters = 8", "max_filters = 9", "network.max_filters was 8, is now 9"),
        ('name = "one"', 'name = "uno"', "01-one is a finished stage that the recipe does not have"),
        (TWO, tiny("one", epochs=2), "02-two is a finished stage that the recipe does not have"),
    ],
)
def test_a_finished_stage_that_was_changed_or_removed_is_an_error_that_names_the_change(
    work: Path, load, before, after, words
):
    with rejected(f"{words}(.|\n)*delete", "recipe"):
        run_recipe(load(TWO.replace(before, after)), work)


def test_only_a_new_stage_is_trained_and_only_after_complete_ones(work: Path, load):
    one, two = work / "tiny" / "01-one", work / "tiny" / "02-two"
    before = (one / "stage.json").read_bytes()
    result = run_recipe(load(TWO + STAGE.format(name="three", epochs=1) + "learning_rate = 1e-4"), work)
    assert (result.trained, result.stages[2].start_sha256) == (["three"], result.stages[1].weights_sha256)
    assert (one / "stage.json").read_bytes() == before
    shutil.rmtree(work / "tiny" / "03-three")
    (two / "weights.npz").write_bytes((two / "weights.npz").read_bytes()[:1000])
    with rejected(r'weights of stage "two".*missing or damaged'):
        run_recipe(RECIPE, work)
    shutil.rmtree(one)
    with rejected('Stage "two" is finished, but stage "one" before it is not'):
        run_recipe(RECIPE, work)


def test_an_unfinished_stage_that_was_changed_starts_over_and_its_checkpoint_is_set_aside(killed, tmp_path, load):
    shutil.copytree(killed / "tiny", tmp_path / "tiny")
    for text, expected in (("two", []), ('two"\nseed = 5 # "', ["seed was 0, is now 5"])):
        folder = WorkFolder(load(tiny("one", text, epochs=2)), tmp_path)
        start, changes = folder.begin(1, folder.stage_start(1, folder.finished()[0].weights_sha256))
        assert (changes, len(start.runs)) == (expected, 0 if changes else 1)
        assert folder.checkpoint(1).is_file() == (not changes)
    assert (tmp_path / "tiny" / "02-two" / "checkpoint-set-aside.npz").is_file()
    assert WorkFolder(RECIPE.model_copy(update={"name": "other"}), tmp_path).folder(0) != folder.folder(0)


def test_a_killed_stage_resumes_in_a_copied_folder_and_its_time_is_the_sum_over_its_runs(two_stages):
    work, result, seen = two_stages
    first, second = result.stages
    assert [record["epoch"] for record in second.history] == [1, 2]
    assert ([run.from_epoch for run in second.runs], result.trained) == ([0, 1], ["two"])
    assert (seen[0].number, seen[0].done, seen[0].fit) == (2, seen[0].total * 3 // 4, None)
    assert (seen[-1].stage, seen[-1].done) == ("two", seen[-1].total)
    assert [at.done for at in seen] == sorted(at.done for at in seen)
    assert (first.start_sha256, second.start_sha256) == ("", first.weights_sha256)
    assert first.runs[0].backend in ("tensorflow", "jax", "torch")
    assert (first.runs[0].precision, first.generator) == ("float32", GENERATOR_VERSION)
    assert not (work / "tiny" / "01-one" / "checkpoint.npz").exists()
    stored = load_weights(work / "tiny" / "02-two" / "weights.npz")
    assert all(np.array_equal(stored[key], value) for key, value in result.weights.items())
    stage = two_stages[1].stages[0]

    def seconds(*times: float, **changes: object) -> float:
        history = [{"epoch": epoch, "seconds": time} for epoch, time in enumerate(times, start=1)]
        return stage.model_copy(update={"history": history, **changes}).seconds()

    runs = [stage.runs[0], stage.runs[0].model_copy(update={"from_epoch": 1})]
    assert [seconds(10.0, 30.0, 5.0), seconds(10.0, 30.0), seconds(10.0, 30.0, runs=runs)] == [35.0, 30.0, 40.0]


@pytest.fixture
def fit(run, tmp_path: Path):
    work = put_balls(tmp_path / "work")
    return lambda *arguments: run("fit", *arguments, "--work", work, "--models", tmp_path / "models")


def test_the_command_trains_stores_promotes_and_bundles_a_model(fit, write, tmp_path: Path):
    recipe, bundle = write(tiny("only")), tmp_path / "bundle"
    code, stdout, _ = fit("--recipe", recipe, "--promote", "--bundle", bundle)
    assert code == 0
    stored = ModelStore(tmp_path / "models").current()
    assert f"{stored.id} is now the current version" in stdout
    card = stored.card
    assert (card.description, card.network.base_filters) == ("tiny", 8)
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
    assert f"already stored: {stored.id}" in stdout
    assert "before" in stdout
    code, _, stderr = fit("--recipe", recipe, "--bundle", bundle)
    assert code == 2
    assert "already exists" in stderr


def test_a_time_limit_stores_the_weights_so_far_and_the_same_command_resumes(fit, write, tmp_path: Path):
    recipe, stage = write(tiny("only", epochs=3)), tmp_path / "work" / "tiny" / "01-only"
    code, stdout, _ = fit("--recipe", recipe, "--minutes", "0.00001")
    assert code == 0
    assert "Stopped after 1e-05 minutes" in stdout
    store = ModelStore(tmp_path / "models")
    kept = load_weights(stage / "weights.npz")
    assert all(np.array_equal(kept[key], value) for key, value in store.versions()[-1].load_weights().items())
    assert (stage / "checkpoint.npz").is_file()
    assert not (stage / "stage.json").exists()
    code, stdout, _ = fit("--recipe", recipe)
    assert code == 0
    assert "Stopped" not in stdout
    (finished,) = store.versions()[-1].card.training["stages"]
    assert ([run["from_epoch"] for run in finished["runs"]], finished["epochs"]) == ([0, 1], 3)


def test_ctrl_c_ends_with_130_and_says_how_to_resume(fit, write, tmp_path: Path, monkeypatch):
    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("training.recipes.run.fit", interrupted)
    code, _, stderr = fit("--recipe", write(tiny("one")))
    assert code == 130
    assert "the same command resumes from there" in stderr
    assert not (tmp_path / "models").exists()
