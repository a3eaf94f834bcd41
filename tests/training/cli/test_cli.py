"""The command line as a person uses it: what it prints, what it writes, and with what code it ends."""

import json
import os
import shutil
import subprocess
import sys

import nibabel
import numpy as np
import pytest
from typer.testing import CliRunner

from tests import synthetic
from training.cli import app
from training.images.read import read_labelmap, read_volume

COMMANDS = ("phantom", "sheet", "fit", "predict", "evaluate", "card", "render", "export", "models")


@pytest.fixture
def run(monkeypatch):
    """Run a command line; returns exit code, standard output and standard error."""
    monkeypatch.setenv("COLUMNS", "200")

    def invoke(*arguments: object) -> tuple[int, str, str]:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        return result.exit_code, result.stdout, result.stderr

    return invoke


@pytest.fixture
def predict(run, tiny_models, tmp_path):
    def invoke(*arguments: object) -> tuple[int, str, str]:
        return run("predict", *arguments, "--models", tiny_models, "--output", tmp_path / "results")

    return invoke


def test_the_module_runs_and_names_all_commands():
    done = subprocess.run([sys.executable, "-m", "training", "--help"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert all(command in done.stdout for command in COMMANDS)


def test_help_imports_nothing_heavy():
    heavy = ("keras", "tensorflow", "torch", "SimpleITK", "scipy")
    code = f"import sys, training.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(run, command):
    code, stdout, _ = run(command, "--help")
    assert code == 0
    assert "python -m training" in stdout or command == "models"


def test_a_wrong_option_ends_with_2(run):
    assert run("predict", "--nonsense")[0] == 2
    assert run("nonsense")[0] == 2


def test_a_case_folder_gives_a_labelmap_on_its_own_grid(predict, case_folder, tmp_path):
    code, stdout, _ = predict(case_folder)
    assert code == 0
    assert "peritumoral edema (mL)" in stdout
    labelmap = read_labelmap(tmp_path / "results" / "BraTS20_Training_001_seg.nii.gz")
    assert labelmap.grid.matches(synthetic.brats_grid())
    assert np.array_equal(labelmap.data > 0, synthetic.brain(synthetic.brats_grid()))


def test_a_folder_of_cases_is_segmented_whole(predict, studies, tmp_path):
    assert predict(studies, "--format", ".seg.nrrd")[0] == 0
    names = sorted(file.name for file in (tmp_path / "results").iterdir())
    assert names == ["BraTS20_Training_001.seg.nrrd", "BraTS20_Training_002.seg.nrrd"]


def test_four_loose_files_are_segmented_on_the_reference_that_is_asked_for(predict, tmp_path):
    grids = dict.fromkeys(("t1", "t1ce", "t2"), synthetic.brats_grid())
    grids["flair"] = synthetic.oblique_grid((1.0, 1.0, 3.0), (60, 70, 20), degrees=(10.0, 0.0, 0.0))
    options = []
    for role, grid in grids.items():
        options += [f"--{role}", synthetic.save(synthetic.head(grid, role), tmp_path / f"scan-{role}.nii.gz")]
    assert predict(*options, "--reference", "flair")[0] == 0
    (file,) = (tmp_path / "results").iterdir()
    assert read_labelmap(file).grid.matches(grids["flair"])


def test_a_missing_modality_ends_with_2_and_one_line_that_names_it(predict, case_folder):
    (case_folder / "BraTS20_Training_001_t2.nii.gz").unlink()
    code, _, stderr = predict(case_folder)
    assert code == 2
    assert f"Error (t2): {case_folder}: Missing: T2 (t2)" in stderr
    assert len(stderr.strip().splitlines()) == 1


def test_a_case_short_of_a_modality_is_segmented_if_allowed_with_a_warning(predict, case_folder, tmp_path):
    (case_folder / "BraTS20_Training_001_t1ce.nii.gz").unlink()
    code, _, stderr = predict(case_folder, "--allow-missing")
    assert code == 0
    assert "Warning: BraTS20_Training_001: T1 with contrast (t1ce) was missing" in stderr
    labelmap = read_labelmap(tmp_path / "results" / "BraTS20_Training_001_seg.nii.gz")
    assert np.array_equal(labelmap.data > 0, synthetic.brain(synthetic.brats_grid()))


def test_a_reference_that_is_missing_ends_with_2(predict, case_folder):
    (case_folder / "BraTS20_Training_001_t2.nii.gz").unlink()
    code, _, stderr = predict(case_folder, "--allow-missing", "--reference", "t2")
    assert code == 2
    assert "Error (reference): The reference, T2 (t2), is missing" in stderr


def test_loose_files_may_be_short_of_modalities_if_allowed(predict, tmp_path):
    flair = synthetic.save(synthetic.head(synthetic.brats_grid(), "flair"), tmp_path / "scan-flair.nii.gz")
    assert predict("--flair", flair, "--allow-missing")[0] == 0
    assert [file.name for file in (tmp_path / "results").iterdir()] == ["scan-flair_seg.nii.gz"]


def test_no_volume_at_all_ends_with_2_even_if_some_may_be_missing(predict, tmp_path):
    (tmp_path / "empty").mkdir()
    code, _, stderr = predict(tmp_path / "empty", "--allow-missing")
    assert code == 2
    assert "Missing: T1 (t1)" in stderr


def test_a_4d_file_may_be_short_of_modalities_if_allowed(predict, tmp_path):
    grid = synthetic.brats_grid()
    data = np.stack([synthetic.head(grid, role).data for role in ("t2", "flair")], axis=-1)
    nibabel.save(nibabel.Nifti1Image(data, grid.affine), tmp_path / "two.nii.gz")
    assert predict(tmp_path / "two.nii.gz", "--order", "t2,flair", "--allow-missing")[0] == 0
    code, _, stderr = predict(tmp_path / "two.nii.gz", "--order", "t2,flair")
    assert code == 2
    assert "must name t1 once" in stderr


def test_maps_are_written_beside_the_labelmap_on_its_grid(predict, case_folder, tmp_path):
    assert predict(case_folder, "--maps", "--mirror")[0] == 0
    names = ["entropy", "probability_et", "probability_tc", "probability_wt", "seg"]
    files = sorted((tmp_path / "results").iterdir())
    assert [file.name for file in files] == [f"BraTS20_Training_001_{name}.nii.gz" for name in names]
    labelmap = read_labelmap(files[-1])
    whole = read_volume(files[3])
    assert whole.grid.matches(labelmap.grid)
    assert np.array_equal(whole.data > 0.5, labelmap.data > 0)


def test_two_files_for_one_role_end_with_2_and_both_names(predict, case_folder):
    shutil.copy(case_folder / "BraTS20_Training_001_t1.nii.gz", case_folder / "again_t1.nii.gz")
    code, _, stderr = predict(case_folder)
    assert code == 2
    assert "BraTS20_Training_001_t1.nii.gz and again_t1.nii.gz" in stderr


@pytest.mark.parametrize(("content", "reason"), [("text", "is not a NIfTI file"), ("cut", "is cut off or damaged")])
def test_a_junk_file_ends_with_2_and_names_file_and_modality(predict, case_folder, content, reason):
    file = case_folder / "BraTS20_Training_001_flair.nii.gz"
    file.write_bytes(b"no image" if content == "text" else file.read_bytes()[:-500])
    code, _, stderr = predict(case_folder)
    assert code == 2
    assert "Error (flair)" in stderr
    assert f"BraTS20_Training_001_flair.nii.gz {reason}" in stderr


def test_a_4d_file_where_3d_is_expected_ends_with_2(predict, case_folder):
    file = case_folder / "BraTS20_Training_001_t1.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.zeros((8, 8, 8, 3), np.int16), np.eye(4)), file)
    code, _, stderr = predict(case_folder)
    assert code == 2
    assert "holds 3 volumes where one is expected" in stderr


def test_a_header_without_a_position_ends_with_2(predict, case_folder):
    grid = synthetic.brats_grid()
    synthetic.save(synthetic.head(grid, "t1"), case_folder / "BraTS20_Training_001_t1.nii.gz", sform=0, qform=0)
    code, _, stderr = predict(case_folder)
    assert code == 2
    assert "Error (t1)" in stderr
    assert "sform_code and qform_code are both 0" in stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--t1", "a.nii"], "missing: --t1ce, --t2, --flair"),
        (["absent"], "absent is not a folder"),
        ([], "No case was named"),
        (["absent", "--format", ".png"], "choose one of"),
        (["absent", "--t1", "a.nii"], "Give either CASES or the four volumes"),
    ],
)
def test_senseless_requests_end_with_2_and_say_why(predict, options, words):
    code, _, stderr = predict(*options)
    assert code == 2
    assert words in stderr


