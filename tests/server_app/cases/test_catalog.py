"""Many who look for cases at once do not search the studies one after the other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from server_app.cases import catalog as module
from server_app.cases.catalog import Catalog
from server_app.cases.datastore import CaseDatastore
from server_app.workspace import Workspace
from tests import synthetic
from tests.server_app.conftest import eventually

CASE, SHORT = "BraTS20_Training_001", "BraTS20_Training_002"
MANY = 6


class Counting:
    """A lock that knows how many have asked for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counting = threading.Lock()
        self.asked = 0

    def __enter__(self) -> None:
        with self._counting:
            self.asked += 1
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    for name in (CASE, SHORT):
        synthetic.write_case(tmp_path / "studies", name)
    (tmp_path / "studies" / SHORT / f"{SHORT}_t2.nii.gz").unlink()
    return CaseDatastore(tmp_path / "studies", Workspace(tmp_path / "workspace").make()).catalog


@pytest.fixture
def at_once(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, list[Any]]]:
    """Call something many times while the first one searches; returns the number of searches and the results."""

    def run(call: Callable[[], Any]) -> tuple[int, list[Any]]:
        go, searches, results, lock = threading.Event(), [], [], Counting()
        find = module.find_cases

        def slowly(*args: Any, **named: Any) -> Any:
            searches.append(args)
            assert go.wait(60)
            return find(*args, **named)

        monkeypatch.setattr(module, "find_cases", slowly)
        monkeypatch.setattr(catalog, "_searching", lock)
        threads = [threading.Thread(target=lambda: results.append(call())) for _ in range(MANY)]
        for thread in threads:
            thread.start()
        eventually(lambda: lock.asked == MANY, 60)
        go.set()
        for thread in threads:
            thread.join(60)
        return len(searches), results

    return run


@pytest.mark.parametrize("call", [Catalog.all, lambda catalog: catalog.find("nobody")])
def test_those_who_find_the_list_too_old_share_one_search(
    catalog: Catalog, at_once: Any, monkeypatch: pytest.MonkeyPatch, call: Callable[[Catalog], Any]
) -> None:
    monkeypatch.setattr(module, "SEARCH_AGAIN", 1000.0)
    monkeypatch.setattr(module, "SEARCH_EVERY", 1000.0)
    catalog._searched = float("-inf")
    searches, results = at_once(lambda: call(catalog))
    assert (searches, len(results)) == (1, MANY)


def test_those_who_ask_for_a_search_while_one_is_under_way_share_the_next(catalog: Catalog, at_once: Any) -> None:
    searches, results = at_once(catalog.search)
    assert 1 <= searches <= 2
    assert len(results) == MANY


def test_those_who_look_for_incomplete_cases_share_a_search_too(catalog: Catalog, at_once: Any) -> None:
    searches, results = at_once(lambda: catalog._find_incomplete(SHORT))
    assert 1 <= searches <= 2
    assert [case.id for case in results] == [SHORT] * MANY


def test_a_search_that_is_asked_for_always_sees_what_was_there_before(catalog: Catalog, tmp_path: Path) -> None:
    synthetic.write_case(tmp_path / "studies", "BraTS20_Training_003")
    catalog.search()
    assert "BraTS20_Training_003" in catalog.all()
    assert catalog._find_incomplete("BraTS20_Training_003") is None
    (tmp_path / "studies" / "BraTS20_Training_003" / "BraTS20_Training_003_t1.nii.gz").unlink()
    assert catalog._find_incomplete("BraTS20_Training_003") is not None
