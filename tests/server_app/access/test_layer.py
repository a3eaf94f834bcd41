"""The layer and its audit log: around a real server, and around an app of three routes for what that cannot show."""

from __future__ import annotations

import json
import logging
import threading
from io import StringIO
from pathlib import Path
from typing import Any

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
from tests.server_app.access.conftest import CASE, Guarded, bearer


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for file in sorted(folder.glob("*.jsonl")) for line in file.read_text().splitlines()]


def audited(guarded: Guarded, name: str, method: str, path: str, **more: Any) -> list[dict[str, Any]]:
    """Send a request, and return the audit log's lines about it."""
    answer = guarded.request(name, method, path, **more)
    return [line for line in guarded.audit() if line.get("request") == answer.headers["X-Request-ID"]]


# === A real server ===


def test_a_submitted_label_is_in_the_log_before_and_after(guarded: Guarded) -> None:
    truth = (guarded.server.studies / CASE / f"{CASE}_seg.nii.gz").read_bytes()
    begin, end = audited(
        guarded, "anna", "PUT", "/datastore/label", params={"image": CASE, "tag": "audited"},
        files={"label": ("Doe_John.nii.gz", truth)}, data={"params": '{"comment": "Mr. Doe"}'},
    )  # fmt: skip
    who = {"user": "anna", "role": "annotator", "method": "PUT", "route": "/datastore/label"}
    assert begin == {"time": begin["time"], "request": begin["request"], **who, "event": "begin"}
    assert {**end, **who, "event": "end", "status": 200, "case": CASE, "new": True} == end
    (label,) = [
        label
        for label in guarded.request("rita", "GET", f"/cases/{CASE}/labels").json()["labels"]
        if label["version"] == end["label_version"]
    ]
    assert (label["tag"], label["sha256"]) == ("audited", end["sha256"])


def test_an_inference_is_in_the_log_with_the_model_and_the_hash_of_its_answer(guarded: Guarded) -> None:
    (end,) = audited(guarded, "rita", "POST", "/infer/tumorloop", params={"image": CASE, "output": "json"})
    assert (end["user"], end["case"], end["status"]) == ("rita", CASE, 200)
    assert end["model_version"].startswith("v")
    assert len(end["answer_sha256"]) == 64


def test_who_was_refused_what_is_in_the_log(guarded: Guarded) -> None:
    (forbidden,) = audited(guarded, "anna", "POST", "/train/tumorloop")
    assert (forbidden["user"], forbidden["event"], forbidden["status"]) == ("anna", "refused", 403)
    (unknown,) = audited(guarded, "", "POST", "/train/tumorloop")
    assert (unknown["user"], unknown["event"], unknown["status"]) == ("", "refused", 401)


def test_what_tells_nothing_of_a_patient_is_not_in_the_log(guarded: Guarded) -> None:
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
    written = [file for file in guarded.server.workspace.rglob("*") if file.is_file()]
    said = [*(answer.text for answer in attempts[2:]), *(file.read_text("latin-1") for file in written)]
    said.append(guarded.server.log.read_text())
    for text in said:
        assert not any(secret in text for secret in guarded.tokens.values())
    assert "Doe_John" not in json.dumps(guarded.audit())


def test_the_log_is_nobody_elses(guarded: Guarded) -> None:
    folder = guarded.server.workspace / "audit"
    assert (folder.stat().st_mode & 0o777) == 0o700
    assert [file.stat().st_mode & 0o777 for file in folder.iterdir()] == [0o600]


def test_a_removed_label_names_who_removed_it(guarded: Guarded) -> None:
    truth = (guarded.server.studies / CASE / f"{CASE}_seg.nii.gz").read_bytes()
    where = {"image": CASE, "tag": "removed"}
    guarded.request("anna", "PUT", "/datastore/label", params=where, files={"label": ("a.nii.gz", truth)})
    _, end = audited(guarded, "tom", "DELETE", "/datastore/label", params={"id": CASE, "tag": "removed"})
    assert end["status"] == 200
    record = guarded.server.workspace / "labels" / CASE / end["label_version"] / "removed.json"
    assert json.loads(record.read_text())["user"] == "tom"


# === An app of three routes ===


class Small:
    """Three routes behind the layer: two that rules know, and one that somebody forgot to enter."""

    def __init__(self, folder: Path) -> None:
        web = FastAPI()
        self.called: list[str] = []

        @web.post("/samples")
        def change() -> dict[str, str]:
            self.called.append(current().name)
            note(case="case-1", sha256="abc")
            return {"user": current().name}

        @web.get("/cases/{case_id}/labels")
        def read(case_id: str) -> None:
            note(case=case_id)

        @web.get("/forgotten")
        def forgotten() -> None:
            self.called.append("forgotten")

        self.folder = folder / "audit"
        self.users = Users(folder / "users.json")
        layer = AccessMiddleware(web, Authenticator(self.users, required=True), AuditLog(self.folder))
        self.client = TestClient(layer, raise_server_exceptions=False)
        self.token = self.users.add("tom", Role.TRAINER)

    def send(self, method: str, path: str) -> Any:
        return self.client.request(method, path, headers=bearer(self.token))


