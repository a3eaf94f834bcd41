"""The archive of all labeled cases: one at a time, only where the disk has space for it, and gone afterwards."""

from __future__ import annotations

import asyncio
import io
import shutil
import zipfile
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
from fastapi import HTTPException

from server_app.api.dataset_download import DatasetDownload
from server_app.cases.datastore import CaseDatastore
from server_app.settings import Limits
from server_app.workspace import Workspace
from tests.server_app.conftest import CASES, Server, eventually

Usage = namedtuple("Usage", "total used free")
SCOPE = {"type": "http", "asgi": {"spec_version": "2.4"}, "method": "GET", "path": "/datastore/dataset", "headers": []}


@pytest.fixture
def store(studies: Path, tmp_path: Path) -> CaseDatastore:
    """Two cases whose own labels count."""
    return CaseDatastore(studies, Workspace(tmp_path / "workspace").make(), source_labels=True)


def send(answer: Any, *, fails: bool = False) -> bytes:
    content = []

    async def take(message: Any) -> None:
        if fails and message["type"] == "http.response.body":
            raise TimeoutError
        content.append(message.get("body", b""))

    asyncio.run(answer(SCOPE, None, take))
    return b"".join(content)


def status(download: DatasetDownload) -> int:
    with pytest.raises(HTTPException) as caught:
        download.answer()
    return caught.value.status_code


def test_a_second_archive_waits_until_the_first_was_sent_or_given_up(
    store: CaseDatastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    download = DatasetDownload(store)
    first = download.answer()
    assert status(download) == 503
    assert send(first)[:2] == b"PK"
    with pytest.raises(TimeoutError):
        send(download.answer(), fails=True)
    assert list(store.workspace.cache.glob("dataset*")) == []
    with monkeypatch.context() as patch:
        patch.setattr(store, "get_dataset_archive", lambda limit: str(Path("gone").stat()))
        with pytest.raises(FileNotFoundError):
            download.answer()
    assert send(download.answer())[:2] == b"PK"


def test_an_archive_does_not_use_the_disk_space_kept_for_labels(
    studies: Path, store: CaseDatastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    download = DatasetDownload(store)
    images = [path for path in studies.rglob("*.nii.gz") if not path.name.endswith("_seg.nii.gz")]
    labels = [store.labels.final_file(store.catalog.get(name)) for name in store.get_labeled_images()]
    needed = sum(path.stat().st_size for path in [*images, *labels])
    free = Limits.of_server().min_free_bytes + needed - 1
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, free))
    assert status(download) == 507
    assert list(store.workspace.cache.glob("dataset*")) == []
    assert send(download.answer(1))[:2] == b"PK"


def test_a_server_sends_the_labeled_cases_and_removes_the_archive(server: Server) -> None:
    server.submit(CASES[0])
    for _ in range(2):
        # The client may have all of the last one a moment before the server has put it away.
        answer = eventually(lambda: (found := server.request("GET", "/datastore/dataset")).status_code != 503 and found)
        assert answer.headers["content-type"] == "application/zip"
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            assert {f"{CASES[0]}/label.nii.gz", f"{CASES[0]}/{CASES[0]}_flair.nii.gz"} <= set(archive.namelist())
        eventually(lambda: not list((server.workspace / "cache").glob("dataset.zip*")))
