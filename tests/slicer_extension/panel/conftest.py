"""Four volumes in the scene, a small server, and users who have connected the two."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer

from tests.slicer_extension.panel.server import LEVELS, ScriptedServer, scripted_server
from tests.slicer_extension.panel.user import PlainUser, QtUser, User
from tests.slicer_extension.scene.nodes import add_transform, image, make_volume, mask_of, moved_by, oblique

SHAPE = (18, 20, 24)
NAMES = {"t1": "AX T1", "t1ce": "AX T1 POST GD", "t2": "AX T2", "flair": "SAG FLAIR"}
LABEL_VALUES = {"necrotic core": 1, "peritumoral edema": 2, "enhancing tumor": 3}
#: A part of the volumes ``(k, j, i)``, 24 voxels.
BOX = (slice(0, 2), slice(0, 3), slice(0, 4))


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as running:
        yield running


@pytest.fixture
def logged_errors(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    """Returns what the panel has logged as errors; at the end of a test there must be none, or they were cleared."""

    def logged() -> list[str]:
        records = [one for phase in ("setup", "call", "teardown") for one in caplog.get_records(phase)]
        return [one.getMessage() for one in records if one.levelname == "ERROR" and one.name.startswith("TumorLoopLib")]

    yield logged
    assert logged() == []


@pytest.fixture
def user(scene: Any, logged_errors: Any, tmp_path: Path) -> Iterator[PlainUser]:
    """A user at the panel with plain widgets."""
    plain = PlainUser(tmp_path / "slicer")
    yield plain
    plain.panel.cleanup()


@pytest.fixture
def qt_user(desktop: Any, logged_errors: Any) -> QtUser:
    """A user at the module as Slicer shows it."""
    return QtUser()


def make_case() -> dict[str, Any]:
    """Add four volumes, oblique and under a transform; T1ce holds something of each label."""
    nodes = {role: make_volume(NAMES[role], image(SHAPE, seed) % 90, oblique()) for seed, role in enumerate(NAMES, 1)}
    array = slicer.util.arrayFromVolume(nodes["t1ce"])
    for level, k in zip(LEVELS, (3, 7, 11), strict=True):
        array[k : k + 3, 4 : 5 + k, 6:19] = level + 20
    nodes["t1ce"].Modified()
    add_transform(moved_by(), *nodes.values())
    return nodes


@pytest.fixture
def case(scene: Any) -> dict[str, Any]:
    return make_case()


@pytest.fixture
def connected(case: Any, user: PlainUser, server: ScriptedServer) -> PlainUser:
    """A user whose panel has found the four volumes and a server."""
    user.connect(server.url)
    user.click("recognizeButton")
    user.wait(lambda: user.ui.segmentButton.enabled)
    return user


@pytest.fixture
def segmented(connected: PlainUser) -> PlainUser:
    """A user with the model's segmentation."""
    connected.segment()
    return connected


@pytest.fixture
def corrected(segmented: PlainUser) -> PlainUser:
    """A user in the middle of a correction."""
    segmented.paint(3, BOX)
    segmented.type("caseIdEdit", "in-the-middle")
    segmented.type("commentEdit", "not done yet")
    segmented.click("finalCheck")
    segmented.wait_for_changes("differ", 20)
    return segmented


@pytest.fixture
def sending(corrected: PlainUser, server: ScriptedServer) -> PlainUser:
    """A user whose label is being sent; the server does not store it before ``may_store`` is set."""
    server.may_store.clear()
    corrected.click("submitButton")
    corrected.wait(lambda: corrected.panel.submit.sending and "PUT /datastore/label" in server.asked[-1])
    return corrected


@pytest.fixture
def inferring(connected: PlainUser, server: ScriptedServer) -> PlainUser:
    """A user who waits for a segmentation; the server does not answer before ``may_infer`` is set."""
    server.may_infer.clear()
    connected.click("segmentButton")
    connected.wait(lambda: "POST" in server.asked[-1])
    return connected


@pytest.fixture
def hospital(connected: PlainUser, server: ScriptedServer) -> PlainUser:
    """A user whose server is on another machine."""
    connected.services.aliases["http://hospital:8000"] = server.url
    connected.type("addressCombo", "http://hospital:8000")
    connected.wait(lambda: connected.ui.segmentButton.enabled)
    return connected


def shown_volumes() -> set[str]:
    """The ids of the volumes in the background of the slice views."""
    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    assert composites
    return {one.GetBackgroundVolumeID() for one in composites}


def world(node: Any) -> np.ndarray:
    """Return a volume's ijk to RAS in the world, as Slicer computes it."""
    import vtk

    local, parent = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(local)
    if node.GetParentTransformNode() is not None:
        node.GetParentTransformNode().GetMatrixTransformToWorld(parent)
    matrix: np.ndarray = slicer.util.arrayFromVTKMatrix(parent) @ slicer.util.arrayFromVTKMatrix(local)
    return matrix


def expected_labels(case: dict[str, Any]) -> np.ndarray:
    """Return what the server makes of the case, ``(k, j, i)``."""
    return np.digitize(slicer.util.arrayFromVolume(case["t1ce"]), LEVELS).astype(np.uint8)


def labels_of(user: User, names: Mapping[str, int] = LABEL_VALUES) -> np.ndarray:
    """Read the segmentation with Slicer's own function; ``names`` has the label value of each segment's name."""
    segmentation, reference = user.parameters.segmentation, user.parameters.t1ce
    labels = np.zeros(slicer.util.arrayFromVolume(reference).shape, np.uint8)
    inner = segmentation.GetSegmentation()
    for segment_id in inner.GetSegmentIDs():
        labels[mask_of(segmentation, segment_id, reference)] = names[inner.GetSegment(segment_id).GetName()]
    return labels
