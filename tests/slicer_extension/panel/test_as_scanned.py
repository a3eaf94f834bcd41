"""Volumes as they were scanned: what is asked of the server, and how its answer is shown, checked and corrected."""

from pathlib import Path

import numpy as np
import pytest
import slicer
from TumorLoopLib.scene import alignment, brain, geometry

from tests.slicer_extension.client.http_server import refusal
from tests.slicer_extension.harness import dicom_database
from tests.slicer_extension.panel import dicom_study
from tests.slicer_extension.panel.conftest import BOX, LEVELS, NAMES, labels_of, world
from tests.slicer_extension.panel.server import read, write
from tests.slicer_extension.scene.nodes import add_transform, ball, erase, image, moved_by, oblique

#: From a place in T1ce to the same place in T2, as the server's registration found it.
FOUND = moved_by(3.0, (2.0, -4.0, 6.0))
BRAIN_GRID = oblique((1.0, 1.0, 1.0), (4.0, 0.0, 2.0), (-15.0, -12.0, -9.0))
BRAIN = ball((30, 32, 34), (15, 16, 17), 11).astype(np.uint8)
#: The thick slices of the series, each on a grid of its own.
GRIDS = {
    "t1": oblique((0.9, 0.9, 5.5)),
    "t1ce": oblique((1.0, 0.9, 5.0), (2.0, 8.0, -3.0)),
    "t2": oblique((0.8, 0.8, 6.0), (0.0, 15.0, 1.0)),
    "flair": oblique((0.9, 0.9, 5.5), (5.0, 5.0, 5.0)),
}


@pytest.fixture
def study(scene, tmp_path):
    """A study in Slicer's DICOM database, its four series loaded by Slicer's reader; the volumes by role."""
    with dicom_database.running(tmp_path / "database"):
        volumes = {}
        for number, (role, name) in enumerate(NAMES.items(), start=1):
            array = image((18, 20, 24), number) % 90
            if role == "t1ce":
                for level, k in zip(LEVELS, (3, 7, 11), strict=True):
                    array[k : k + 3, 4 : 5 + k, 6:19] = level + 20
            files = dicom_study.write_series(tmp_path / "files" / role, array, GRIDS[role], number, name)
            volumes[role] = dicom_database.import_and_load(files)
        yield volumes


@pytest.fixture
def raw(study, user, server):
    """A user with the study in the selectors; the server prepares what it is sent."""
    server.preprocessing = {
        "reference": "t1ce",
        "forced": False,
        "steps": ["Registered T2 to T1 with contrast: 3.2 degrees, 8 mm, similarity 1.05.", "Stripped the skull."],
        "alignments": {
            "t2": {"matrix": FOUND.tolist(), "degrees": 3.2, "mm": 7.5, "similarity": 1.052, "moved": True},
            "t1": {"matrix": FOUND.tolist(), "degrees": 0.1, "mm": 0.2, "similarity": 1.061, "moved": False},
        },
        "brain_ml": 1310.2,
        "warnings": [],
    }
    server.brain = write(BRAIN, BRAIN_GRID)
    user.connect(server.url)
    user.wait(lambda: user.ui.segmentButton.enabled)
    return user


def test_series_from_the_database_are_recognized_by_their_descriptions_and_named_after_their_study(raw, study):
    for role, node in study.items():
        assert getattr(raw.parameters, role) is node, role
        node.SetName(f"volume {role[::-1]}")
    raw.click("recognizeButton")
    assert raw.status == "All four volumes were recognized."
    assert raw.parameters.case_id.startswith("study-")
    assert len(raw.parameters.case_id) == len("study-12345678")
    assert dicom_study.PATIENT.partition("^")[0] not in raw.parameters.case_id


