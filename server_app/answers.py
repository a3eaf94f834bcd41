"""The model's last answer for each case: what a correction is compared with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from training.atomic import write_json
from training.errors import InputError
from training.metrics import region_dice
from training.volumes import Volume, read_labelmap


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
