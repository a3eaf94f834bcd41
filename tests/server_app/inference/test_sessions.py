"""Sessions on the disk: complete or not there, and forgotten in time."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from server_app.inference.sessions import CheckedSessions, State


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "sessions"


@pytest.fixture
def sessions(store: Path) -> CheckedSessions:
    return CheckedSessions(str(store))


def add(sessions: CheckedSessions, expiry: int = 0) -> str:
    """Add a session of one file and return its id."""
    files = Path(sessions.store_path).parent / "sent" / "files"
    files.mkdir(parents=True, exist_ok=True)
    (files / "t1.nii.gz").write_bytes(b"x")
    return sessions.add_session(str(files), expiry)[0]


def age(folder: Path) -> None:
    os.utime(folder, (time.time() - 7200,) * 2)


def test_a_session_that_cannot_be_written_leaves_nothing(
    sessions: CheckedSessions, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="No space"):
            add(sessions)
    assert list(store.iterdir()) == []
    name = add(sessions)
    monkeypatch.setattr(os, "fsync", fail)
    assert sessions.get_session(name) is not None  # reading is possible on a full disk
    assert CheckedSessions(str(store)).get_session(name) is not None


@pytest.mark.parametrize(
    "content",
    [b"", b"{half", b"[1]", b"\xff\xfe\x00", b'{"image": "/", "last_access_ts": "yesterday"}', b'{"image": []}'],
)
def test_old_sessions_are_forgotten_even_damaged_ones_and_those_of_an_earlier_server(
    sessions: CheckedSessions, store: Path, content: bytes
) -> None:
    young, damaged, expired, old = (add(sessions, expiry) for expiry in (0, 100, 100, 100))
    for name in (damaged, old):
        (store / name / "meta.info").write_bytes(content)
    assert CheckedSessions(str(store)).get_session(damaged) is None
    info = sessions.get_session(expired)
    assert info is not None
    info.last_access_ts = int(time.time()) - 200
    sessions._write_meta_info(expired, info)
    for name in (".new-old", ".new-young"):  # a server was killed while it wrote them
        (store / name).mkdir()
    age(store / old)
    age(store / ".new-old")
    now = CheckedSessions(str(store))
    assert now  # MONAI Label asks so before it looks for old ones
    assert now.remove_expired() == 2
    assert {path.name for path in store.iterdir()} == {young, damaged, ".new-young"}
    age(store / damaged)
    assert now.remove_expired() == 1
    assert {path.name for path in store.iterdir()} == {young, ".new-young"}


def test_a_session_removed_meanwhile_does_not_end_the_search(
    sessions: CheckedSessions, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {add(sessions, 100) for _ in range(2)}
    looked_at: list[str] = []

    def removed_before_it_is_opened(_: Any, session_id: str, *more: Any) -> None:
        looked_at.append(session_id)
        sessions.remove_session(session_id)
        raise FileNotFoundError(2, os.strerror(2))

    monkeypatch.setattr("server_app.inference.sessions.Sessions.get_session", removed_before_it_is_opened)
    assert sessions.remove_expired() == 0
    assert set(looked_at) == names
    assert list(store.iterdir()) == []


def test_two_threads_may_remove_a_session_at_once(store: Path) -> None:
    class Racing(CheckedSessions):
        def pop(self, *args: Any) -> Any:
            super().pop(args[0], None)  # another thread
            return super().pop(*args)

    sessions = Racing(str(store))
    name = add(sessions)
    sessions.remove_session(name)
    assert sessions.get_session(name) is None


def test_asking_what_is_known_of_a_session_does_not_prolong_it(sessions: CheckedSessions, store: Path) -> None:
    name = add(sessions)
    sessions.examined(name)
    info = sessions.get_session(name, update_ts=False)
    assert info is not None
    info.last_access_ts -= 200
    sessions._write_meta_info(name, info)
    before = (store / name / "meta.info").read_bytes()
    assert sessions.state(name) is State.NONE
    assert CheckedSessions(str(store)).remove_unexamined() == 0
    assert (store / name / "meta.info").read_bytes() == before
