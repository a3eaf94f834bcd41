"""Who needs a token: everybody but programs on this machine, and they, too, once there are users."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi import HTTPException

from server_app.access.authentication import Authenticator, is_local_request
from server_app.access.users import Users
from server_app.common.identity import ANONYMOUS, Role
from tests.server_app.conftest import Server

HERE = "http://127.0.0.1:8000"


def scope(server: str = "127.0.0.1", scheme: str = "http", **headers: str) -> dict[str, Any]:
    headers = {"host": "127.0.0.1:8000", **{name.replace("_", "-"): value for name, value in headers.items()}}
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "scheme": scheme, "server": (server, 8000), "headers": raw}


@pytest.mark.parametrize(
    "from_here",
    [scope(), scope("::1", host="[::1]:8000"), scope("::ffff:127.0.0.1"), scope(host="localhost:8000"),
     scope(host="LOCALHOST"), scope(origin=HERE)],
)  # fmt: skip
def test_a_program_on_this_machine_needs_none(from_here: dict[str, Any]) -> None:
    assert is_local_request(from_here)


@pytest.mark.parametrize(
    "from_elsewhere",
    [
        scope("192.168.1.5", host="192.168.1.5:8000"),
        scope("192.168.1.5"),
        scope("0.0.0.0"),
        scope("/run/tumorloop.sock"),
        scope(x_forwarded_for="10.0.0.1"),
        scope(forwarded="for=10.0.0.1"),
        scope(via="1.1 proxy"),
        scope(x_real_ip="10.0.0.1"),
        scope(origin="http://elsewhere.example"),
        scope(origin="null"),
        scope(origin="http://127.0.0.1:9000"),
        scope(host="rebound.example:8000"),
        scope(host=""),
        scope(host="127.0.0.1.elsewhere.example"),
        scope(host="[::1"),
        {**scope(), "server": None},
    ],
)
def test_whatever_may_come_from_elsewhere_needs_one(from_elsewhere: dict[str, Any]) -> None:
    assert not is_local_request(from_elsewhere)


def test_a_web_page_that_was_allowed_needs_none() -> None:
    page = "http://viewer.hospital.example"
    assert is_local_request(scope(origin=page), frozenset({page}))


@pytest.fixture
def gate(tmp_path: Path) -> Authenticator:
    return Authenticator(Users(tmp_path / "users.json"))


def test_on_this_machine_anybody_may_everything_while_there_are_no_users(gate: Authenticator) -> None:
    assert gate.identify(scope()) == ANONYMOUS


def test_on_this_machine_a_token_still_tells_who_it_is(gate: Authenticator) -> None:
    token = gate.users.add("rita", Role.READER)
    assert gate.identify(scope(authorization=f"Bearer {token}")).name == "rita"
    with pytest.raises(HTTPException) as caught:
        gate.identify(scope(authorization="Bearer wrong"))
    assert caught.value.status_code == 401


def test_once_there_is_a_user_everybody_needs_a_token_even_behind_a_silent_proxy(
    gate: Authenticator,
) -> None:
    assert not gate.requires_token(scope())
    token = gate.users.add("rita", Role.READER)
    assert gate.requires_token(scope())
    with pytest.raises(HTTPException) as caught:
        gate.identify(scope())
    assert (caught.value.status_code, caught.value.detail["field"]) == (401, "token")  # type: ignore[index]
    assert gate.identify(scope(authorization=f"Bearer {token}")).role == Role.READER


def test_the_last_user_s_end_does_not_open_the_door_again(gate: Authenticator) -> None:
    gate.users.add("rita", Role.READER)
    gate.users.revoke("rita")
    with pytest.raises(HTTPException) as caught:
        gate.identify(scope())
    assert caught.value.status_code == 401
    assert "users add" in caught.value.detail["message"]  # type: ignore[index]


def test_a_token_of_another_server_does_no_harm_where_nobody_has_one(gate: Authenticator) -> None:
    assert gate.identify(scope(authorization="Bearer of-another-server")) == ANONYMOUS


@pytest.mark.parametrize("header", ["{token}", "Basic {token}", "Bearer", "Bearer ", "Bearer x", "bearer: {token}"])
def test_a_header_that_is_no_bearer_token_is_refused(gate: Authenticator, header: str) -> None:
    token = gate.users.add("tom", Role.TRAINER)
    with pytest.raises(HTTPException) as caught:
        gate.identify(scope("10.0.0.1", authorization=header.format(token=token)))
    assert caught.value.status_code == 401
    assert token not in str(caught.value.detail)


def test_two_tokens_are_none(gate: Authenticator) -> None:
    token = gate.users.add("tom", Role.TRAINER)
    twice = scope("10.0.0.1", authorization=f"Bearer {token}")
    twice["headers"].append((b"Authorization", f"Bearer {token}".encode()))
    with pytest.raises(HTTPException):
        gate.identify(twice)


def test_without_users_the_refusal_says_how_to_add_one(gate: Authenticator) -> None:
    with pytest.raises(HTTPException) as caught:
        gate.identify(scope("10.0.0.1"))
    assert caught.value.status_code == 401
    assert "python -m server_app users add" in caught.value.detail["message"]  # type: ignore[index]


def test_while_the_users_cannot_be_read_nobody_is_let_in(gate: Authenticator, tmp_path: Path) -> None:
    token = gate.users.add("tom", Role.TRAINER)
    (tmp_path / "users.json").write_text("{")
    for sent in (scope(), scope("10.0.0.1"), scope("10.0.0.1", authorization=f"Bearer {token}")):
        with pytest.raises(HTTPException) as caught:
            gate.identify(sent)
        assert (caught.value.status_code, caught.value.detail["field"]) == (503, "users")  # type: ignore[index]


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://elsewhere.example"}, {"X-Forwarded-For": "10.0.0.7"}, {"Host": "rebound.example"}],
)
def test_a_server_without_tokens_refuses_web_pages_and_proxies(server: Server, headers: dict[str, str]) -> None:
    for method, path in (("GET", "/info/"), ("POST", "/versions/rollback"), ("DELETE", "/train/")):
        answer = server.request(method, path, headers=headers)
        assert answer.status_code == 401, answer.text
        assert "users add" in answer.json()["detail"]["message"]
    assert server.get("/info/")["access"] == {"tokens": False, "user": "", "role": "trainer"}
