"""The archive of all labeled cases: one at a time, not on a full disk, and gone afterwards."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import HTTPException

from server_app.api.dataset_download import DatasetDownload
from tests.server_app.conftest import CASES, Server, eventually

Usage = namedtuple("Usage", "total used free")
SCOPE = {"type": "http", "asgi": {"spec_version": "2.4"}, "method": "GET", "path": "/datastore/dataset", "headers": []}


class Store:
    """Two labeled cases of 1 MiB each, with a label of as much."""

    def __init__(self, folder: Path) -> None:
        self.workspace = SimpleNamespace(cache=folder, incoming=folder)
        self.labels = SimpleNamespace(final_file=lambda case: folder / "label")
        self.catalog = SimpleNamespace(get=lambda name: SimpleNamespace(sources=self._sources))
        self._sources: dict[str, Any] = {"t1": SimpleNamespace(path=folder / "t1")}
        self.fails = False
        for name in ("t1", "label"):
            (folder / name).write_bytes(bytes(2**20))

    def get_labeled_images(self) -> list[str]:
        return ["a", "b"]

    def get_dataset_archive(self, limit_cases: int | None = None) -> str:
        if self.fails:
            raise OSError(28, "No space left on device")
        path = Path(self.workspace.cache / "dataset.zip")
        path.write_bytes(b"packed")
        return str(path)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


@pytest.fixture
def download(store: Store) -> DatasetDownload:
    return DatasetDownload(store)  # type: ignore[arg-type]


def send(answer: Any, *, fails: bool = False) -> bytes:
    content = []

    async def take(message: Any) -> None:
        if fails and message["type"] == "http.response.body":
            raise TimeoutError
        content.append(message.get("body", b""))

    asyncio.run(answer(SCOPE, None, take))
    return b"".join(content)


def status(download: DatasetDownload, limit: int | None = None) -> int:
    with pytest.raises(HTTPException) as caught:
        download.answer(limit)
    return caught.value.status_code


def test_a_second_archive_waits_until_the_first_was_sent_and_is_gone(store: Store, download: DatasetDownload) -> None:
    first = download.answer()
    assert status(download) == 503
    assert send(first) == b"packed"
    assert not (store.workspace.cache / "dataset.zip").exists()
    assert send(download.answer()) == b"packed"


def test_a_client_that_stops_taking_it_leaves_nothing_behind(store: Store, download: DatasetDownload) -> None:
    with pytest.raises(TimeoutError):
        send(download.answer(), fails=True)
    assert not (store.workspace.cache / "dataset.zip").exists()
    assert send(download.answer()) == b"packed"


def test_an_archive_that_cannot_be_packed_gives_up_its_turn(store: Store, download: DatasetDownload) -> None:
    store.fails = True
    with pytest.raises(OSError, match="No space"):
        download.answer()
    store.fails = False
    assert send(download.answer()) == b"packed"


def test_what_is_kept_for_labels_is_not_used_for_an_archive(
    store: Store, download: DatasetDownload, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = (512 + 3) * 2**20  # two cases need 4 MiB, one needs 2
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, free))
    assert status(download) == 507
    assert not (store.workspace.cache / "dataset.zip").exists()
    assert send(download.answer(1)) == b"packed"


def test_a_server_removes_the_archive_when_it_was_sent(server: Server) -> None:
    server.submit(CASES[0])
    for _ in range(2):
        answer = server.request("GET", "/datastore/dataset")
        assert (answer.status_code, answer.content[:2]) == (200, b"PK"), server.log.read_text()[-6000:]
        assert answer.headers["content-type"] == "application/zip"
        # The client may have all of it a moment before the server has put it away.
        eventually(lambda: not list((server.workspace / "cache").glob("dataset.zip*")))
        time.sleep(0.2)
