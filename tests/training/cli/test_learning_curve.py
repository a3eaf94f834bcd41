import json

import pytest

from tests import synthetic
from tests.training.learning.conftest import put_phantoms

QUICK = {
    "max_epochs": 1,
    "steps_per_epoch": 1,
    "batch_size": 1,
    "patch": 32,
    "replay": 0,
    "derived": 0,
    "judge_phantoms": 1,
}


@pytest.fixture
def curve(run, tiny_models, written_studies, tmp_path):
    put_phantoms(tmp_path / "work")

    def invoke(*arguments: object) -> tuple[int, str, str]:
        settings = [part for name, value in QUICK.items() for part in ("--set", f"{name}={value}")]
        small = ("--made", "none", "--counts", "0,1", "--orders", 1, "--unseen", 1, "--phantoms", 1)
        work = ("--work", tmp_path / "work", "--models", tiny_models)
        return run("learning-curve", "--cases", f"east={written_studies}", *small, *settings, *work, *arguments)

    return invoke


def test_the_command_writes_the_page_and_repeats_nothing_when_called_again(curve, tmp_path):
    code, stdout, _ = curve()
    assert code == 0
    page = tmp_path / "work" / "learning.md"
    assert str(page) in stdout
    numbers = json.loads(page.with_suffix(".json").read_text())
    assert numbers["retraining"]["patch"] == 32
    (line,) = numbers["lines"]
    assert (line["hospital"], [row["corrected"] for row in line["rows"]]) == ("east", [0, 1])
    finished = tmp_path / "work" / "curves" / "east" / "random" / "order-0" / "stage-1.json"
    written = finished.stat().st_mtime_ns
    code, _, _ = curve("--output", tmp_path / "docs" / "learning.md")
    assert (code, finished.stat().st_mtime_ns) == (0, written)
    assert (tmp_path / "docs" / "images" / "learning.png").is_file()
    code, _, stderr = curve("--set", "learning_rate=0.01")
    assert (code, "another learning_rate" in stderr) == (2, True)


def test_unusable_options_end_with_2_and_the_way_out(curve, run, tmp_path):
    for arguments, words in (
        (("--set", "learning_rate"), "NAME=VALUE"),
        (("--set", "speed=3"), "no setting 'speed'. Known: max_epochs"),
        (("--set", "patch=huge"), "patch: "),
        (("--counts", "0,two"), "counts: "),
        (("--strategy", "greedy"), "known are random, stratified, least-sure, noisy-entropy"),
        (("--made", "moon"), "known are protocol, habit, surgery, poor-flair"),
        (("--only", "west"), "given are east"),
        (("--unseen", 2), "lower --counts or --unseen"),
        (("--output", tmp_path / "learning.html"), "must be a .md file"),
        (("--cases", tmp_path / "nowhere"), "nowhere"),
    ):
        code, _, stderr = curve(*arguments)
        assert (code, words in stderr) == (2, True), (arguments, stderr)
    code, _, stderr = run("learning-curve", "--made", "none", "--work", tmp_path / "work")
    assert (code, "Give a hospital" in stderr) == (2, True)


def test_after_ctrl_c_the_command_says_how_to_go_on(curve, monkeypatch):
    def interrupted(*arguments: object, **named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("training.learning.curve.retrain", interrupted)
    code, _, stderr = curve()
    assert (code, "the same command resumes" in stderr) == (130, True)


def test_a_folder_alone_gives_the_hospital_its_name(run, tiny_models, tmp_path):
    for name in ("p1", "p2"):
        synthetic.write_case(tmp_path / "Our Clinic", name)
    settings = ("--made", "none", "--counts", "0", "--orders", 1, "--unseen", 1, "--phantoms", 0)
    code, _, _ = run(
        "learning-curve",
        "--cases",
        tmp_path / "Our Clinic",
        *settings,
        "--work",
        tmp_path / "w",
        "--models",
        tiny_models,
    )
    assert code == 0
    assert "## Our-Clinic, random" in (tmp_path / "w" / "learning.md").read_text()
