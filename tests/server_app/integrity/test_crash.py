"""The short version of ``make crash``, and that it would notice what is lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from server_app.labels.store import LabelStore
from tests.crash.kills import Kill, Outcome, inspect, run
from tests.crash.labels import GRID, Ledger, number_of, numbered
from training.images.grid import Volume


@pytest.mark.slow
def test_every_acknowledged_label_survives_kills_of_the_server(tmp_path: Path, tiny_model: Path) -> None:
    outcome = run(tmp_path / "server", tiny_model, kills=5, seed=7)
    assert outcome.good, outcome.to_json()
    assert sum(kill.acknowledged for kill in outcome.kills) >= 5
    assert outcome.versions >= sum(kill.acknowledged for kill in outcome.kills)


def test_a_label_that_is_lost_swapped_or_half_written_would_be_noticed(tmp_path: Path) -> None:
    store, ledger = LabelStore(tmp_path / "labels"), Ledger()
    for _ in range(3):
        number = ledger.next_number()
        version, _ = store.add("case", Volume(numbered(number), GRID), {"tag": "final"})
        ledger.acknowledge("case", version.version, number)
    fine, bad = Kill(0.0, 0.0), Kill(0.0, 0.0)
    inspect(tmp_path, ledger, fine)
    assert (fine.lost, fine.damaged, fine.unannounced) == ([], [], 0)
    ledger.acknowledge("case", "v0009", 3)
    ledger.stored["case", "v0001"] = 2
    (tmp_path / "labels" / "case" / "v0003" / "label.json").write_text("{")
    inspect(tmp_path, ledger, bad)
    assert [line.split(":")[0] for line in bad.lost] == ["case v0001", "case v0003", "case v0009"]
    assert bad.damaged == ["case v0003 is no whole version"]
    assert not Outcome(1, [bad], sound=True, opened=2).good
    assert [number_of(numbered(number)) for number in (1, 77, 123_456)] == [1, 77, 123_456]
    changed = numbered(5)
    changed[30, 30, 30] ^= 1
    assert number_of(changed) is None
    assert not np.array_equal(numbered(1), numbered(2))
