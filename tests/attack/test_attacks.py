"""A short run of the attacks and of the made-up requests, against ours alone; and that the judge sees what is bad."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest

from tests.attack import report
from tests.attack.__main__ import all_attacks
from tests.attack.attack import Attack, Finding, Verdict, find
from tests.attack.report import Row
from tests.attack.samples import CASE
from tests.attack.targets import Target, our_server
from tests.attack.wire import SILENT, Reply, send_raw
from tests.fuzz.__main__ import known_values
from tests.fuzz.fuzzing import EXPENSIVE, fuzz
from tests.server_app.conftest import tiny_model  # noqa: F401 - a fixture

#: Of attacks that differ only in how a path is written, or that start a client each, every fourth; of those that take
#: seconds, one.
_ALIKE = ("a path in a parameter", "a path as a file's name", "an answer to a client")


def _short(*, tokens: bool) -> list[Attack]:
    attacks = [attack for attack in all_attacks() if attack.tokens == tokens]
    alike = [attack for attack in attacks if attack.group in _ALIKE]
    slow = [attack for attack in attacks if attack.name.startswith("slow loris")]
    return alike[::4] + slow[1:2] + [attack for attack in attacks if attack not in alike and attack not in slow]


@pytest.fixture(scope="module")
def servers(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[bool], Target]]:  # noqa: F811
    """Our server, and one that asks for tokens; each starts when it is needed."""
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("attack")
        yield cache(lambda tokens: stack.enter_context(our_server(folder / f"{tokens}", tiny_model, tokens=tokens)))


@pytest.fixture
def ours(servers: Callable[[bool], Target]) -> Target:
    return servers(False)


def test_there_are_as_many_attacks_as_documented_with_a_name_each() -> None:
    names = [(attack.group, attack.name) for attack in all_attacks()]
    assert len(names) == len(set(names)) == 301


@pytest.mark.parametrize("attack", _short(tokens=False) + _short(tokens=True), ids=lambda attack: attack.name)
def test_an_attack_is_refused_and_the_server_goes_on(servers: Callable[[bool], Target], attack: Attack) -> None:
    found = find(attack, servers(attack.tokens))
    assert found.good, found


def test_made_up_requests_are_all_answered(ours: Target) -> None:
    tallies = fuzz(f"http://127.0.0.1:{ours.port}", 200, known_values(CASE), leave_out=EXPENSIVE)
    assert sum(tally.count for tally in tallies.values()) >= 200
    assert [fault for tally in tallies.values() for fault in tally.faults] == []
    assert sum(tally.statuses[200] for tally in tallies.values()) >= 20
    assert ours.is_alive()


def test_what_is_let_through_written_or_leaked_is_noticed(ours: Target) -> None:
    def judged(reply: Reply) -> Verdict:
        return find(Attack("", "", lambda target: reply), ours).verdict

    def write(target: Target) -> Reply:
        (target.box / "elsewhere" / "written.txt").write_text("x")
        return Reply(404)

    assert judged(Reply(200, b"{}")) is Verdict.LET_THROUGH
    assert judged(Reply(500)) is Verdict.ERROR
    assert judged(Reply(SILENT)) is Verdict.WAITED
    assert judged(Reply(200, (ours.box / "elsewhere" / "secret.nii.gz").read_bytes())) is Verdict.LEAKED
    assert judged(Reply(422)) is Verdict.REFUSED
    for _ in ("written", "changed"):
        assert find(Attack("", "", write), ours).verdict is Verdict.WROTE
    assert judged(Reply(422)) is Verdict.REFUSED
    assert send_raw(ours.port, [b"GET /info/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"]).status == 200


def test_the_table_names_each_attack_with_what_became_of_it(tmp_path: Path) -> None:
    attack = Attack("a group", "an <attack> | with signs", lambda target: Reply(200))
    rows = [
        Row(attack, Finding(Verdict.WROTE, "200; a|b"), Finding(Verdict.REFUSED, "422")),
        Row(attack, None, Finding(Verdict.DOWN, "closed")),
    ]
    report.write(rows, tmp_path, {"stock": "0.8.5", "ours": "0.1.0"}, "Somewhere.")
    text = (tmp_path / "attacks.md").read_text()
    assert "| an <attack> \\| with signs | **wrote outside** (200; a\\|b) | refused (422) |" in text
    assert "| not asked | **server down** (closed) |" in text
    assert "2 attacks. TumorLoop: 1 refused, 1 server down. Stock MONAI Label: 1 wrote outside." in text
    assert "| A group | 2 | 1 wrote outside | 1 refused, 1 server down |" in text
    assert "an &lt;attack&gt;" in (tmp_path / "attacks.html").read_text()
