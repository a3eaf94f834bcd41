"""Pictures of what was learned: an unseen case before any correction, and after the last retraining.

The case is the unseen one of a hospital's first order whose estimated editing time fell most: the best that happened,
not the usual; the tables have all cases. Not the one that gained the most Dice: a few voxels of enhancing tumor, where
there was none, count as much as a whole tumor there. The slice is the one where most voxels became right.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from training.atomic import write_bytes
from training.learning.curve import LearningCurve
from training.learning.line import Line
from training.pictures.answer_picture import answer_picture, dice_title


def draw_learned(curve: LearningCurve, folder: Path) -> list[dict[str, Any]]:
    """Draw a case of each corrected hospital in which one takes less time to edit; return what a report tells of it.

    Args:
        curve: A finished learning curve.
        folder: Folder of the pictures, ``{HOSPITAL}-before.png`` and ``{HOSPITAL}-after.png``.
    """
    strategy = curve.settings.strategies[0]
    lines = [line for line in curve.lines if line.order == 0 and line.strategy == strategy]
    return [about for line in lines if (about := _draw(curve, line, folder)) is not None]


def _draw(curve: LearningCurve, line: Line, folder: Path) -> dict[str, Any] | None:
    first, last = line.stages[0].unseen, line.stages[-1].unseen
    pairs = zip(first, last, strict=True)
    before, after = max(pairs, key=lambda pair: pair[0].editing_seconds - pair[1].editing_seconds)
    if after.editing_seconds >= before.editing_seconds:
        return None
    case, answers = curve.first_and_last(line, before.case)
    image, truth = np.asarray(case.image(), np.float32), np.asarray(case.label())
    wrong = [np.count_nonzero(answer != truth, axis=(0, 1)) for answer in answers]
    index = int(np.argmax(wrong[0] - wrong[1]))
    count = line.stages[-1].corrected
    titles = ("Before", f"After {count} others")
    files = []
    for when, title, answer, score in zip(("before", "after"), titles, answers, (before, after), strict=True):
        picture = answer_picture(
            image, answer, truth, index, title=dice_title(title, score.dice), caption=f"{case.id}, slice {index + 1}"
        )
        files.append(write_bytes(folder / f"{line.hospital.name}-{when}.png", picture).name)
    return {
        "hospital": line.hospital.name,
        "strategy": line.strategy,
        "case": case.id,
        "corrected": count,
        "unseen": len(first),
        "before": before.model_dump(include={"dice", "editing_seconds"}),
        "after": after.model_dump(include={"dice", "editing_seconds"}),
        "pictures": files,
    }
