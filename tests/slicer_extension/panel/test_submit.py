"""Submitting: which label arrives, what is sent with it, and what happens when the scene changes meanwhile."""

import numpy as np
import pytest
import slicer
from TumorLoopLib.scene.inputs import mark_origin

from tests.slicer_extension.client.http_server import refusal
from tests.slicer_extension.panel.conftest import BOX, LABEL_VALUES, expected_labels, labels_of, world

EVERYWHERE = (slice(None), slice(None), slice(None))


def test_the_edited_segmentation_is_submitted_with_user_comment_and_model(segmented, case, server):
    user = segmented
    user.parameters.segmentation.GetSegmentation().GetNthSegment(0).SetName("my own name")
    user.paint(3, (slice(2, 6), slice(1, 4), slice(8, 15)))
    for field, text in (("caseIdEdit", "case-7"), ("userEdit", "Dr. Ann"), ("commentEdit", "more rim")):
        user.type(field, text)
    user.submit()
    assert user.tone == "good", user.status
    (label,) = server.labels["case-7"]
    expected = expected_labels(case)
    expected[2:6, 1:4, 8:15] = 3
    assert np.array_equal(label.image.array, expected)
    assert np.allclose(label.image.ijk_to_ras, world(case["t1ce"]), atol=1e-4)
    assert label.tag == label.params["status"] == "final"
    assert [label.params[key] for key in ("comment", "client_id", "model_version")] == ["more rim", "Dr. Ann", "v0001"]
    assert label.params["label_info"] == [{"name": name, "idx": value} for name, value in LABEL_VALUES.items()]
    assert len(server.uploads) == 1, "the volumes were sent twice"
    assert user.versions() == ["v0001"]
    assert user.ui.commentEdit.text == ""


@pytest.mark.parametrize("confirmed", [False, True])
def test_an_empty_segmentation_is_submitted_only_after_a_question(segmented, server, confirmed):
    segmented.paint(0, EVERYWHERE)
    segmented.services.answers.append(confirmed)
    segmented.submit()
    assert len(segmented.services.questions) == 1
    assert ("Nothing was submitted." in segmented.status) != confirmed
    assert [label.params["allow_empty"] for label in server.labels.get("case", [])] == [True] * confirmed
    assert segmented.ui.submitButton.enabled


def test_a_question_about_a_scene_that_was_closed_submits_nothing(segmented, server):
    segmented.paint(0, EVERYWHERE)
    confirm = segmented.services.confirm

    def close_scene_and_confirm(text, title):
        slicer.mrmlScene.Clear()
        segmented.services.answers.append(True)
        return confirm(text, title)

    segmented.services.confirm = close_scene_and_confirm
    segmented.click("submitButton")
    segmented.wait(lambda: segmented.services.questions)
    segmented.wait_idle()
    assert "the scene changed before the label was sent" in segmented.status
    assert server.labels == {}


def test_a_missing_segment_is_reported_and_an_edit_after_submitting_leads_back_to_correcting(segmented, case, server):
    inner = segmented.parameters.segmentation.GetSegmentation()
    inner.RemoveSegment(inner.GetNthSegmentID(1))
    segmented.submit()
    (label,) = server.labels["case"]
    expected = expected_labels(case)
    expected[expected == 2] = 0
    assert np.array_equal(label.image.array, expected), "the other labels must not move up"
    assert "There is no segment for peritumoral edema" in segmented.status
    assert (segmented.ui.correctSection.collapsed, segmented.ui.retrainSection.collapsed) == (True, False)
    segmented.paint(3, BOX)
    assert not segmented.ui.correctSection.collapsed


def test_a_draft_is_a_draft_and_can_be_loaded_as_a_new_segmentation(corrected, server):
    user, submitted = corrected, corrected.parameters.segmentation
    user.submit()
    (label,) = server.labels["in-the-middle"]
    assert label.tag == label.params["status"] == "draft"
    assert "draft" in user.status
    user.paint(2, (slice(10, 13), slice(3, 9), slice(4, 8)))
    user.select("historyTable", 0)
    user.finish("loadLabelButton")
    loaded = user.parameters.segmentation
    assert loaded is not submitted
    assert loaded.GetName() == "in-the-middle v0001"
    assert np.array_equal(labels_of(user), label.image.array)
    assert slicer.mrmlScene.GetNodeByID(submitted.GetID()) is submitted


def test_a_submission_that_fails_loses_nothing_and_can_be_sent_again(corrected, server):
    before = labels_of(corrected)
    server.failures["PUT /datastore/label"] = refusal(401, "token", "Invalid token")
    corrected.submit()
    assert corrected.tone == "bad"
    assert "not submitted. Nothing is lost" in corrected.status
    assert "Enter the access token under Server." in corrected.status
    assert corrected.ui.commentEdit.text == "not done yet"
    assert np.array_equal(labels_of(corrected), before)
    corrected.submit()
    assert corrected.tone == "good", corrected.status
    assert corrected.versions() == ["v0001"]


def test_sending_a_label_can_be_cancelled_within_a_second(sending):
    sending.click("submitCancelButton")
    sending.wait_for_status("Nothing was submitted", 1.0)
    assert sending.ui.submitButton.enabled


@pytest.mark.parametrize("stored", [True, False])
def test_a_label_that_is_being_sent_when_its_scene_is_closed_arrives_or_is_not_called_safe(sending, server, stored):
    slicer.mrmlScene.Clear()
    sending.run(0.2)
    assert server.labels == {}
    if not stored:
        server.labels = None  # an error in the server, which closes the connection
    server.may_store.set()
    sending.wait_for_status("Saved as draft v0001 of in-the-middle" if stored else "its scene was closed")
    assert sending.tone == ("good" if stored else "bad")
    assert (sending.panel.context.history, sending.parameters.case_id) == ([], "")
    assert not stored or np.any(server.labels["in-the-middle"][0].image.array)


def test_an_edit_while_a_label_is_sent_is_not_submitted(sending, server):
    sending.paint(1, BOX)
    server.may_store.set()
    sending.wait_for_status("Saved as draft v0001")
    assert not sending.panel.state().submitted
    assert not sending.ui.correctSection.collapsed


def test_closing_the_scene_before_a_label_is_sent_says_that_it_was_not(corrected, server):
    corrected.click("submitButton")
    slicer.mrmlScene.Clear()
    corrected.run(0.5)
    assert "Nothing was submitted" in corrected.status
    assert (corrected.panel.context.history, server.labels) == ([], {})


def test_volumes_are_sent_only_to_the_server_they_came_from_unless_the_user_agrees(segmented, hospital, case, server):
    hospital.type("caseIdEdit", "case-10")
    mark_origin(case["t1ce"], "http://127.0.0.1:1", "case-10")
    hospital.services.answers.append(False)
    hospital.submit()
    assert "Nothing was sent" in hospital.status
    assert "http://hospital:8000" in hospital.services.questions[0]
    assert server.labels == {}
