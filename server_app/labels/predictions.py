"""The model's last prediction for each case, to compare a correction with, and its uncertainty.

The prediction for a session is in the session's folder, and is deleted with it unless the session becomes a case.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from server_app.common.removal_lock import REMOVAL_LOCK
from training.atomic import write_json, write_with
from training.errors import InputError
from training.evaluation.metrics import region_dice
from training.hashes import file_sha256
from training.images.grid import Volume
from training.images.read import read_labelmap
from training.prediction.quality import ESTIMATE

#: The name of the prediction in a session's folder.
SESSION_PREDICTION = "answer"


class Predictions:
    """Predictions below ``root``, one per case; a newer one replaces the older.

    Args:
        root: One folder per case.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, case: str) -> Path:
        """Return the path of the labelmap of a case's prediction."""
        return self._root / case / "answer.nii.gz"

    def remember(
        self,
        case: str,
        model_version: str,
        uncertainty: float | None = None,
        weights: str = "",
        images: str | None = None,
    ) -> None:
        """Record which version made the prediction at :meth:`path`, with its hash.

        Args:
            case: Whose prediction it is.
            model_version: Its id.
            uncertainty: 0 (certain) to 1; ``None`` if it is not known.
            weights: SHA-256 of the version's weights: another release may have another model with the same id.
            images: SHA-256 over the images it was computed from.
        """
        with REMOVAL_LOCK:
            if not self.path(case).exists():
                return  # the case was removed, and its prediction with it
            facts: dict[str, Any] = {"model_version": model_version, "sha256": file_sha256(self.path(case))}
            if uncertainty is not None:
                facts |= {"uncertainty": uncertainty, "estimate": ESTIMATE, "weights_sha256": weights}
            if images is not None:
                facts["images"] = images
            write_json(self._root / case / "answer.json", facts)

    def uncertainty(self, case: str, model_version: str, weights: str) -> float | None:
        """Return a version's uncertainty of a case, 0-1.

        ``None`` if its last prediction is not by these weights, or the uncertainty was estimated in another way.
        """
        try:
            facts = self._facts(case)
            if (facts["model_version"], facts["weights_sha256"], facts["estimate"]) == (
                model_version,
                weights,
                ESTIMATE,
            ):
                return float(facts["uncertainty"])
        except (OSError, ValueError, KeyError, TypeError):
            pass  # no prediction, one of an earlier release, or a damaged record: it will be computed again
        return None

    def take_over(self, case: str, other: Predictions, name: str) -> None:
        """Copy another collection's prediction under ``name``, if it has one."""
        try:
            facts = other._facts(name)
            write_with(self.path(case), lambda temporary: shutil.copyfile(other.path(name), temporary))
        except (FileNotFoundError, ValueError):
            return
        weights = str(facts.get("weights_sha256") or "")
        known = facts.get("uncertainty") if facts.get("estimate") == ESTIMATE else None
        self.remember(case, str(facts["model_version"]), known, weights, facts.get("images"))

    def is_of_other_images(self, case: str, model_version: str, images: str) -> bool:
        """Return whether the prediction is by this version, and of other images than those (SHA-256 over them)."""
        try:
            facts = self._facts(case)
        except (OSError, ValueError):
            return False
        return facts.get("model_version") == model_version and facts.get("images") not in (None, images)

    def compare(self, case: str, label: Volume, images: str | None = None) -> dict[str, Any]:
        """Compare a label with the prediction.

        Args:
            case: Whose prediction it is.
            label: The label.
            images: SHA-256 over the images as they are now.

        Returns:
            ``model_version`` and ``dice_against_model`` by region; empty if there is no prediction of these images on
            the same grid, or it is not known which version made it, as when the server died before recording it.
        """
        try:
            predicted = read_labelmap(self.path(case))
            facts = self._facts(case)
            known = facts.get("sha256") in (None, file_sha256(self.path(case)))
        except (InputError, OSError, ValueError, AttributeError):
            return {}
        other = images is not None and facts.get("images") not in (None, images)
        if not known or other or not predicted.grid.matches(label.grid):
            return {}
        dice = {region: round(value, 4) for region, value in region_dice(predicted.data, label.data).items()}
        return {"model_version": facts["model_version"], "dice_against_model": dice}

    def _facts(self, case: str) -> dict[str, Any]:
        return dict(json.loads((self._root / case / "answer.json").read_text(encoding="utf-8")))