def test_an_unknown_model_ends_with_2_and_names_the_known(predict, case_folder):
    code, _, stderr = predict(case_folder, "--version", "v0099")
    assert code == 2
    assert "no model version 'v0099'. Known: v" in stderr


def test_evaluation_prints_the_table_and_writes_reports_and_pictures(run, studies, tiny_models, tmp_path):
    code, stdout, _ = run("evaluate", "--cases", studies, "--output", tmp_path / "out", "--models", tiny_models)
    assert code == 0
    for words in ("WT (whole tumor)", "mean Dice", "best case", "mean HD95 (mm)", "0.93", "0.90", "0.79"):
        assert words in stdout
    assert "comparable only when both" in stdout
    files = {str(file.relative_to(tmp_path / "out")) for file in (tmp_path / "out").rglob("*") if file.is_file()}
    pictures = {"best.png", "worst.png", "poor/BraTS20_Training_001.png", "poor/BraTS20_Training_002.png"}
    assert files == {"cases.csv", "report.json", "report.html", *pictures}
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert len(report["cases"]) == 2


def test_evaluating_a_label_on_another_grid_ends_with_2(run, case_folder, tiny_models, tmp_path):
    other = synthetic.truth(synthetic.brats_grid((64, 72, 61)))
    synthetic.save(other, case_folder / "BraTS20_Training_001_seg.nii.gz")
    code, _, stderr = run("evaluate", "--cases", case_folder, "--models", tiny_models, "--output", tmp_path)
    assert code == 2
    assert "64 x 72 x 61 against 64 x 72 x 60 voxels" in stderr


