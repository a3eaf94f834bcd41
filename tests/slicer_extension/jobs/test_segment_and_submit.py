"""Segmenting and submitting on a real server: what is sent, what is sent again, and what a fault leaves behind."""

import dataclasses

import numpy as np
import pytest
from TumorLoopLib.client import TumorLoopClient
from TumorLoopLib.client.errors import ClientError, ConnectionLost, RequestRejected
from TumorLoopLib.jobs import open_case, segment, submit
from TumorLoopLib.jobs.jobs import Reporter
from TumorLoopLib.jobs.preparation import Preparing
from TumorLoopLib.jobs.segment import DownloadedCase, SegmentationRequest
from TumorLoopLib.jobs.submit import Submission
from TumorLoopLib.jobs.upload import UploadedSession
from TumorLoopLib.scene.roles import ROLES
from TumorLoopLib.scene.volumes import VolumeSnapshot, digest

from tests import synthetic
from tests.slicer_extension.client.proxy import cut_request, cut_response
from tests.slicer_extension.conftest import CASES
from tests.slicer_extension.scene.nodes import LABELS

ALL_FOUR = ["flair.nrrd", "t1.nrrd", "t1ce.nrrd", "t2.nrrd"]


def snapshots(seed: int = 0) -> dict[str, VolumeSnapshot]:
    """A synthetic head as Slicer would hold it; another seed makes another content."""
    grid = synthetic.brats_grid()
    volumes = {}
    for role in ROLES:
        array = np.ascontiguousarray(synthetic.head(grid, role).data.transpose(2, 1, 0)) + np.int16(seed)
        volumes[role] = VolumeSnapshot(role, f"id-{role}", role, array, grid.affine.astype(np.float64))
    return volumes


def with_changed(volumes, role):
    return {**volumes, role: dataclasses.replace(volumes[role], array=volumes[role].array + np.int16(1))}


def label_of(volumes) -> np.ndarray:
    label = np.zeros(volumes["t1ce"].array.shape, np.uint8)
    label[20:24, 20:26, 20:25] = 3
    return label


class Listening(Reporter):
    stages: list[str]

    def stage(self, stage):
        self.stages.append(stage)
        super().stage(stage)


class Panel:
    """What a panel would do, through a proxy that records the requests."""

    def __init__(self, proxy, server, folder):
        self.proxy, self.server, self.folder = proxy, server, folder
        self.client = TumorLoopClient(proxy.url, user="tester")
        self.uploaded = UploadedSession()
        self.stages: list[str] = []

    def segment(self, volumes, downloaded=None, with_uncertainty=False):
        request = SegmentationRequest(volumes, downloaded, with_uncertainty)
        reporter = Listening()
        reporter.stages = self.stages
        result = segment.segment(self.client, request, self.uploaded, reporter, self.folder)
        assert result.array.shape == volumes["t1ce"].array.shape
        return result

    def submit(self, case_id, volumes, on_server=""):
        info = [{"name": one.name, "idx": one.value} for one in LABELS.labels]
        params, matrix = {"label_info": info, "comment": "c", "status": "final"}, volumes["t1ce"].ijk_to_ras
        label = Submission(case_id, label_of(volumes), matrix, params, "final", volumes, on_server)
        return submit.submit(self.client, label, self.uploaded, Reporter(), self.folder)

    def download(self, case_id):
        case = open_case.open_case(self.client, case_id, Reporter(), self.folder)
        volumes = {role: VolumeSnapshot(role, role, role, *image) for role, image in case.volumes.items()}
        digests = {role: digest(volume) for role, volume in volumes.items()}
        return volumes, DownloadedCase(self.client.server_url, case_id, digests)

    @property
    def uploads(self) -> list[list[str]]:
        return [sorted(request.files) for request in self.proxy.requests_to("PUT /session/")]


@pytest.fixture
def panel(proxy, real_server, tmp_path) -> Panel:
    return Panel(proxy, real_server, tmp_path)


