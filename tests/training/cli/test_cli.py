import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

from tests import synthetic
from training.images.grid import Volume
from training.images.read import read_labelmap, read_volume
from training.modalities import ROLES

COMMANDS = (
    "phantom",
    "sheet",
    "fit",
    "preprocess",
    "predict",
    "evaluate",
    "cross-validate",
    "learning-curve",
    "card",
    "render",
    "export",
    "models",
)
NAME = "BraTS20_Training_001"
GRID = synthetic.brats_grid()


@pytest.fixture
def predict(run, tiny_models, tmp_path):
    def invoke(*arguments: object) -> tuple[int, str, str]:
        return run("predict", *arguments, "--models", tiny_models, "--output", tmp_path / "results")

    return invoke


def results(tmp_path):
    return sorted(file.name for file in (tmp_path / "results").iterdir())


def test_help_names_all_commands_with_examples_and_imports_nothing_heavy(run):
    for command in COMMANDS:
        code, stdout, _ = run(command, "--help")
        assert code == 0
        assert "python -m training" in stdout or command == "models"
    heavy = ("keras", "tensorflow", "torch", "SimpleITK", "scipy")
    code = f"""
import runpy, sys
sys.argv = ["training", "--help"]
try:
    runpy.run_module("training", run_name="__main__")
finally:
    print([name for name in {heavy} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert all(command in done.stdout for command in COMMANDS)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_case_folder_gives_a_labelmap_on_its_own_grid(predict, written_studies, tmp_path):
    code, stdout, _ = predict(written_studies / NAME, "--maps", "--mirror")
    assert code == 0
    assert "peritumoral edema (mL)" in stdout
    names = ["entropy", "probability_et", "probability_tc", "probability_wt", "seg"]
    assert results(tmp_path) == [f"{NAME}_{name}.nii.gz" for name in names]
    labelmap = read_labelmap(tmp_path / "results" / f"{NAME}_seg.nii.gz")
    assert labelmap.grid.matches(GRID)
    assert np.array_equal(labelmap.data > 0, synthetic.brain(GRID))
    whole = read_volume(tmp_path / "results" / f"{NAME}_probability_wt.nii.gz")
    assert whole.grid.matches(labelmap.grid)
    assert np.array_equal(whole.data > 0.5, labelmap.data > 0)


def test_four_files_are_segmented_on_the_chosen_reference_and_a_folder_whole(
    predict, flair_case, written_studies, tmp_path
):
    files = {role: f"{flair_case}/{NAME}_{role}.nii.gz" for role in ROLES}
    assert predict(*[part for role in ROLES for part in (f"--{role}", files[role])], "--reference", "flair")[0] == 0
    (file,) = (tmp_path / "results").iterdir()
    assert read_labelmap(file).grid.matches(read_labelmap(flair_case / f"{NAME}_seg.nii.gz").grid)
    file.unlink()
    assert predict(written_studies, "--format", ".seg.nrrd")[0] == 0
    assert results(tmp_path) == ["BraTS20_Training_001.seg.nrrd", "BraTS20_Training_002.seg.nrrd"]


def test_warnings_are_printed_once_and_before_the_case_is_segmented(predict, written_studies, monkeypatch):
    code, _, stderr = predict(written_studies / NAME)
    assert (code, stderr.count("The brain mask has only")) == (0, 1)
    monkeypatch.setattr("training.prediction.segmenter.Segmenter.probabilities", lambda *_: 1 / 0)
    code, _, stderr = predict(written_studies / NAME, "--overwrite")
    assert (code, stderr.count("The brain mask has only")) == (1, 1)


def test_a_series_that_was_given_twice_ends_with_2_and_names_both_files(predict, case_folder):
    shutil.copy(case_folder / f"{NAME}_t1.nii.gz", case_folder / f"{NAME}_t1ce.nii.gz")
    code, _, stderr = predict(case_folder)
    assert code == 2
    for words in ("(t1ce)", "hold the same voxels", f"{NAME}_t1.nii.gz", f"{NAME}_t1ce.nii.gz", "--allow-missing"):
        assert words in stderr
    (case_folder / f"{NAME}_t1ce.nii.gz").unlink()
    assert predict(case_folder, "--allow-missing")[0] == 0


def test_a_case_or_4d_file_with_missing_modalities_is_segmented_only_if_allowed(predict, case_folder, tmp_path):
    (case_folder / f"{NAME}_t1ce.nii.gz").unlink()
    code, _, stderr = predict(case_folder)
    assert (code, len(stderr.strip().splitlines())) == (2, 1)
    assert f"Error (t1ce): {case_folder}: Missing: T1 with contrast (t1ce)" in stderr
    code, _, stderr = predict(case_folder, "--allow-missing", "--reference", "t1ce")
    assert code == 2
    assert "Error (reference): The reference, T1 with contrast (t1ce), is missing" in stderr
    code, _, stderr = predict(case_folder, "--allow-missing")
    assert code == 0
    assert f"Warning: {NAME}: T1 with contrast (t1ce) was missing" in stderr
    assert results(tmp_path) == [f"{NAME}_seg.nii.gz"]
    shutil.copy(case_folder / f"{NAME}_flair.nii.gz", case_folder / "a_flair.nii.gz")
    code, _, stderr = predict(case_folder, "--allow-missing")
    assert code == 2
    assert f"Error (flair): {case_folder}: " in stderr
    assert f"{NAME}_flair.nii.gz and a_flair.nii.gz" in stderr
    data = np.stack([synthetic.head(GRID, role).data for role in ("t2", "flair")], axis=-1)
    nibabel.save(nibabel.Nifti1Image(data, GRID.affine), tmp_path / "two.nii.gz")
    assert predict(tmp_path / "two.nii.gz", "--order", "t2,flair", "--allow-missing")[0] == 0
    assert "must name t1 once" in predict(tmp_path / "two.nii.gz", "--order", "t2,flair")[2]


def test_a_whole_head_is_segmented_only_if_allowed(predict, case_folder, tmp_path, monkeypatch):
    for module in (
        "prepare",
        "input_warnings",
    ):  # a real head takes minutes on a CPU
        monkeypatch.setattr(f"training.preparation.{module}.LARGEST_BRAIN_ML", 50.0)
    code, _, stderr = predict(case_folder, "--no-as-scanned")
    assert code != 0
    assert "do not look skull-stripped" in stderr
    assert "--allow-whole-head" in stderr
    assert not list((tmp_path / "results").glob("*"))
    code, _, stderr = predict(case_folder, "--allow-whole-head")
    assert (code, results(tmp_path)) == (0, [f"{NAME}_seg.nii.gz"])
    assert f"Warning: {NAME}: The volumes do not look skull-stripped" in stderr


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("predict --t1 a.nii", "missing: --t1ce, --t2, --flair"),
        ("predict absent", "absent is not a folder"),
        ("predict", "No case was named"),
        ("predict absent --format .png", "choose one of"),
        ("predict absent --t1 a.nii", "Give either CASES or the four volumes"),
        ("predict absent --nonsense", "No such option"),
        ("predict --flair a.nii --allow-missing --version v0099", "no model version 'v0099'. Known: v"),
        ("predict --flair a.nii --allow-missing --model absent/", "no model version 'absent/'"),
        ("evaluate --cases case", "No case in case has a label"),
        ("cross-validate", "Error (cases): Give labeled cases"),
        ("cross-validate --cases case", "No case in case has a label"),
        ("cross-validate --cases case --model v0099", "no model version 'v0099'"),
        ("cross-validate --cases case --learning-rate 0", "Error (learning_rate)"),
        ("cross-validate --cases case --output case", "Already there: case"),
        ("export case/case_t1.nii.gz x.nii.gz", "holds the values"),
        ("export case/case_t1.nii.gz x.png", "choose one of"),
        ("models promote v0077", "no model version 'v0077'"),
        ("fit", "no labeled case to train on"),
        ("fit --start v0009", "no model version 'v0009'"),
        ("fit --precision float7", "Error (precision)"),
        ("fit --patch 40 --phantoms 0", "no labeled case"),
        ("fit --recipe nonsense", "Error (recipe): There is no recipe named 'nonsense'. Known: base"),
        ("fit --recipe base --epochs 3 --base-filters 8", "--epochs, --base-filters cannot be given together"),
        ("fit --recipe base --phantoms 0", "Error (phantoms): --phantoms cannot be given together with --recipe"),
        ("fit --bundle somewhere --phantoms 1", "--bundle requires --recipe"),
        ("sheet sheet.jpg --cases case", "must be a .png file"),
        ("sheet sheet.png --cases case", "has a label"),
        ("card --write --check", "Give only one of"),
        ("card --phantoms 0", "nothing to measure"),
        ("card --model absent --check", "Error (model): There is no bundled model 'absent'"),
    ],
)
def test_invalid_requests_end_with_2_and_a_reason(run, tiny_models, tmp_path, monkeypatch, command, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUMORLOOP_MODELS", str(tiny_models))
    synthetic.write_case(tmp_path, "case", grids=synthetic.brats_grid((8, 8, 8)), label=False)
    code, _, stderr = run(*command.split())
    assert code == 2
    assert words in stderr
    assert not list(tmp_path.glob("x.*"))


def test_evaluation_prints_the_table_and_writes_reports_and_pictures(run, written_studies, tiny_models, tmp_path):
    out = tmp_path / "out"
    code, stdout, _ = run("evaluate", "--cases", written_studies, "--output", out, "--models", tiny_models)
    assert code == 0
    for words in ("WT (whole tumor)", "mean Dice", "best case", "mean HD95 (mm)", "0.93", "0.90", "0.79"):
        assert words in stdout
    assert "comparable only when both" in stdout
    table = stdout.partition("Lesions, surfaces and volumes")[2].partition("Lesion-wise as in BraTS 2023")[0]
    rows = {row[0]: row[1:] for row in (re.findall(r"[^│\s]+", line) for line in table.splitlines()) if row}
    # The model calls the whole brain edema: the core of both cases is missed.
    for region in ("TC", "ET"):
        assert rows[region][:6] + rows[region][7:] == ["0.000", "374.0", "0", "2", "0", "0.000", "-100"]
    assert rows["WT"][2:5] == ["2", "0", "0"]
    files = {str(file.relative_to(out)) for file in out.rglob("*") if file.is_file()}
    pictures = {"best.png", "worst.png", "poor/BraTS20_Training_001.png", "poor/BraTS20_Training_002.png"}
    assert files == {"cases.csv", "report.json", "report.html", *pictures}
    for case in (cases := json.loads((out / "report.json").read_text())["cases"]):
        assert case["lesions"]["ET"] == {"dice": 0.0, "hd95_mm": 374.0, "found": 0, "missed": 1, "false": 0}
        assert case["lesions"]["WT"]["dice"] == case["dice"]["WT"]
        assert (case["surface_dice"]["ET"], case["volume_error_percent"]["ET"]) == (0.0, -100.0)
        assert case["volume_error_ml"]["WT"] == pytest.approx(case["predicted_ml"]["WT"] - case["true_ml"]["WT"])
    assert len(cases) == 2
    with open(out / "cases.csv", newline="") as handle:
        line = next(csv.DictReader(handle))
    assert (line["lesion_dice_ET"], line["lesion_hd95_mm_ET"], line["lesions_missed_ET"]) == ("0.0000", "374.00", "1")
    assert (line["lesions_found_WT"], line["lesions_false_WT"], line["volume_error_percent_TC"]) == (
        "1",
        "0",
        "-100.00",
    )
    assert float(line["surface_dice_WT"]) == pytest.approx(cases[0]["surface_dice"]["WT"], abs=1e-4)
    assert "Lesions, surfaces and volumes of all cases" in (out / "report.html").read_text()


def test_export_converts_formats_and_schemes_and_rendering_draws_any_labelmap(
    run, written_studies, tmp_path, tiny_models
):
    seg = written_studies / NAME / f"{NAME}_seg.nii.gz"
    code, _, stderr = run("export", seg, tmp_path / "case.seg.nrrd")
    assert code == 0
    assert f"is read as brats-2017 (by the name {NAME}_seg.nii.gz)" in stderr
    assert run("export", tmp_path / "case.seg.nrrd", tmp_path / "back.nii.gz", "--brats-values")[0] == 0
    original, back = (nibabel.Nifti1Image.from_filename(path) for path in (seg, tmp_path / "back.nii.gz"))
    assert np.array_equal(np.asarray(original.dataobj), np.asarray(back.dataobj))
    assert np.allclose(original.affine, back.affine)
    case = written_studies / NAME
    code, stdout, _ = run("render", case, "--label", "--output", tmp_path / "a")
    assert code == 0
    for ending in ("png", "gif"):
        assert f"{NAME}.{ending}" in stdout
        assert (tmp_path / "a" / f"{NAME}.{ending}").stat().st_size > 1000
    source = {"b": ("--models", tiny_models), "c": ("--labelmap", case / f"{NAME}_seg.nii.gz")}
    for folder, options in source.items():
        assert run("render", case, "--no-gif", *options, "--output", tmp_path / folder)[0] == 0
    assert len({(tmp_path / folder / f"{NAME}.png").read_bytes() for folder in "abc"}) == 3


def test_labels_are_read_in_the_scheme_that_is_named_and_every_command_says_which(
    run, case_folder, tiny_models, tmp_path
):
    path = case_folder.rename(tmp_path / "head") / "seg.nii.gz"
    (path.parent / f"{NAME}_seg.nii.gz").unlink()
    truth = synthetic.truth(GRID)
    synthetic.save(Volume(np.array([0, 2, 1, 3], np.uint8)[truth.data], GRID), path)  # as in the Decathlon
    evaluate = ["evaluate", "--cases", path.parent, "--output", tmp_path / "out", "--models", tiny_models]
    for command in (evaluate, ["render", path.parent, "--label"], ["export", path, tmp_path / "x.nii.gz"]):
        code, _, stderr = run(*command)
        assert code == 2
        assert "seg.nii.gz holds the values 1 (3.4 mL), 2 (0.3 mL), 3 (1.9 mL), and nothing says" in stderr
        assert "no label scheme 'x'" in run(*command, "--label-scheme", "x")[2]
    for options in (["--label-scheme", "decathlon"], ["--label-scheme", "1=edema,2=necrosis,3=ET"]):
        code, _, stderr = run("export", path, tmp_path / "x.nii.gz", *options, "--overwrite")
        assert "is read as" in stderr
        assert np.array_equal(read_labelmap(tmp_path / "x.nii.gz").data, truth.data)
    code, _, stderr = run(*evaluate, "--label-scheme", "decathlon")
    assert (code, "Labels read as decathlon: head by the chosen label scheme decathlon" in stderr) == (0, True)
    (row,) = json.loads((tmp_path / "out" / "report.json").read_text())["cases"]
    assert row["true_ml"]["peritumoral edema"] == pytest.approx(3.4, abs=0.1)
    assert "decathlon" in (tmp_path / "out" / "cases.csv").read_text()


def test_a_label_cropped_to_its_extent_is_evaluated_and_exported_on_the_whole_grid(
    run, case_folder, tiny_models, tmp_path
):
    path = case_folder / f"{NAME}_seg.nii.gz"
    image = nibabel.nifti1.load(path)
    data = np.asarray(image.dataobj)
    cropped = image.slicer[tuple(slice(int(low), int(high) + 1) for low, high in zip(*_extent(data), strict=True))]
    path.unlink()
    nibabel.save(cropped, path)
    out = ["--output", tmp_path / "out", "--models", tiny_models]
    assert run("evaluate", "--cases", case_folder, *out)[0] == 0
    (row,) = json.loads((tmp_path / "out" / "report.json").read_text())["cases"]
    assert row["true_ml"]["whole tumor" if "whole tumor" in row["true_ml"] else "WT"] == pytest.approx(
        np.count_nonzero(data) / 1000, abs=0.001
    )
    target = tmp_path / "whole.nii.gz"
    assert run("export", path, target, "--brats-values", "--reference", case_folder / f"{NAME}_t1.nii.gz")[0] == 0
    assert np.array_equal(np.asarray(nibabel.nifti1.load(target).dataobj), data)
    assert run("render", case_folder, "--label", "--no-gif", "--output", tmp_path / "pictures")[0] == 0


def _extent(data):
    where = np.argwhere(data)
    return where.min(0), where.max(0)


def test_models_are_listed_shown_promoted_and_rolled_back(run, tiny_models, tmp_path, monkeypatch):
    models = Path(shutil.copytree(tiny_models, tmp_path / "models"))
    shutil.copytree(models / "v0001", models / "v0002")
    monkeypatch.delenv("TUMORLOOP_MODELS", raising=False)
    monkeypatch.setenv("TUMORLOOP_HOME", str(tmp_path))
    listed = run("models", "list")[1]
    assert "labels everything edema" in listed
    assert os.fspath(tmp_path) in listed.replace("\n", "")
    assert json.loads(run("models", "show", "v0001", "--models", models)[1])["version"] == "v0001"
    assert "v0002 is current" in run("models", "promote", "v0002", "--models", models)[1]
    assert "v0001 is current again" in run("models", "rollback", "--models", models)[1]


def test_fitting_stores_a_version_with_parent_and_cases_and_promotes_it_on_request(
    run, written_studies, tiny_models, tmp_path
):
    models = Path(shutil.copytree(tiny_models, tmp_path / "models"))
    options = ["fit", "--cases", written_studies, "--work", tmp_path / "work", "--models", models, "--validation", 0]
    options += ["--epochs", 1, "--steps", 1, "--batch-size", 1, "--patch", 32, "--precision", "float32"]
    code, stdout, _ = run(*options, "--start", "current", "--promote")
    assert code == 0
    assert "v0002" in stdout
    card = json.loads(run("models", "show", "--models", models)[1])
    assert (card["version"], card["parent"], card["training"]["epochs"]) == ("v0002", "v0001", 1)
    assert {case["case"]: case["split"] for case in card["data"]} == {NAME: "train", "BraTS20_Training_002": "train"}
    code, stdout, _ = run(*options, "--base-filters", 1)
    assert code == 0
    assert "models promote v0003" in stdout


def test_standard_error_holds_one_readable_line_even_after_tensorflow_has_started(case_folder, tiny_models, tmp_path):
    (case_folder / f"{NAME}_t2.nii.gz").write_text("no image")
    command = [sys.executable, "-m", "training", "predict", case_folder, "--models", tiny_models, "-o", tmp_path]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    (line,) = [line for line in done.stderr.splitlines() if line.strip() and "left" not in line]
    assert done.returncode == 2
    assert line.startswith("Error (t2): T2 (t2):")
    assert done.stdout == ""


def test_models_are_listed_added_from_a_folder_and_used_from_one(run, predict, tiny_models, written_studies, tmp_path):
    mine = tmp_path / "mine"
    code, stdout, _ = run("models", "add", tiny_models / "v0001", "--models", mine)
    assert code == 0
    added = stdout.split()[2]
    code, stdout, _ = run("models", "list", "--models", mine)
    assert (code, added in stdout, "labels everything edema" in stdout) == (0, True, True)
    assert run("models", "promote", added, "--models", mine)[0] == 0
    code, stdout, _ = predict(written_studies / NAME, "--model", tiny_models / "v0001")
    assert (code, "Model v0001" in stdout) == (0, True)
    code, _, stderr = run("models", "add", "v0777", "--models", mine)
    assert (code, "no bundled model 'v0777'" in stderr) == (2, True)


def test_a_whole_head_is_preprocessed_into_an_ordinary_case_once(run, tmp_path):
    folder, out = tmp_path / "head", tmp_path / "out"
    for role, volume in synthetic.whole_head().items():
        synthetic.save(volume, folder / f"head_{role}.nii.gz")
    code, stdout, stderr = run("preprocess", folder, "--output", out)
    assert code == 0, stderr
    assert str(out / "head") in stdout
    assert "head: Stripped the skull: 1," in stderr
    stripped = read_volume(out / "head" / "head_t1ce.nii.gz")
    assert np.count_nonzero(stripped.data) * stripped.grid.voxel_ml < 2000
    code, stdout, stderr = run("preprocess", folder, "--output", out)
    assert (code, stdout) == (0, "")
    assert "head: already there" in stderr
    code, _, stderr = run("preprocess", out / "head", "--output", tmp_path / "again")
    assert code == 0
    assert "Stripped" not in stderr
    (folder / "head_t2.nii.gz").write_bytes((folder / "head_flair.nii.gz").read_bytes())
    code, _, stderr = run("preprocess", folder, "--output", out)
    assert code == 2
    assert "made from other files or with other options: add --overwrite" in stderr
