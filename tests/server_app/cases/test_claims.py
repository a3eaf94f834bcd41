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
    return SimpleNamespace(now=1_800_000_000.0)


@pytest.fixture
def claims(tmp_path: Path, clock: SimpleNamespace) -> Claims:
    return Claims(tmp_path / "claims.json", lambda: clock.now)


def test_a_claimed_case_is_taken_for_others_until_the_lease_ends_and_renewing_it_keeps_its_beginning(
    claims: Claims, clock: SimpleNamespace
) -> None:
    assert claims.claim("c1", "dr-a", 30) is not None
    assert claims.claim("c1", "dr-b", 30) is None
    assert claims.held_by_other("c1", "dr-a") is None
    clock.now += 30 * 60
    assert claims.of("c1") is None
    taken = claims.claim("c1", "dr-b", 30)
    assert taken is not None
    clock.now += 20 * 60
    renewed = claims.claim("c1", "dr-b", 30)
    assert renewed is not None
    assert (taken.user, renewed.since, renewed.until - renewed.since) == ("dr-b", taken.since, 50 * 60)


def test_only_the_holder_releases_a_case_unless_it_is_forced_and_claims_outlive_the_server(
    tmp_path: Path, claims: Claims, clock: SimpleNamespace
) -> None:
    claims.claim("c1", "dr-a", 30)
    with pytest.raises(HTTPException, match=r"^409: .*dr-a has claimed case c1 until 2027-01-15 08:30 UTC"):
        claims.release("c1", "dr-b")
    ended = claims.release("c1", "dr-b", force=True)
    assert ended is not None
    assert ended.user == "dr-a"
    assert claims.release("c1", "dr-a") is None
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


@pytest.fixture
def case(server: Server) -> Iterator[str]:
    """A case that only these tests use; nobody has a claim before and after."""
    accepted(server.send("/cases/claimed", server.contents(CASES[0])))
    yield "claimed"
    for one in server.get("/claims")["claims"]:
        accepted(release(server, one["case"], one["user"]))
    accepted(server.request("DELETE", "/datastore/", params={"id": "claimed"}))


def claim(server: Server, case: str, user: str | None, **more: Any) -> Any:
    return server.request("PUT", f"/cases/{case}/claim", json={"client_id": user, **more})


def release(server: Server, case: str, user: str) -> Any:
    return server.request("DELETE", f"/cases/{case}/claim", params={"client_id": user})


def test_annotators_who_claim_their_next_case_get_different_ones(server: Server, case: str) -> None:
    def next_case(user: str) -> Any:
        answer = server.request("POST", "/activelearning/first", json={"client_id": user, "claim": True})
        return accepted(answer).get("id")

    waiting = [one["id"] for one in server.get("/cases")["cases"] if not one["labeled"]]
    assert len(waiting) > 1
    given = {f"dr-{number}": next_case(f"dr-{number}") for number in range(len(waiting))}
    assert list(given.values()) == waiting
    assert (next_case("dr-late"), next_case("dr-0")) == (None, waiting[0])
    assert {one["user"]: one["case"] for one in server.get("/claims")["claims"]} == given
    shown = {one["claim"]["user"]: one["id"] for one in server.get("/cases")["cases"] if one["claim"]}
    assert shown == given


def test_a_claim_is_refused_to_others_renewed_and_released_also_by_a_final_label(server: Server, case: str) -> None:
    assert claim(server, case, "dr-a").status_code == 200
    assert f"dr-a has claimed case {case} until" in refused(claim(server, case, "dr-c"), 409)["message"]
    assert claim(server, case, "dr-a", minutes=5).status_code == 200
    assert release(server, case, "dr-c").status_code == 409
    assert release(server, case, "dr-a").json()["released"]["user"] == "dr-a"
    assert release(server, case, "dr-a").json()["released"] is None
    assert claim(server, "case-z", "dr-a").status_code == 404
    assert claim(server, case, None).status_code == 422
    for minutes in ("0", "-1", "1e9", '"10"', "true", "1e400"):
        content = f'{{"client_id": "dr-a", "minutes": {minutes}}}'
        headers = {"Content-Type": "application/json"}
        refused(server.request("PUT", f"/cases/{case}/claim", data=content, headers=headers))
    claim(server, case, "dr-a")
    label = server.studies / CASES[0] / f"{CASES[0]}_seg.nii.gz"
    for user, holder in (("dr-c", "dr-a"), ("dr-a", None)):
        assert accepted(server.send_label(case, label, client_id=user))["claimed_by"] == holder
    assert case not in {one["case"] for one in server.get("/claims")["claims"]}
