"""The file of users, and its commands."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from server_app.__main__ import commands
from server_app.access import users as module
from server_app.access.users import PREFIX, Users
from server_app.common.identity import Role
from training.errors import InputError


@pytest.fixture
def users(tmp_path: Path) -> Users:
    return Users(tmp_path / "users.json")


def stored(users: Users) -> str:
    return users._path.read_text()


def test_a_token_identifies_its_user_and_the_file_holds_only_its_salted_hash(users: Users) -> None:
    tokens = {name: users.add(name, role) for name, role in (("anna", Role.ANNOTATOR), ("tom", Role.TRAINER))}
    found = users.identify(tokens["anna"])
    assert found is not None
    assert (found.name, found.role, found.tokens) == ("anna", Role.ANNOTATOR, True)
    assert tokens["anna"] != tokens["tom"]
    for token in tokens.values():
        assert token.startswith(PREFIX)  # by which log lines recognize what to hide
        assert token.rsplit("_", 1)[-1] not in stored(users)
    first, second = json.loads(stored(users))["users"]
    assert first["salt"] != second["salt"]
    assert len(bytes.fromhex(first["salt"])) == 16
    assert (users._path.stat().st_mode & 0o777) == 0o600


def test_what_only_resembles_a_token_identifies_nobody(users: Users) -> None:
    anna, tom = users.add("anna", Role.READER), users.add("tom", Role.TRAINER)
    mixed = tom[: len(PREFIX) + 17] + anna[len(PREFIX) + 17 :]  # the key of one and the secret of the other
    assert mixed != tom
    invented = f"{PREFIX}{'0' * 16}_{'a' * 43}"
    for token in (anna[:-1], anna + "A", anna.upper(), mixed, invented, "", "x", PREFIX, "Bearer", "\x00", "é" * 70):
        assert users.identify(token) is None, token


def test_a_revoked_token_is_refused_by_a_process_that_had_read_the_file_before(users: Users, tmp_path: Path) -> None:
    token, other = users.add("anna", Role.READER), users.add("tom", Role.TRAINER)
    assert users.identify(token) is not None
    Users(tmp_path / "users.json").revoke("anna")
    assert users.identify(token) is None
    assert users.identify(other) is not None
    assert [(user.name, user.state) for user in users.all()] == [("anna", "revoked"), ("tom", "active")]


def test_a_token_expires_after_its_days(users: Users, monkeypatch: pytest.MonkeyPatch) -> None:
    token = users.add("anna", Role.READER, days=30)
    assert users.identify(token) is not None
    later = datetime.now(timezone.utc) + timedelta(days=30, seconds=1)
    monkeypatch.setattr(module, "_now", lambda: later)
    assert users.identify(token) is None
    assert users.all()[0].state == "expired"


def test_an_unusable_name_is_refused(users: Users) -> None:
    for name in ("", " anna", "anna maria", "../anna", "anna\n", "-anna", "ann\x00a", "a" * 65, "änna"):
        with pytest.raises(InputError, match="cannot be a user's name"):
            users.add(name, Role.READER)
        assert users.all() == []


def test_a_name_is_taken_in_any_case_until_its_user_is_revoked(users: Users) -> None:
    old = users.add("anna", Role.READER)
    for name in ("anna", "Anna", "ANNA"):
        with pytest.raises(InputError, match="already"):
            users.add(name, Role.TRAINER)
    assert len(users.all()) == 1
    users.revoke("anna")
    for name in ("anna", "tom"):
        with pytest.raises(InputError, match="no user"):
            users.revoke(name)
    found = users.identify(users.add("anna", Role.ANNOTATOR))
    assert users.identify(old) is None
    assert found is not None
    assert found.role is Role.ANNOTATOR


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"version": 1}', '{"version": 2, "users": []}', '{"version": 1, "users": [{"name": "anna"}]}',
     '{"version": 1, "users": [{"name": "eve", "role": "admin", "key": "", "salt": "", "hash": "", "created": ""}]}'],
)  # fmt: skip
def test_a_damaged_file_lets_nobody_in_and_is_not_overwritten(users: Users, content: str) -> None:
    token = users.add("anna", Role.READER)
    assert users.identify(token) is not None
    users._path.write_text(content)
    for use in (lambda: users.identify(token), lambda: users.add("tom", Role.TRAINER)):
        with pytest.raises(InputError, match="nobody has access"):
            use()
    assert stored(users) == content


def test_users_added_at_the_same_time_are_all_stored(users: Users) -> None:
    names = [f"user-{number:02}" for number in range(12)]
    with ThreadPoolExecutor(len(names)) as threads:
        list(threads.map(lambda name: Users(users._path).add(name, Role.READER), names))
    assert sorted(user.name for user in users.active()) == names


def command(*words: str) -> Result:
    return CliRunner().invoke(commands, ["users", *words], env={"COLUMNS": "200"})


def test_the_command_line_adds_lists_and_revokes_a_user_with_a_known_role_and_folder(tmp_path: Path) -> None:
    (tmp_path / "studies").mkdir()
    where = ("--studies", str(tmp_path / "studies"), "--workspace", str(tmp_path / "workspace"))
    added = command("add", "anna", "--role", "annotator", *where)
    assert added.exit_code == 0, added.stderr
    token = added.stdout.strip()
    users = Users(tmp_path / "workspace" / "users.json")
    found = users.identify(token)
    assert found is not None
    assert (found.name, found.role) == ("anna", Role.ANNOTATOR)
    listed = command("list", "--workspace", str(tmp_path / "workspace"))
    assert listed.stdout.split("\t")[:3] == ["anna", "annotator", "active"]
    again = command("add", "anna", "--role", "trainer", *where)
    assert (again.exit_code, again.stdout) == (2, "")
    assert "already" in again.stderr
    revoked = command("revoke", "anna", *where)
    assert revoked.exit_code == 0, revoked.stderr
    assert users.identify(token) is None
    log = "".join(file.read_text() for file in (tmp_path / "workspace" / "audit").iterdir())
    assert [json.loads(line)["route"] for line in log.splitlines()] == ["users add", "users revoke"]
    assert token not in added.stderr + listed.output + again.output + revoked.output + log
    assert command("add", "anna", "--role", "admin", "--workspace", "x").exit_code == 2
    nowhere = command("list")
    assert (nowhere.exit_code, "--studies" in nowhere.stderr) == (2, True)
