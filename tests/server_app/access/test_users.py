"""The file of users, and the command line around it."""

from __future__ import annotations

import json
import threading
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


def test_a_token_tells_whose_it_is(users: Users) -> None:
    tokens = {name: users.add(name, role) for name, role in (("anna", Role.ANNOTATOR), ("tom", Role.TRAINER))}
    found = users.identify(tokens["anna"])
    assert found is not None
    assert (found.name, found.role, found.tokens) == ("anna", Role.ANNOTATOR, True)
    assert tokens["anna"] != tokens["tom"]


def test_the_file_holds_no_token_and_is_nobody_elses(users: Users) -> None:
    token = users.add("anna", Role.READER)
    secret = token.rsplit("_", 1)[-1]
    assert token not in stored(users)
    assert secret not in stored(users)
    assert (users._path.stat().st_mode & 0o777) == 0o600


def test_equal_roles_have_different_salts(users: Users) -> None:
    users.add("anna", Role.READER)
    users.add("rita", Role.READER)
    first, second = json.loads(stored(users))["users"]
    assert first["salt"] != second["salt"]
    assert len(bytes.fromhex(first["salt"])) == 16


@pytest.mark.parametrize("change", [lambda token: token[:-1], lambda token: token + "A", lambda token: token.upper()])
def test_what_is_not_quite_a_token_is_nobodys(users: Users, change: object) -> None:
    token = users.add("anna", Role.READER)
    assert users.identify(change(token)) is None  # type: ignore[operator]


@pytest.mark.parametrize("token", ["", "x", PREFIX, f"{PREFIX}{'0' * 16}_{'a' * 43}", "Bearer", "\x00", "é" * 70])
def test_what_is_no_token_is_nobodys(users: Users, token: str) -> None:
    users.add("anna", Role.READER)
    assert users.identify(token) is None


def test_the_secret_of_one_user_does_not_fit_the_key_of_another(users: Users) -> None:
    anna, tom = users.add("anna", Role.READER), users.add("tom", Role.TRAINER)
    mixed = tom[: len(PREFIX) + 17] + anna[len(PREFIX) + 17 :]
    assert mixed != tom
    assert users.identify(mixed) is None


def test_a_revoked_token_is_nobodys_also_for_who_had_read_the_file(users: Users, tmp_path: Path) -> None:
    token, other = users.add("anna", Role.READER), users.add("tom", Role.TRAINER)
    assert users.identify(token) is not None
    Users(tmp_path / "users.json").revoke("anna")
    assert users.identify(token) is None
    assert users.identify(other) is not None
    assert [(user.name, user.state) for user in users.all()] == [("anna", "revoked"), ("tom", "active")]


def test_a_name_that_is_free_again_gets_a_new_token(users: Users) -> None:
    old = users.add("anna", Role.READER)
    users.revoke("anna")
    new = users.add("anna", Role.ANNOTATOR)
    assert users.identify(old) is None
    found = users.identify(new)
    assert found is not None
    assert found.role is Role.ANNOTATOR


def test_a_token_ends_after_its_days(users: Users, monkeypatch: pytest.MonkeyPatch) -> None:
    token = users.add("anna", Role.READER, days=30)
    assert users.identify(token) is not None
    later = datetime.now(timezone.utc) + timedelta(days=30, seconds=1)
    monkeypatch.setattr(module, "_now", lambda: later)
    assert users.identify(token) is None
    assert users.all()[0].state == "expired"


@pytest.mark.parametrize(
    "name", ["", " anna", "anna maria", "../anna", "anna\n", "-anna", "ann\x00a", "a" * 65, "änna"]
)
def test_a_name_that_cannot_be_one_is_refused(users: Users, name: str) -> None:
    with pytest.raises(InputError, match="cannot be a user's name"):
        users.add(name, Role.READER)
    assert users.all() == []


@pytest.mark.parametrize("name", ["anna", "Anna", "ANNA"])
def test_a_name_that_is_taken_is_refused_in_any_case(users: Users, name: str) -> None:
    users.add("anna", Role.READER)
    with pytest.raises(InputError, match="already"):
        users.add(name, Role.TRAINER)
    assert len(users.all()) == 1


def test_revoking_nobody_is_an_error(users: Users) -> None:
    users.add("anna", Role.READER)
    users.revoke("anna")
    for name in ("anna", "tom"):
        with pytest.raises(InputError, match="no user"):
            users.revoke(name)


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"version": 1}', '{"version": 2, "users": []}', '{"version": 1, "users": [{"name": "anna"}]}',
     '{"version": 1, "users": [{"name": "eve", "role": "admin", "key": "", "salt": "", "hash": "", "created": ""}]}'],
)  # fmt: skip
def test_a_damaged_file_lets_nobody_in_and_is_not_overwritten(users: Users, content: str) -> None:
    token = users.add("anna", Role.READER)
    assert users.identify(token) is not None
    users._path.write_text(content)
    with pytest.raises(InputError, match="nobody has access"):
        users.identify(token)
    with pytest.raises(InputError, match="nobody has access"):
        users.add("tom", Role.TRAINER)
    assert stored(users) == content


def test_users_added_at_the_same_time_are_all_there(tmp_path: Path) -> None:
    names = [f"user-{number}" for number in range(12)]
    threads = [threading.Thread(target=Users(tmp_path / "users.json").add, args=(name, Role.READER)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(user.name for user in Users(tmp_path / "users.json").active()) == sorted(names)


# === The command line ===


def command(*words: str) -> Result:
    return CliRunner().invoke(commands, ["users", *words], env={"COLUMNS": "200"})


def test_a_user_is_added_listed_and_revoked_by_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "studies").mkdir()
    where = ("--studies", str(tmp_path / "studies"), "--workspace", str(tmp_path / "workspace"))
    added = command("add", "anna", "--role", "annotator", *where)
    assert added.exit_code == 0, added.stderr
    token = added.stdout.strip()
    assert token.startswith(PREFIX)
    assert token not in added.stderr
    users = Users(tmp_path / "workspace" / "users.json")
    found = users.identify(token)
    assert found is not None
    assert (found.name, found.role) == ("anna", Role.ANNOTATOR)
    listed = command("list", "--workspace", str(tmp_path / "workspace"))
    assert listed.stdout.split("\t")[:3] == ["anna", "annotator", "active"]
    assert token not in listed.stdout + listed.stderr
    again = command("add", "anna", "--role", "trainer", *where)
    assert (again.exit_code, again.stdout) == (2, "")
    assert "already" in again.stderr
    revoked = command("revoke", "anna", *where)
    assert revoked.exit_code == 0, revoked.stderr
    assert users.identify(token) is None
    log = "".join(file.read_text() for file in (tmp_path / "workspace" / "audit").iterdir())
    assert [json.loads(line)["route"] for line in log.splitlines()] == ["users add", "users revoke"]
    assert token not in log


def test_the_command_line_refuses_an_unknown_role_and_no_place() -> None:
    assert command("add", "anna", "--role", "admin", "--workspace", "x").exit_code == 2
    nowhere = command("list")
    assert nowhere.exit_code == 2
    assert "--studies" in nowhere.stderr
