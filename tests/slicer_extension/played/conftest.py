"""Four volumes in the scene, a played server, and a clinician who has connected the two."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import slicer

from tests.slicer_extension.panel.user import User, at_the_panel
from tests.slicer_extension.played.case import LEVELS, NAMES, SHAPE
from tests.slicer_extension.played.server import PlayedServer, played_server
from tests.slicer_extension.scene.nodes import add_transform, image, make_volume, moved_by, oblique


@pytest.fixture
def user(desktop: Any) -> Iterator[User]:
    """A clinician in front of the freshly loaded panel."""
    with at_the_panel() as clinician:
        yield clinician


@pytest.fixture
def played() -> Iterator[PlayedServer]:
    with played_server() as server:
        yield server


@pytest.fixture
def case(desktop: Any) -> dict[str, Any]:
    """Four volumes in the scene, oblique and under a transform; T1ce holds something of each label."""
    nodes = {
        role: make_volume(NAMES[role], image(SHAPE, seed) % 90, oblique()) for seed, role in enumerate(NAMES, start=1)
    }
    array = slicer.util.arrayFromVolume(nodes["t1ce"])
    for level, k in zip(LEVELS, (3, 7, 11), strict=True):
        array[k : k + 3, 4 : 5 + k, 6:19] = level + 20
    nodes["t1ce"].Modified()
    add_transform(moved_by(), *nodes.values())
    return nodes


@pytest.fixture
def connected(case: Any, user: User, played: PlayedServer) -> User:
    """A clinician whose panel has found the four volumes and a server."""
    user.connect(played.url)
    user.click("recognizeButton")
    return user
