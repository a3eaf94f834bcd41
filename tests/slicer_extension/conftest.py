"""Fixtures of the panel's tests. Qt is loaded only by tests that ask for it: the logic on MRML needs none."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.slicer_extension.client.proxy import FaultyProxy, proxy_of
from tests.slicer_extension.harness import mrml_scene

if find_spec("monailabel"):  # without a server, as in ``make test-mrml``, the tests of the scene and the files run
    from tests import synthetic
    from tests.server_app.conftest import Server, serving, tiny_model  # noqa: F401

#: The cases on the real server; each is used by few tests, because submitted labels stay.
CASES = tuple(f"P{number:03d}" for number in range(1, 5))


@pytest.fixture
def scene() -> Iterator[Any]:
    """A fresh ``slicer.mrmlScene`` with ``slicer.util`` working on it; an exception in an observer fails the test."""
    with mrml_scene.running() as fresh:
        yield fresh


@pytest.fixture
def desktop() -> Iterator[Any]:
    """The ``scene`` fixture with Slicer's user interface around it: ``qt``, ``ctk``, windows, module manager.

    At the end all windows close, and exceptions in slots, Qt's warnings and unused dialog answers fail the test.
    """
    from tests.slicer_extension.harness import desktop as harness

    with harness.running() as fresh:
        yield fresh


@pytest.fixture(scope="session")
def real_studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the cases of :data:`CASES`."""
    folder = tmp_path_factory.mktemp("panel") / "studies"
    for name in CASES:
        synthetic.write_case(folder, name, label=False)
    return folder


@pytest.fixture(scope="session")
def real_server(real_studies: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """``python -m server_app`` with a small untrained network and trainings of seconds."""
    with serving(real_studies, tmp_path_factory.mktemp("panel-home") / "workspace", tiny_model) as running:
        yield running


@pytest.fixture
def proxy(real_server: Server) -> Iterator[FaultyProxy]:
    """Stands between the panel and the real server, passing everything on until a test says otherwise."""
    with proxy_of(real_server.url) as between:
        yield between
