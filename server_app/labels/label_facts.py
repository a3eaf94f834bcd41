"""What a client says of a label, checked: text is text and of a sensible length, versions look like versions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from training.errors import InputError

_MODEL_VERSION = re.compile(r"v\d{4,}")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
#: Most characters of what a client may say.
_LONGEST = {"comment": 4000, "status": 100, "source": 100}


def label_facts(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``status``, ``comment``, ``source``, ``model_version`` and ``label_info`` of a submission.

    Args:
        params: Of the request; what it does not say is ``None``.

    Raises:
        InputError: If something is not text, is too long, or is no version of a model.
    """
    told: dict[str, Any] = {name: _text(params.get(name), name, longest) for name, longest in _LONGEST.items()}
    version = params.get("model_version")
    if version is not None and not (isinstance(version, str) and _MODEL_VERSION.fullmatch(version)):
        raise InputError(
            f"model_version must be the id of a model version, as v0001, not {str(version)[:40]!r}.",
            field="model_version",
        )
    return {**told, "model_version": version, "label_info": _names(params.get("label_info"))}


def _text(value: Any, name: str, longest: int) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise InputError(f"{name} must be text, not {type(value).__name__}.", field=name)
    if len(value) > longest:
        raise InputError(f"{name} has {len(value)} characters; at most {longest} are kept. Shorten it.", field=name)
    return _CONTROL.sub(" ", value)


def _names(label_info: Any) -> list[dict[str, Any]] | None:
    """Return the names and numbers of the segments; what else a client says of them is not kept."""
    if not isinstance(label_info, list):
        return None
    return [
        {name: entry[name] for name in ("name", "idx") if name in entry} if isinstance(entry, Mapping) else entry
        for entry in label_info
    ]
