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
from training.hashes import file_sha256
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
        """Note which version gave the answer at :meth:`path`, and the hash by which the note belongs to it."""
        facts = {"model_version": model_version, "sha256": file_sha256(self.path(case))}
        write_json(self._root / case / "answer.json", facts)

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
            ``model_version`` and ``dice_against_model`` by region; empty if there is no answer on the same grid, or it
            is not known which version gave it: a server may have died between the answer and the note.
        """
        try:
            answer = read_labelmap(self.path(case))
            facts = json.loads((self._root / case / "answer.json").read_text(encoding="utf-8"))
            known = facts.get("sha256") in (None, file_sha256(self.path(case)))
        except (InputError, OSError, ValueError, AttributeError):
            return {}
        if not known or not answer.grid.matches(label.grid):
            return {}
        dice = {region: round(value, 4) for region, value in region_dice(answer.data, label.data).items()}
        return {"model_version": facts["model_version"], "dice_against_model": dice}


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
