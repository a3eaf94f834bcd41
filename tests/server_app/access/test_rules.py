"""What each role may do, by the table of routes, and on a real server."""

from __future__ import annotations

import http.client
import re
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.responses import Response

from server_app.access.audit import AuditLog
from server_app.access.authentication import Authenticator
from server_app.access.middleware import AccessMiddleware
from server_app.access.users import Users
from server_app.api.route_table import ROUTES, AuditLevel, methods_of
from server_app.common.identity import Role
from tests.server_app.access.conftest import Guarded, bearer
from tests.server_app.conftest import REPOSITORY

#: MONAI Label's operations that nobody may use, on purpose.
CLOSED = {("PUT", "/model/{model}"), ("DELETE", "/model/{model}"), ("POST", "/infer/wsi/{model}")}
CLOSED |= {("POST", "/infer/wsi_v2/{model}"), ("POST", "/scoring/{method}"), ("DELETE", "/scoring/")}
EXAMPLES = [
    (method, re.sub(r"{[^}]+}", "x", rule.path), rule.role) for rule in ROUTES for method in rule.methods if rule.role
]


@pytest.mark.parametrize("role", [*Role])
def test_a_role_may_use_the_routes_that_take_it_or_less_and_no_others(tmp_path: Path, role: Role) -> None:
    async def answer(scope: Any, receive: Any, send: Any) -> None:
        await Response()(scope, receive, send)

    users = Users(tmp_path / "users.json")
    layer = AccessMiddleware(answer, Authenticator(users, required=True), AuditLog(tmp_path / "audit"))
    client = TestClient(layer, headers=bearer(users.add("somebody", role)))
    answered = {(method, path, least): client.request(method, path).status_code for method, path, least in EXAMPLES}
    assert answered == {example: 200 if role >= example[2] else 403 for example in EXAMPLES}


def test_every_route_of_the_server_is_closed_without_a_token_and_to_each_lesser_role(guarded: Guarded) -> None:
    wrong = []
    for method, path, least in EXAMPLES:
        for name, lesser in (("", True), ("rita", least > Role.READER), ("anna", least > Role.ANNOTATOR)):
            if lesser and guarded.request(name, method, path).status_code != (403 if name else 401):
                wrong.append((name, method, path))
    assert wrong == []


def test_what_is_closed_on_purpose_is_closed_to_the_trainer_too(guarded: Guarded) -> None:
    proxies = {("GET", "/proxy/dicom/{path}"), ("POST", "/proxy/dicom/wado/{path}"), ("GET", "/ohif/{path}")}
    for method, path in CLOSED | proxies:
        answer = guarded.request("tom", method, re.sub(r"{[^}]+}", "tumorloop", path))
        assert answer.status_code in (404, 405), (method, path, answer.text)
        assert set(answer.json()["detail"]) == {"field", "message"}


def test_an_unknown_path_or_method_is_named_only_to_those_with_a_token_and_odd_paths_open_no_route(
    guarded: Guarded,
) -> None:
    for method, path in (("GET", "/secrets"), ("PATCH", "/datastore/label"), ("GET", "/info")):
        assert guarded.request("", method, path, allow_redirects=False).status_code == 401
    unknown = guarded.request("rita", "GET", "/secrets")
    assert (unknown.status_code, unknown.json()["detail"]["field"]) == (404, "path")
    wrong_method = guarded.request("tom", "PATCH", "/datastore/label")
    assert (wrong_method.status_code, wrong_method.headers["Allow"]) == (405, "DELETE, GET, HEAD, PUT")
    assert guarded.request("tom", "TRACE", "/info/").status_code == 405
    assert guarded.request("rita", "GET", "/info").json()["name"] == "TumorLoop"  # redirected to /info/
    for path in ("//info/", "/info//", "/./info/", "/cases/../train/", "/train/%2e%2e/", "/%00", "/INFO/"):
        with closing(http.client.HTTPConnection(guarded.server.url.removeprefix("http://"), timeout=30)) as connection:
            connection.request("DELETE", path, headers=bearer(guarded.tokens["rita"]))  # http.client sends it as it is
            assert connection.getresponse().status in (400, 403, 404, 405, 422), path


def test_the_table_has_one_rule_for_each_method_of_a_path_audits_what_stores_something_and_is_documented() -> None:
    keys = [(method, rule.path) for rule in ROUTES for method in rule.methods]
    assert len(keys) == len(set(keys))
    assert methods_of("/nowhere") == []
    stores = {rule.path for rule in ROUTES if rule.role and rule.role >= Role.ANNOTATOR and rule.methods != ("GET",)}
    assert stores == {rule.path for rule in ROUTES if rule.audit is AuditLevel.CHANGE}
    lines = ["| Route | Takes | Audit log |", "|---|---|---|"]
    kept = {AuditLevel.NONE: "refusals", AuditLevel.READ: "one line", AuditLevel.CHANGE: "before and after"}
    for rule in ROUTES:
        role = rule.role.title if rule.role else "nothing"
        lines.append(f"| `{', '.join(rule.methods)} {rule.path}` | {role} | {kept[rule.audit]} |")
    assert "\n".join(lines) in (REPOSITORY / "docs" / "access.md").read_text(encoding="utf-8")