def test_evaluating_without_labels_ends_with_2(run, tmp_path, tiny_models):
    folder = synthetic.write_case(tmp_path / "studies", label=False)
    code, _, stderr = run("evaluate", "--cases", folder, "--models", tiny_models)
    assert code == 2
    assert "has a label" in stderr


def test_rendering_a_label_needs_no_model_and_writes_png_and_gif(run, case_folder, tmp_path):
    code, stdout, _ = run("render", case_folder, "--label", "--output", tmp_path / "pictures")
    assert code == 0
    for ending in ("png", "gif"):
        assert f"BraTS20_Training_001.{ending}" in stdout
        assert (tmp_path / "pictures" / f"BraTS20_Training_001.{ending}").stat().st_size > 1000


def test_rendering_draws_the_models_answer_or_a_given_labelmap(run, case_folder, tiny_models, tmp_path):
    assert run("render", case_folder, "--no-gif", "--models", tiny_models, "--output", tmp_path / "a")[0] == 0
    seg = case_folder / "BraTS20_Training_001_seg.nii.gz"
    assert run("render", case_folder, "--no-gif", "--labelmap", seg, "--output", tmp_path / "b")[0] == 0
    pictures = [(tmp_path / folder / "BraTS20_Training_001.png").read_bytes() for folder in "ab"]
    assert pictures[0] != pictures[1]


def test_export_converts_between_formats_and_value_schemes(run, case_folder, tmp_path):
    seg = case_folder / "BraTS20_Training_001_seg.nii.gz"
    code, _, stderr = run("export", seg, tmp_path / "case.seg.nrrd")
    assert code == 0
    assert "brats-2017 values" in stderr
    assert run("export", tmp_path / "case.seg.nrrd", tmp_path / "back.nii.gz", "--brats-values")[0] == 0
    original, back = (nibabel.Nifti1Image.from_filename(path) for path in (seg, tmp_path / "back.nii.gz"))
    assert np.array_equal(np.asarray(original.dataobj), np.asarray(back.dataobj))
    assert np.allclose(original.affine, back.affine)


def test_export_refuses_what_is_no_labelmap_and_unknown_endings(run, case_folder, tmp_path):
    code, _, stderr = run("export", case_folder / "BraTS20_Training_001_t1.nii.gz", tmp_path / "x.nii.gz")
    assert code == 2
    assert "holds the values" in stderr
    code, _, stderr = run("export", case_folder / "BraTS20_Training_001_seg.nii.gz", tmp_path / "x.png")
    assert code == 2
    assert not list(tmp_path.glob("x.*"))


