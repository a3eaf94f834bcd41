"""Nothing is overwritten unasked, and one unusable case does not end a cohort."""

import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
import typer

from tests import synthetic
from tests.training import rejected
from training.cases.case import Case, Source
from training.cli.outcome import INTERRUPTED, Failures, refuse_existing
from training.errors import InputError
from training.modalities import ROLES

SMALL = synthetic.brats_grid((32, 32, 32))


@pytest.fixture
def cohort(tmp_path):
    """Three patients with equally named files, of whom b's FLAIR is cut off and c has no label."""
    for name in "abc":
        folder = synthetic.write_case(tmp_path / "cohort", name, grids=SMALL, label=name != "c")
        for file in folder.iterdir():
            file.rename(folder / file.name.removeprefix(f"{name}_"))
    bad = tmp_path / "cohort" / "b" / "flair.nii.gz"
    bad.write_bytes(bad.read_bytes()[:1000])
    return tmp_path / "cohort"


@pytest.fixture
def predict(run, tiny_models, tmp_path):
    def invoke(*arguments: object) -> tuple[int, str, str]:
        return run("predict", *arguments, "--models", tiny_models, "--output", tmp_path / "results")

    return invoke


def roles(folder: Path) -> list[str]:
    return [part for role in ROLES for part in (f"--{role}", str(folder / f"{role}.nii.gz"))]


def written(tmp_path):
    return {file.name: file.stat().st_mtime_ns for file in (tmp_path / "results").iterdir()}


def test_equally_named_files_of_two_patients_give_two_results_and_none_is_replaced_unasked(predict, cohort, tmp_path):
    assert predict(*roles(cohort / "a"))[0] == predict(*roles(cohort / "c"))[0] == 0
    before = written(tmp_path)
    assert set(before) == {"a_seg.nii.gz", "c_seg.nii.gz"}
    code, _, stderr = predict(*roles(cohort / "a"))
    assert (code, written(tmp_path)) == (2, before)
    assert f"Already there: {tmp_path / 'results' / 'a_seg.nii.gz'}" in stderr
    assert "--overwrite" in stderr
    assert predict(*roles(cohort / "a"), "--overwrite")[0] == 0
    assert written(tmp_path)["a_seg.nii.gz"] > before["a_seg.nii.gz"]


def test_a_cohort_goes_on_after_an_unusable_case_and_ends_with_a_table_and_1(predict, cohort, tmp_path):
    (cohort / "d").mkdir()
    shutil.copy(cohort / "a" / "t1.nii.gz", cohort / "d")
    shutil.copy(cohort / "a" / "t1.nii.gz", cohort / "a" / "adc.nii.gz")
    code, stdout, stderr = predict(cohort)
    assert (code, set(written(tmp_path))) == (1, {"a_seg.nii.gz", "c_seg.nii.gz"})
    table = stdout.partition("Not segmented: 2 of 4")[2]
    assert "flair.nii.gz is cut off" in table
    assert "Missing: T1 with contrast" in table
    assert "b failed: FLAIR (flair): flair.nii.gz" in stderr
    assert "a: not used: adc.nii.gz" in stderr


def test_one_or_only_unusable_cases_end_with_2(predict, cohort, tmp_path):
    code, stdout, stderr = predict(cohort / "b")
    assert (code, stdout) == (2, "")
    assert "Error (flair): FLAIR (flair)" in stderr
    assert str(cohort / "b" / "flair.nii.gz") in stderr
    for name in "ac":
        (cohort / name / "t2.nii.gz").write_bytes(b"no image")
    code, stdout, _ = predict(cohort)
    assert code == 2
    assert "Not segmented: 3 of 3" in stdout
    for name in "abc":
        (cohort / name / "t2.nii.gz").unlink()
    code, _, stderr = predict(cohort)
    assert code == 2
    assert stderr.count("Missing: T2") == 3
    assert not (tmp_path / "results").exists()


def test_cases_of_the_same_name_in_several_paths_get_different_results_and_one_given_twice_is_done_once(
    predict, cohort, tmp_path
):
    for name in "xy":
        shutil.copytree(cohort / "a", tmp_path / name / "case")
    assert predict(tmp_path / "x" / "case", tmp_path / "y" / "case", tmp_path / "x")[0] == 0
    assert set(written(tmp_path)) == {"x-case_seg.nii.gz", "y-case_seg.nii.gz"}


def test_evaluation_goes_on_and_says_who_was_left_out(run, cohort, tiny_models, tmp_path):
    arguments = ["evaluate", "--cases", cohort, "--models", tiny_models, "--no-pictures", "-o", tmp_path / "out"]
    code, stdout, stderr = run(*arguments)
    assert code == 1
    assert "Left out, without a label: c" in stderr
    assert "flair.nii.gz is cut off" in stdout.partition("Not evaluated: 1 of 2")[2]
    before = (tmp_path / "out" / "report.json").read_bytes()
    code, _, stderr = run(*arguments)
    assert (code, (tmp_path / "out" / "report.json").read_bytes()) == (2, before)
    assert "cases.csv" in stderr
    (tmp_path / "patients.csv").write_text("case,patient\na,anna\nz,zoe\n")
    code, _, stderr = run(*arguments, "--overwrite", "--patients", tmp_path / "patients.csv")
    assert code == 2
    assert "line 3: there is no case 'z'" in stderr
    (tmp_path / "patients.csv").write_text("case,patient\na,anna\n")
    assert run(*arguments, "--overwrite", "--patients", tmp_path / "patients.csv")[0] == 1
    assert (tmp_path / "out" / "cases.csv").read_text().splitlines()[1].startswith("a,anna,")


