import numpy as np
import pytest
from PIL import Image

from tests.training.learning.conftest import QUICK, put_phantoms
from training.learning.curve import LearningCurve
from training.learning.learned import draw_learned
from training.learning.settings import CurveSettings
from training.models.store import ModelStore


@pytest.fixture(scope="module")
def curve(hospitals, tiny_models, tmp_path_factory: pytest.TempPathFactory) -> LearningCurve:
    settings = CurveSettings(counts=(0, 1), orders=1, unseen=2, others=0, phantoms=0)
    work = put_phantoms(tmp_path_factory.mktemp("work"))
    parent = ModelStore(tiny_models).current()
    curve = LearningCurve(parent, hospitals, settings=settings, config=QUICK, work_dir=work, only=["north"])
    curve.run()
    return curve


def saving(curve: LearningCurve, seconds: list[float]) -> None:
    """Set by how much less time each unseen case takes to edit in the end."""
    (line,) = curve.lines
    for first, last, saved in zip(line.stages[0].unseen, line.stages[-1].unseen, seconds, strict=True):
        last.editing_seconds = first.editing_seconds - saved


def test_the_unseen_case_that_takes_so_much_less_time_is_drawn_before_and_after(curve, tmp_path):
    saving(curve, [-10, 20])
    (about,) = draw_learned(curve, tmp_path / "images")
    unseen = curve.lines[0].stages[0].unseen
    assert (about["case"], about["corrected"], about["unseen"]) == (unseen[1].case, 1, 2)
    assert about["before"] == {"dice": unseen[1].dice, "editing_seconds": unseen[1].editing_seconds}
    assert about["pictures"] == ["north-before.png", "north-after.png"]
    before, after = (np.asarray(Image.open(tmp_path / "images" / name)) for name in about["pictures"])
    assert before.shape == after.shape
    assert not np.array_equal(before, after)


def test_nothing_is_drawn_where_no_unseen_case_takes_less_time(curve, tmp_path):
    saving(curve, [0, -20])
    assert draw_learned(curve, tmp_path / "images") == []
    assert not (tmp_path / "images").exists()