def test_the_checkbox_is_set_by_the_images_and_then_by_the_servers_answer_until_the_user_sets_it(raw, server):
    assert raw.ui.scannedCheck.checked
    assert "do not share one grid" in raw.ui.scannedCheck.toolTip
    raw.segment()
    assert raw.ui.scannedCheck.checked
    server.preprocessing = None  # the server has looked more closely
    raw.segment()
    assert not raw.ui.scannedCheck.checked
    raw.click("scannedCheck")
    raw.segment()
    raw.click("scannedCheck")
    raw.segment()
    assert [one.get("as_scanned") for one in server.inferences] == [None, None, True, False]
    assert [len(upload) for upload in server.uploads] == [4, 4, 4], "a session is not told twice what it holds"


def test_prepared_volumes_are_not_as_scanned_and_nothing_of_it_is_shown(segmented, server):
    assert not segmented.ui.scannedCheck.checked
    assert "as_scanned" not in server.inferences[0]
    for name in ("preparationText", "alignedButton", "brainButton", "editBrainButton"):
        assert not getattr(segmented.ui, name).visible, name
    assert server.extras == [{}]


@pytest.mark.parametrize("under_transform", [False, True])
def test_the_result_lies_on_the_native_grid_and_the_series_on_the_reference_while_the_user_wants(
    raw, study, server, under_transform
):
    if under_transform:  # of the user's own, for the whole case
        add_transform(moved_by(25.0), *study.values())
    parent = study["t1ce"].GetParentTransformNode()
    before = {role: world(node) for role, node in study.items()}
    segmentation = raw.segment()
    expected = np.digitize(slicer.util.arrayFromVolume(study["t1ce"]), LEVELS)
    assert np.array_equal(labels_of(raw), expected)
    assert segmentation.GetParentTransformNode() is parent
    assert raw.parameters.brain.GetParentTransformNode() is parent
    assert np.allclose(server.sessions["session0"]["t1ce"].ijk_to_ras, before["t1ce"], atol=1e-3)
    assert raw.ui.preparationText.text == "\n".join(server.preprocessing["steps"])
    aligned = np.linalg.inv(FOUND) @ before["t2"]
    for shown in (aligned, before["t2"], aligned):
        assert np.allclose(world(study["t2"]), shown, atol=1e-6)
        assert raw.ui.alignedButton.checked == (shown is aligned)
        raw.click("alignedButton")
    for role in ("t1", "t1ce", "flair"):
        assert np.allclose(world(study[role]), before[role])


def test_a_second_segmentation_sends_nothing_again_although_the_series_were_moved(raw, study, server):
    raw.segment()
    raw.segment()
    assert len(server.uploads) == 1
    assert np.allclose(server.sessions["session0"]["t2"].ijk_to_ras, GRIDS["t2"], atol=1e-3)
    transform = alignment.transform_of(study["t2"])
    transform.SetMatrixTransformToParent(geometry.matrix_of(moved_by(1.0, (0.5, 0.0, 0.0))))  # the user corrects it
    raw.segment()
    assert len(server.uploads) == 2
    assert len(server.uploads[1]) == 4, "the server has deleted the raw volumes"


def test_the_brain_mask_is_shown_hidden_and_edited_instead_of_the_segmentation(raw):
    segmentation = raw.segment()
    mask, editor = raw.parameters.brain, raw.ui.editor
    for shown in (True, False, True):
        assert (mask.GetDisplayNode().GetVisibility(), raw.ui.brainButton.checked) == (shown, shown)
        raw.click("brainButton")
    raw.click("editBrainButton")
    assert editor.segmentationNode() is mask
    assert mask.GetDisplayNode().GetVisibility()
    assert "until Edit mask is clicked again" in raw.ui.editorText.text
    assert raw.parameters.segmentation is segmentation
    raw.click("editBrainButton")
    assert editor.segmentationNode() is segmentation
    raw.click("editBrainButton")
    erase(mask, np.s_[:4])
    raw.click("editBrainButton")
    assert raw.status == "The brain mask was changed; the next Auto-segment uses it."


