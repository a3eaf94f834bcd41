"""The route for what corrections show, from a real inference and a real submission."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests import synthetic
from tests.server_app.conftest import CASES, Server, accepted, refused

CASE = "corrected-1"


@pytest.fixture
def case(server: Server) -> Iterator[str]:
    """A case that is removed afterwards: the server is shared with other tests, and final labels train."""
    yield str(accepted(server.send(f"/cases/{CASE}", server.contents(CASES[1])))["id"])
    accepted(server.request("DELETE", "/datastore/image", params={"id": CASE}))


@pytest.fixture
def label(tmp_path: Path) -> Path:
    return synthetic.save(synthetic.truth(synthetic.brats_grid()), tmp_path / "label.nii.gz")


def test_a_correction_is_listed_with_the_time_that_the_client_names_and_as_a_table(
    server: Server, case: str, label: Path
) -> None:
    sent = accepted(server.infer(image=case))
    said = {"model_version": sent["model_version"], "answer_time": sent["answer_time"]}
    too_long = refused(server.send_label(case, label, active_seconds=4000, **said))
    assert too_long["field"] == "active_seconds"
    accepted(server.send_label(case, label, active_seconds=1.5, **said))
    (found,) = [one for one in server.get("/corrections")["cases"] if one["case"] == case]
    assert (found["version"], found["answered"], found["seen"]) == ("v0000", sent["answer_time"], False)
    assert set(found["dice"]) == set(found["surface_dice"]) == {"WT", "TC", "ET", "mean"}
    assert found["changed_ml"] > 0
    assert 0 <= found["minutes"] < 10
    assert found["active_minutes"] == pytest.approx(1.5 / 60, abs=0.01)
    (version,) = [one for one in server.get("/corrections")["versions"] if one["version"] == "v0000"]
    assert version["cases"] >= 1
    answer = server.request("GET", "/corrections", params={"format": "csv"})
    assert answer.headers["Content-Type"].startswith("text/csv")
    (row,) = [row for row in csv.DictReader(io.StringIO(answer.text)) if row["case"] == case]
    assert np.isclose(float(row["dice_wt"]), found["dice"]["WT"])
    assert refused(server.request("GET", "/corrections", params={"format": "xls"}))["field"] == "format"
