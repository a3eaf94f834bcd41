"""What the client sends for jobs, sessions and cases made of sessions, NRRD, the training plan and samples."""

from __future__ import annotations

import json
import re

import pytest
from TumorLoopLib.client import InferResult, TumorLoopClient, new_job_id
from TumorLoopLib.client.errors import BadReply, Cancelled, RequestRejected, ServerFailed

from tests.slicer_extension.odd_server import (
    Handler,
    files_in,
    json_answer,
    odd_server,
    result_answer,
    result_body,
    text_answer,
)

NRRD = b"NRRD0004\n" + bytes(100)


def nrrd_answer(handler: Handler) -> None:
    handler.record()
    name = 'attachment; filename="../../evil.nrrd"'
    handler.reply(200, NRRD, "application/octet-stream", Content_Disposition=name)


def refused(status: int, field: str, message: str):
    return json_answer({"detail": {"field": field, "message": message}}, status)


# === Jobs ===


def test_a_job_is_named_in_the_request_watched_and_cancelled_by_its_id(tmp_path):
    facts = {"id": "job12345", "state": "computing", "position": 0, "share": 0.5, "stage": "computing"}
    with odd_server(result_answer(result_body(NRRD, {}, "a.nrrd"))) as server:
        TumorLoopClient(server.url).infer(session_id="s", job="job12345", params={"reference": "t1"}, folder=tmp_path)
    assert b'{"reference": "t1", "job": "job12345"}' in server.requests[0].body
    with odd_server(json_answer(facts)) as server:
        client = TumorLoopClient(server.url)
        assert client.job("job12345") == facts
        assert client.cancel_job("job12345") == facts
    assert [(seen.method, seen.path) for seen in server.requests] == [
        ("GET", "/jobs/job12345"),
        ("DELETE", "/jobs/job12345"),
    ]


def test_a_job_that_the_server_does_not_know_is_none_and_other_refusals_are_told():
    with odd_server(refused(404, "job", "There is no job.")) as server:
        client = TumorLoopClient(server.url)
        assert client.job("job12345") is None
        assert client.cancel_job("job12345") is None
    with odd_server(refused(422, "job", "That is no id.")) as server, pytest.raises(RequestRejected, match="no id"):
        TumorLoopClient(server.url).job("x")


def test_an_inference_that_was_cancelled_on_the_server_is_cancelled(tmp_path):
    with odd_server(refused(499, "job", "This segmentation was cancelled.")) as server:
        client = TumorLoopClient(server.url)
        with pytest.raises(Cancelled, match="was cancelled"):
            client.infer(case_id="a", job=new_job_id(), folder=tmp_path)
    assert files_in(tmp_path) == []