def test_an_edited_mask_cuts_the_session_and_a_larger_one_is_sent_with_the_volumes(raw, server):
    raw.segment()
    erase(raw.parameters.brain, np.s_[:4])
    raw.segment()
    sent = read(server.brain)
    expected = BRAIN.copy()
    expected[:8] = 0  # the segment begins in slab 4
    assert np.array_equal(sent.array, expected)
    assert np.allclose(sent.ijk_to_ras, BRAIN_GRID, atol=1e-6)
    assert len(server.uploads) == 1
    assert brain.was_edited(raw.parameters.brain)
    raw.segment()
    assert sum(asked.startswith("PUT /session/session") for asked in server.asked) == 1, "the server has it already"
    erase(raw.parameters.brain, np.s_[4:6])  # the segment begins in slab 8
    server.failures["PUT /session/session0/brain"] = refusal(422, "brain", "The mask adds what was deleted.")
    raw.segment()
    assert len(server.uploads) == 2
    expected[12:14] = 0
    assert np.array_equal(read(server.extras[1]["brain.nrrd"]).array, expected)
    slicer.mrmlScene.RemoveNode(raw.parameters.brain)  # back to the server's own
    raw.segment()
    assert len(server.uploads) == 3
    assert "brain.nrrd" not in server.extras[2]


def test_only_headers_of_the_reference_are_sent_and_the_seg_that_comes_back_names_the_patient(
    raw, study, server, tmp_path
):
    import pydicom

    raw.segment()
    assert len(server.extras[0]["dicom.zip"]) < 20_000
    assert not raw.ui.exportButton.visible
    raw.submit()
    server.seg = dicom_study.write_seg(tmp_path / "made.dcm")
    path = tmp_path / "exported.dcm"
    raw.services.folders.append(str(path))
    raw.finish("exportButton")
    assert raw.services.proposed.endswith(f"{raw.parameters.case_id}-v0001-seg.dcm")
    assert raw.status == f"Saved as {path}, and added to the study in Slicer's DICOM database."
    saved = pydicom.dcmread(path)
    assert (str(saved.PatientName), saved.PatientID) == (dicom_study.PATIENT, "0815")
    assert saved.SOPInstanceUID in slicer.dicomDatabase.instances()
    raw.paint(3, BOX)
    raw.wait(lambda: not raw.ui.exportButton.enabled)
    assert "Submit the segmentation first" in raw.ui.exportButton.toolTip
    raw.select("historyTable", 0)
    assert raw.ui.exportButton.enabled


def test_a_series_that_its_headers_do_not_fit_any_more_or_whose_files_are_gone_is_segmented_all_the_same(raw, server):
    server.failures["PUT /session/"] = refusal(422, "dicom", "No series has the voxels of T1 with contrast.")
    raw.segment()
    assert server.extras == [{}]
    raw.parameters.t2.SetSpacing(1.0, 1.0, 1.0)
    raw.segment()
    assert list(server.extras[1]) == ["dicom.zip"]
    uid = raw.parameters.t1ce.GetAttribute("DICOM.instanceUIDs").split()[3]
    Path(slicer.dicomDatabase.fileForInstance(uid)).unlink()
    raw.parameters.t2.SetSpacing(2.0, 1.0, 1.0)
    raw.segment()
    assert server.extras[2] == {}


def test_an_export_without_a_database_says_so_and_a_refused_one_saves_nothing(segmented, server, tmp_path):
    segmented.submit()
    path = tmp_path / "exported.dcm"
    path.write_bytes(b"before")
    segmented.services.folders.append("")
    segmented.finish("exportButton")
    assert segmented.tone == "good", "the user changed their mind"
    route = f"GET /cases/{segmented.parameters.case_id}/labels/v0001"
    server.failures[route] = refusal(422, "output", "Nothing is known of the DICOM series.")
    segmented.services.folders.append(str(path))
    segmented.finish("exportButton")
    assert segmented.status == "No DICOM SEG was saved. Nothing is known of the DICOM series."
    server.seg = b"NIfTI of an earlier release"
    segmented.services.folders.append(str(path))
    segmented.finish("exportButton")
    assert "does not write DICOM SEG" in segmented.status
    assert path.read_bytes() == b"before"
    server.seg = dicom_study.write_seg(tmp_path / "made.dcm")
    segmented.services.folders.append(str(path))
    segmented.finish("exportButton")
    assert segmented.status.startswith(f"Saved as {path}. It was not added to Slicer's DICOM database")
    assert path.read_bytes() == server.seg
    assert list(segmented.services.temporary_folder.iterdir()) == []


