"""The panel's client against the real server: every call, and the refusals that a clinician may meet."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from TumorLoopLib.client import InferResult, TumorLoopClient, new_job_id
from TumorLoopLib.client.errors import Cancelled, RequestRejected

from tests import synthetic
from tests.server_app.conftest import Server, eventually, four_in_one, load, save, serving, tiny_model
from training.images.read import read_grid, read_labelmap, read_volume
from training.labels import LABEL_NAMES
from training.models.store import ModelStore

__all__ = ["tiny_model"]

CASE, OTHER = "BraTS20_Training_001", "BraTS20_Training_002"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Server]:
    """A server over two cases, with a network that answers at once, and badly."""
    folder = tmp_path_factory.mktemp("served")
    for name in (CASE, OTHER):
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
    return save(synthetic.truth(grid).data, grid.affine, tmp_path / "corrected.nii.gz")


def refusal(call: Callable[[], Any]) -> tuple[int, str]:
    with pytest.raises(RequestRejected) as caught:
        call()
    return caught.value.status, caught.value.field


def test_the_server_describes_itself_its_cases_and_its_models(client):
    info = client.info()
    assert (info["name"], [label["name"] for label in info["label_details"]]) == ("TumorLoop", list(LABEL_NAMES))
    assert client.cases()[0]["id"] == CASE
    assert [version["id"] for version in client.versions() if version["current"]] == ["v0000"]


def test_volumes_in_a_session_uploaded_ones_and_a_4d_file_are_segmented_like_the_case(client, server, tmp_path):
    by_id = client.infer(case_id=CASE, folder=tmp_path)
    assert (by_id.params["label_names"], by_id.params["model_version"]) == (LABEL_NAMES, "v0000")
    expected = read_labelmap(by_id.path)
    assert expected.grid == read_grid(server.volumes(CASE)["t1ce"])
    seen: list[int] = []
    session = client.create_session(server.volumes(CASE), lambda done, total: seen.append(done))
    assert seen
    client.upload_case("new_case", server.volumes(CASE))
    assert client.upload_image("four_in_one", four_in_one(server, CASE, tmp_path / "four.nii.gz")) == "four_in_one"
    assert {"new_case", "four_in_one"} <= {case["id"] for case in client.cases()}
    as_segments = {"case_id": CASE, "params": {"result_extension": ".seg.nrrd"}}
    for what in ({"session_id": session}, {"case_id": "new_case"}, {"case_id": "four_in_one"}, as_segments):
        result = client.infer(folder=tmp_path, **what)
        assert np.array_equal(read_labelmap(result.path).data, expected.data)
    assert result.path.name == "segmentation.seg.nrrd"
    assert read_grid(client.download_image("four_in_one", tmp_path)) == expected.grid


def test_a_label_is_kept_with_its_history_and_comes_back_voxel_for_voxel(client, corrected, tmp_path):
    first = client.next_sample()["id"]
    params = {"label_info": [{"name": name, "idx": value} for name, value in LABEL_NAMES.items()], "comment": "first"}
    client.save_label(first, corrected, params)
    (label,) = client.labels(first)
    assert (label["version"], label["user"], label["comment"], label["tag"]) == ("v0001", "ann", "first", "final")
    back = client.download_label(first, "v0001", tmp_path)
    assert np.array_equal(read_labelmap(back).data, read_labelmap(corrected).data)
    assert client.next_sample()["id"] != first


def test_volumes_and_labels_that_cannot_be_used_are_refused_with_the_field(client, server, corrected, tmp_path):
    label = load(corrected)
    affine = label.affine.copy()
    affine[0, 3] += 5
    shifted = save(np.asarray(label.dataobj), affine, tmp_path / "shifted.nii.gz")
    assert refusal(lambda: client.save_label(CASE, shifted)) == (422, "label")
    incomplete = {role: path for role, path in server.volumes(CASE).items() if role != "t2"}
    assert refusal(lambda: client.upload_case("broken", incomplete)) == (422, "t2")
    assert refusal(lambda: client.create_session(incomplete)) == (422, "t2")
    junk = tmp_path / "t1.nii.gz"
    junk.write_text("not a volume")
    assert refusal(lambda: client.upload_case("junk", {**server.volumes(CASE), "t1": junk})) == (422, "t1")
    assert refusal(lambda: client.make_sample(seed=-1)) == (422, "seed")


def test_unknown_names_are_told_apart(client, server, tmp_path):
    calls: list[tuple[str, Callable[[], Any]]] = [
        ("model", lambda: client.infer("other", case_id=CASE, folder=tmp_path)),
        ("model", lambda: client.train("other")),
        ("image", lambda: client.infer(case_id="nobody", folder=tmp_path)),
        ("version", lambda: client.promote("v0042")),
        ("strategy", lambda: client.next_sample("tarot")),
        ("base", lambda: client.create_session({"t1": server.volumes(CASE)["t1"]}, base="gone")),
        ("session_id", lambda: client.case_from_session("x", "0123")),
        ("session_id", lambda: client.infer(session_id="0123", folder=tmp_path)),
    ]
    for field, call in calls:
        assert refusal(call) == (404, field)


def test_an_incomplete_session_is_segmented_if_allowed_and_its_maps_are_fetched(client, server, tmp_path):
    volumes = {role: path for role, path in server.volumes(CASE).items() if role != "t2"}
    session = client.create_session(volumes, allow_missing=True)
    result = client.infer(session_id=session, folder=tmp_path, allow_missing=True, output_maps=True)
    assert result.params["missing"] == ["t2"]
    assert any("T2 (t2) was missing" in warning for warning in result.params["warnings"])
    assert list(result.params["maps"]) == ["probability_wt", "probability_tc", "probability_et", "entropy"]
    for name in result.params["maps"]:
        path = client.download_map(result, name, tmp_path)
        assert path.name == f"{name}.nii.gz"
        assert read_volume(path).grid.matches(read_grid(result.path))
        as_nrrd = client.download_map(result, name, tmp_path, ending=".nrrd")
        assert np.array_equal(read_volume(as_nrrd).data, read_volume(path).data)
    assert refusal(lambda: client.download_map(result, "entropy", tmp_path, ending=".png")) == (422, "ending")
    assert refusal(lambda: client.infer(session_id=session, folder=tmp_path)) == (422, "t2")


def test_a_job_is_followed_to_its_end_and_another_is_cancelled_before_it_begins(client, tmp_path):
    job = new_job_id()
    assert client.job(job) is None
    client.infer(case_id=CASE, job=job, folder=tmp_path)
    done = {"id": job, "state": "done", "position": 0, "share": 1.0, "stage": "done"}
    assert client.job(job) == client.cancel_job(job) == done
    assert refusal(lambda: client.infer(case_id=CASE, job=job, folder=tmp_path)) == (409, "job")
    early = new_job_id()
    assert client.cancel_job(early) is None  # the cancellation arrives before the request
    with pytest.raises(Cancelled, match="was cancelled"):
        client.infer(case_id=CASE, job=early, folder=tmp_path)
    assert client.job(early)["state"] == "cancelled"


def test_a_computing_job_is_cancelled_by_its_id_or_by_giving_up_and_the_next_is_computed(client, server, tmp_path):
    client.infer(case_id=CASE, folder=tmp_path)
    process, jobs, cancel = server.worker(), [new_job_id() for _ in range(3)], threading.Event()
    process.suspend()  # as good as an endless computation

    def infer(number: int, **more: Any) -> InferResult:
        return client.infer(case_id=CASE, job=jobs[number], folder=tmp_path, name=f"result-{number}", **more)

    def is_at(number: int) -> bool:
        return (client.job(jobs[number]) or {}).get("position") == number

    with ThreadPoolExecutor(3) as pool:
        futures = []
        for number, more in enumerate(({}, {"cancel": cancel}, {})):
            futures.append(pool.submit(infer, number, **more))
            eventually(partial(is_at, number))
        cancel.set()
        assert client.cancel_job(jobs[0])["state"] == "cancelled"
        for cancelled in futures[:2]:
            with pytest.raises(Cancelled):
                cancelled.result(10)
        assert futures[2].result(120).path.name == "result-2.nii.gz"


def test_a_session_with_one_volume_exchanged_becomes_a_case_whose_volumes_come_back_as_nrrd(client, server, tmp_path):
    session = client.create_session(server.volumes(CASE))
    other = server.volumes(OTHER)["flair"]
    session = client.create_session({"flair": other}, base=session)
    result = client.infer(session_id=session, folder=tmp_path, params={"result_extension": ".nrrd"})
    for _ in range(2):
        assert client.case_from_session("exchanged", session)["id"] == "exchanged"
    for role, path in {**server.volumes(CASE), "flair": other}.items():
        back = client.download_volume("exchanged", role, tmp_path)
        assert back.name == f"{role}.nrrd"
        assert np.array_equal(read_volume(back).data, read_volume(path).data)
        assert read_volume(back).grid == read_grid(path)
    record = client.save_label("exchanged", result.path, {"model_version": result.params["model_version"]})
    assert set(record["dice_against_model"].values()) == {1.0}
    label = client.download_label("exchanged", record["version"], tmp_path, ending=".nrrd")
    assert label.name == "v0001.nrrd"
    assert np.array_equal(read_labelmap(label).data, read_labelmap(result.path).data)


def test_a_training_is_planned_started_and_stopped(client, corrected):
    assert client.stop_training() is None
    client.save_label(CASE, corrected)
    plan = client.training_plan()
    assert (plan["parent"], plan["expected_seconds"], CASE in plan["cases"]) == ("v0000", None, True)
    client.train(params={"max_epochs": 900})
    assert client.train_status()["status"] in ("SUBMITTED", "RUNNING")
    assert (client.train_stats()["state"], client.train_stats()["total_epochs"]) == ("starting", 900)
    assert refusal(client.train)[0] == 429
    client.stop_training()
    assert client.train_status()["status"] == "STOPPED"


def test_a_new_version_is_promoted_and_rolled_back(client, server, tiny_model):
    models = ModelStore(server.workspace / "models", tiny_model)
    current = models.current()
    models.add(current.load_weights(), current.card)
    assert client.promote("v0001")["id"] == "v0001"
    assert [version["id"] for version in client.versions() if version["current"]] == ["v0001"]
    assert client.rollback()["id"] == "v0000"
