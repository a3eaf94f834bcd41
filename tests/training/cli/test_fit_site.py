import shutil

import pytest

from tests import synthetic
from training.models.store import ModelStore, read_version
from training.phantoms.generate import generate
from training.preparation.store import prepare_phantom
from training.retraining.site import SiteConfig


@pytest.fixture
def fit_site(run, tiny_models, studies, tmp_path, monkeypatch):
    """Run the command on three studies, with a small phantom: whole ones take seconds."""
    third = shutil.copytree(studies / "BraTS20_Training_002", studies / "BraTS20_Training_003")
    for file in third.iterdir():
        file.rename(file.with_name(file.name.replace("002", "003")))

    def small(store, seeds, on_progress):
        image, label, _ = prepare_phantom(generate(seeds[0], (32, 32, 32)))
        return [store.put("phantom", image, label, key="small")]

    monkeypatch.setattr("training.retraining.site.prepare_phantoms", small)
    models = shutil.copytree(tiny_models, tmp_path / "models")

    def invoke(*arguments: object) -> tuple[int, str, str]:
        return run("fit-site", "--cases", studies, "--models", models, *arguments)

    return invoke


def test_a_fitted_version_is_stored_with_its_numbers_and_not_promoted(fit_site, tmp_path):
    code, stdout, _ = fit_site()
    assert code == 0
    assert "expected, studies without labels (3)" in stdout
    store = ModelStore(tmp_path / "models")
    assert [version.id for version in store.versions()] == ["v0001", "v0002"]
    assert "models promote v0002" in stdout
    card = store.get("v0002").card
    assert (card.parent, card.training["config"]["share"]) == ("v0001", SiteConfig().share)
    assert card.verdict.startswith("Expected Dice of 3 studies")
    assert store.current().id == "v0001"
    output = tmp_path / "fitted" / "v0009"
    code, stdout, _ = fit_site("--share", 0.5, "--model", "v0001", "--output", output)
    assert (code, f"Written as v0009 to {output}" in stdout) == (0, True)
    assert read_version(output).card.training["config"]["share"] == 0.5
    code, _, stderr = fit_site("--output", output)
    assert (code, "Already there" in stderr) == (2, True)


def test_a_version_that_is_refused_is_not_stored_and_the_command_ends_with_1(fit_site, tmp_path, monkeypatch):
    monkeypatch.setattr("training.retraining.site.refusal_of", lambda *_: "too much was forgotten")
    code, stdout, stderr = fit_site()
    assert (code, "measured, phantoms (1)" in stdout) == (1, True)
    assert "Nothing was stored: too much was forgotten. Expected Dice of 3 studies" in stderr
    assert [version.id for version in ModelStore(tmp_path / "models").versions()] == ["v0001"]


def test_an_unusable_study_is_told_and_too_few_or_a_wrong_share_end_with_2(fit_site, studies, tmp_path):
    for share in (0, 1.5):
        code, _, stderr = fit_site("--share", share)
        assert (code, "above 0" in stderr) == (2, True)
    (studies / "BraTS20_Training_003" / "BraTS20_Training_003_t1.nii.gz").write_text("junk")
    code, _, stderr = fit_site()
    assert (code, "at least 3 usable studies" in stderr) == (2, True)
    assert "BraTS20_Training_003" in stderr
    synthetic.write_case(studies, "BraTS20_Training_004")
    code, stdout, _ = fit_site()
    assert (code, "Not used: 1 of 4" in stdout) == (1, True)
    assert "v0002" in stdout
