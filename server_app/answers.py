"""The model's last answer for each case: what a correction is compared with.

The answer for a session lies in the session's folder, and goes with it unless the session becomes a case.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from training.atomic import write_json, write_with
from training.errors import InputError
from training.metrics import region_dice
from training.volumes import Volume, read_labelmap

#: The name under which a session's folder keeps its answer.
SESSION_ANSWER = "answer"


class Answers:
    """Answers below ``root``, one per case; a newer one takes the place of the older.

    Args:
        root: One folder per case.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, case: str) -> Path:
        """Return where the labelmap of a case's answer belongs."""
        return self._root / case / "answer.nii.gz"

    def remember(self, case: str, model_version: str) -> None:
        """Note which version gave the answer that lies at :meth:`path`."""
        write_json(self._root / case / "answer.json", {"model_version": model_version})

    def take_over(self, case: str, other: Answers, name: str) -> None:
        """Remember for a case what another collection has under ``name``, if it has something."""
        try:
            facts = json.loads((other._root / name / "answer.json").read_text(encoding="utf-8"))
            write_with(self.path(case), lambda temporary: _copy(other.path(name), temporary))
        except (FileNotFoundError, ValueError):
            return
        self.remember(case, str(facts["model_version"]))

    def compare(self, case: str, label: Volume) -> dict[str, Any]:
        """Tell how far a label is from the answer.

        Returns:
            ``model_version`` and ``dice_against_model`` by region; empty if there is no answer on the same grid.
        """
        try:
            answer = read_labelmap(self.path(case))
            facts = json.loads((self._root / case / "answer.json").read_text(encoding="utf-8"))
        except (InputError, OSError, ValueError):
            return {}
        if not answer.grid.matches(label.grid):
            return {}
        dice = {region: round(value, 4) for region, value in region_dice(answer.data, label.data).items()}
        return {"model_version": facts["model_version"], "dice_against_model": dice}


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
