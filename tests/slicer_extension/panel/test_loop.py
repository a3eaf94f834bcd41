"""The whole loop, clicked with the mouse, on small volumes and a real server."""

from __future__ import annotations

import numpy as np
import slicer

from tests.server_app.conftest import voxels
from tests.slicer_extension.panel.conftest import CASES


def stored_label(server, case: str, version: str) -> np.ndarray:
    """Return a label as the server keeps it, ``(k, j, i)``."""
    return voxels(server.workspace / "labels" / case / version / "label.nii.gz").transpose(2, 1, 0)


def test_the_whole_loop(user, server, panel_studies):
    user.connect(server.url)
    assert user.tone == "good"
    user.load_folder(panel_studies / CASES[3])
    segmentation = user.segment()
    names = [segmentation.GetSegmentation().GetNthSegment(n).GetName() for n in range(3)]
    assert names == ["necrotic core", "peritumoral edema", "enhancing tumor"]
    assert "Correct it" in user.status

    user.paint(3, (slice(20, 26), slice(20, 27), slice(20, 25)))
    user.wait_idle()
    user.wait(lambda: "differ" in user.ui.changesText.text, 10)

    user.type("caseIdEdit", "whole-loop")
    user.type("commentEdit", "painted a box")
    user.submit()
    assert user.tone == "good", user.status
    history = user.table("historyTable")
    assert [row[0] for row in history] == ["v0001"]
    label = stored_label(server, "whole-loop", "v0001")
    expected = np.zeros_like(label)
    for number, value in enumerate((1, 2, 3)):
        node = segmentation.GetSegmentation().GetNthSegmentID(number)
        array = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, node, user.parameters.t1ce)
        expected[array > 0] = value
    assert np.array_equal(label, expected)

    user.wait(lambda: user.ui.retrainButton.enabled, 20, user.ui.retrainReason.text)
    user.type("epochsSpin", "2")
    user.click("retrainButton")
    user.wait(lambda: user.panel.state().training, 60)
    user.wait(lambda: not user.panel.state().training and user.panel.context.server_status, 300)
    user.wait(lambda: "Mean Dice" in user.ui.resultText.text, 20, "the comparison of old and new")
    assert user.ui.curveLabel.visible
    versions = [row[0] for row in user.table("versionsTable")]
    assert len(versions) == 2
