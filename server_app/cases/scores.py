"""The served model's uncertainty of each case that it has segmented."""

from __future__ import annotations

from collections.abc import Iterable

from server_app.labels.predictions import Predictions
from training.errors import InputError
from training.models.store import ModelStore


class Scores:
    """The uncertainties of one server; those of other model versions do not count.

    Args:
        models: One of them is served.
    """

    def __init__(self, models: ModelStore) -> None:
        self.models = models

    def of(self, predictions: Predictions, cases: Iterable[str]) -> tuple[str, dict[str, float]]:
        """Return the id of the served version (empty for none), and its uncertainties by case, 0 (certain) to 1."""
        try:
            version = self.models.current()
            weights = version.weights_sha256()
        except (InputError, OSError):
            return "", {}  # an inference will report it
        found = {case: predictions.uncertainty(case, version.id, weights) for case in cases}
        return version.id, {case: value for case, value in found.items() if value is not None}
