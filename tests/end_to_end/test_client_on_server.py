"""The client against the real server: every call, and the refusals a clinician may meet. One server for all tests."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nibabel
import numpy as np
import pytest
from TumorLoopLib.client import TumorLoopClient, new_job_id
from TumorLoopLib.client.errors import Cancelled, RequestRejected

from tests import synthetic
from tests.server_app.conftest import Server, eventually, serving, tiny_model
from training.cases.case import DECATHLON_ORDER
from training.images.grid import Volume
from training.images.read import read_grid, read_labelmap, read_volume
from training.labels import LABEL_NAMES

__all__ = ["tiny_model"]

CASE = "BraTS20_Training_001"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Server]:
    """A server over two cases, with a network that answers at once, and badly."""
    folder = tmp_path_factory.mktemp("served")
    for name in (CASE, "BraTS20_Training_002"):
        synthetic.write_case(folder / "studies", name)
    with serving(folder / "studies", folder / "workspace", tiny_model) as running:
        yield running


@pytest.fixture
def client(server) -> TumorLoopClient:
    return TumorLoopClient(server.url, user="ann")


@pytest.fixture
def corrected(server, tmp_path) -> Path:
    """A label on the grid of the case."""
    grid = read_grid(server.volumes(CASE)["t1ce"])
    path = tmp_path / "corrected.nii.gz"
    label = synthetic.truth(grid)
    nibabel.save(nibabel.Nifti1Image(label.data, grid.affine), path)
    return path


def read(path: Path) -> Volume:
    return read_labelmap(path)


def test_the_server_says_what_it_is_and_what_it_has(client):
    info = client.info()
    assert info["name"] == "TumorLoop"
    assert [label["name"] for label in info["label_details"]] == list(LABEL_NAMES)
    assert client.cases()[0]["id"] == CASE
    assert [version["id"] for version in client.versions() if version["current"]] == ["v0000"]


def test_volumes_sent_in_a_session_are_answered_like_the_case(client, server, tmp_path):
    seen: list[int] = []
    session = client.create_session(server.volumes(CASE), lambda done, total: seen.append(done))
    sent = client.infer(session_id=session, folder=tmp_path, name="sent")
    by_id = client.infer(case_id=CASE, folder=tmp_path, name="by_id")
    assert seen
    assert np.array_equal(read(sent.path).data, read(by_id.path).data)
    assert read(by_id.path).grid == read_grid(server.volumes(CASE)["t1ce"])
    assert by_id.params["label_names"] == LABEL_NAMES
    assert by_id.params["model_version"] == "v0000"


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".seg.nrrd"])
def test_the_result_comes_in_the_format_asked_for(client, tmp_path, ending):
    result = client.infer(case_id=CASE, params={"result_extension": ending}, folder=tmp_path)
    assert result.path.name == f"segmentation{ending}"
    assert read(result.path).data.shape == synthetic.brats_grid().shape


def test_an_uploaded_case_and_an_uploaded_4d_file_become_cases(client, server, tmp_path):
    client.upload_case("new_case", server.volumes(CASE))
    path = tmp_path / "BRATS_001.nii.gz"
    volumes = [read_volume(server.volumes(CASE)[role]) for role in DECATHLON_ORDER]
    four = np.stack([volume.data for volume in volumes], axis=-1)
    nibabel.save(nibabel.Nifti1Image(four, volumes[0].grid.affine), path)
    uploaded = client.upload_image("four_in_one", path)
    assert uploaded == "four_in_one"
    assert {"new_case", "four_in_one"} <= {case["id"] for case in client.cases()}
    answers = [
        read(client.infer(case_id=case, folder=tmp_path, name=case).path).data
        for case in (CASE, "new_case", "four_in_one")
    ]
    assert np.array_equal(answers[0], answers[1])
    assert np.array_equal(answers[0], answers[2])
    assert read_grid(client.download_image("four_in_one", tmp_path)) == read_grid(server.volumes(CASE)["t1ce"])


def test_a_label_is_kept_with_its_history_and_comes_back_voxel_for_voxel(client, corrected, tmp_path):
    first = client.next_sample()
    assert first is not None
    params = {"label_info": [{"name": name, "idx": value} for name, value in LABEL_NAMES.items()], "comment": "first"}
    client.save_label(first["id"], corrected, params)
    (label,) = client.labels(first["id"])
    assert (label["version"], label["user"], label["comment"], label["tag"]) == ("v0001", "ann", "first", "final")
    back = client.download_label(first["id"], "v0001", tmp_path)
    assert np.array_equal(read(back).data, read(corrected).data)
    following = client.next_sample()
    assert following is not None
    assert following["id"] != first["id"]


def test_a_label_on_another_grid_is_refused_with_field_and_numbers(client, corrected, tmp_path):
    label = read(corrected)
    shifted = tmp_path / "shifted.nii.gz"
    affine = label.grid.affine.copy()
    affine[0, 3] += 5
    nibabel.save(nibabel.Nifti1Image(label.data, affine), shifted)
    with pytest.raises(RequestRejected, match="5") as caught:
        client.save_label(CASE, shifted)
    assert (caught.value.status, caught.value.field) == (422, "label")


def test_a_missing_modality_is_refused_by_name(client, server):
    volumes = {role: path for role, path in server.volumes(CASE).items() if role != "t2"}
    with pytest.raises(RequestRejected, match="T2") as caught:
        client.upload_case("broken", volumes)
    assert (caught.value.status, caught.value.field) == (422, "t2")
    with pytest.raises(RequestRejected, match="T2"):
        client.create_session(volumes)


def test_a_missing_modality_is_done_without_if_allowed_and_maps_are_fetched(client, server, tmp_path):
    volumes = {role: path for role, path in server.volumes(CASE).items() if role != "t2"}
    session = client.create_session(volumes, allow_missing=True)
    result = client.infer(session_id=session, folder=tmp_path, allow_missing=True, output_maps=True)
    assert result.params["missing"] == ["t2"]
    assert any("T2 (t2) was missing" in warning for warning in result.params["warnings"])
    assert list(result.params["maps"]) == ["probability_wt", "probability_tc", "probability_et", "entropy"]
    for name in result.params["maps"]:
        path = client.download_map(result, name, tmp_path)
        assert path.name == f"{name}.nii.gz"
        assert read_volume(path).grid.matches(read(result.path).grid)
    with pytest.raises(RequestRejected, match="T2"):
        client.infer(session_id=session, folder=tmp_path)


def test_junk_named_like_a_volume_is_refused_by_name(client, server, tmp_path):
    junk = tmp_path / "t1.nii.gz"
    junk.write_text("not a volume")
    with pytest.raises(RequestRejected) as caught:
        client.upload_case("junk", {**server.volumes(CASE), "t1": junk})
    assert caught.value.status == 422
    assert caught.value.field == "t1"


def test_unknown_names_are_told_apart(client, tmp_path):
    for call, field in (
        (lambda: client.infer("other", case_id=CASE, folder=tmp_path), "model"),
        (lambda: client.infer(case_id="nobody", folder=tmp_path), "image"),
        (lambda: client.train("other"), "model"),
        (lambda: client.promote("v0042"), "version"),
        (lambda: client.next_sample("tarot"), "strategy"),
    ):
        with pytest.raises(RequestRejected) as caught:
            call()
        assert (caught.value.status, caught.value.field) == (404, field)


def test_a_cancelled_inference_does_not_hinder_the_next(client, tmp_path):
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        client.infer(case_id=CASE, folder=tmp_path, cancel=cancel)
    cancel.clear()
    timer = threading.Timer(0.05, cancel.set)
    timer.start()
    with contextlib.suppress(Cancelled):  # it may have been faster than the timer
        client.infer(case_id=CASE, folder=tmp_path, cancel=cancel)
    timer.join()
    assert client.infer(case_id=CASE, folder=tmp_path).params["model_version"] == "v0000"


def test_a_job_is_followed_to_its_end_and_another_is_cancelled_before_it_begins(client, tmp_path):
    job = new_job_id()
    assert client.job(job) is None
    client.infer(case_id=CASE, job=job, folder=tmp_path)
    done = {"id": job, "state": "done", "position": 0, "share": 1.0, "stage": "done"}
    assert client.job(job) == client.cancel_job(job) == done
    with pytest.raises(RequestRejected) as caught:
        client.infer(case_id=CASE, job=job, folder=tmp_path)
    assert (caught.value.status, caught.value.field) == (409, "job")
    hasty = new_job_id()
    assert client.cancel_job(hasty) is None  # the cancellation overtakes the request
    with pytest.raises(Cancelled, match="was cancelled"):
        client.infer(case_id=CASE, job=hasty, folder=tmp_path)
    assert client.job(hasty)["state"] == "cancelled"


def test_a_computing_job_is_cancelled_and_the_one_behind_it_is_computed(client, server, tmp_path):
    client.infer(case_id=CASE, folder=tmp_path)
    process, first, second = server.worker(), new_job_id(), new_job_id()
    process.suspend()  # as good as an endless computation
    with ThreadPoolExecutor(2) as pool:
        doomed = pool.submit(client.infer, case_id=CASE, job=first, folder=tmp_path)
        eventually(lambda: (client.job(first) or {}).get("state") == "computing")
        waiting = pool.submit(client.infer, case_id=CASE, job=second, folder=tmp_path, name="second")
        eventually(lambda: (client.job(second) or {}).get("position") == 1)
        assert client.cancel_job(first)["state"] == "cancelled"
        with pytest.raises(Cancelled):
            doomed.result(10)
        assert waiting.result(120).path.name == "second.nii.gz"


def test_a_session_with_one_volume_exchanged_becomes_a_case_whose_volumes_come_back_as_nrrd(client, server, tmp_path):
    session = client.create_session(server.volumes(CASE))
    other = server.volumes("BraTS20_Training_002")["flair"]
    session = client.create_session({"flair": other}, base=session)
    answer = client.infer(session_id=session, folder=tmp_path, params={"result_extension": ".nrrd"})
    made = client.case_from_session("exchanged", session)
    assert (made["id"], client.case_from_session("exchanged", session)["id"]) == ("exchanged", "exchanged")
    for role, path in {**server.volumes(CASE), "flair": other}.items():
        back = client.download_volume("exchanged", role, tmp_path)
        assert back.name == f"{role}.nrrd"
        assert np.array_equal(read_volume(back).data, read_volume(path).data)
        assert read_volume(back).grid == read_grid(path)
    record = client.save_label("exchanged", answer.path, {"model_version": answer.params["model_version"]})
    assert set(record["dice_against_model"].values()) == {1.0}
    label = client.download_label("exchanged", record["version"], tmp_path, ending=".nrrd")
    assert label.name == "v0001.nrrd"
    assert np.array_equal(read(label).data, read(answer.path).data)


def test_a_session_that_is_gone_is_told_apart_from_everything_else(client, server, tmp_path):
    for call, field in (
        (lambda: client.create_session({"t1": server.volumes(CASE)["t1"]}, base="gone"), "base"),
        (lambda: client.case_from_session("x", "0123"), "session_id"),
        (lambda: client.infer(session_id="0123", folder=tmp_path), "session_id"),
    ):
        with pytest.raises(RequestRejected) as caught:
            call()
        assert (caught.value.status, caught.value.field) == (404, field)


def test_a_map_comes_as_nrrd_and_another_format_is_refused(client, tmp_path):
    result = client.infer(case_id=CASE, output_maps=True, folder=tmp_path)
    path = client.download_map(result, "entropy", tmp_path, ending=".nrrd")
    assert path.name == "entropy.nrrd"
    assert np.array_equal(read_volume(path).data, read_volume(client.download_map(result, "entropy", tmp_path)).data)
    with pytest.raises(RequestRejected) as caught:
        client.download_map(result, "entropy", tmp_path, ending=".png")
    assert caught.value.field == "ending"


def test_a_sample_is_made_on_the_server(client, tmp_path):
    made = client.make_sample(seed=1)
    assert (made["id"], made["labeled"]) == ("sample-1", False)
    assert "sample-1" in {case["id"] for case in client.cases()}
    assert read_volume(client.download_volume("sample-1", "flair", tmp_path)).data.max() > 0
    with pytest.raises(RequestRejected) as caught:
        client.make_sample(seed=-1)
    assert caught.value.field == "seed"


def test_the_client_retrains_follows_and_rolls_back(client, corrected):
    assert client.stop_training() is None
    client.save_label(CASE, corrected)
    plan = client.training_plan()
    assert (plan["parent"], plan["expected_seconds"], CASE in plan["cases"]) == ("v0000", None, True)
    client.train(params={"max_epochs": 1, "tolerance": 1.0})
    with pytest.raises(RequestRejected) as caught:
        client.train()
    assert caught.value.status == 429
    give_up = time.monotonic() + 600
    while (client.train_status() or {}).get("status") in ("SUBMITTED", "RUNNING"):
        assert time.monotonic() < give_up
        time.sleep(0.2)
    task, stats = client.train_status(), client.train_stats()
    assert task is not None
    assert task["status"] == "DONE", task.get("details")
    assert (stats["state"], stats["epoch"], stats["total_epochs"]) == ("done", 1, 1)
    assert [version["id"] for version in client.versions() if version["current"]] == ["v0001"]
    plan = client.training_plan()
    assert (plan["parent"], plan["new"]) == ("v0001", 0)
    assert plan["expected_seconds"] > 0
    assert client.rollback()["id"] == "v0000"
    assert client.promote("v0001")["id"] == "v0001"
