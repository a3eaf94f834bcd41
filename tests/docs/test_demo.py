"""The demo: it is honest about what went wrong, and on the real server nothing does."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import psutil
import pytest
from rich.console import Console
from TumorLoopLib.client import TumorLoopClient
from TumorLoopLib.client.errors import ServerFailed
from TumorLoopLib.jobs.jobs import Reporter
from typer.testing import CliRunner

from docs.demo.__main__ import app
from docs.demo.cases import DemoCases, labeled_cases, prepare_folder
from docs.demo.loop import DemoFailed, Loop
from docs.demo.record import Segmentation
from docs.demo.report import write_report
from docs.demo.server import running_server
from docs.demo.terminal import Terminal, describe_training
from tests import synthetic
from training.errors import InputError
from training.images.grid import Grid, Volume
from training.models import BUNDLED_MODELS
from training.models.bundle import read_bundle

REPOSITORY = Path(__file__).resolve().parents[2]
#: A training as small as one that still improves the case it is corrected by.
SMALL: dict[str, float] = {"steps_per_epoch": 4, "batch_size": 1, "patch": 64, "replay": 0}
SMALL |= {"judge_phantoms": 1, "learning_rate": 1e-4, "tolerance": 0.05}
ANOTHER_GRID = synthetic.oblique_grid((1, 1, 1), (64, 72, 60))


@pytest.fixture
def loop(script, scripted_server, tmp_path: Path) -> Loop:
    cases = DemoCases(tmp_path / "studies", [script.case])
    terminal = Terminal(Console(file=io.StringIO()))
    return Loop(TumorLoopClient(scripted_server.url), cases, tmp_path / "out", terminal, 1, {})


def test_a_loop_in_which_all_goes_well_is_recorded_step_by_step(loop, scripted_server):
    record = loop.run()
    (case,) = record.cases
    assert case.improved
    assert (case.before.version, case.after.version, case.label_version) == ("v0000", "v0001", "v0001")
    steps = "Asked Segmented Sent Segmented Submitted Retrained Segmented"
    assert " ".join(name.split()[0] for name, _ in record.steps) == steps
    sent = [request.path for request in scripted_server.requests if request.method == "PUT"]
    assert sent == ["/session/", "/datastore/label?image=small&tag=final"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda script: script.labelmaps.pop("v0001"), r"Dice is 0\.\d+ after .* was 0\.\d+ before"),
        (lambda script: setattr(script, "promotes", False), "still segmented by v0000"),
        (lambda script: setattr(script, "keeps", False), "keeps 0 labels"),
        (lambda script: setattr(script, "grid", ANOTHER_GRID), "not on the grid of T1ce"),
        (lambda script: script.labelmaps.update(v0000=script.labelmaps["v0000"] + 5), "unknown values"),
        (lambda script: setattr(script, "train_status", "ERROR"), "(?s)ended with ERROR.*last words"),
    ],
    ids=["no better", "not promoted", "label lost", "grid flipped", "odd values", "training fails"],
)
def test_a_loop_in_which_something_goes_wrong_fails_and_says_what(loop, script, change, words):
    change(script)
    with pytest.raises(DemoFailed, match=words):
        loop.run()


def test_a_network_that_finds_nothing_is_not_praised_for_regions_the_truth_lacks():
    grid = Grid((4, 4, 4), np.eye(4))
    truth = Volume(np.full((4, 4, 4), 2, np.uint8), grid)
    result = Segmentation(Volume(np.zeros((4, 4, 4), np.uint8), grid), "v0001", 1.0, {})
    result.compare(truth)
    assert result.dice == {"WT": 0.0, "TC": 1.0, "ET": 1.0}
    assert result.mean_dice == 0.0


def test_the_report_needs_no_network_and_holds_pictures_and_numbers(loop, tmp_path):
    record = loop.run()
    page = write_report(record, tmp_path / "out", failure="", seconds=61).read_text("utf-8")
    addresses: list[str | None] = []

    class Page(HTMLParser):
        def handle_starttag(self, tag, attrs):  # collects what a page would load
            addresses.extend(value for name, value in attrs if name in ("src", "href", "srcset", "data"))

    Page().feed(page)
    assert len(addresses) == 2
    assert all(str(address).startswith("data:image/") for address in addresses)
    assert not re.search(r"url\(|@import|<script", page)
    for words in (f"{record.cases[0].after.mean_dice:.3f}", "v0001", "research use only", "validation Dice"):
        assert words in page
    facts = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    assert facts["ok"]
    assert facts["cases"][0]["improved"]


def test_a_failed_demo_has_a_report_too_and_shows_the_reason(loop, script, tmp_path):
    script.train_status = "ERROR"
    with pytest.raises(DemoFailed):
        loop.run()
    page = write_report(loop.record, tmp_path / "out", failure="a <reason>", seconds=1).read_text("utf-8")
    assert "a &lt;reason&gt;" in page
    assert "did not close" in page


def test_live_numbers_become_a_line():
    stats = {"train": {"loss": 0.5}, "eval": {"mean": 0.7}, "eta": 61.2}
    assert describe_training(stats) == "loss 0.500 · validation Dice 0.700 · 61 s left"
    assert describe_training({"message": "preparing"}) == "preparing"
    assert describe_training({}) == "starting"


def test_a_folder_with_files_that_are_not_the_demo_s_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("ten years")
    result = CliRunner().invoke(app, ["--out", str(tmp_path)])
    assert result.exit_code == 2
    assert "not the demo's" in " ".join(result.output.split())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_the_folder_of_an_earlier_demo_is_used_again_and_none_among_the_cases(small_case, tmp_path):
    with pytest.raises(InputError, match="only read"):
        prepare_folder(tmp_path / "studies" / "demo", tmp_path / "studies")
    prepare_folder(tmp_path / "demo", None)
    (tmp_path / "demo" / "workspace").mkdir()
    prepare_folder(tmp_path / "demo", None)
    assert [path.name for path in (tmp_path / "demo").iterdir()] == [".tumorloop-demo"]


def used(folder):
    return labeled_cases(folder / "studies", folder / "demo", lambda done, total: None)


def test_cases_without_any_label_cannot_be_corrected(small_case, tmp_path):
    assert [case.id for case in used(tmp_path).labeled] == ["small"]
    small_case.label.unlink()
    result = CliRunner().invoke(app, ["--cases", str(tmp_path / "studies"), "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert "has a label" in " ".join(result.output.split())


def test_a_server_that_cannot_start_is_reported_with_its_own_words(tmp_path):
    starting = running_server(tmp_path, tmp_path / "workspace", tmp_path / "log", arguments=["--no-such-option"])
    with starting as server, pytest.raises(ServerFailed, match="no-such-option"):
        server.wait_until_ready(Reporter())


def test_an_interrupted_demo_stops_its_server(small_case, tmp_path):
    command = [sys.executable, "-m", "docs.demo", "--cases", str(tmp_path / "studies"), "--out", str(tmp_path / "out")]
    with subprocess.Popen(
        command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a suite run in the background ignores it
    ) as demo:  # fmt: skip
        family = wait_for_children(demo)
        os.kill(demo.pid, signal.SIGINT)
        output, _ = demo.communicate(timeout=60)
    assert demo.returncode == 130, output.decode()
    assert not [process for process in family if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def wait_for_children(demo: subprocess.Popen) -> list[psutil.Process]:
    """Return the processes of a demo's server as soon as it has one."""
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up and demo.poll() is None:
        children = psutil.Process(demo.pid).children(recursive=True)
        if children:
            time.sleep(1.0)
            return psutil.Process(demo.pid).children(recursive=True)
        time.sleep(0.1)
    raise AssertionError("the demo started no server")


@pytest.mark.slow
@pytest.mark.timeout(1600)
def test_the_demo_on_phantoms_closes_the_loop(tmp_path, monkeypatch):
    monkeypatch.setattr("docs.demo.__main__.Loop", lambda *parts: Loop(*(*parts[:-1], {**SMALL, **parts[-1]})))
    out = tmp_path / "demo"
    result = CliRunner().invoke(app, ["--epochs", "1", "--out", str(out)])
    assert result.exit_code == 0, result.output
    facts = json.loads((out / "report.json").read_text("utf-8"))
    assert facts["ok"]
    before, after = (facts["cases"][0][when]["model_version"] for when in ("before", "after"))
    bundle = read_bundle(BUNDLED_MODELS)
    assert (before, after) == (bundle.initial, f"v{len(bundle.folders):04d}")
    assert (facts["training"]["total_epochs"], facts["controls"][0]["after"]["model_version"]) == (1, after)
    assert (out / "report.html").stat().st_size > 100_000
    assert not any("seg" in path.name for path in (out / "studies").rglob("*"))
