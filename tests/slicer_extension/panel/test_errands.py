"""What the panel asks of a real server, and what goes over the line for it."""

from __future__ import annotations

import dataclasses
import threading
import time

import numpy as np
import pytest
from TumorLoopLib.client import TumorLoopClient
from TumorLoopLib.client.errors import BadReply, Cancelled, ClientError, ConnectionLost, RequestRejected, ServerFailed
from TumorLoopLib.jobs import open_case, segment_and_submit
from TumorLoopLib.jobs.jobs import Reporter
from TumorLoopLib.jobs.segment_and_submit import DownloadedCase, SegmentationRequest, Submission
from TumorLoopLib.jobs.upload import UploadedSession
from TumorLoopLib.scene.volumes import VolumeSnapshot, digest

from tests.slicer_extension.client.proxy import (
    broken_server,
    cut_request,
    cut_response,
    delay,
    full_disk,
    wrong_token,
)
from tests.slicer_extension.panel.conftest import CASES, head_arrays

LABEL_INFO = [{"name": "necrotic core", "idx": 1}, {"name": "peritumoral edema", "idx": 2}]


def snapshots(seed: int = 0) -> dict[str, VolumeSnapshot]:
    return {role: VolumeSnapshot(role, f"id-{role}", role, *image) for role, image in head_arrays(seed).items()}


@pytest.fixture
def client(proxy) -> TumorLoopClient:
    return TumorLoopClient(proxy.url, user="tester")


def uploads(proxy) -> list[list[str]]:
    return [sorted(request.files) for request in proxy.requests_to("PUT /session/")]


def edited(array: np.ndarray) -> np.ndarray:
    label = array.copy()
    label[20:24, 20:26, 20:25] = 3
    return label


def submission(case_id: str, label: np.ndarray, volumes, on_server: str = "") -> Submission:
    params = {"label_info": [*LABEL_INFO, {"name": "enhancing tumor", "idx": 3}], "comment": "c", "status": "final"}
    return Submission(case_id, label, volumes["t1ce"].ijk_to_ras, params, "final", volumes, on_server)


