"""What ``/info`` says about labels, modalities and the model, so that clients need not know it."""

from __future__ import annotations

from typing import Any

from training.errors import InputError
from training.labels import LABELS, REGION_NAMES, REGIONS
from training.modalities import ROLES, TITLES
from training.models.store import ModelStore, ModelVersion
from training.release.card import summary


def describe(models: ModelStore) -> dict[str, Any]:
    """Return the additional keys of ``/info``; ``model_card`` says what the served version is for, and its limits."""
    served = _current(models)
    return {
        "label_details": [
            {
                "name": label.name,
                "value": label.value,
                "key": label.key,
                "color": list(label.color),
                "category": vars(label.category),
                "type": vars(label.type),
            }
            for label in LABELS
        ],
        "regions": {key: {"name": REGION_NAMES[key], "values": list(values)} for key, values in REGIONS.items()},
        "modalities": [{"role": role, "title": TITLES[role]} for role in ROLES],
        "model_version": served.id if served is not None else None,
        "model_card": summary(served) if served is not None else None,
    }


def _current(models: ModelStore) -> ModelVersion | None:
    """Return the version that is served, ``None`` if there is none."""
    try:
        return models.current()
    except InputError:
        return None