def test_rendering_goes_on_and_keeps_what_is_there(run, cohort, tmp_path):
    arguments = ["render", cohort, "--label", "--no-gif", "--output", tmp_path / "pictures"]
    code, stdout, _ = run(*arguments)
    assert code == 1
    assert {file.name for file in (tmp_path / "pictures").iterdir()} == {"a.png"}
    table = stdout.partition("Not drawn: 2 of 3")[2]
    assert "Case c has no label" in table
    assert run(*arguments)[0] == 2


def test_the_other_commands_replace_nothing_unasked(run, cohort, tmp_path):
    out = tmp_path / "out.nii.gz"
    out.write_bytes(b"mine")
    for command in (
        ("export", cohort / "a" / "seg.nii.gz", out),
        ("sheet", tmp_path / "mine.png", "--cases", cohort),
        ("phantom", tmp_path / "phantoms", "--count", 2),
        ("card", "--render", "--document", tmp_path / "notes.md"),
    ):
        (tmp_path / "mine.png").write_bytes(b"mine")
        (tmp_path / "notes.md").write_text("mine")
        (tmp_path / "phantoms" / "phantom_0002").mkdir(parents=True, exist_ok=True)
        code, _, stderr = run(*command)
        assert (code, "Already there" in stderr) == (2, True), command
    assert (out.read_bytes(), (tmp_path / "notes.md").read_text()) == (b"mine", "mine")
    assert not (tmp_path / "phantoms" / "phantom_0001").exists()
    assert run("export", cohort / "a" / "seg.nii.gz", out, "--overwrite")[0] == 0
    assert run("card", "--render", "--document", tmp_path / "new.md")[0] == 0
    assert run("card", "--render", "--document", tmp_path / "new.md")[0] == 0  # it is generated


def test_numbered_channels_and_4d_files_are_read_in_the_stated_order_and_an_assumed_one_is_told(predict, tmp_path):
    volumes = [synthetic.head(SMALL, role).data for role in ROLES]
    (tmp_path / "imagesTs").mkdir()
    for number, data in enumerate(volumes):
        nibabel.save(nibabel.Nifti1Image(data, SMALL.affine), tmp_path / "imagesTs" / f"x_{number:04d}.nii.gz")
    code, _, stderr = predict(tmp_path / "imagesTs")
    assert code == 2
    assert "--order t1,t1ce,t2,flair" in stderr
    assert predict(tmp_path / "imagesTs", "--order", "T1,T1Gd,T2,FLAIR")[0] == 0
    assert set(written(tmp_path)) == {"x_seg.nii.gz"}
    nibabel.save(nibabel.Nifti1Image(np.stack(volumes, axis=-1), SMALL.affine), tmp_path / "four.nii.gz")
    assert "four.nii.gz: read in the order flair,t1,t1ce,t2" in predict(tmp_path / "four.nii.gz")[2]
    assert "read in the order" not in predict(tmp_path / "four.nii.gz", "--order", ",".join(ROLES), "--overwrite")[2]


def test_ctrl_c_keeps_the_finished_cases():
    cases = [Case(name, {role: Source(Path(f"{role}.nii")) for role in ROLES}) for name in "abc"]

    def work(number: int, case: Case) -> None:
        if number == 0:
            raise InputError("bad")
        if number == 2:
            raise KeyboardInterrupt

    failures = Failures(total=3)
    assert failures.each(cases, work) == (1, True)
    with pytest.raises(typer.Exit) as stopped:
        failures.finish(1, "segmented", stopped=True)
    assert stopped.value.exit_code == INTERRUPTED


def test_two_results_of_one_name_are_refused_even_if_files_may_be_replaced(tmp_path):
    with rejected("Two results would be written", "output"):
        refuse_existing([tmp_path / "a", tmp_path / "a"], overwrite=True)


def test_training_goes_on_without_an_unusable_case_and_keeps_visits_on_one_side(run, cohort, tiny_models, tmp_path):
    shutil.copytree(tiny_models, tmp_path / "models")
    for name in ("E1", "E2"):
        shutil.copytree(cohort / "a", cohort / name)
    models = tmp_path / "models"
    options = ["fit", "--cases", cohort, "--work", tmp_path / "work", "--models", models, "--start", "current"]
    options += ["--epochs", 1, "--steps", 1, "--batch-size", 1, "--patch", 32, "--precision", "float32"]
    code, stdout, stderr = run(*options)
    assert code == 1
    assert "Taken as visits of one patient" in stderr.replace("\n", " ")
    assert "E (E1, E2)" in stderr
    assert "v0002" in stdout
    assert "flair.nii.gz is cut off" in stdout.partition("Not prepared: 1 of 4")[2]
    card = json.loads(run("models", "show", "v0002", "--models", models)[1])
    assert {case["case"]: case["patient"] for case in card["data"]} == {"a": "a", "E1": "E", "E2": "E"}
    assert len({case["split"] for case in card["data"] if case["patient"] == "E"}) == 1
    (tmp_path / "patients.csv").write_text("E1,anna\nE2,berta\n")
    code, _, stderr = run(*options, "--patients", tmp_path / "patients.csv")
    assert (code, "Taken as visits" in stderr) == (1, False)
    card = json.loads(run("models", "show", "v0003", "--models", models)[1])
    assert {case["case"]: case["patient"] for case in card["data"]} == {"a": "a", "E1": "anna", "E2": "berta"}
    code, _, stderr = run(*options[:1], "--cases", cohort / "b", *options[3:])
    assert code == 2
    assert "flair.nii.gz is cut off" in stderr
