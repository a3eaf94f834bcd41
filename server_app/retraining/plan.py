"""What a training run would start from and learn from, and how long it would take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from training.models.store import ModelStore
from training.retraining.config import RetrainConfig
from training.retraining.corrections import Correction


def plan_of(models: ModelStore, corrections: Sequence[Correction], config: RetrainConfig) -> dict[str, Any]:
    """Describe the training that would start now.

    Args:
        models: The versions.
        corrections: The final labels.
        config: The default settings of a training run.

    Returns:
        ``parent``: the version it starts from; ``new``: number of labels that neither that version nor its ancestors
        have seen, and ``cases``, their cases; ``total``: number of final labels; ``max_epochs``; ``expected_seconds``
        for that many epochs and ``seconds_per_epoch``, from the last training on this server; ``None`` if there was
        none.

    Raises:
        InputError: If there is no model to start from.
    """
    parent = models.current()
    seen = {(case.case, case.label_sha256) for version in models.lineage(parent) for case in version.card.data}
    new = [label.case.id for label in corrections if (label.case.id, label.digest()) not in seen]
    fixed, each = _times(models)
    return {
        "parent": parent.id,
        "new": len(new),
        "total": len(corrections),
        "cases": new,
        "max_epochs": config.max_epochs,
        "expected_seconds": None if each is None else round(fixed + config.max_epochs * each, 1),
        "seconds_per_epoch": None if each is None else round(each, 1),
    }


def _times(models: ModelStore) -> tuple[float, float | None]:
    """Return the seconds of the last training outside its epochs, and per epoch; ``None`` if they are not known."""
    for version in reversed(models.versions()):
        history = version.card.training.get("history")
        if version.card.parent is None or not isinstance(history, list) or not history:
            continue  # not retrained on this server
        try:
            epochs, whole = _seconds(history), float(version.card.training["seconds"])
            return max(0.0, whole - epochs), epochs / len(history)
        except (KeyError, TypeError, ValueError):
            continue
    return 0.0, None


def _seconds(history: list[dict[str, Any]]) -> float:
    """Return how long the epochs took; the clock restarts where an interrupted training continued."""
    total = before = 0.0
    for record in history:
        now = float(record["seconds"])
        total += now - before if now >= before else now
        before = now
    return total
