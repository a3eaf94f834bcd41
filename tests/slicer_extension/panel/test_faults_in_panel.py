"""What the clinician sees when something breaks: a sentence, usable buttons, and nothing lost."""

from __future__ import annotations

import time
import uuid

import numpy as np
import pytest
import slicer

from tests.slicer_extension.client.proxy import (
    Fault,
    broken_server,
    cut_request,
    cut_response,
    delay,
    full_disk,
    silent,
    wrong_token,
)
from tests.slicer_extension.harness import event_loop
from tests.slicer_extension.panel.user import User

BOX = (slice(20, 26), slice(20, 27), slice(20, 25))


def voxels_of(user: User) -> np.ndarray:
    """The segmentation in the scene, one array per segment."""
    node = user.parameters.segmentation
    segmentation = node.GetSegmentation()
    return np.stack(
        [
            np.array(
                slicer.util.arrayFromSegmentBinaryLabelmap(
                    node, segmentation.GetNthSegmentID(number), user.parameters.t1ce
                )
            )
            for number in range(segmentation.GetNumberOfSegments())
        ]
    )


def change_a_volume(user: User) -> None:
    """Make sure that something has to be sent."""
    array = slicer.util.arrayFromVolume(user.parameters.flair)
    array += np.int16(1)
    slicer.util.arrayFromVolumeModified(user.parameters.flair)


SEGMENT_FAULTS = {
    "dying in an upload": ("PUT /session/", cut_request(20_000), "connection"),
    "dying in a result": ("POST /infer/*", cut_response(300), "broke off"),
    "an HTML page": ("POST /infer/*", broken_server(), "The server failed"),
    "a refused token": ("PUT /session/", wrong_token(), "Enter the access token under Server."),
    "a full disk": ("PUT /session/", full_disk(), "disk is full"),
    "a silent line": ("POST /infer/*", silent(0.5), "connection"),
}


@pytest.mark.parametrize("name", SEGMENT_FAULTS)
def test_a_segmentation_that_fails_leaves_everything_and_can_be_tried_again(at_work: User, proxy, name):
    pattern, fault, words = SEGMENT_FAULTS[name]
    user = at_work
    user.paint(3, BOX)
    user.wait_idle()
    before, buttons, node = voxels_of(user), user.buttons(), user.parameters.segmentation
    change_a_volume(user)
    proxy.fault(pattern, fault, times=1)
    user.click("segmentButton")
    user.wait_idle()
    assert user.tone == "bad"
    assert user.status.startswith("Nothing was segmented; your segmentations did not change.")
    assert words in user.status
    assert user.parameters.segmentation is node
    assert np.array_equal(voxels_of(user), before)
    user.wait(lambda: user.buttons() == buttons, 20, f"legal buttons, not {user.buttons()}")
    assert not user.ui.segmentBar.visible
    user.segment()
    assert user.parameters.segmentation is not node
    assert slicer.mrmlScene.GetNodeByID(node.GetID()) is node


SUBMIT_FAULTS = {
    "dying in the upload": ("PUT /datastore/label", cut_request(200), "connection"),
    "dying before the answer": ("PUT /datastore/label", cut_response(0), "broke off"),
    "an HTML page": ("PUT /datastore/label", broken_server(), "The server failed"),
    "a refused token": ("PUT /datastore/label", wrong_token(), "access token"),
    "a full disk": ("PUT /datastore/label", full_disk(), "disk is full"),
}


@pytest.mark.parametrize("name", SUBMIT_FAULTS)
def test_a_submission_that_fails_loses_nothing_and_can_be_sent_again(at_work: User, proxy, name):
    pattern, fault, words = SUBMIT_FAULTS[name]
    user = at_work
    user.type("caseIdEdit", f"again-{uuid.uuid4().hex[:8]}")
    user.paint(3, BOX)
    user.type("commentEdit", "precious")
    before = voxels_of(user)
    change_a_volume(user)  # another case of its own, as far as the server can tell
    user.wait_idle()
    proxy.fault(pattern, fault, times=1)
    user.submit()
    assert user.tone == "bad"
    assert "not submitted. Nothing is lost" in user.status
    assert words in user.status
    assert user.ui.commentEdit.text == "precious"
    assert np.array_equal(voxels_of(user), before)
    user.wait(lambda: user.ui.submitButton.enabled, 20, "Submit")
    user.submit()
    assert user.tone == "good", user.status
    assert [row[0] for row in user.table("historyTable")] == ["v0001"]


