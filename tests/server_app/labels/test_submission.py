"""What a client may say of the time that a correction took."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from server_app.labels.submission import Submission
from training.errors import InputError


def ago(seconds: float) -> str:
    return (datetime.now(timezone.utc) - timedelta(seconds=seconds)).isoformat(timespec="seconds")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("active_seconds", value) for value in (-1, 86_401, float("nan"), float("inf"), 10**400, "60", True, [60])),
        *(("answer_time", value) for value in ("yesterday", "2026-01-01T08:00:00", 1.5, {"time": 1})),
    ],
)
def test_a_duration_that_cannot_be_true_and_a_time_that_is_none_are_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(InputError) as caught:
        Submission.parse("final", {field: value})
    assert caught.value.field == field


@pytest.mark.parametrize(("seconds", "kept"), [(0, 0.0), (61.26, 61.3), (86_400, 86_400.0), (None, None)])
def test_the_active_time_is_kept_in_the_record(seconds: float | None, kept: float | None) -> None:
    assert Submission.parse("final", {"active_seconds": seconds}).record()["active_seconds"] == kept


def test_work_that_took_longer_than_there_was_time_since_the_segmentation_is_refused() -> None:
    answered = ago(1000)
    said = Submission.parse("final", {"answer_time": answered, "active_seconds": 990})
    said.check_activity(answered)
    longer = Submission.parse("final", {"answer_time": answered, "active_seconds": 1400})
    with pytest.raises(InputError) as caught:
        longer.check_activity(answered)
    assert caught.value.field == "active_seconds"
    longer.check_activity(None)  # it is not known when the segmentation was sent
    longer.check_activity(ago(10))  # or another one was corrected than the last
