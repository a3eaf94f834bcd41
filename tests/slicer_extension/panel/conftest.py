"""A real server for the panel's tests, a proxy that can break what passes, and snapshots of small volumes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from TumorLoopLib.scene.roles import ROLES

from tests import synthetic
from tests.server_app.conftest import Server, serving, tiny_model
from tests.slicer_extension.client.proxy import FaultyProxy, proxy_of
from tests.slicer_extension.panel.user import User, at_the_panel

__all__ = ["tiny_model"]

#: The cases on the server; each is used by few tests, because submitted labels stay.
CASES = tuple(f"P{number:03d}" for number in range(1, 7))


@pytest.fixture(scope="session")
def panel_studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the cases of :data:`CASES`."""
    folder = tmp_path_factory.mktemp("panel") / "studies"
    for name in CASES:
        synthetic.write_case(folder, name, label=False)
    return folder


@pytest.fixture(scope="session")
def server(panel_studies: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """``python -m server_app`` with a small untrained network and trainings of seconds."""
    with serving(panel_studies, tmp_path_factory.mktemp("panel-home") / "workspace", tiny_model) as running:
        yield running


@pytest.fixture
def proxy(server: Server) -> Iterator[FaultyProxy]:
    """Stands between the panel and the server, passing everything on until a test says otherwise."""
    with proxy_of(server.url) as between:
        yield between


def head_arrays(seed: int = 0) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return a synthetic head as Slicer would hold it: ``(k, j, i)`` arrays and ``ijk_to_ras``, by role.

    Args:
        seed: Another one makes another content.
    """
    grid = synthetic.brats_grid()
    images = {}
    for role in ROLES:
        data = synthetic.head(grid, role).data
        images[role] = (np.ascontiguousarray(data.transpose(2, 1, 0)) + np.int16(seed), grid.affine.astype(np.float64))
    return images


@pytest.fixture
def user(desktop: Any) -> Iterator[User]:
    """A clinician in front of the freshly loaded panel."""
    with at_the_panel() as clinician:
        yield clinician


def add_head(seed: int = 0) -> dict[str, Any]:
    """Add the four volumes of :func:`head_arrays` to the scene, with telling names; returns the nodes by role."""
    import slicer

    names = {"t1": "AX T1", "t1ce": "AX T1 POST GD", "t2": "AX T2", "flair": "SAG FLAIR"}
    nodes = {}
    for role, (array, ijk_to_ras) in head_arrays(seed).items():
        nodes[role] = slicer.util.addVolumeFromArray(array, ijkToRAS=ijk_to_ras, name=names[role])
    return nodes


@pytest.fixture
def at_work(user: User, proxy: FaultyProxy) -> User:
    """A clinician with four volumes, a server behind the proxy, and the model's segmentation."""
    add_head()
    user.connect(proxy.url)
    user.wait(lambda: user.ui.segmentButton.enabled, 20)
    user.segment()
    user.wait(lambda: user.ui.changesText.text != "", 20)
    return user