def test_a_server_that_is_down_is_told_and_found_again(at_work: User, proxy):
    user, before = at_work, voxels_of(at_work)
    proxy.go_down()
    user.click("segmentButton")
    user.wait_idle()
    assert "No server answers" in user.status or "connection" in user.status
    user.wait(lambda: not user.panel.state().connected, 20, "the loss of the server")
    assert "no connection to a server" in user.ui.segmentReason.text
    assert not user.ui.submitButton.enabled
    assert user.ui.testButton.enabled
    assert not user.ui.correctSection.collapsed, "the correction went out of sight"
    assert np.array_equal(voxels_of(user), before)
    proxy.come_up()
    user.wait(lambda: user.ui.submitButton.enabled, 20, "the server's return")
    user.segment()


def test_a_server_that_dies_while_nothing_is_asked_is_noticed(at_work: User, proxy):
    user = at_work
    proxy.go_down()
    user.wait(lambda: "connection to the server was lost" in user.status, 20)
    assert user.tone == "bad"
    proxy.come_up()
    user.wait(lambda: "The server is back." in user.status, 20)
    assert user.tone == "good"


def test_a_slow_server_keeps_nobody_waiting_and_can_be_cancelled_within_a_second(at_work: User, proxy):
    user, node = at_work, at_work.parameters.segmentation
    proxy.fault("POST /infer/*", delay(30))
    event_loop.take_blocks()
    user.click("segmentButton")
    user.wait(lambda: "Waiting" in user.ui.segmentProgress.text, 10)
    assert user.ui.segmentBar.visible
    user.press("Escape")
    asked = time.monotonic()
    user.click("segmentCancelButton")
    user.wait_idle()
    assert time.monotonic() - asked < 1.0
    assert "cancelled" in user.status
    assert user.parameters.segmentation is node
    assert user.ui.segmentButton.enabled
    assert event_loop.take_blocks() == []
    user.wait(lambda: proxy.requests_to("DELETE /jobs/*"), 5, "word to the server")


def test_a_slow_submission_can_be_cancelled_too(at_work: User, proxy):
    user = at_work
    user.type("caseIdEdit", f"slow-{uuid.uuid4().hex[:8]}")
    proxy.fault("PUT /datastore/label", delay(30))
    user.click("submitButton")
    user.wait(lambda: proxy.requests_to("PUT /datastore/label"), 30)
    asked = time.monotonic()
    user.click("submitCancelButton")
    user.wait_idle()
    assert time.monotonic() - asked < 1.0
    assert "Nothing was submitted" in user.status
    assert user.ui.submitButton.enabled


@pytest.mark.parametrize(
    ("fault", "lines", "words"),
    [
        (wrong_token(), 4, "Enter the access token"),
        (broken_server(), 3, "it is not a TumorLoop server"),
    ],
)
def test_the_connection_test_ends_at_what_is_to_be_mended(user: User, proxy, fault: Fault, lines, words):
    proxy.fault("GET /info/", fault)
    user.type("addressCombo", proxy.url)
    user.click("testButton")
    user.wait_idle()
    shown = user.ui.testText.text.split("\n")
    assert len(shown) == lines
    assert all(line.startswith("✓") for line in shown[:-1])
    assert shown[-1].startswith("✗")
    assert words in shown[-1]
    assert words in user.status
    assert user.ui.serverLight.property("tone") == "bad"
    assert not user.ui.sampleButton.enabled


def test_a_case_that_breaks_off_on_the_way_changes_nothing(at_work: User, proxy):
    user = at_work
    volumes, case = user.parameters.t2, user.parameters.case_id
    proxy.fault("GET /cases/*/volumes/t2", cut_response(1000), times=1)
    user.click("nextCaseButton")
    user.wait_idle()
    assert user.status.startswith("No case was loaded; the scene did not change.")
    assert (user.parameters.t2, user.parameters.case_id) == (volumes, case)
    user.click("nextCaseButton")
    user.wait_idle()
    assert user.tone == "good", user.status
