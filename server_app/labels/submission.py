"""A label as a client submits it: what it says of the label, checked once where the request comes in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from server_app.common.params import flag, user_of
from training.clock import now
from training.errors import InputError

#: The tag of labels used for training.
FINAL = "final"
#: The tag of the label that came with a case.
SOURCE = "source"
_TAG = re.compile(r"[A-Za-z0-9_-]{1,32}")
_MODEL_VERSION = re.compile(r"v\d{4,}")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
#: The parameters that change how a label is read, and the others that are read.
CHOICES = ("label_info", "label_scheme", "reference", "allow_empty", "allow_outside", "model_version")
OTHERS = ("comment", "status", "source", "client_id", "user", "answer_time", "active_seconds")
#: Maximum number of characters in each text.
_LONGEST = {"comment": 4000, "status": 100, "source": 100, "label_scheme": 200}
#: Maximum of ``active_seconds``: a day.
_MOST_ACTIVE = 24 * 3600
#: Seconds by which it may exceed the time since the segmentation: the server's clock may have been set meanwhile.
_TOLERANCE = 300.0


@dataclass(frozen=True)
class Submission:
    """What is said of a label that is submitted.

    Attributes:
        tag: ``final`` labels are used for training.
        user: Who submits it.
        comment: Free text.
        status: The client's own word for it, as ``approved``.
        source: Where it comes from; ``None`` leaves that to be inferred.
        model_version: The version whose segmentation was corrected.
        answer_time: When the server sent that segmentation, as its reply said; the version may have sent it repeatedly.
        active_seconds: How long somebody worked on the label, without pauses, as the client measured it.
        label_info: Names of the segments, see :mod:`server_app.labels.check`.
        reference: The role of the volume it was drawn on.
        allow_empty: Whether a label without any tumor is intended.
        label_scheme: What the values of the file mean, if they are not those of ``/info``.
        allow_outside: Whether one that lies outside the head is.
    """

    tag: str = FINAL
    user: str | None = None
    comment: str | None = None
    status: str | None = None
    source: str | None = None
    model_version: str | None = None
    answer_time: str | None = None
    active_seconds: float | None = None
    label_info: Any = None
    reference: str | None = None
    allow_empty: bool = False
    label_scheme: str | None = None
    allow_outside: bool = False

    @classmethod
    def parse(cls, tag: str, params: Mapping[str, Any]) -> Submission:
        """Read a request's parameters.

        Raises:
            InputError: If the tag is not allowed, a text is not text or too long, ``model_version`` is not an id,
                ``answer_time`` is not a time, or ``active_seconds`` cannot be true.
        """
        if not _TAG.fullmatch(tag) or tag == SOURCE:
            raise InputError(f"A label cannot have the tag {tag[:40]!r}: use letters, digits, '-', '_'.", field="tag")
        texts = {name: _text(params.get(name), name, longest) for name, longest in _LONGEST.items()}
        version = params.get("model_version")
        if version is not None and not (isinstance(version, str) and _MODEL_VERSION.fullmatch(version)):
            raise InputError(
                f"model_version must be the id of a model version, such as v0001, not {str(version)[:40]!r}.",
                field="model_version",
            )
        return cls(
            tag=tag,
            user=user_of(params),
            model_version=version,
            answer_time=_time(params.get("answer_time")),
            active_seconds=_seconds(params.get("active_seconds")),
            label_info=params.get("label_info"),
            reference=params.get("reference"),
            allow_empty=flag(params, "allow_empty"),
            allow_outside=flag(params, "allow_outside"),
            **texts,
        )

    def check_activity(self, answer_time: str | None) -> None:
        """Refuse an activity that is longer than the time since the segmentation that the client names.

        Args:
            answer_time: When the segmentation was made; ``None`` if it is not known.

        Raises:
            InputError: If it is longer by more than clocks may have been set in the meantime.
        """
        if answer_time is None or answer_time != self.answer_time or self.active_seconds is None:
            return
        passed = (datetime.fromisoformat(now()) - datetime.fromisoformat(answer_time)).total_seconds()
        if self.active_seconds > max(0.0, passed) + _TOLERANCE:
            raise InputError(
                f"active_seconds is {self.active_seconds:,.0f}, but the segmentation was sent {passed:,.0f} s ago. "
                "Count from that moment, or leave active_seconds out.",
                field="active_seconds",
            )

    def record(self) -> dict[str, Any]:
        """Return what is stored with the label; of ``label_info`` only names and numbers are kept."""
        names = ("tag", "user", "comment", "status", "source", "model_version", "active_seconds")
        return {**{name: getattr(self, name) for name in names}, "label_info": _names(self.label_info)}


def _time(value: Any) -> str | None:
    """Check the time of an answer, which a client sends back as it got it."""
    if value is None:
        return None
    try:
        known = datetime.fromisoformat(value).tzinfo is not None
    except (TypeError, ValueError):
        known = False
    if not known:
        raise InputError(
            f"answer_time must be the answer_time of the segmentation's reply, not {str(value)[:40]!r}.",
            field="answer_time",
        )
    return str(value)


def _seconds(value: Any) -> float | None:
    if value is None:
        return None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value <= _MOST_ACTIVE:  # neither holds for NaN
        raise InputError(
            f"active_seconds must be the seconds spent on the label, from 0 to {_MOST_ACTIVE:,} (a day), not "
            f"{str(value)[:40]!r}. Leave it out if they are not known.",
            field="active_seconds",
        )
    return round(float(value), 1)


def _text(value: Any, name: str, longest: int) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise InputError(f"{name} must be text, not {type(value).__name__}.", field=name)
    if len(value) > longest:
        raise InputError(f"{name} has {len(value)} characters; at most {longest} are kept. Shorten it.", field=name)
    return _CONTROL.sub(" ", value)


def _names(label_info: Any) -> list[Any] | None:
    if not isinstance(label_info, list):
        return None
    return [
        {name: entry[name] for name in ("name", "idx") if name in entry} if isinstance(entry, Mapping) else entry
        for entry in label_info
    ]
