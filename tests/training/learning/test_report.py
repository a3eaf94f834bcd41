from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from tests.training.learning.test_summary import stage
from training.learning.report import markdown, report_of, write_curve
from training.learning.settings import CurveSettings
from training.retraining.config import RetrainConfig


@pytest.fixture
def report() -> dict[str, Any]:
    stages = [
        stage(
            order, count, {"a": 0.5 + count / 10 + order / 50, "b": 0.6}, editing=600 - 100 * count, strategy=strategy
        )
        for strategy in ("random", "stratified")
        for order in (0, 1)
        for count in (0, 1, 2)
    ]
    curve = SimpleNamespace(
        parent=SimpleNamespace(id="v0007"),
        settings=CurveSettings(counts=(0, 1, 2), orders=2),
        config=RetrainConfig(),
        hospitals=[SimpleNamespace(name="north", about="labeled cases", cases=[1, 2, 3])],
    )
    learned = {"hospital": "north", "strategy": "random", "case": "b", "corrected": 2, "unseen": 2}
    pictures = {"pictures": ["north-before.png", "north-after.png"]}
    return report_of(curve, stages, [learned | pictures])  # type: ignore[arg-type]


def test_the_page_holds_every_number_with_its_interval_and_how_it_was_measured(report):
    page = markdown(report, "images/learning.png")
    assert "starting from v0007, 2 orders" in page
    assert "learning_rate" in page
    assert "## north, random\n\n3 cases: labeled cases." in page
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    widths = {line.count("|") for line in rows[:5]}
    assert widths == {14}
    assert rows[2].startswith("| 0 | 0.555 (0.510 to 0.600) | 0.655 | 0.555 | 0.455 |  |  | 10.0 min |")
    assert "+0.050 (+0.000 to +0.100) | +0.050 | 8.3 min (-17 %) | +0.000 |  | 2 of 2 | 0.0 | 2.0 min |" in rows[3]
    assert page.count("![b, north-before.png](images/north-before.png)") == 1
    assert "Of the 2 unseen cases of the first order" in page
    assert "| random | at random | +0.0000" in page
    assert "3 s for each changed region" in page


def test_page_picture_and_numbers_are_written_together_and_replaced(report, tmp_path: Path):
    paths = write_curve(report, tmp_path / "docs" / "learning.md")
    assert [path.relative_to(tmp_path).as_posix() for path in paths] == [
        "docs/learning.md",
        "docs/images/learning.png",
        "docs/learning.json",
    ]
    assert "](images/learning.png)" in paths[0].read_text()
    with Image.open(paths[1]) as picture:
        assert picture.size[0] > 300
        assert len(picture.convert("RGB").getcolors(1 << 20) or []) > 5
    assert write_curve(report, paths[0]) == paths
