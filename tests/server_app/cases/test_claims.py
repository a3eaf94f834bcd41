"""Claims: who works on which case, until when, and what that means to others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fastapi import HTTPException

from server_app.cases.claims import Claims
from server_app.cases.datastore import CaseDatastore
from server_app.cases.next_case import First, Random
from server_app.workspace import Workspace
from tests import synthetic
from tests.server_app.conftest import Server, serving


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def claims(tmp_path: Path, clock: Clock) -> Claims:
    return Claims(tmp_path / "claims.json", clock)


def test_a_claimed_case_is_taken_for_others_until_the_lease_is_over(claims: Claims, clock: Clock) -> None:
    assert claims.claim("c1", "dr-a", 30) is not None
    assert claims.claim("c1", "dr-b", 30) is None
    assert claims.held_by_other("c1", "dr-a") is None
    clock.now += 30 * 60
    assert claims.of("c1") is None
    taken = claims.claim("c1", "dr-b", 30)
    assert taken is not None
    assert taken.user == "dr-b"


def test_renewing_a_claim_keeps_its_beginning(claims: Claims, clock: Clock) -> None:
    claims.claim("c1", "dr-a", 30)
    clock.now += 20 * 60
    renewed = claims.claim("c1", "dr-a", 30)
    assert renewed is not None
    assert renewed.until - renewed.since == 50 * 60


def test_only_the_holder_gives_a_case_back_unless_it_is_forced(claims: Claims) -> None:
    claims.claim("c1", "dr-a", 30)
    with pytest.raises(HTTPException) as caught:
        claims.release("c1", "dr-b")
    assert caught.value.status_code == 409
    assert "dr-a works on case c1 until 2027-01-15 08:30 UTC" in str(caught.value.detail)
    ended = claims.release("c1", "dr-b", force=True)
    assert ended is not None
    assert ended.user == "dr-a"
    assert claims.release("c1", "dr-a") is None


def test_nobody_claims_without_a_name(claims: Claims) -> None:
    with pytest.raises(HTTPException) as caught:
        claims.claim_for("c1", None, 30)
    assert caught.value.status_code == 422


def test_claims_outlive_the_server_and_end_while_it_is_down(tmp_path: Path, claims: Claims, clock: Clock) -> None:
    claims.claim("c1", "dr-a", 10)
    claims.claim("c2", "dr-b", 60)
    clock.now += 20 * 60
    assert [claim.case for claim in Claims(tmp_path / "claims.json", clock).all()] == ["c2"]


@pytest.mark.parametrize("content", ["", "[]", '{"claims": [{"case": "c1"}]}', '{"claims": 3}'])
def test_claims_that_cannot_be_read_are_set_aside(tmp_path: Path, content: str) -> None:
    (tmp_path / "claims.json").write_text(content)
    claims = Claims(tmp_path / "claims.json")
    assert claims.all() == []
    assert claims.claim("c1", "dr-a", 10) is not None
    (entry,) = map(json.loads, (tmp_path / "quarantine" / "report.jsonl").read_text().splitlines())
    assert (tmp_path / entry["moved_to"]).read_text() == content


def test_the_next_case_is_one_that_nobody_else_works_on(tmp_path: Path) -> None:
    grid = synthetic.brats_grid((20, 22, 18))
    names = [f"case-{number}" for number in range(3)]
    for name in names:
        synthetic.write_case(tmp_path / "studies", name, grids=grid, label=False)
    store = CaseDatastore(tmp_path / "studies", Workspace.for_studies(tmp_path / "studies", tmp_path / "w").make())
    store.claims.claim("case-0", "dr-a", 10)
    assert First()({"client_id": "dr-a"}, store) == {"id": "case-0"}
    assert First()({"client_id": "dr-b"}, store) == {"id": "case-1"}
    assert First()({}, store) == {"id": "case-1"}
    assert {(Random()({"client_id": "dr-b"}, store) or {})["id"] for _ in range(60)} == {"case-1", "case-2"}
    store.claims.claim("case-1", "dr-a", 10)
    store.claims.claim("case-2", "dr-a", 10)
    assert First()({"client_id": "dr-b"}, store) is None


class TestOnAServer:
    """Over a real socket."""

    CASES = ("case-a", "case-b")

    @pytest.fixture(scope="class")
    def server(self, tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Any:
        folder = tmp_path_factory.mktemp("claims")
        for name in self.CASES:
            synthetic.write_case(folder / "studies", name)
        with serving(folder / "studies", folder / "workspace", tiny_model) as running:
            yield running

    def claim(self, server: Server, case: str, user: str | None, **more: Any) -> Any:
        return server.request("PUT", f"/cases/{case}/claim", json={"client_id": user, **more})

    def release(self, server: Server, case: str, user: str, **more: Any) -> Any:
        return server.request("DELETE", f"/cases/{case}/claim", params={"client_id": user, **more})

    def next(self, server: Server, user: str, **more: Any) -> Any:
        answer = server.request("POST", "/activelearning/first", json={"client_id": user, **more})
        assert answer.status_code == 200, answer.text
        return answer.json().get("id")

    def test_two_annotators_who_ask_at_once_get_two_cases(self, server: Server) -> None:
        assert self.next(server, "dr-a", claim=True) == "case-a"
        assert self.next(server, "dr-b", claim=True) == "case-b"
        assert self.next(server, "dr-c", claim=True) is None
        assert self.next(server, "dr-a", claim=True) == "case-a"
        assert {one["user"] for one in server.get("/claims")["claims"]} == {"dr-a", "dr-b"}
        assert {case["id"]: case["claim"]["user"] for case in server.get("/cases")["cases"]} == {
            "case-a": "dr-a",
            "case-b": "dr-b",
        }

    def test_a_claim_is_refused_renewed_and_given_back(self, server: Server) -> None:
        self.claim(server, "case-a", "dr-a")
        refused = self.claim(server, "case-a", "dr-c")
        assert refused.status_code == 409
        assert "dr-a works on case case-a until" in refused.json()["detail"]["message"]
        assert self.claim(server, "case-a", "dr-a", minutes=5).status_code == 200
        assert self.release(server, "case-a", "dr-c").status_code == 409
        assert self.release(server, "case-a", "dr-a").json()["released"]["user"] == "dr-a"
        assert self.release(server, "case-a", "dr-a").json()["released"] is None
        assert self.next(server, "dr-c") == "case-a"

    @pytest.mark.parametrize("minutes", [0, -1, 1e9, "10", True, float("1e400")])
    def test_a_lease_has_a_sensible_length(self, server: Server, minutes: Any) -> None:
        answer = server.request(
            "PUT",
            "/cases/case-a/claim",
            data=json.dumps({"client_id": "dr-a", "minutes": minutes}),
            headers={"Content-Type": "application/json"},
        )
        assert answer.status_code == 422, answer.text

    def test_a_case_that_is_not_there_cannot_be_claimed_nor_by_nobody(self, server: Server) -> None:
        assert self.claim(server, "case-z", "dr-a").status_code == 404
        assert self.claim(server, "case-a", None).status_code == 422

    def test_who_submits_a_final_label_gives_the_case_back_and_another_is_told(self, server: Server) -> None:
        self.claim(server, "case-a", "dr-a")
        label = server.studies / "case-a" / "case-a_seg.nii.gz"
        users = [("dr-c", "dr-a"), ("dr-a", None)]
        for user, told in users:
            with open(label, "rb") as handle:
                answer = server.request(
                    "PUT",
                    "/datastore/label",
                    params={"image": "case-a"},
                    files={"label": handle},
                    data={"params": json.dumps({"client_id": user})},
                )
            assert answer.json()["claimed_by"] == told, answer.text
        assert "case-a" not in {one["case"] for one in server.get("/claims")["claims"]}
