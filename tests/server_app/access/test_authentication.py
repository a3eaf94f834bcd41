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


def scope(server: str = "127.0.0.1", **headers: str) -> dict[str, Any]:
    headers = {"host": "127.0.0.1:8000", **{name.replace("_", "-"): value for name, value in headers.items()}}
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "scheme": "http", "server": (server, 8000), "headers": raw}


def test_a_program_on_this_machine_needs_no_token() -> None:
    for here in (
        scope(), scope("::1", host="[::1]:8000"), scope("::ffff:127.0.0.1"), scope(host="localhost:8000"),
        scope(host="LOCALHOST"), scope(origin="http://127.0.0.1:8000")
    ):  # fmt: skip
        assert is_local_request(here), here


@pytest.mark.parametrize(
    "from_elsewhere",
    [scope("192.168.1.5", host="192.168.1.5:8000"), scope("192.168.1.5"), scope("0.0.0.0"), scope(host="[::1"),
     scope("/run/tumorloop.sock"), {**scope(), "server": None}, scope(x_forwarded_for="10.0.0.1"),
     scope(forwarded="for=10.0.0.1"), scope(via="1.1 proxy"), scope(x_real_ip="10.0.0.1"), scope(origin="null"),
     scope(origin="http://elsewhere.example"), scope(origin="http://127.0.0.1:9000"), scope(host=""),
     scope(host="rebound.example:8000"), scope(host="127.0.0.1.elsewhere.example")],
)  # fmt: skip
def test_a_request_that_may_come_from_elsewhere_needs_a_token_unless_its_web_page_is_allowed(
    from_elsewhere: dict[str, Any],
) -> None:
    page = "http://elsewhere.example"
    assert not is_local_request(from_elsewhere)
    assert is_local_request(from_elsewhere, frozenset({page})) == (from_elsewhere == scope(origin=page))


@pytest.fixture
def gate(tmp_path: Path) -> Authenticator:
    return Authenticator(Users(tmp_path / "users.json"))


def refused(gate: Authenticator, request: dict[str, Any], status: int = 401) -> dict[str, str]:
    with pytest.raises(HTTPException) as caught:
        gate.identify(request)
    assert caught.value.status_code == status
    detail: Any = caught.value.detail
    return dict(detail)


def test_while_there_are_no_users_anybody_on_this_machine_may_do_everything(gate: Authenticator) -> None:
    assert not gate.requires_token(scope())
    assert gate.identify(scope()) == ANONYMOUS
    assert gate.identify(scope(authorization="Bearer of-another-server")) == ANONYMOUS
    assert "python -m server_app users add" in refused(gate, scope("10.0.0.1"))["message"]


def test_once_there_is_a_user_everybody_needs_a_token_also_when_the_last_is_revoked(gate: Authenticator) -> None:
    token = gate.users.add("rita", Role.READER)
    assert gate.requires_token(scope())
    assert refused(gate, scope())["field"] == "token"
    refused(gate, scope(authorization="Bearer wrong"))
    found = gate.identify(scope(authorization=f"Bearer {token}"))
    assert (found.name, found.role) == ("rita", Role.READER)
    gate.users.revoke("rita")
    assert "users add" in refused(gate, scope())["message"]


def test_a_header_needs_exactly_one_bearer_token_and_nobody_gets_in_while_the_file_of_users_cannot_be_read(
    gate: Authenticator, tmp_path: Path
) -> None:
    token = gate.users.add("tom", Role.TRAINER)
    for header in ("{token}", "Basic {token}", "Bearer", "Bearer ", "Bearer x", "bearer: {token}"):
        assert token not in str(refused(gate, scope("10.0.0.1", authorization=header.format(token=token))))
    twice = scope("10.0.0.1", authorization=f"Bearer {token}")
    twice["headers"].append((b"Authorization", f"Bearer {token}".encode()))
    refused(gate, twice)
    (tmp_path / "users.json").write_text("{")
    for request in (scope(), scope("10.0.0.1"), scope("10.0.0.1", authorization=f"Bearer {token}")):
        assert refused(gate, request, 503)["field"] == "users"


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://elsewhere.example"}, {"X-Forwarded-For": "10.0.0.7"}, {"Host": "rebound.example"}]
)
def test_a_server_without_tokens_refuses_web_pages_and_proxies(server: Server, headers: dict[str, str]) -> None:
    for method, path in (("GET", "/info/"), ("POST", "/versions/rollback"), ("DELETE", "/train/")):
        answer = server.request(method, path, headers=headers)
        assert answer.status_code == 401, answer.text
        assert "users add" in answer.json()["detail"]["message"]
    assert server.get("/info/")["access"] == {"tokens": False, "user": "", "role": "trainer"}