class TestSegmenting:
    def test_the_answer_lies_on_the_grid_of_t1ce_and_stages_were_told(self, client, tmp_path):
        seen: list[str] = []

        class Listening(Reporter):
            def stage(self, stage: str) -> None:
                seen.append(stage)
                super().stage(stage)

        volumes = snapshots()
        answer = segment_and_submit.segment(
            client, SegmentationRequest(volumes), UploadedSession(), Listening(), tmp_path
        )
        assert answer.array.shape == volumes["t1ce"].array.shape
        assert answer.array.dtype == np.uint8
        assert np.allclose(answer.ijk_to_ras, volumes["t1ce"].ijk_to_ras)
        assert answer.model_version
        order = [stage for number, stage in enumerate(seen) if stage not in seen[:number]]
        assert order[:3] == ["preparing", "sending", "waiting"]
        assert order[-1] == "receiving"
        assert list(tmp_path.iterdir()) == []

    def test_unchanged_volumes_are_sent_once_and_changed_ones_alone(self, client, proxy, tmp_path):
        sent, volumes = UploadedSession(), snapshots()
        segment_and_submit.segment(client, SegmentationRequest(volumes), sent, Reporter(), tmp_path)
        segment_and_submit.segment(client, SegmentationRequest(volumes), sent, Reporter(), tmp_path)
        assert len(uploads(proxy)) == 1
        changed = dataclasses.replace(volumes["flair"], array=volumes["flair"].array + np.int16(3))
        segment_and_submit.segment(
            client, SegmentationRequest({**volumes, "flair": changed}), sent, Reporter(), tmp_path
        )
        assert uploads(proxy) == [["flair.nrrd", "t1.nrrd", "t1ce.nrrd", "t2.nrrd"], ["flair.nrrd"]]

    def test_a_moved_volume_is_a_changed_one(self, client, proxy, tmp_path):
        sent, volumes = UploadedSession(), snapshots()
        segment_and_submit.segment(client, SegmentationRequest(volumes), sent, Reporter(), tmp_path)
        matrix = volumes["t2"].ijk_to_ras.copy()
        matrix[0, 3] += 1.0
        moved = {**volumes, "t2": dataclasses.replace(volumes["t2"], ijk_to_ras=matrix)}
        segment_and_submit.segment(client, SegmentationRequest(moved), sent, Reporter(), tmp_path)
        assert uploads(proxy)[-1] == ["t2.nrrd"]

    @pytest.mark.parametrize("change", [False, True])
    def test_a_session_that_the_server_forgot_is_sent_again_whole(self, client, proxy, server, tmp_path, change):
        sent, volumes = UploadedSession(), snapshots()
        segment_and_submit.segment(client, SegmentationRequest(volumes), sent, Reporter(), tmp_path)
        assert server.request("DELETE", f"/session/{sent.session}").status_code == 200
        if change:
            volumes = {**volumes, "t1": dataclasses.replace(volumes["t1"], array=volumes["t1"].array + np.int16(1))}
        answer = segment_and_submit.segment(client, SegmentationRequest(volumes), sent, Reporter(), tmp_path)
        assert answer.array.shape == volumes["t1ce"].array.shape
        assert len(uploads(proxy)[-1]) == 4

    def test_another_server_gets_everything(self, client, proxy, server, tmp_path):
        sent, volumes = UploadedSession(), snapshots()
        segment_and_submit.segment(client, SegmentationRequest(volumes), sent, Reporter(), tmp_path)
        segment_and_submit.segment(
            TumorLoopClient(server.url), SegmentationRequest(volumes), sent, Reporter(), tmp_path
        )
        assert sent.server == server.url

    def test_the_servers_own_volumes_are_not_sent_back_unless_they_changed(self, client, proxy, tmp_path):
        case = open_case.open_case(client, CASES[0], Reporter(), tmp_path)
        volumes = {role: VolumeSnapshot(role, role, role, *image) for role, image in case.volumes.items()}
        served = DownloadedCase(client.server_url, CASES[0], {role: digest(volume) for role, volume in volumes.items()})
        answer = segment_and_submit.segment(
            client, SegmentationRequest(volumes, served), UploadedSession(), Reporter(), tmp_path
        )
        assert answer.array.shape == volumes["t1ce"].array.shape
        assert uploads(proxy) == []
        volumes["t1"] = dataclasses.replace(volumes["t1"], array=volumes["t1"].array + np.int16(1))
        segment_and_submit.segment(
            client, SegmentationRequest(volumes, served), UploadedSession(), Reporter(), tmp_path
        )
        assert len(uploads(proxy)) == 1

    def test_the_uncertainty_map_comes_along_when_it_is_asked_for(self, client, tmp_path):
        volumes = snapshots()
        answer = segment_and_submit.segment(
            client, SegmentationRequest(volumes, with_uncertainty=True), UploadedSession(), Reporter(), tmp_path
        )
        assert answer.uncertainty is not None
        array, matrix = answer.uncertainty
        assert array.shape == answer.array.shape
        assert np.allclose(matrix, answer.ijk_to_ras)
        assert array.max() > 0

    def test_cancel_ends_within_a_second_and_on_the_server_too(self, client, server, proxy, tmp_path):
        reporter = Reporter()
        volumes = snapshots()
        segment_and_submit.segment(
            client, SegmentationRequest(volumes), sent := UploadedSession(), Reporter(), tmp_path
        )
        ended: list[float] = []

        def work() -> None:
            with pytest.raises(Cancelled):
                segment_and_submit.segment(client, SegmentationRequest(volumes), sent, reporter, tmp_path)
            ended.append(time.monotonic())

        proxy.fault("POST /infer/*", delay(20))  # so that there is something to cancel
        thread = threading.Thread(target=work)
        thread.start()
        time.sleep(0.8)
        asked = time.monotonic()
        reporter.cancel.set()
        thread.join(5)
        assert ended
        assert ended[0] - asked < 1.0
        give_up = time.monotonic() + 5
        while not proxy.requests_to("DELETE /jobs/*"):
            assert time.monotonic() < give_up, "the server was not told"
            time.sleep(0.05)

    def test_an_answer_on_another_grid_is_refused(self, client, proxy, tmp_path):
        case = open_case.open_case(client, CASES[0], Reporter(), tmp_path)
        volumes = {role: VolumeSnapshot(role, role, role, *image) for role, image in case.volumes.items()}
        volumes["t1ce"] = dataclasses.replace(volumes["t1ce"], array=volumes["t1ce"].array[:-1])
        digests = {role: digest(volume) for role, volume in volumes.items()}
        order = SegmentationRequest(volumes, DownloadedCase(client.server_url, CASES[0], digests))
        with pytest.raises(BadReply, match="grid"):
            segment_and_submit.segment(client, order, UploadedSession(), Reporter(), tmp_path)

    @pytest.mark.parametrize(
        ("pattern", "fault", "error"),
        [
            ("PUT /session/", cut_request(20_000), ConnectionLost),
            ("PUT /session/", full_disk(), ServerFailed),
            ("POST /infer/*", cut_response(300), ConnectionLost),
            ("POST /infer/*", broken_server(), ServerFailed),
            ("POST /infer/*", wrong_token(), RequestRejected),
        ],
    )
    def test_a_fault_ends_in_an_error_and_the_next_try_succeeds(self, client, proxy, tmp_path, pattern, fault, error):
        sent, volumes = UploadedSession(), snapshots()
        proxy.fault(pattern, fault, times=1)
        with pytest.raises(error):
            segment_and_submit.segment(client, SegmentationRequest(volumes), sent, Reporter(), tmp_path)
        assert list(tmp_path.iterdir()) == []
        assert segment_and_submit.segment(client, SegmentationRequest(volumes), sent, Reporter(), tmp_path).array.size


