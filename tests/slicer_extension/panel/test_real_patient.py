"""The whole loop on a real patient, whose volumes lie under a transform, with everything a user may do to segments."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from TumorLoopLib.scene.roles import ROLES

from tests.server_app.conftest import Server, load
from tests.slicer_extension.harness import event_loop
from tests.slicer_extension.panel.conftest import labels_of, world
from tests.slicer_extension.panel.screenshots import bundled_server
from tests.slicer_extension.panel.user import LABEL_TAG, QtUser
from tests.slicer_extension.scene.nodes import add_segment, add_transform, mask_of, moved_by, segments_in, tag_of

PATIENT = "TCGA-FG-6692"
MINUTES = 60.0


def rename_recolor_and_recreate(user: QtUser) -> None:
    """Rename the core, recolor the edema, and delete the enhancing tumor and draw it anew."""
    node, reference = user.parameters.segmentation, user.parameters.t1ce
    by_label = {tag_of(segment, LABEL_TAG): segment for segment in segments_in(node)}
    by_label["1"].SetName("dead tissue")
    by_label["2"].SetColor(0.2, 0.9, 0.4)
    enhancing = node.GetSegmentation().GetSegmentIdBySegment(by_label["3"])
    mask = np.array(mask_of(node, enhancing, reference))
    node.GetSegmentation().RemoveSegment(enhancing)
    add_segment(node, "enhancing tumor", reference, mask)


@pytest.fixture
def bundled(tmp_path: Path) -> Iterator[Server]:
    with bundled_server(tmp_path) as running:
        yield running


@pytest.mark.slow
def test_the_loop_on_a_real_patient_keeps_every_voxel(qt_user: QtUser, bundled: Server, real_cases: Path):
    user = qt_user
    user.connect(bundled.url)
    user.load_folder(real_cases / PATIENT)
    # A tilted head: what is sent, and what comes back, has to follow the transform.
    add_transform(moved_by(), *(getattr(user.parameters, role) for role in ROLES))
    user.wait(lambda: user.ui.segmentButton.enabled, MINUTES)
    event_loop.take_blocks()
    segmentation = user.segment()
    user.wait(lambda: user.ui.changesText.text != "", MINUTES)
    assert "Unchanged" in user.ui.changesText.text
    whole_tumor = float(user.table("regionTable")[0][1])
    assert 10 < whole_tumor < 400, "this patient's tumor is neither tiny nor half the head"

    rename_recolor_and_recreate(user)
    names = {"dead tissue": 1, "peritumoral edema": 2, "enhancing tumor": 3}
    user.paint(2, (slice(60, 64), slice(100, 112), slice(90, 99)))
    user.wait(lambda: "differ" in user.ui.changesText.text, MINUTES)
    expected = labels_of(segmentation, user.parameters.t1ce, names)
    assert set(np.unique(expected)) == {0, 1, 2, 3}

    user.type("caseIdEdit", PATIENT)
    user.submit()
    assert user.tone == "good", user.status
    stored = load(bundled.workspace / "labels" / PATIENT / "v0001" / "label.nii.gz")
    assert np.array_equal(np.asarray(stored.dataobj).transpose(2, 1, 0), expected)
    assert np.allclose(stored.affine, world(user.parameters.t1ce), atol=1e-3)
    assert segmentation is user.parameters.segmentation
    # copying whole volumes takes up to twice as long while a network uses the other half of the processor's cores and
    # all of the memory's bandwidth; what it needs by itself is timed in scene/test_speed.py
    blocks = [str(block) for block in event_loop.take_blocks() if block.seconds > 2 * event_loop.LIMIT]

    user.wait(lambda: user.ui.retrainButton.enabled, MINUTES)
    user.type("epochsSpin", "1")
    user.click("retrainButton")
    user.wait(lambda: "Mean Dice" in user.ui.resultText.text, 5 * MINUTES, "the end of the training")
    assert user.table("versionsTable")[0][0].startswith("v0001")
    assert blocks == []