def test_models_are_listed_shown_promoted_and_rolled_back(run, tiny_models, tmp_path):
    models = tmp_path / "models"
    shutil.copytree(tiny_models, models)
    shutil.copytree(models / "v0001", models / "v0002")
    assert "calls everything edema" in run("models", "list", "--models", models)[1]
    assert json.loads(run("models", "show", "v0001", "--models", models)[1])["version"] == "v0001"
    assert "v0002 is current" in run("models", "promote", "v0002", "--models", models)[1]
    assert "v0001 is current again" in run("models", "rollback", "--models", models)[1]
    code, _, stderr = run("models", "promote", "v0077", "--models", models)
    assert code == 2
    assert "no model version 'v0077'" in stderr


def test_the_models_folder_follows_the_environment(run, tiny_models, tmp_path, monkeypatch):
    (tmp_path / "home").mkdir()
    shutil.copytree(tiny_models, tmp_path / "home" / "models")
    monkeypatch.setenv("TUMORLOOP_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("TUMORLOOP_MODELS", raising=False)
    assert os.fspath(tmp_path) in run("models", "list")[1].replace("\n", "")


def test_phantoms_are_written_as_cases_that_can_be_rendered(run, tmp_path):
    code, stdout, _ = run("phantom", tmp_path / "cases", "--count", 1, "--seed", 3)
    assert code == 0
    assert "1 case in" in stdout.replace("\n", "")
    assert run("render", tmp_path / "cases" / "phantom_0001", "--label", "--output", tmp_path)[0] == 0


@pytest.fixture
def fit(run, studies, tmp_path):
    """Train as little as one can."""

    def invoke(*arguments: object) -> tuple[int, str, str]:
        least = ["--epochs", 1, "--steps", 1, "--batch-size", 1, "--patch", 32, "--precision", "float32"]
        return run("fit", "--cases", studies, "--work", tmp_path / "work", "--validation", 0, *least, *arguments)

    return invoke


def test_fitting_further_makes_a_version_with_its_parent_and_cases_on_the_card(run, fit, tiny_models, tmp_path):
    models = tmp_path / "models"
    shutil.copytree(tiny_models, models)
    code, stdout, _ = fit("--models", models, "--start", "current", "--promote")
    assert code == 0
    assert "v0002" in stdout
    card = json.loads(run("models", "show", "--models", models)[1])
    assert (card["version"], card["parent"]) == ("v0002", "v0001")
    assert [(case["case"], case["split"]) for case in card["data"]] == [
        ("BraTS20_Training_001", "train"),
        ("BraTS20_Training_002", "train"),
    ]
    assert card["training"]["epochs"] == 1


def test_fitting_from_scratch_makes_the_first_version_and_leaves_it_for_a_person_to_promote(fit, tmp_path):
    code, stdout, _ = fit("--models", tmp_path / "models", "--base-filters", 1)
    assert code == 0
    assert "models promote v0001" in stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "no labeled case to train on"),
        (["--start", "v0009"], "no model version 'v0009'"),
        (["--precision", "float7"], "Error (precision)"),
        (["--patch", "40", "--phantoms", "0"], "no labeled case"),
    ],
)
def test_senseless_trainings_end_with_2_and_say_why(run, tmp_path, options, words):
    code, _, stderr = run("fit", *options, "--models", tmp_path, "--work", tmp_path)
    assert code == 2
    assert words in stderr


def test_whether_a_patient_is_kept_out_depends_on_the_patient_alone():
    from training.retraining.split import is_validation

    patients = [f"patient-{number}" for number in range(2000)]
    kept_out = [patient for patient in patients if is_validation(patient, 0.2)]
    assert 0.17 < len(kept_out) / len(patients) < 0.23
    assert not any(is_validation(patient, 0.0) for patient in patients)


def test_standard_error_holds_one_readable_line_even_after_tensorflow_has_started(case_folder, tiny_models, tmp_path):
    (case_folder / "BraTS20_Training_001_t2.nii.gz").write_text("no image")
    command = [sys.executable, "-m", "training", "predict", case_folder, "--models", tiny_models, "-o", tmp_path]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    lines = [line for line in done.stderr.splitlines() if line.strip() and "left" not in line]
    assert done.returncode == 2
    assert len(lines) == 1
    assert lines[0].startswith("Error (t2): T2 (t2):")
    assert done.stdout == ""