def test_the_result_has_the_grid_of_t1ce_and_only_changed_volumes_are_sent_again(panel):
    volumes = snapshots()
    result = panel.segment(volumes, with_uncertainty=True)
    assert result.array.dtype == np.uint8
    assert np.allclose(result.ijk_to_ras, volumes["t1ce"].ijk_to_ras)
    assert result.model_version
    array, matrix = result.uncertainty
    assert array.shape == result.array.shape
    assert np.allclose(matrix, result.ijk_to_ras)
    assert array.max() > 0
    order = list(dict.fromkeys(panel.stages))
    assert (order[:3], order[-1]) == (["preparing", "sending", "waiting"], "receiving")
    assert list(panel.folder.iterdir()) == []
    panel.segment(volumes)
    volumes = with_changed(volumes, "flair")
    panel.segment(volumes)
    matrix = volumes["t2"].ijk_to_ras.copy()
    matrix[0, 3] += 1.0
    panel.segment({**volumes, "t2": dataclasses.replace(volumes["t2"], ijk_to_ras=matrix)})
    assert panel.uploads == [ALL_FOUR, ["flair.nrrd"], ["t2.nrrd"]]
    panel.client = TumorLoopClient(panel.server.url)  # another server gets all volumes
    panel.segment(volumes)
    assert panel.uploaded.server == panel.server.url


@pytest.mark.parametrize("change", [False, True])
def test_all_volumes_are_sent_again_when_the_server_has_dropped_the_session(panel, change):
    volumes = snapshots()
    panel.segment(volumes)
    assert panel.server.request("DELETE", f"/session/{panel.uploaded.session}").status_code == 200
    panel.segment(with_changed(volumes, "t1") if change else volumes)
    assert panel.uploads[-1] == ALL_FOUR


def test_downloaded_volumes_are_sent_back_only_if_they_changed(panel):
    volumes, downloaded = panel.download(CASES[0])
    panel.segment(volumes, downloaded)
    assert panel.uploads == []
    panel.segment(with_changed(volumes, "t1"), downloaded)
    assert len(panel.uploads) == 1


@pytest.mark.parametrize(
    ("pattern", "fault"), [("PUT /session/", cut_request(20_000)), ("POST /infer/*", cut_response(300))]
)
def test_a_broken_connection_is_an_error_and_the_next_try_succeeds(panel, pattern, fault):
    volumes = snapshots()
    panel.proxy.fault(pattern, fault, times=1)
    with pytest.raises(ConnectionLost):
        panel.segment(volumes)
    assert list(panel.folder.iterdir()) == []
    panel.segment(volumes)


def test_a_case_of_the_users_own_is_uploaded_and_the_label_arrives_voxel_for_voxel(panel):
    volumes = snapshots(seed=11)
    done = panel.submit("own-1", volumes)
    assert [(entry["version"], entry["user"]) for entry in done.history] == [("v0001", "tester")]
    array, matrix = open_case.label_version(panel.client, "own-1", "v0001", Reporter(), panel.folder)
    assert np.array_equal(array, label_of(volumes))
    assert np.allclose(matrix, volumes["t1ce"].ijk_to_ras)
    with pytest.raises(RequestRejected) as caught:  # other images have that name
        panel.submit("own-1", snapshots(seed=14))
    assert caught.value.status == 409


def test_a_failed_submission_can_be_sent_again_and_makes_one_version(panel):
    volumes = snapshots(seed=12)
    panel.proxy.fault("PUT /datastore/label", cut_response(0), times=1)  # the server stores it, the reply is lost
    with pytest.raises(ClientError):
        panel.submit("own-2", volumes)
    assert [entry["version"] for entry in panel.submit("own-2", volumes).history] == ["v0001"]
    assert len(panel.uploads) == 1


def test_no_images_are_uploaded_for_a_case_of_the_server_which_is_recognized_by_its_images(panel):
    panel.submit(CASES[1], snapshots(), panel.client.server_url)
    volumes, _downloaded = panel.download(CASES[2])
    panel.submit(CASES[2], volumes, panel.server.url)  # an address other than the client's
    assert panel.uploads == []
    with pytest.raises(RequestRejected):  # a case of that name, but of another patient
        panel.submit(CASES[2], snapshots(seed=15), panel.server.url)


def test_whole_heads_that_are_said_to_be_stripped_are_refused_and_segmented_if_the_user_insists(panel, tmp_path):
    larger = np.diag([3.2, 3.2, 3.2, 1.0])  # more tissue than any brain
    volumes = {
        role: dataclasses.replace(volume, ijk_to_ras=volume.ijk_to_ras @ larger) for role, volume in snapshots().items()
    }

    def ask(**options):
        request, reporter = SegmentationRequest(volumes, preparing=Preparing(as_scanned=False), **options), Reporter()
        return segment.segment_or_ask(panel.client, request, panel.uploaded, reporter, tmp_path)

    refused, forced = ask(), ask(allow_whole_head=True)
    assert refused.reason.startswith("The volumes do not look skull-stripped")
    assert any(one.startswith("The volumes do not look skull-stripped") for one in forced.warnings)
    assert len(panel.proxy.requests_to("PUT /session/*")) == 1
