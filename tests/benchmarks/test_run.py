"""A run: resumed where it was, written into the page and the history."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from benchmarks import history, page, plots
from benchmarks.catalog import BENCHMARKS, Benchmark
from benchmarks.context import Context
from benchmarks.outcome import Curve, Figure, Outcome
from benchmarks.run import Run, write_page
from training.errors import InputError

STEP = Figure("step", 1.25, peer="PyTorch", peer_value=2.5, bar="not slower", kept=True, runs=3, low=1.0, high=1.5)
SLOW = Figure("click", 9.0, peer="the network", peer_value=3.0, bar="at most 1.5 times", kept=False)
FLAT = Curve("Memory", "cases", "MiB", {"ours": [(10.0, 500.0), (1000.0, 505.0)], "theirs": [(10.0, 600.0)]})
OUTCOME = Outcome([STEP, SLOW, Figure("size", 7168.0, "MiB")], [FLAT], ["A remark."], 3.0)


@dataclass(frozen=True)
class Counted(Benchmark):
    """A benchmark that counts how often it ran, and may fail."""

    calls: list[str] = field(default_factory=list)
    fails: bool = False

    def measure(self, context: Context) -> Outcome:
        assert context.work.is_dir()
        context.report(0.5)
        self.calls.append(self.key)
        if self.fails:
            raise KeyboardInterrupt
        return OUTCOME


def test_an_interrupted_run_continues_after_what_it_has_measured(tmp_path: Path) -> None:
    calls: list[str] = []
    first = Counted("first", "", (1, 1), calls)
    with pytest.raises(KeyboardInterrupt):
        Run(tmp_path, quick=False).measure([first, Counted("second", "", (1, 1), calls, fails=True)], 0.5)

    run = Run(tmp_path, quick=False)
    found = run.measure([first, Counted("second", "", (1, 1), calls)], 7.0)

    assert calls == ["first", "second", "second"]
    assert list(found) == ["first", "second"]
    assert found["first"].figures == OUTCOME.figures
    assert found["first"].curves == OUTCOME.curves
    assert run.load == 0.5  # that of the beginning


@pytest.mark.parametrize("change", ["again", "code", "finished", "quick"])
def test_a_run_begins_anew_if_asked_to_or_if_it_would_mix_what_does_not_belong_together(
    tmp_path: Path, change: str
) -> None:
    calls: list[str] = []
    benchmark = Counted("first", "", (1, 1), calls)
    run = Run(tmp_path, quick=False)
    run.measure([benchmark], 0.0)
    if change == "finished":
        run.finish()
    if change == "code":
        state = tmp_path / "full" / "state.json"
        content = json.loads(state.read_text())
        content["about"]["commit"] = "another"
        state.write_text(json.dumps(content))

    Run(tmp_path, quick=change == "quick", again=change == "again").measure([benchmark], 0.0)

    assert calls == ["first", "first"]


def test_the_page_keeps_its_prose_and_gets_tables_pictures_and_the_bars(tmp_path: Path) -> None:
    document = tmp_path / "performance.md"
    keys = (page.SUMMARY, "first")
    parts = [f"Prose of {key}.\n\n{page.BEGIN.format(key=key)}\nold\n{page.END.format(key=key)}\n" for key in keys]
    document.write_text("\n".join(parts))
    about = history.provenance()

    write_page(document, about, 0.25, [Counted("first", "", (1, 1))], {"first": OUTCOME}, complete=True)

    text = document.read_text()
    assert "old" not in text
    assert "Prose of first." in text
    assert "| step | 1.25 s | 1 to 1.5 (3) |  | PyTorch: 2.5 s | 2.00 |" in text
    assert "| size | 7,168 MiB |" in text
    assert "| click | at most 1.5 times | 9 s | the network: 3 s | 0.33 | **missed** |" in text
    assert "| ours: MiB | 500 | 505 |" in text
    assert "| theirs: MiB | 600 |  |" in text
    assert "A remark." in text
    assert about["machine"] in text
    with Image.open(tmp_path / "images" / "performance-first-1.png") as picture:
        assert picture.width > 300


def test_a_part_leaves_the_bars_as_they_are(tmp_path: Path) -> None:
    document = tmp_path / "performance.md"
    document.write_text(f"{page.BEGIN.format(key='first')}\n{page.END.format(key='first')}\n")

    write_page(document, history.provenance(), 0.0, [Counted("first", "", (1, 1))], {"first": OUTCOME}, complete=False)

    assert "| step |" in document.read_text()


def test_a_page_without_the_markers_of_a_part_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="make bench: request"):
        page.put("no markers", "request", "text")


def test_the_page_of_the_project_has_the_markers_of_every_benchmark() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "performance.md").read_text(encoding="utf-8")
    for key in (page.SUMMARY, *(one.key for one in BENCHMARKS)):
        text = page.put(text, key, "")


def test_the_history_has_one_small_line_a_run(tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    record: dict[str, Any] = history.record_of(history.provenance(), {"first": OUTCOME}, 0.25)
    for _ in range(2):
        history.append(file, record)

    assert len(file.read_text().splitlines()) == 2
    line = history.read(file)[1]
    assert line["figures"]["first: step | PyTorch"] == [1.25, 2.5]
    assert line["curves"]["Memory"]["ours"] == [[10.0, 500.0], [1000.0, 505.0]]
    assert {"date", "commit", "machine", "libraries", "load"} <= set(line)
    assert history.read(tmp_path / "none.jsonl") == []


def test_a_flat_curve_is_drawn_flat(tmp_path: Path) -> None:
    """The vertical axis spans more than a decade, so that noise does not look like growth."""
    assert plots.limits([500.0, 505.0])[1] > 10 * plots.limits([500.0, 505.0])[0]
    assert plots.limits([1.0, 1000.0]) is not None
    assert plots.draw(FLAT, tmp_path / "flat.png").stat().st_size > 1000