def test_what_the_server_distrusts_is_forced_only_after_a_question_and_then_also_when_it_is_submitted(raw, server):
    reason = "T2 could not be aligned to T1 with contrast. To go on all the same, use force."
    server.failures["POST /infer/tumorloop"] = refusal(422, "t2", "T2 is damaged.")
    raw.finish("segmentButton")
    assert raw.services.questions == []
    assert raw.status.endswith("T2 is damaged.")
    raw.services.answers.extend([False, True])
    for confirmed in (False, True):
        server.failures["POST /infer/tumorloop"] = refusal(422, "t2", reason)
        raw.finish("segmentButton")
        assert raw.services.questions[-1].startswith(reason)
        assert (raw.parameters.segmentation is not None) == confirmed
        assert raw.tone == ("good" if confirmed else "bad")
    assert [one.get("force") for one in server.inferences] == [True]
    raw.submit()
    stored = next(asked for asked in server.asked if asked.startswith("PUT /cases/"))
    assert "session_id" in stored
    assert server.case_params["force"] is True


def test_a_case_that_the_server_has_prepared_is_shown_where_it_lies_with_the_mask_it_was_cut_to(raw, study, server):
    raw.segment()
    server.cases["stored"] = server.sessions["session0"]
    raw.wait(lambda: raw.ui.nextCaseButton.enabled)
    raw.finish("nextCaseButton")
    raw.wait(lambda: raw.panel.context.downloaded and raw.ui.segmentButton.enabled)
    assert not raw.ui.scannedCheck.checked, "its volumes lie on several grids, but the server has seen to them"
    before = world(raw.parameters.t2)
    raw.segment()
    assert len(server.uploads) == 1
    assert np.allclose(world(raw.parameters.t2), before)
    assert not raw.ui.scannedCheck.checked
    assert raw.ui.preparationText.text == "\n".join(server.preprocessing["steps"])
    assert (raw.ui.alignedButton.visible, raw.ui.brainButton.visible) == (False, True)


def test_the_progress_names_what_the_server_does(raw, server):
    server.may_infer.clear()
    raw.click("segmentButton")
    for stage, text in (
        ("reading", "Reading the volumes, 50%"),
        ("registering", "Registering the series, 50%"),
        ("stripping", "Finding the brain, 50%"),
        ("computing", "Computing, 50%"),
        ("restoring", "Restoring the grid, 50%"),
    ):
        server.stage = stage
        raw.wait(lambda text=text: raw.ui.segmentProgress.text.startswith(text), what=text)
    server.may_infer.set()
    raw.wait_idle()


def test_a_saved_scene_and_the_next_case_find_things_as_they_were(raw, study, server, tmp_path):
    raw.segment()
    text = raw.ui.preparationText.text
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    raw.panel.case._clear_case("another")
    raw.run(0.3)
    assert (raw.parameters.brain, raw.ui.brainButton.visible, raw.ui.preparationText.visible) == (None, False, False)
    slicer.mrmlScene.Clear()
    raw.run(0.3)
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    raw.wait(lambda: raw.ui.preparationText.text == text)
    assert (raw.ui.alignedButton.checked, raw.ui.brainButton.checked) == (True, True)
    raw.segment()
    assert len(server.uploads) == 1, "the volumes are those of before"


def test_a_reply_that_cannot_be_understood_changes_nothing(raw, server):
    server.preprocessing["alignments"]["t2"]["matrix"] = [[0.0] * 4] * 4
    raw.finish("segmentButton")
    assert raw.parameters.segmentation is None
    assert "did not say clearly how it has prepared" in raw.status
