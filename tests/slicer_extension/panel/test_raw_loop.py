"""The whole loop on a study as it was scanned, by mouse and on the real server, from the DICOM database and back."""

import numpy as np
import pydicom
import pytest
import slicer
from TumorLoopLib.scene import alignment, brain
from TumorLoopLib.scene.segment_copy import combine

from tests.server_app.conftest import load
from tests.slicer_extension.harness import dicom_database
from tests.slicer_extension.panel.conftest import labels_of, world
from tests.slicer_extension.panel.screenshots import bundled_server
from tests.slicer_extension.scene.nodes import erase
from training.dicom.seg_read import read_seg
from training.images.grid import Grid
from training.images.resample import index_map, resample_mask
from training.phantoms.raw import raw_study
from training.phantoms.raw_files import write_dicom

BOX = (slice(8, 10), slice(40, 44), slice(30, 38))


def grid_of(array_kji: np.ndarray, matrix: np.ndarray) -> Grid:
    k, j, i = array_kji.shape
    return Grid((i, j, k), matrix)


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return 2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other))


@pytest.fixture(scope="module")
def study():
    """A raw study whose patient moved between the series, and its folder of DICOM files."""
    return raw_study(2, degrees=15, mm=12, small=True)


@pytest.fixture
def user(qt_user, study, tmp_path):
    """A user whose DICOM database has the study, and whose scene has its series."""
    qt_user.patience = 400  # registering and stripping take half a minute on two free cores
    write_dicom(study, tmp_path / "study")
    with dicom_database.running(tmp_path / "database"):
        for folder in sorted((tmp_path / "study").iterdir()):
            dicom_database.import_and_load(sorted(folder.iterdir()))
        yield qt_user


def check_what_is_shown(user, study):
    """Check the preparation against what is true of the phantom."""
    reference = grid_of(slicer.util.arrayFromVolume(user.parameters.t1ce), world(user.parameters.t1ce))
    for role in ("t1", "t2", "flair"):
        node = getattr(user.parameters, role)
        scanned = alignment.ijk_to_ras_to_send(node)
        assert study.error(role, scanned @ np.linalg.inv(world(node))) < 2.0, role
    mask = combine(brain.copy_of(user.parameters.brain))
    grid = grid_of(mask.array, mask.ijk_to_ras)
    truth = resample_mask(study.brain.data > 0, index_map(study.brain.grid.affine, grid.affine), grid.shape)
    assert dice(mask.array.transpose(2, 1, 0) > 0, truth) > 0.9
    truth = resample_mask(study.label.data > 0, index_map(study.label.grid.affine, reference.affine), reference.shape)
    assert dice(labels_of(user).transpose(2, 1, 0) > 0, truth) > 0.5


def erase_a_corner(user):
    """Erase a slab of the brain mask between two clicks on Edit mask."""
    user.click("editBrainButton")
    node = user.ui.editor.segmentationNode()
    assert node is user.parameters.brain
    erase(node, np.s_[:3])
    user.click("editBrainButton")
    assert user.status == "The brain mask was changed; the next Auto-segment uses it."


@pytest.mark.slow
def test_the_whole_loop_on_a_study_as_it_was_scanned(user, study, tmp_path):
    with bundled_server(tmp_path) as server:
        user.connect(server.url)
        user.wait(lambda: user.ui.segmentButton.enabled)
        case = user.parameters.case_id
        assert case.startswith("study-")
        assert user.ui.scannedCheck.checked
        user.segment()
        assert user.tone in ("good", "warn"), user.status
        check_what_is_shown(user, study)
        session = user.panel.context.uploaded.session
        erase_a_corner(user)
        user.segment()
        assert user.panel.context.uploaded.session == session, "all series were sent again"
        assert brain.was_edited(user.parameters.brain)
        check_what_is_shown(user, study)
        assert "Registered FLAIR to T1 with contrast" in user.ui.preparationText.text
        user.paint(3, BOX)
        user.wait_for_changes("differ")
        labels = labels_of(user)
        user.submit()
        assert user.tone == "good", user.status
        stored = load(server.workspace / "labels" / case / "v0001" / "label.nii.gz")
        assert np.array_equal(np.asarray(stored.dataobj).transpose(2, 1, 0), labels)
        assert np.allclose(stored.affine, world(user.parameters.t1ce), atol=1e-3)
        user.wait(lambda: user.ui.retrainButton.enabled, what=user.ui.retrainReason.text)
        user.type("epochsSpin", "1")
        user.click("retrainButton")
        user.wait(lambda: user.panel.state().training)
        user.wait(lambda: "Mean Dice" in user.ui.resultText.text, 600, "the comparison of old and new")
        user.dialogs.choose_path(str(tmp_path / "exported.dcm"))
        user.finish("exportButton")
        assert "added to the study" in user.status
        check_seg(tmp_path / "exported.dcm", study, user.parameters.t1ce, labels)


@pytest.mark.slow
def test_a_real_patient_who_moved_between_series_of_thick_slices(qt_user, tmp_path, real_cases):
    """A stripped patient, so only registered: the result lies on the thick slices, as large as the experts' tumor."""
    qt_user.patience = 400
    with bundled_server(tmp_path) as server:
        qt_user.connect(server.url)
        qt_user.load_folder(real_cases / "TCGA-FG-6692_native")
        qt_user.wait(lambda: qt_user.ui.segmentButton.enabled)
        assert qt_user.ui.scannedCheck.checked
        before = {role: world(getattr(qt_user.parameters, role)) for role in ("t1", "t1ce", "t2", "flair")}
        qt_user.segment()
        assert "Registered T1 to T1 with contrast" in qt_user.ui.preparationText.text
        assert np.allclose(world(qt_user.parameters.t1ce), before["t1ce"])
        turn = world(qt_user.parameters.t1) @ np.linalg.inv(before["t1"])
        assert 5 < np.degrees(np.arccos((np.trace(turn[:3, :3]) - 1) / 2)) < 20, "this patient turned the head"
        whole_tumor = float(qt_user.table("regionTable")[0][1])
        assert 20 < whole_tumor < 45, "30 mL by the consensus of five algorithms"


def check_seg(path, study, reference, labels):
    """Check the file: the patient, the images it refers to, and every voxel."""
    saved = pydicom.dcmread(path)
    assert str(saved.PatientName) == f"Phantom^Raw {study.seed}"
    assert saved.SOPInstanceUID in slicer.dicomDatabase.instances()
    (series,) = saved.ReferencedSeriesSequence
    referred = {str(one.ReferencedSOPInstanceUID) for one in series.ReferencedInstanceSequence}
    assert referred == set(reference.GetAttribute("DICOM.instanceUIDs").split())
    found = read_seg(path)
    grid = grid_of(labels, world(reference))
    to_own, own = index_map(found.grid.affine, grid.affine), np.zeros(grid.shape, np.uint8)
    for value in (1, 2, 3):
        own[resample_mask(found.data == value, to_own, grid.shape)] = value
    assert np.array_equal(own.transpose(2, 1, 0), labels)
