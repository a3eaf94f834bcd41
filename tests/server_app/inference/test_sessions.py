"""Sessions on the disk: complete or not there, and forgotten in time."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from server_app.inference.sessions import CheckedSessions


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


@pytest.mark.parametrize(
    "content",
    [b"", b"{half", b"[1]", b"\xff\xfe\x00", b'{"image": "/", "last_access_ts": "yesterday"}', b'{"image": []}'],
)
def test_a_damaged_session_is_removed_when_it_is_old_and_never_in_the_way(tmp_path: Path, content: bytes) -> None:
    store = tmp_path / "sessions"
    before = CheckedSessions(str(store))
    damaged, over, old = (before.add_session(str(sent(tmp_path / name)), 100)[0] for name in "abc")
    for name in (damaged, old):
        (store / name / "meta.info").write_bytes(content)
    assert CheckedSessions(str(store)).get_session(damaged) is None
    info = before.get_session(over)
    assert info is not None
    info.last_access_ts = int(time.time()) - 200
    before._write_meta_info(over, info)
    os.utime(store / old, (time.time() - 7200,) * 2)
    now = CheckedSessions(str(store))
    assert now.remove_expired() == 2
    assert [path.name for path in store.iterdir()] == [damaged]
    os.utime(store / damaged, (time.time() - 7200,) * 2)
    assert now.remove_expired() == 1
    assert list(store.iterdir()) == []


def test_a_session_that_somebody_removes_meanwhile_does_not_end_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = CheckedSessions(str(tmp_path / "sessions"))
    names = {sessions.add_session(str(sent(tmp_path / name)), 100)[0] for name in "ab"}
    looked_at: list[str] = []

    def removed_before_it_is_opened(_: Any, session_id: str, *more: Any) -> None:
        looked_at.append(session_id)
        sessions.remove_session(session_id)
        raise FileNotFoundError(2, os.strerror(2))

    monkeypatch.setattr("server_app.inference.sessions.Sessions.get_session", removed_before_it_is_opened)
    assert sessions.remove_expired() == 0
    assert set(looked_at) == names
    assert list((tmp_path / "sessions").iterdir()) == []


def test_a_session_may_be_removed_twice_at_once(tmp_path: Path) -> None:
    class Racing(CheckedSessions):
        def pop(self, *args: Any) -> Any:
            super().pop(args[0], None)  # another thread
            return super().pop(*args)

    sessions = Racing(str(tmp_path / "sessions"))
    name, _ = sessions.add_session(str(sent(tmp_path / "a")))
    sessions.remove_session(name)
    assert sessions.get_session(name) is None
