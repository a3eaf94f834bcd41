"""Claims: who works on which case, until when, and what that means for others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import HTTPException

from server_app.cases.claims import Claims
from tests.server_app.conftest import CASES, Server, accepted, refused


@pytest.fixture
def clock() -> SimpleNamespace:
    """A clock that stands still until it is moved."""
    return SimpleNamespace(now=1_800_000_000.0)


@pytest.fixture
def claims(tmp_path: Path, clock: SimpleNamespace) -> Claims:
    return Claims(tmp_path / "claims.json", lambda: clock.now)


def test_a_claimed_case_is_taken_for_others_until_the_lease_ends(claims: Claims, clock: SimpleNamespace) -> None:
    assert claims.claim("c1", "dr-a", 30) is not None
    assert claims.claim("c1", "dr-b", 30) is None
    assert claims.held_by_other("c1", "dr-a") is None
    clock.now += 30 * 60
    assert claims.of("c1") is None
    taken = claims.claim("c1", "dr-b", 30)
    assert taken is not None
    assert taken.user == "dr-b"


def test_renewing_a_claim_keeps_its_beginning(claims: Claims, clock: SimpleNamespace) -> None:
    claims.claim("c1", "dr-a", 30)
    clock.now += 20 * 60
    renewed = claims.claim("c1", "dr-a", 30)
    assert renewed is not None
    assert renewed.until - renewed.since == 50 * 60


def test_only_the_holder_releases_a_case_unless_it_is_forced(claims: Claims) -> None:
    claims.claim("c1", "dr-a", 30)
    with pytest.raises(HTTPException) as caught:
        claims.release("c1", "dr-b")
    assert caught.value.status_code == 409
    assert "dr-a has claimed case c1 until 2027-01-15 08:30 UTC" in str(caught.value.detail)
    ended = claims.release("c1", "dr-b", force=True)
    assert ended is not None
    assert ended.user == "dr-a"
    assert claims.release("c1", "dr-a") is None


def test_claims_outlive_the_server_and_expire_meanwhile(tmp_path: Path, claims: Claims, clock: SimpleNamespace) -> None:
    claims.claim("c1", "dr-a", 10)
    claims.claim("c2", "dr-b", 60)
    clock.now += 20 * 60
    assert [claim.case for claim in Claims(tmp_path / "claims.json", lambda: clock.now).all()] == ["c2"]


@pytest.mark.parametrize("content", ["", "[]", '{"claims": [{"case": "c1"}]}', '{"claims": 3}'])
def test_unreadable_claims_are_set_aside(tmp_path: Path, content: str) -> None:
    (tmp_path / "claims.json").write_text(content)
    claims = Claims(tmp_path / "claims.json")
    assert claims.all() == []
    assert claims.claim("c1", "dr-a", 10) is not None
    (entry,) = map(json.loads, (tmp_path / "quarantine" / "report.jsonl").read_text().splitlines())
    assert (tmp_path / entry["moved_to"]).read_text() == content


# === On a server ===


@pytest.fixture(scope="module")
def uploaded(server: Server) -> Iterator[str]:
    """A case that only these tests use."""
    accepted(server.send("/cases/claimed", server.contents(CASES[0])))
    yield "claimed"
    accepted(server.request("DELETE", "/datastore/", params={"id": "claimed"}))


@pytest.fixture
def case(server: Server, uploaded: str) -> Iterator[str]:
    """The case, claimed by nobody before and after."""
    yield uploaded
    for one in server.get("/claims")["claims"]:
        accepted(release(server, one["case"], one["user"]))


def claim(server: Server, case: str, user: str | None, **more: Any) -> Any:
    return server.request("PUT", f"/cases/{case}/claim", json={"client_id": user, **more})


def release(server: Server, case: str, user: str) -> Any:
    return server.request("DELETE", f"/cases/{case}/claim", params={"client_id": user})


def next_case(server: Server, user: str, **more: Any) -> Any:
    answer = server.request("POST", "/activelearning/first", json={"client_id": user, **more})
    return accepted(answer).get("id")


def test_annotators_who_claim_their_next_case_get_different_ones(server: Server, case: str) -> None:
    waiting = [one["id"] for one in server.get("/cases")["cases"] if not one["labeled"]]
    assert len(waiting) > 1
    given = {f"dr-{number}": next_case(server, f"dr-{number}", claim=True) for number in range(len(waiting))}
    assert list(given.values()) == waiting
    assert next_case(server, "dr-late", claim=True) is None
    assert next_case(server, "dr-0", claim=True) == waiting[0]
    assert {one["user"]: one["case"] for one in server.get("/claims")["claims"]} == given
    shown = {one["claim"]["user"]: one["id"] for one in server.get("/cases")["cases"] if one["claim"]}
    assert shown == given


def test_a_claim_is_refused_to_others_renewed_and_released(server: Server, case: str) -> None:
    assert claim(server, case, "dr-a").status_code == 200
    assert f"dr-a has claimed case {case} until" in refused(claim(server, case, "dr-c"), 409)["message"]
    assert claim(server, case, "dr-a", minutes=5).status_code == 200
    assert release(server, case, "dr-c").status_code == 409
    assert release(server, case, "dr-a").json()["released"]["user"] == "dr-a"
    assert release(server, case, "dr-a").json()["released"] is None
    assert claim(server, "case-z", "dr-a").status_code == 404
    assert claim(server, case, None).status_code == 422


@pytest.mark.parametrize("minutes", ["0", "-1", "1e9", '"10"', "true", "1e400"])
def test_the_length_of_a_lease_is_checked(server: Server, case: str, minutes: str) -> None:
    content = f'{{"client_id": "dr-a", "minutes": {minutes}}}'
    headers = {"Content-Type": "application/json"}
    refused(server.request("PUT", f"/cases/{case}/claim", data=content, headers=headers))


def test_submitting_a_final_label_releases_the_own_claim_and_names_that_of_another(server: Server, case: str) -> None:
    claim(server, case, "dr-a")
    label = server.studies / CASES[0] / f"{CASES[0]}_seg.nii.gz"
    for user, holder in (("dr-c", "dr-a"), ("dr-a", None)):
        assert accepted(server.send_label(case, label, client_id=user))["claimed_by"] == holder
    assert case not in {one["case"] for one in server.get("/claims")["claims"]}
