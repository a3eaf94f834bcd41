"""How long the server remembers the inferences that clients named."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi import HTTPException

from server_app.inference import jobs
from server_app.inference.jobs import Jobs
from server_app.inference.worker import InferenceWorker


@pytest.fixture
def forgetful(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Jobs:
    """A registry of a worker that is never started."""
    monkeypatch.setattr(jobs, "KEEP", 2)
    monkeypatch.setattr(jobs, "EARLY", 2)
    return Jobs(InferenceWorker(tmp_path, tmp_path))


def ended(registry: Jobs, *names: str) -> None:
    for name in names:
        with registry.tracked(name):
            pass


def known(registry: Jobs, *names: str) -> list[bool]:
    found = []
    for name in names:
        try:
            found.append(bool(registry.describe(name)))
        except HTTPException:
            found.append(False)
    return found


def test_only_the_last_jobs_are_remembered_and_those_under_way(forgetful: Jobs) -> None:
    with forgetful.tracked("underway0"):
        ended(forgetful, "aaaaaaaa", "bbbbbbbb", "cccccccc")
        assert known(forgetful, "underway0", "aaaaaaaa", "bbbbbbbb", "cccccccc") == [True, False, True, True]


def test_jobs_are_forgotten_after_some_minutes(forgetful: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    ended(forgetful, "aaaaaaaa")
    monkeypatch.setattr(jobs, "KEEP_SECONDS", 0.0)
    ended(forgetful, "bbbbbbbb")
    assert known(forgetful, "aaaaaaaa", "bbbbbbbb") == [False, True]


def test_cancellations_of_unknown_jobs_do_not_pile_up(forgetful: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("aaaaaaaa", "bbbbbbbb", "cccccccc"):
        with pytest.raises(HTTPException, match="404"):
            forgetful.cancel(name)
    assert sorted(forgetful._early) == ["aaaaaaaa", "bbbbbbbb"]
    monkeypatch.setattr(jobs, "EARLY_SECONDS", 0.0)
    with forgetful.tracked("aaaaaaaa") as ticket:
        assert not ticket.cancelled