@pytest.fixture
def small(tmp_path: Path) -> Small:
    return Small(tmp_path)


def test_a_route_without_a_rule_is_closed_to_everybody(small: Small) -> None:
    assert small.send("GET", "/forgotten").status_code == 404
    assert small.called == []


def test_a_route_knows_who_sends_the_request(small: Small) -> None:
    assert small.send("POST", "/samples").json() == {"user": "tom"}
    assert current().name == ""


def test_without_an_audit_log_nothing_is_changed_and_reading_goes_on(small: Small) -> None:
    small.folder.write_text("a file in the way")
    refused = small.send("POST", "/samples")
    assert (refused.status_code, small.called) == (507, [])
    assert "audit log cannot be written" in refused.json()["detail"]["message"]
    assert small.send("GET", "/cases/case-1/labels").status_code == 200
    small.folder.unlink()
    assert small.send("POST", "/samples").status_code == 200


def test_on_a_full_disk_the_refusal_says_so(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(audit.os, "write", full)
    refused = small.send("POST", "/samples")
    assert refused.status_code == 507
    assert "disk is full" in refused.json()["detail"]["message"]


def test_a_change_that_fails_is_in_the_log_as_failed(small: Small) -> None:
    small.send("PUT", "/cases/case-2")  # the small app has no such route
    assert [(line["event"], line.get("status")) for line in lines(small.folder)] == [("begin", None), ("end", 404)]


def test_a_change_that_is_broken_off_is_in_the_log_as_such(small: Small) -> None:
    async def fail(scope: Any, receive: Any, send: Any) -> None:
        note(case="case-3")
        raise ConnectionResetError

    layer = AccessMiddleware(fail, Authenticator(small.users, required=True), AuditLog(small.folder))
    client = TestClient(layer, raise_server_exceptions=False)
    client.put("/cases/case-3", headers=bearer(small.token))
    begin, end = lines(small.folder)
    assert (begin["event"], end["event"], end["status"], end["case"]) == ("begin", "end", None, "case-3")


def test_many_lines_at_once_are_all_whole(small: Small) -> None:
    log = AuditLog(small.folder)

    def write() -> None:
        for number in range(50):
            log.append({"n": number}, durable=number % 5 == 0)

    writers = [threading.Thread(target=write) for _ in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(line["n"] for line in lines(small.folder)) == sorted(list(range(50)) * 8)


def test_a_line_torn_by_a_loss_of_power_does_not_spoil_the_next(small: Small) -> None:
    small.send("POST", "/samples")
    (file,) = small.folder.iterdir()
    with open(file, "a") as handle:
        handle.write('{"time": "2026-')
    small.send("POST", "/samples")
    parsed = []
    for line in file.read_text().splitlines():
        try:
            parsed.append(json.loads(line)["event"])
        except ValueError:
            parsed.append("torn")
    assert parsed == ["begin", "end", "torn", "begin", "end"]


def test_knocking_cannot_fill_the_disk(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(audit.time, "monotonic", lambda: clock[0])
    log = AuditLog(small.folder)
    entry = {"event": "refused", "user": "", "status": 401}
    for _ in range(MAX_REFUSALS + 25):
        log.append_refusal(entry)
    assert len(lines(small.folder)) == MAX_REFUSALS
    clock[0] = 61.0
    log.append_refusal(entry)
    assert lines(small.folder)[-1]["unwritten_before"] == 25


def test_several_cases_are_named_in_one_line(small: Small) -> None:
    notes = begin_notes()
    for case in ("a", "b", "a"):
        note(case=case)
    assert notes == {"cases": ["a", "b"]}


# === Log lines ===

TOKEN = "tumorloop_0123456789abcdef_" + "aB3-_" * 8 + "abc"


@pytest.mark.parametrize(
    "text", [TOKEN, f"GET /info?token={TOKEN}&x=1", f"Authorization: Bearer {TOKEN}", "Bearer eyJhbGciOi.eyJzdWIi.c2ln"]
)
def test_a_token_in_a_text_is_hidden(text: str) -> None:
    hidden = redacted(text)
    assert "[token]" in hidden
    assert TOKEN not in hidden
    assert "eyJ" not in hidden


@pytest.mark.parametrize("value", ["GET /info/ 200", "/home/me/tumorloop_models/v0001", 3, 2.5, None, ["a"]])
def test_what_is_no_token_stays(value: Any) -> None:
    assert redacted(value) == value


def test_every_handler_hides_tokens_once() -> None:
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


def test_a_log_record_loses_tokens_in_its_message_arguments_and_traceback() -> None:
    try:
        raise ValueError(f"bad token {TOKEN}")
    except ValueError as error:
        trouble = (ValueError, error, error.__traceback__)
    record = logging.LogRecord("x", logging.ERROR, "x.py", 1, f"%s and %d {TOKEN}", (f"<{TOKEN}>", 3), trouble)
    assert TokenFilter().filter(record)
    text = logging.Formatter("%(message)s").format(record)
    assert TOKEN not in text
    assert text.count("[token]") == 3
