"""The table of rules, against what the server really offers, over a real socket."""

from __future__ import annotations

import re

import pytest

from server_app.api.paths import ROUTES, Trace, methods_of, route_for
from server_app.common.identity import Role
from tests.server_app.access.conftest import Guarded
from tests.server_app.conftest import REPOSITORY

#: Operations of MONAI Label that are nobody's, on purpose.
CLOSED = {
    ("PUT", "/model/{model}"),
    ("DELETE", "/model/{model}"),
    ("POST", "/infer/wsi/{model}"),
    ("POST", "/infer/wsi_v2/{model}"),
    ("POST", "/scoring/{method}"),
    ("DELETE", "/scoring/"),
}
EXAMPLES = [
    (method, re.sub(r"{[^}]+}", "x", rule.path), rule.role) for rule in ROUTES for method in rule.methods if rule.role
]


def operations(guarded: Guarded) -> set[tuple[str, str]]:
    described = guarded.request("rita", "GET", "/openapi.json").json()["paths"]
    return {(method.upper(), path) for path, methods in described.items() for method in methods}


def test_every_operation_that_the_server_describes_has_a_rule_or_is_closed_on_purpose(guarded: Guarded) -> None:
    found = operations(guarded)
    without = {(method, path) for method, path in found if route_for(method, path) is None}
    assert without == CLOSED & found
    assert len(found) > 40


def test_what_is_closed_is_closed_to_the_trainer_too(guarded: Guarded) -> None:
    for method, path in CLOSED | {
        ("GET", "/proxy/dicom/{path}"),
        ("POST", "/proxy/dicom/wado/{path}"),
        ("GET", "/ohif/{path}"),
    }:
        answer = guarded.request("tom", method, re.sub(r"{[^}]+}", "tumorloop", path))
        assert answer.status_code in (404, 405), (method, path, answer.text)
        assert set(answer.json()["detail"]) == {"field", "message"}


@pytest.mark.parametrize(("method", "path", "role"), EXAMPLES)
def test_a_route_is_closed_without_a_token_and_to_each_lesser_role(
    guarded: Guarded, method: str, path: str, role: Role
) -> None:
    assert guarded.request("", method, path).status_code == 401
    for name, own in (("rita", Role.READER), ("anna", Role.ANNOTATOR)):
        if own < role:
            answer = guarded.request(name, method, path)
            assert answer.status_code == 403, answer.text


def test_an_unknown_path_tells_nothing_without_a_token(guarded: Guarded) -> None:
    assert guarded.request("", "GET", "/secrets").status_code == 401
    answer = guarded.request("rita", "GET", "/secrets")
    assert (answer.status_code, answer.json()["detail"]["field"]) == (404, "path")


def test_an_unknown_method_is_refused_with_those_that_are_known(guarded: Guarded) -> None:
    answer = guarded.request("tom", "PATCH", "/datastore/label")
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "DELETE, GET, HEAD, PUT"
    assert guarded.request("", "PATCH", "/datastore/label").status_code == 401
    assert guarded.request("tom", "TRACE", "/info/").status_code == 405


@pytest.mark.parametrize(
    "path", ["//info/", "/info//", "/./info/", "/cases/../train/", "/train/%2e%2e/", "/%00", "/INFO/"]
)
def test_a_path_that_is_written_oddly_opens_nothing(guarded: Guarded, path: str) -> None:
    import http.client

    connection = http.client.HTTPConnection(guarded.server.url.removeprefix("http://"), timeout=30)
    connection.request("DELETE", path, headers=guarded.bearer("rita"))  # http.client sends it as it is
    assert connection.getresponse().status in (400, 403, 404, 405, 422)
    connection.close()


def test_a_path_without_its_last_slash_is_redirected_for_those_who_may(guarded: Guarded) -> None:
    assert guarded.request("", "GET", "/info", allow_redirects=False).status_code == 401
    assert guarded.request("rita", "GET", "/info").json()["name"] == "TumorLoop"


def test_every_rule_that_stores_something_is_written_to_the_audit_log() -> None:
    stores = {rule.path for rule in ROUTES if rule.role and rule.role >= Role.ANNOTATOR and rule.methods != ("GET",)}
    assert stores == {rule.path for rule in ROUTES if rule.trace is Trace.CHANGE}


def documented_table() -> str:
    """The table of :data:`ROUTES`, as docs/access.md has it."""
    lines = ["| Route | Takes | Audit log |", "|---|---|---|"]
    kept = {Trace.NONE: "refusals", Trace.READ: "one line", Trace.CHANGE: "before and after"}
    for rule in ROUTES:
        role = rule.role.title if rule.role else "nothing"
        lines.append(f"| `{', '.join(rule.methods)} {rule.path}` | {role} | {kept[rule.trace]} |")
    return "\n".join(lines)


def test_the_documentation_shows_the_table() -> None:
    assert documented_table() in (REPOSITORY / "docs" / "access.md").read_text(encoding="utf-8")


def test_the_table_has_one_rule_for_each_method_of_a_path() -> None:
    keys = [(method, rule.path) for rule in ROUTES for method in rule.methods]
    assert len(keys) == len(set(keys))
    assert methods_of("/nowhere") == []
