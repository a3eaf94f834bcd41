"""The model's stored answers: compared with submitted labels on their own grid, and only where the note is theirs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from server_app.labels.answers import Answers
from tests import synthetic
from training.images.grid import Volume
from training.images.write import write_labelmap

TRUTH = synthetic.truth(synthetic.brats_grid())
OTHER = Volume((TRUTH.data > 0).astype(np.uint8), TRUTH.grid)


def test_an_answer_is_compared_on_its_own_grid_only(tmp_path: Path) -> None:
    answers = Answers(tmp_path)
    assert answers.compare("case", TRUTH) == {}
    write_labelmap(OTHER, answers.path("case"))
    answers.remember("case", "v0003")
    found = answers.compare("case", TRUTH)
    assert found["model_version"] == "v0003"
    assert found["dice_against_model"]["WT"] == 1.0
    assert found["dice_against_model"]["ET"] == 0.0
    elsewhere = synthetic.truth(synthetic.brats_grid((50, 50, 50)))
    assert answers.compare("case", elsewhere) == {}


def test_an_answer_with_the_note_of_an_earlier_one_is_not_compared(tmp_path: Path) -> None:
    answers = Answers(tmp_path)
    write_labelmap(OTHER, answers.path("case"))
    answers.remember("case", "v0003")
    write_labelmap(TRUTH, answers.path("case"))  # and the server dies
    assert answers.compare("case", TRUTH) == {}
    answers.remember("case", "v0004")
    assert answers.compare("case", TRUTH)["model_version"] == "v0004"
