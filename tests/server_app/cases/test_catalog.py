"""The cases of the studies folder: found when they appear, and searched for once for many requests."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest
from fastapi import HTTPException

from server_app.cases import catalog as module
from server_app.cases.catalog import Catalog
from server_app.cases.datastore import CaseDatastore
from server_app.workspace import Workspace
from tests import synthetic
from tests.server_app.conftest import eventually
from training.images.read import read_labelmap

INCOMPLETE, LATER = "BraTS20_Training_002", "BraTS20_Training_003"
CALLERS = 6


@pytest.fixture
def catalog(studies: Path, tmp_path: Path) -> Catalog:
    (studies / INCOMPLETE / f"{INCOMPLETE}_t2.nii.gz").unlink()
    return CaseDatastore(studies, Workspace(tmp_path / "workspace").make()).catalog


@pytest.mark.parametrize(
    ("call", "searches"),
    [(Catalog.all, {1}), (lambda catalog: catalog.find("nobody"), {1}), (Catalog.search, {1, 2}),
     (lambda catalog: catalog._find_incomplete(INCOMPLETE).id == INCOMPLETE, {1, 2})],
    ids=["all", "find", "search", "find incomplete"],
)  # fmt: skip
def test_concurrent_callers_share_a_search(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch, call: Callable[[Catalog], Any], searches: set[int]
) -> None:
    for name in ("SEARCH_AGAIN", "SEARCH_EVERY"):
        monkeypatch.setattr(module, name, 1000.0)
    monkeypatch.setattr(catalog, "_searched", float("-inf"))
    go_on, searched, lock, counted = threading.Event(), [], threading.Lock(), MagicMock()
    counted.__enter__.side_effect, counted.__exit__.side_effect = lock.acquire, lambda *_: lock.release()
    find = module.find_cases

    def slow(*args: Any, **named: Any) -> Any:
        searched.append(args)
        assert go_on.wait(60)
        return find(*args, **named)

    monkeypatch.setattr(module, "find_cases", slow)
    monkeypatch.setattr(catalog, "_searching", counted)
    with ThreadPoolExecutor(CALLERS) as threads:
        calls = [threads.submit(call, catalog) for _ in range(CALLERS)]
        eventually(lambda: counted.__enter__.call_count == CALLERS, 60)
        go_on.set()
        results = [one.result(60) for one in calls]
    assert len(searched) in searches
    assert results == [results[0]] * CALLERS
    assert results[0] is not False


def test_a_requested_search_sees_whatever_was_there_before(catalog: Catalog, studies: Path) -> None:
    assert LATER not in catalog.all()
    with pytest.raises(HTTPException, match=r"^404: "):
        catalog.get(LATER)
    synthetic.write_case(studies, LATER)
    catalog.search()
    assert LATER in catalog.all()
    assert catalog._find_incomplete(LATER) is None
    (studies / LATER / f"{LATER}_t1.nii.gz").unlink()
    assert catalog._find_incomplete(LATER) is not None


def test_a_label_whose_values_are_not_certain_is_among_the_problems_until_something_says_what_they_mean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server_app.cases.label_check._AGAIN", 0.0)
    studies = tmp_path / "studies"
    truth = synthetic.truth(synthetic.brats_grid())
    synthetic.write_case(studies, "hospital-1", label=False)
    synthetic.save(truth, studies / "hospital-1" / "seg.nii.gz")  # 1, 2, 3, and no name

    def store(label_scheme: str | None = None) -> CaseDatastore:
        return CaseDatastore(studies, Workspace(tmp_path / "workspace").make(), label_scheme=label_scheme)

    (problem,) = store().catalog.problems(wait_seconds=None)
    assert problem["path"] == "hospital-1/seg.nii.gz"
    assert "nothing says what they mean" in problem["message"]
    assert store(label_scheme="decathlon").catalog.problems(wait_seconds=None) == []
    unsure = store()
    case = unsure.catalog.get("hospital-1")
    with pytest.raises(HTTPException, match=r"^422: .*nothing says"):
        unsure.labels.file(case, "source")
    (studies / "hospital-1" / "seg.json").write_text('{"labels": {"1": "edema", "2": "necrosis", "3": "ET"}}')
    eventually(lambda: unsure.catalog.problems(wait_seconds=None) == [], 10)
    read = read_labelmap(unsure.labels.file(case, "source")).data
    assert np.array_equal(read, np.array([0, 2, 1, 3])[truth.data])
    (studies / "hospital-1" / "seg.json").write_text('{"label_scheme": "tumorloop"}')
    assert np.array_equal(read_labelmap(unsure.labels.file(case, "source")).data, truth.data)
