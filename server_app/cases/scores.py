"""How unsure the served model is of each case, as far as it has segmented it."""

from __future__ import annotations

from collections.abc import Iterable

from server_app.labels.answers import Answers
from training.errors import InputError
from training.models.store import ModelStore


class Scores:
    """The uncertainties of one server; those of other model versions count for nothing.

    Args:
        models: Tells which version is served.
    """

    def __init__(self, models: ModelStore) -> None:
        self.models = models

    def of(self, answers: Answers, cases: Iterable[str]) -> tuple[str, dict[str, float]]:
        """Return the uncertainties that are known.

        Args:
            answers: The model's last answers.
            cases: Whose.

        Returns:
            The id of the version that is served, empty if there is none; and by case 0 (sure) to 1.
        """
        try:
            version = self.models.current()
            weights = version.weights_sha256()
        except (InputError, OSError):
            return "", {}  # an inference will say what is wrong
        found = {case: answers.uncertainty(case, version.id, weights) for case in cases}
        return version.id, {case: value for case, value in found.items() if value is not None}
