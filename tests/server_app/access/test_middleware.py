"""The layer and its audit log: around a real server, and around an app of two routes for what that cannot show."""

from __future__ import annotations

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from server_app.access import audit
from server_app.access.audit import MAX_REFUSALS, AuditLog
from server_app.access.authentication import Authenticator
from server_app.access.middleware import AccessMiddleware
from server_app.access.redact import TokenFilter, hide_tokens, redacted
from server_app.access.users import Users
from server_app.common.identity import Role, current
from server_app.common.request_notes import begin_notes, note
from tests.server_app.access.conftest import CASE, Guarded, audit_lines, bearer


def audited(guarded: Guarded, name: str, method: str, path: str, **more: Any) -> list[dict[str, Any]]:
    """Send a request, and return the audit log's lines about it."""
    answer = guarded.request(name, method, path, **more)
    return [line for line in guarded.audit() if line.get("request") == answer.headers["X-Request-ID"]]


def test_a_submitted_and_a_removed_label_are_in_the_log_before_and_after(guarded: Guarded) -> None:
    truth = (guarded.server.studies / CASE / f"{CASE}_seg.nii.gz").read_bytes()
    begin, end = audited(
        guarded, "anna", "PUT", "/datastore/label", params={"image": CASE, "tag": "audited"},
        files={"label": ("Doe_John.nii.gz", truth)}, data={"params": '{"comment": "Mr. Doe"}'},
    )  # fmt: skip
    who = {"user": "anna", "role": "annotator", "method": "PUT", "route": "/datastore/label"}
    assert begin == {"time": begin["time"], "request": begin["request"], **who, "event": "begin"}
    assert {**end, **who, "event": "end", "status": 200, "case": CASE, "new": True} == end
    labels = guarded.request("rita", "GET", f"/cases/{CASE}/labels").json()["labels"]
    (label,) = [label for label in labels if label["version"] == end["label_version"]]
    assert (label["tag"], label["sha256"]) == ("audited", end["sha256"])
    _, removal = audited(guarded, "tom", "DELETE", "/datastore/label", params={"id": CASE, "tag": "audited"})
    assert (removal["status"], removal["label_version"]) == (200, end["label_version"])
    record = guarded.server.workspace / "labels" / CASE / end["label_version"] / "removed.json"
    assert json.loads(record.read_text())["user"] == "tom"


def test_inferences_and_refusals_are_in_the_log_and_requests_without_patient_data_are_not(guarded: Guarded) -> None:
    (end,) = audited(guarded, "rita", "POST", "/infer/tumorloop", params={"image": CASE, "output": "json"})
    assert (end["user"], end["case"], end["status"], end["model_version"]) == ("rita", CASE, 200, "v0000")
    assert len(end["answer_sha256"]) == 64
    for name, status in (("anna", 403), ("", 401)):
        (line,) = audited(guarded, name, "POST", "/train/tumorloop")
        assert (line["user"], line["event"], line["status"]) == (name, "refused", status)
    for path in ("/info/", "/healthz", "/train/"):
        assert audited(guarded, "rita", "GET", path) == []


def test_neither_logs_nor_answers_hold_a_token_or_a_patients_name(guarded: Guarded) -> None:
    token = guarded.tokens["anna"]
    attempts = [
        guarded.request("anna", "GET", f"/cases/Doe_John/labels?token={token}"),
        guarded.request("anna", "PUT", f"/cases/{token}"),
        guarded.request("", "POST", f"/infer/{token}", params={"image": "Doe_John"}),
        guarded.request("", "POST", "/auth/token", data={"password": token}),
        guarded.request("", "POST", "/auth/token", json={"username": "anna", "password": token}),
        guarded.request("", "GET", "/info/", headers={"Authorization": token}),
        guarded.request("", "GET", "/info/", headers={"Authorization": f"Basic {token}"}),
    ]
    assert all(answer.status_code >= 400 for answer in attempts)
    folder = guarded.server.workspace
    written = [file.read_text("latin-1") for file in folder.rglob("*") if file.is_file()]
    for text in [*(answer.text for answer in attempts[2:]), *written, guarded.server.log.read_text()]:
        assert not any(secret in text for secret in guarded.tokens.values())
    assert "Doe_John" not in json.dumps(guarded.audit())
    assert ((folder / "audit").stat().st_mode & 0o777) == 0o700
    assert [file.stat().st_mode & 0o777 for file in (folder / "audit").iterdir()] == [0o600]


class SmallApp:
    """Routes behind the layer: one that the rules know, and one that somebody forgot to enter there."""

    def __init__(self, folder: Path) -> None:
        web = FastAPI()
        self.called: list[str] = []

        @web.post("/samples")
        def change() -> dict[str, str]:
            self.called.append(current().name)
            return {"user": current().name}

        @web.get("/cases/{case_id}/labels")
        def read(case_id: str) -> None:
            note(case=case_id)

        @web.get("/forgotten")
        def forgotten() -> None:
            self.called.append("forgotten")

        self.folder = folder / "audit"
        self.users = Users(folder / "users.json")
        self.token = self.users.add("tom", Role.TRAINER)
        self.behind_layer(web)

    def behind_layer(self, app: Any) -> None:
        layer = AccessMiddleware(app, Authenticator(self.users, required=True), AuditLog(self.folder))
        self.client = TestClient(layer, raise_server_exceptions=False, headers=bearer(self.token))