def test_the_ids_of_jobs_are_those_the_server_takes_and_never_the_same():
    ids = {new_job_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(re.fullmatch(r"[a-z0-9]{8,64}", job) for job in ids)


# === Volumes that are not sent twice ===


def test_a_session_is_made_of_an_earlier_one_and_what_is_sent(tmp_path):
    path = tmp_path / "changed.nrrd"
    path.write_bytes(NRRD)
    with odd_server(json_answer({"session_id": "new"})) as server:
        client = TumorLoopClient(server.url)
        assert client.create_session({"flair": path}, base="old & gone") == "new"
        assert client.create_session({"flair": path}, base="old", allow_missing=True) == "new"
    assert [seen.path for seen in server.requests] == [
        "/session/?base=old+%26+gone",
        "/session/?allow_missing=true&base=old",
    ]
    assert b'filename="flair.nrrd"' in server.requests[0].body


def test_a_session_becomes_a_case_without_sending_anything_again():
    with odd_server(json_answer({"id": "my case"})) as server:
        assert TumorLoopClient(server.url, user="ann").case_from_session("my case", "0f-1") == {"id": "my case"}
    request = server.requests[0]
    assert (request.method, request.path) == ("PUT", "/cases/my%20case?session_id=0f-1&client_id=ann")
    assert request.body == b""


def test_a_session_that_the_server_forgot_is_told_by_its_field(tmp_path):
    path = tmp_path / "t1.nrrd"
    path.write_bytes(NRRD)
    refusal = refused(404, "base", "There is no such session.")
    with odd_server(refusal) as server, pytest.raises(RequestRejected) as caught:
        TumorLoopClient(server.url).create_session({"t1": path}, base="old")
    assert (caught.value.status, caught.value.field) == (404, "base")


# === Files as NRRD ===


def test_volumes_labels_and_maps_are_saved_as_nrrd_under_names_of_our_own(tmp_path):
    address = "/maps/0123456789abcdef0123456789abcdef/entropy.nii.gz"
    result = InferResult(tmp_path / "a.nrrd", {"maps": {"entropy": address}})
    progress: list[int] = []
    with odd_server(nrrd_answer) as server:
        client = TumorLoopClient(server.url)
        paths = [
            client.download_volume("a/b", "t1ce", tmp_path, lambda done, total: progress.append(done)),
            client.download_label("case", "v0001", tmp_path, ending=".nrrd"),
            client.download_map(result, "entropy", tmp_path, ending=".nrrd"),
        ]
    assert [path.name for path in paths] == ["t1ce.nrrd", "v0001.nrrd", "entropy.nrrd"]
    assert all(path.parent == tmp_path and path.read_bytes() == NRRD for path in paths)
    assert progress[-1] == len(NRRD)
    assert [seen.path for seen in server.requests] == [
        "/cases/a%2Fb/volumes/t1ce",
        "/cases/case/labels/v0001?ending=.nrrd",
        f"{address}?ending=.nrrd",
    ]


# === Trainings and samples ===


def test_the_plan_of_a_training_is_asked_for_by_the_models_name():
    plan = {"parent": "v0001", "new": 1, "total": 2, "cases": ["a"], "max_epochs": 3, "expected_seconds": None}
    with odd_server(json_answer(plan)) as server:
        assert TumorLoopClient(server.url).training_plan() == plan
        assert TumorLoopClient(server.url).training_plan("a/b") == plan
    assert [seen.path for seen in server.requests] == ["/train/tumorloop/plan", "/train/a%2Fb/plan"]


def test_a_sample_is_made_with_a_seed_or_without():
    with odd_server(json_answer({"id": "sample-0"})) as server:
        client = TumorLoopClient(server.url, user="ann")
        assert client.make_sample() == client.make_sample(seed=0) == {"id": "sample-0"}
    assert [(seen.method, seen.path) for seen in server.requests] == [("POST", "/samples")] * 2
    bodies = [json.loads(seen.body) for seen in server.requests]
    assert bodies == [{"client_id": "ann"}, {"client_id": "ann", "seed": 0}]


# === A full disk, and answers that are none ===


def test_a_full_disk_is_told_in_the_servers_own_sentence():
    sentence = "The server's disk is full, so nothing was stored."
    with odd_server(refused(507, "disk", sentence)) as server, pytest.raises(ServerFailed) as caught:
        TumorLoopClient(server.url).case_from_session("a", "b")
    assert (caught.value.status, str(caught.value)) == (507, sentence)


@pytest.mark.parametrize("status", [499, 507])
def test_the_same_statuses_without_a_sentence_still_have_one(status):
    with odd_server(text_answer(status, "")) as server, pytest.raises((Cancelled, ServerFailed)) as caught:
        TumorLoopClient(server.url).training_plan()
    assert str(caught.value)


@pytest.mark.parametrize("call", ["training_plan", "make_sample"])
def test_an_answer_that_is_no_object_is_a_bad_reply(call):
    with odd_server(json_answer([1])) as server, pytest.raises(BadReply, match="is not a JSON object"):
        getattr(TumorLoopClient(server.url), call)()
