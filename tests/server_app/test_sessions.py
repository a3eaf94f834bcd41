"""Sessions on the disk: complete or not there, and forgotten in time."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from server_app.sessions import CheckedSessions


def sent(folder: Path) -> Path:
    place = folder / "files"
    place.mkdir(parents=True)
    (place / "t1.nii.gz").write_bytes(b"x")
    return place


def test_a_session_that_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = CheckedSessions(str(tmp_path / "sessions"))

    def fail(*_: Any) -> None:
        raise OSError(28, os.strerror(28))

    folder = sent(tmp_path / "a")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        sessions.add_session(str(folder))
    monkeypatch.undo()
    assert list((tmp_path / "sessions").iterdir()) == []
    name, _ = sessions.add_session(str(sent(tmp_path / "b")))
    monkeypatch.setattr(os, "fsync", fail)
    assert sessions.get_session(name) is not None  # to read is possible on a full disk
    assert CheckedSessions(str(tmp_path / "sessions")).get_session(name) is not None


def test_old_sessions_are_forgotten_also_those_of_a_server_that_ran_before(tmp_path: Path) -> None:
    store = str(tmp_path / "sessions")
    before = CheckedSessions(store)
    old, _ = before.add_session(str(sent(tmp_path / "a")), 100)
    young, _ = before.add_session(str(sent(tmp_path / "b")))
    info = before.get_session(old)
    assert info is not None
    info.last_access_ts = int(time.time()) - 200
    before._write_meta_info(old, info)
    unfinished = [tmp_path / "sessions" / f".new-{number}" for number in range(2)]
    for folder, seconds_ago in zip(unfinished, (7200, 0), strict=True):
        folder.mkdir()
        os.utime(folder, (time.time() - seconds_ago,) * 2)
    now = CheckedSessions(store)
    assert now  # MONAI Label asks so before it looks for old ones
    assert now.remove_expired() == 1
    assert sorted(path.name for path in (tmp_path / "sessions").iterdir()) == [".new-1", young]