@pytest.fixture
def small(tmp_path: Path) -> SmallApp:
    return SmallApp(tmp_path)


def test_a_route_knows_who_sends_the_request_and_one_without_a_rule_is_closed_to_everybody(small: SmallApp) -> None:
    assert small.client.get("/forgotten").status_code == 404
    assert small.client.post("/samples").json() == {"user": "tom"}
    assert (small.called, current().name) == (["tom"], "")


def test_without_an_audit_log_nothing_is_changed_and_reading_goes_on(
    small: SmallApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.folder.write_text("a file in the way")
    refused = small.client.post("/samples")
    assert (refused.status_code, small.called) == (507, [])
    assert "audit log cannot be written" in refused.json()["detail"]["message"]
    assert small.client.get("/cases/case-1/labels").status_code == 200
    small.folder.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(audit.os, "write", Mock(side_effect=OSError(28, "No space left on device")))
        refused = small.client.post("/samples")
    assert (refused.status_code, small.called) == (507, [])
    assert "disk is full" in refused.json()["detail"]["message"]
    assert small.client.post("/samples").status_code == 200


def test_a_change_that_fails_or_is_cut_short_is_in_the_log_as_such(small: SmallApp) -> None:
    async def fail(scope: Any, receive: Any, send: Any) -> None:
        note(case="case-3")
        raise ConnectionResetError

    small.client.put("/cases/case-2")  # the small app has no such route
    small.behind_layer(fail)
    small.client.put("/cases/case-3")
    found = [(line["event"], line.get("status"), line.get("case")) for line in audit_lines(small.folder)]
    begin = ("begin", None, None)
    assert found == [begin, ("end", 404, None), begin, ("end", None, "case-3")]


def test_lines_that_are_written_at_once_are_all_whole(tmp_path: Path) -> None:
    log = AuditLog(tmp_path)
    numbers = [*range(50)] * 8
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: log.append({"n": number}, durable=number % 5 == 0), numbers))
    assert sorted(line["n"] for line in audit_lines(tmp_path)) == sorted(numbers)


def test_a_line_torn_by_a_power_cut_does_not_spoil_the_next(small: SmallApp) -> None:
    small.client.post("/samples")
    (file,) = small.folder.iterdir()
    with open(file, "a") as handle:
        handle.write('{"time": "2026-')
    small.client.post("/samples")
    written = file.read_text().splitlines()
    assert written.pop(2) == '{"time": "2026-'
    assert [json.loads(line)["event"] for line in written] == ["begin", "end", "begin", "end"]


def test_refusals_of_unknown_senders_cannot_fill_the_disk_and_a_line_names_each_case_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, log = [0.0], AuditLog(tmp_path)
    monkeypatch.setattr(audit.time, "monotonic", lambda: clock[0])
    for _ in range(MAX_REFUSALS + 25):
        log.append_refusal({"event": "refused", "user": "", "status": 401})
    assert len(audit_lines(tmp_path)) == MAX_REFUSALS
    clock[0] = 61.0
    log.append_refusal({"event": "refused", "user": "", "status": 401})
    assert audit_lines(tmp_path)[-1]["unwritten_before"] == 25
    notes = begin_notes()
    for case in ("a", "b", "a"):
        note(case=case)
    assert notes == {"cases": ["a", "b"]}


TOKEN = "tumorloop_0123456789abcdef_" + "aB3-_" * 8 + "abc"


def test_tokens_in_a_text_are_hidden_and_nothing_else() -> None:
    signed = "Bearer eyJhbGciOi.eyJzdWIi.c2ln"
    for text in (TOKEN, f"GET /info?token={TOKEN}&x=1", f"Authorization: Bearer {TOKEN}", signed):
        hidden = redacted(text)
        assert ("[token]" in hidden, TOKEN in hidden, "eyJ" in hidden) == (True, False, False)
    for value in ("GET /info/ 200", "/home/me/tumorloop_models/v0001", 3, 2.5, None, ["a"]):
        assert redacted(value) == value


def test_every_log_handler_hides_tokens_once_in_message_arguments_and_traceback() -> None:
    handler, logger = logging.StreamHandler(StringIO()), logging.getLogger("tests.access")
    logger.addHandler(handler)
    try:
        hide_tokens()
        hide_tokens()
        logger.error("GET /info?token=%s", TOKEN)
        assert handler.stream.getvalue() == "GET /info?token=[token]\n"
        assert len(handler.filters) == 1
    finally:
        logger.removeHandler(handler)
        for other in logging.getLogger().handlers:
            other.filters = [found for found in other.filters if not isinstance(found, TokenFilter)]
    try:
        raise ValueError(f"bad token {TOKEN}")
    except ValueError as error:
        trouble = (ValueError, error, error.__traceback__)
    record = logging.LogRecord("x", logging.ERROR, "x.py", 1, f"%s and %d {TOKEN}", (f"<{TOKEN}>", 3), trouble)
    assert TokenFilter().filter(record)
    text = logging.Formatter("%(message)s").format(record)
    assert (text.count(TOKEN), text.count("[token]")) == (0, 3)
