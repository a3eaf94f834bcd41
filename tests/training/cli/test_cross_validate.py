import json

import pytest

from training.models.store import ModelStore, read_version

QUICK = ("--folds", 2, "--epochs", 1, "--steps", 2, "--batch-size", 1, "--patch", 32, "--replay", 0, "--derived", 1)


@pytest.fixture
def cross_validate(run, tiny_models, written_studies, tmp_path):
    def invoke(*arguments: object, models: object = tiny_models) -> tuple[int, str, str]:
        work = ("--work", tmp_path / "work", "--models", models)
        return run("cross-validate", "--cases", written_studies, *QUICK, *work, *arguments)

    return invoke


def test_folds_then_all_cases_give_a_version_folder_with_the_scores_of_the_folds(cross_validate, tiny_models, tmp_path):
    code, stdout, _ = cross_validate("--model", "v0001", "--folds-only")
    assert code == 0
    assert "Dice of v0001 / of the model of the fold" in stdout
    assert "BraTS20_Training_002" in stdout
    assert not (tmp_path / "work" / "final").exists()
    output = tmp_path / "versions" / "v0007"
    credit = ("--attribution", "Somebody, CC BY 3.0", "--description", "Taught.")
    code, stdout, stderr = cross_validate("--model", "v0001", "--output", output, *credit)
    assert (code, f"Written as v0007 to {output}" in stdout) == (0, True)
    version = read_version(output)
    assert (version.id, version.card.parent, version.card.description) == ("v0007", "v0001", "Taught.")
    assert version.card.attribution == "Somebody, CC BY 3.0"
    assert len(version.card.metrics["cross_validation"]["cases"]) == 2
    assert [found.id for found in ModelStore(tiny_models).versions()] == ["v0001"]
    code, _, stderr = cross_validate("--model", "v0001", "--output", output)
    assert (code, "Already there" in stderr) == (2, True)


def test_without_output_the_version_joins_the_others_and_a_folder_can_be_its_parent(
    cross_validate, tiny_models, tmp_path
):
    code, stdout, _ = cross_validate("--model", tiny_models / "v0001", models=tmp_path / "mine")
    assert code == 0
    (stored,) = ModelStore(tmp_path / "mine").versions()
    assert f"models promote {stored.id}" in stdout
    assert stored.card.parent == "v0001"
    assert ModelStore(tmp_path / "mine").history() == []


def test_too_few_patients_and_unusable_cases_end_with_2_before_any_training(cross_validate, case_folder, tmp_path):
    code, _, stderr = cross_validate("--folds", 3)
    assert (code, "there are 2" in stderr) == (2, True)
    (case_folder / "BraTS20_Training_001_t1.nii.gz").unlink()
    code, stdout, stderr = cross_validate("--cases", case_folder.parent)
    assert (code, "Missing: T1" in stdout + stderr) == (2, True)
    (tmp_path / "work").mkdir(exist_ok=True)
    (tmp_path / "work" / "begun.json").write_text(json.dumps({"folds": 5}))
    code, _, stderr = cross_validate()
    assert (code, "another" in stderr) == (2, True)
