"""Commands on a Ray of this machine: the results are those of the command without it, and nothing is done twice."""

import json
from pathlib import Path

import pytest

from tests import synthetic
from tests.training.learning.conftest import put_phantoms

SMALL = synthetic.brats_grid((32, 32, 32))
RAY = ("--ray", "--ray-workers", 2)


@pytest.fixture
def cohort(tmp_path):
    for name in "abc":
        synthetic.write_case(tmp_path / "cohort", name, grids=SMALL)
    cut = tmp_path / "cohort" / "b" / "b_flair.nii.gz"
    cut.write_bytes(cut.read_bytes()[:1000])
    return tmp_path / "cohort"


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file() and ".finished" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_a_cohort_is_segmented_as_without_ray_and_only_what_is_missing_is_computed_again(
    run, cohort, tiny_models, tmp_path
):
    def predict(output: str, *options: object) -> tuple[int, str, str]:
        return run("predict", cohort, "--maps", "--models", tiny_models, "-o", tmp_path / output, *options)

    code, stdout, _ = predict("serial")
    assert (code, "Not segmented: 1 of 3" in stdout) == (1, True)
    code, stdout, stderr = predict("ray", *RAY)
    assert (code, "Not segmented: 1 of 3" in stdout, "b failed" in stderr) == (1, True, True)
    assert files(tmp_path / "ray") == files(tmp_path / "serial")
    kept = (tmp_path / "ray" / "a_seg.nii.gz").stat().st_mtime_ns
    (tmp_path / "ray" / "c_seg.nii.gz").unlink()
    (tmp_path / "ray" / ".finished" / "c.json").write_text('{"key": "half')
    code, _, stderr = predict("ray", *RAY)
    assert (code, "c_entropy.nii.gz" in stderr) == (2, True)  # nothing says any more whose file that is
    code, _, stderr = predict("ray", *RAY, "--overwrite")
    assert (code, "a: already there" in stderr, "c: already there" in stderr) == (1, True, False)
    assert files(tmp_path / "ray") == files(tmp_path / "serial")
    assert (tmp_path / "ray" / "a_seg.nii.gz").stat().st_mtime_ns == kept
    (tmp_path / "ray" / "a_seg.nii.gz").write_bytes(b"edited by hand")
    assert predict("ray", *RAY)[0] == 2


def test_an_evaluation_gives_the_same_report_and_continues_where_it_was_stopped(run, cohort, tiny_models, tmp_path):
    def evaluate(output: str, *options: object) -> tuple[int, str, str]:
        given = ("evaluate", "--cases", cohort, "--phantoms", 1, "--models", tiny_models, "-o", tmp_path / output)
        return run(*given, *options)

    def report(output: str) -> list[dict[str, object]]:
        cases = json.loads((tmp_path / output / "report.json").read_text())["cases"]
        return [{name: value for name, value in case.items() if name != "seconds"} for case in cases]

    assert evaluate("serial", "--workers", 1)[0] == 1
    code, stdout, _ = evaluate("ray", "--ray", "--workers", 2)
    assert (code, "Not evaluated: 1 of 4" in stdout) == (1, True)
    assert report("ray") == report("serial")
    pictures = {name: content for name, content in files(tmp_path / "serial").items() if name.endswith(".png")}
    assert {name: content for name, content in files(tmp_path / "ray").items() if name in pictures} == pictures
    for name in ("report.json", "report.html", "cases.csv", "best.png", "worst.png"):
        (tmp_path / "ray" / name).unlink()
    before = (tmp_path / "ray" / ".finished" / "a.json").stat().st_mtime_ns
    assert evaluate("ray", "--ray", "--workers", 2)[0] == 1
    assert (tmp_path / "ray" / ".finished" / "a.json").stat().st_mtime_ns == before
    assert report("ray") == report("serial")


TRAINING = ("--epochs", 1, "--steps", 2, "--batch-size", 1, "--patch", 32, "--replay", 0, "--derived", 0)


def test_folds_are_trained_as_without_ray(run, written_studies, tiny_models, tmp_path):
    given = ("cross-validate", "--cases", written_studies, "--folds", 2, "--folds-only", *TRAINING)

    def folds(work: str, *options: object) -> list[dict[str, object]]:
        code, _, stderr = run(*given, "--models", tiny_models, "--work", tmp_path / work, *options)
        assert code == 0, stderr
        return [json.loads((tmp_path / work / f"fold-{number}" / "fold.json").read_text()) for number in (1, 2)]

    assert folds("ray", "--ray") == folds("serial")


def test_the_lines_of_a_learning_curve_are_those_without_ray(run, written_studies, tiny_models, tmp_path):
    quick = {"max_epochs": 1, "steps_per_epoch": 1, "batch_size": 1, "patch": 32, "replay": 0, "derived": 0}
    settings = [part for name, value in quick.items() for part in ("--set", f"{name}={value}")]
    small = ("--made", "none", "--counts", "0,1", "--orders", 2, "--unseen", 1, "--phantoms", 0)

    def lines(work: str, *options: object) -> object:
        folder = tmp_path / work
        put_phantoms(folder)
        given = ("learning-curve", "--cases", f"east={written_studies}", *small, *settings, "--set", "judge_phantoms=1")
        code, _, stderr = run(*given, "--models", tiny_models, "--work", folder, *options)
        assert code == 0, stderr
        found = [json.loads(file.read_text()) for file in sorted(folder.rglob("stage-*.json"))]
        return [{name: value for name, value in stage.items() if name != "seconds"} for stage in found]

    assert lines("ray", "--ray") == lines("serial")
