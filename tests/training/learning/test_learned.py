from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.training.learning.conftest import QUICK, put_phantoms
from training.learning.curve import LearningCurve
from training.learning.learned import draw_learned
from training.learning.settings import CurveSettings
from training.models.store import ModelStore


@pytest.fixture
def curve(hospitals, tiny_models, tmp_path: Path) -> LearningCurve:
    settings = CurveSettings(counts=(0, 1), orders=1, unseen=2, others=0, phantoms=0)
    work = put_phantoms(tmp_path / "work")
    parent = ModelStore(tiny_models).current()
    curve = LearningCurve(parent, hospitals, settings=settings, config=QUICK, work_dir=work, only=["north"])
    curve.run()
    return curve


def gaining(curve: LearningCurve, gains: list[float]) -> None:
    """Set by how much each unseen case has gained."""
    (line,) = curve.lines
    for first, last, gain in zip(line.stages[0].unseen, line.stages[-1].unseen, gains, strict=True):
        last.dice = {region: value + gain for region, value in first.dice.items()}


def test_the_unseen_case_that_gained_most_is_drawn_before_and_after(curve, tmp_path):
    gaining(curve, [-0.1, 0.2])
    (about,) = draw_learned(curve, tmp_path / "images")
    unseen = curve.lines[0].stages[0].unseen
    assert (about["case"], about["corrected"], about["unseen"]) == (unseen[1].case, 1, 2)
    assert about["before"] == unseen[1].dice
    assert about["pictures"] == ["north-before.png", "north-after.png"]
    before, after = (np.asarray(Image.open(tmp_path / "images" / name)) for name in about["pictures"])
    assert before.shape == after.shape
    assert not np.array_equal(before, after)


def test_nothing_is_drawn_where_no_unseen_case_gained(curve, tmp_path):
    gaining(curve, [0.0, -0.2])
    assert draw_learned(curve, tmp_path / "images") == []
    assert not (tmp_path / "images").exists()