class TestSubmitting:
    def test_a_case_of_the_scenes_own_is_made_on_the_server_and_the_label_arrives_voxel_for_voxel(
        self, client, server, tmp_path
    ):
        volumes = snapshots(seed=11)
        label = edited(np.zeros(volumes["t1ce"].array.shape, np.uint8))
        done = segment_and_submit.submit(
            client, submission("own-1", label, volumes), UploadedSession(), Reporter(), tmp_path
        )
        assert [entry["version"] for entry in done.history] == ["v0001"]
        assert done.history[0]["user"] == "tester"
        array, matrix = open_case.label_version(client, "own-1", "v0001", Reporter(), tmp_path)
        assert np.array_equal(array, label)
        assert np.allclose(matrix, volumes["t1ce"].ijk_to_ras)

    def test_a_case_of_the_server_gets_the_label_without_any_upload_of_images(self, client, proxy, tmp_path):
        volumes = snapshots()
        label = edited(np.zeros(volumes["t1ce"].array.shape, np.uint8))
        where = submission(CASES[1], label, volumes, client.server_url)
        segment_and_submit.submit(client, where, UploadedSession(), Reporter(), tmp_path)
        assert uploads(proxy) == []

    def test_a_failed_submission_can_be_sent_again_and_makes_one_version(self, client, proxy, tmp_path):
        volumes = snapshots(seed=12)
        label = edited(np.zeros(volumes["t1ce"].array.shape, np.uint8))
        sent, order = UploadedSession(), submission("own-2", label, volumes)
        proxy.fault("PUT /datastore/label", cut_response(0), times=1)  # the server stores it, the answer is lost
        with pytest.raises(ClientError):
            segment_and_submit.submit(client, order, sent, Reporter(), tmp_path)
        done = segment_and_submit.submit(client, order, sent, Reporter(), tmp_path)
        assert [entry["version"] for entry in done.history] == ["v0001"]
        assert len(uploads(proxy)) == 1

    def test_the_name_of_other_images_is_refused(self, client, tmp_path):
        label = edited(np.zeros(snapshots()["t1ce"].array.shape, np.uint8))
        segment_and_submit.submit(
            client, submission("own-3", label, snapshots(seed=13)), UploadedSession(), Reporter(), tmp_path
        )
        with pytest.raises(RequestRejected) as caught:
            segment_and_submit.submit(
                client, submission("own-3", label, snapshots(seed=14)), UploadedSession(), Reporter(), tmp_path
            )
        assert caught.value.status == 409

    def test_a_case_that_came_from_elsewhere_is_known_again_by_its_images(self, client, proxy, server, tmp_path):
        case = open_case.open_case(client, CASES[2], Reporter(), tmp_path)
        volumes = {role: VolumeSnapshot(role, role, role, *image) for role, image in case.volumes.items()}
        label = edited(np.zeros(volumes["t1ce"].array.shape, np.uint8))
        segment_and_submit.submit(
            client, submission(CASES[2], label, volumes, server.url), UploadedSession(), Reporter(), tmp_path
        )
        assert uploads(proxy) == []
        other = submission(CASES[2], label, snapshots(seed=15), server.url)
        with pytest.raises(RequestRejected):  # a case of that name, but of another patient
            segment_and_submit.submit(client, other, UploadedSession(), Reporter(), tmp_path)
