"""The model's predictions for each case, to compare a correction with, and its uncertainty.

``answers/<case>/answer.{nii.gz, json}`` is the newest one. When another model version segments the case, that of the
earlier version stays as ``<version>.{nii.gz, json}``: somebody may be correcting it. The predictions for a session are
in the session's folder, and are deleted with it unless the session becomes a case.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path
from typing import Any

from server_app.common.removal_lock import REMOVAL_LOCK
from training.atomic import write_json, write_with
from training.errors import InputError
from training.evaluation.metrics import boundary_faces, changed_ml, region_dice, region_surface_dice
from training.hashes import file_sha256
from training.images.grid import Volume
from training.images.read import read_labelmap
from training.models.bundle import is_version_id
from training.prediction.quality import ESTIMATE

#: The name of the prediction in a session's folder.
SESSION_PREDICTION = "answer"
#: Names of the files of the newest prediction.
_NEWEST = "answer"
#: Maximum number of predictions by earlier versions that are kept for a case, and of the times of each.
_MAX_EARLIER, _MAX_TIMES = 4, 100
#: Maximum number of voxel faces between labels with which the surface Dice is computed: noise would take minutes, and
#: all of the memory. Tumors of patients have 10,000 to 100,000.
_MAX_FACES = 2_000_000


class Predictions:
    """Predictions below ``root``; a newer one by the same model version replaces the older.

    Args:
        root: One folder per case.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, case: str) -> Path:
        """Return the path of the labelmap of a case's newest prediction."""
        return self._labelmap(case, _NEWEST)

    def keep_earlier(self, case: str, model_version: str) -> None:
        """Keep the newest prediction beside the one by another version that will replace it."""
        try:
            version = str(self._facts(case)["model_version"])
            if version == model_version or not is_version_id(version):
                return
            self._copy(case, version, self, case, _NEWEST)
        except (FileNotFoundError, ValueError, KeyError):
            return  # there is none, or it is not known which version made it
        for old in self._earlier(case)[_MAX_EARLIER:]:
            self._record(case, old).unlink(missing_ok=True)
            self._labelmap(case, old).unlink(missing_ok=True)

    def remember(
        self,
        case: str,
        model_version: str,
        uncertainty: float | None = None,
        weights: str = "",
        images: str | None = None,
        time: str | None = None,
    ) -> None:
        """Record which version made the prediction at :meth:`path`, with its hash.

        The times of earlier predictions of the same images by the same version are kept: these were the same.

        Args:
            case: Whose prediction it is.
            model_version: Its id.
            uncertainty: 0 (certain) to 1; ``None`` if it is not known.
            weights: SHA-256 of the version's weights: another release may have another model with the same id.
            images: SHA-256 over the images it was computed from.
            time: When it was made, as it is told to the client: UTC, ISO 8601.
        """
        with REMOVAL_LOCK:
            if not self.path(case).exists():
                return  # the case was removed, and its prediction with it
            times = [*self._earlier_times(case, model_version, images), *([time] if time else [])]
            facts: dict[str, Any] = {"model_version": model_version, "sha256": file_sha256(self.path(case))}
            if uncertainty is not None:
                facts |= {"uncertainty": uncertainty, "estimate": ESTIMATE, "weights_sha256": weights}
            if images is not None:
                facts["images"] = images
            if times:
                facts["times"] = times[-_MAX_TIMES:]
            write_json(self._record(case, _NEWEST), facts)

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
        """Copy another collection's predictions under ``name``, if it has any."""
        for prediction in (*other._earlier(name), _NEWEST):
            with contextlib.suppress(FileNotFoundError, ValueError):
                self._copy(case, prediction, other, name, prediction)

    def is_of_other_images(self, case: str, model_version: str, images: str) -> bool:
        """Return whether the prediction by this version is of other images than those (SHA-256 over them)."""
        facts = self._facts_of(case, model_version)[1]
        return facts.get("model_version") == model_version and facts.get("images") not in (None, images)

    def compare(
        self,
        case: str,
        label: Volume,
        images: str | None = None,
        *,
        model_version: str | None = None,
        answer_time: str | None = None,
    ) -> dict[str, Any]:
        """Compare a label with the prediction that it corrects.

        Args:
            case: Whose prediction it is.
            label: The label.
            images: SHA-256 over the images as they are now.
            model_version: Whose prediction was corrected; ``None`` takes the newest.
            answer_time: Which of its times counts; ``None`` takes the last.

        Returns:
            ``model_version``; by region, ``dice_against_model`` and ``surface_dice_against_model`` (at 1 mm; ``None``
            for noise); ``changed_ml``, the volume whose label differs; ``answer_time``, when the prediction was made,
            ``None`` if that is not known. Empty if there is no such prediction of these images on the same grid, or it
            is not known which version made it, as when the server died before recording it.
        """
        name, facts = self._facts_of(case, model_version)
        try:
            predicted = read_labelmap(self._labelmap(case, name))
            known = facts.get("sha256") in (None, file_sha256(self._labelmap(case, name)))
        except (InputError, OSError):
            return {}
        version = facts.get("model_version")
        other = images is not None and facts.get("images") not in (None, images)
        if not known or version is None or other or not predicted.grid.matches(label.grid):
            return {}
        times, pair = facts.get("times") or [], (predicted.data, label.data)
        noise = max(map(boundary_faces, pair)) > _MAX_FACES
        return {
            "model_version": version,
            "dice_against_model": _rounded(region_dice(*pair)),
            "surface_dice_against_model": None if noise else _rounded(region_surface_dice(*pair, label.grid.spacing)),
            "changed_ml": round(changed_ml(*pair, label.grid.voxel_ml), 3),
            "answer_time": answer_time if answer_time in times else (None if answer_time or not times else times[-1]),
        }

    def _facts_of(self, case: str, model_version: str | None) -> tuple[str, dict[str, Any]]:
        """Return the name and the record of a version's prediction, or of the newest; the record is empty if none."""
        for name in (_NEWEST, *([model_version] if model_version is not None else [])):
            with contextlib.suppress(OSError, ValueError):
                facts = self._facts(case, name)
                if model_version in (None, facts.get("model_version")):
                    return name, facts
        return _NEWEST, {}

    def _earlier_times(self, case: str, model_version: str, images: str | None) -> list[str]:
        """Return when a version has segmented these images, if it made the newest prediction."""
        with contextlib.suppress(OSError, ValueError):
            facts = self._facts(case)
            if (facts.get("model_version"), facts.get("images")) == (model_version, images):
                return list(facts.get("times") or [])
        return []

    def _earlier(self, case: str) -> list[str]:
        """Return the versions whose earlier predictions are kept, the last one first."""
        found = [path for path in (self._root / case).glob("*.json") if is_version_id(path.stem)]
        return [path.stem for path in sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)]

    def _copy(self, case: str, name: str, other: Predictions, other_case: str, other_name: str) -> None:
        facts = other._facts(other_case, other_name)
        source = other._labelmap(other_case, other_name)
        write_with(self._labelmap(case, name), lambda temporary: shutil.copyfile(source, temporary))
        write_json(self._record(case, name), facts)

    def _facts(self, case: str, name: str = _NEWEST) -> dict[str, Any]:
        facts = json.loads(self._record(case, name).read_text(encoding="utf-8"))
        if not isinstance(facts, dict):
            raise ValueError(f"{name} has no record.")
        return facts

    def _labelmap(self, case: str, name: str) -> Path:
        return self._root / case / f"{name}.nii.gz"

    def _record(self, case: str, name: str) -> Path:
        return self._root / case / f"{name}.json"


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in values.items()}
