"""A real server with a small untrained network, and a proxy that can break what passes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import synthetic
from tests.server_app.conftest import Server, serving, tiny_model
from tests.slicer_extension.client.proxy import FaultyProxy, proxy_of

__all__ = ["proxy", "real_server", "real_studies", "tiny_model"]

#: The cases on the server; each is used by few tests, because submitted labels stay.
CASES = tuple(f"P{number:03d}" for number in range(1, 5))


@pytest.fixture(scope="session")
def real_studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the cases of :data:`CASES`."""
    folder = tmp_path_factory.mktemp("panel") / "studies"
    for name in CASES:
        synthetic.write_case(folder, name, label=False)
    return folder


@pytest.fixture(scope="session")
def real_server(real_studies: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """``python -m server_app`` with trainings of seconds."""
    with serving(real_studies, tmp_path_factory.mktemp("panel-home") / "workspace", tiny_model) as running:
        yield running


@pytest.fixture
def proxy(real_server: Server) -> Iterator[FaultyProxy]:
    """Stands between the panel and the server, passing everything on until a test says otherwise."""
    with proxy_of(real_server.url) as between:
        yield between
