import gzip
import json
import os
import re
import tracemalloc
from email.parser import BytesParser

import pytest
from TumorLoopLib.client import InferResult, TumorLoopClient, new_job_id
from TumorLoopLib.client.address import Address
from TumorLoopLib.client.errors import BadReply, ServerUnreachable

from tests.slicer_extension.client import http_server
from tests.slicer_extension.client.http_server import file_answer, json_answer, refusal

ROLES = ("t1", "t1ce", "t2", "flair")
LABELMAP = gzip.compress(os.urandom(100_000) + b"\r\n--" + bytes(1000))
NRRD = b"NRRD0004\n" + bytes(100)
MAP = "/maps/0123456789abcdef0123456789abcdef/entropy.nii.gz"


@pytest.fixture
def volumes(tmp_path):
    paths = {role: tmp_path / f"Müller_Änne_{role}.nii.gz" for role in ROLES}
    for path in paths.values():
        path.write_bytes(os.urandom(200_000))
    return paths


def form_parts(request):
    head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
    message = BytesParser().parsebytes(head + request.body)
    assert not message.defects
    parts = [part for part in message.walk() if part is not message]
    return {str(part.get_filename() or part.get_param("name", header="content-disposition")): part for part in parts}


def params_in(request):
    return json.loads(str(form_parts(request)["params"].get_payload()))


def targets(server):
    return [f"{request.method} {request.path}" for request in server.requests]


@pytest.mark.parametrize(
    ("call", "target", "body"),
    [
        (lambda c: c.case_from_session("my case", "0-1"), "PUT /cases/my%20case?session_id=0-1&client_id=ann", None),
        (lambda c: c.make_sample(), "POST /samples", {"client_id": "ann"}),
        (lambda c: c.make_sample(seed=0), "POST /samples", {"client_id": "ann", "seed": 0}),
        (lambda c: c.next_sample("a", after="b"), "POST /activelearning/a", {"client_id": "ann", "after": "b"}),
        (lambda c: c.training_plan(), "GET /train/tumorloop/plan", None),
        (lambda c: c.training_plan("a/b"), "GET /train/a%2Fb/plan", None),
        (lambda c: c.train(params={"max_epochs": 2}), "POST /train/tumorloop", {"client_id": "ann", "max_epochs": 2}),
        (lambda c: c.stop_training(), "DELETE /train/", None),
        (lambda c: c.promote("v/1"), "POST /versions/v%2F1/promote", {"client_id": "ann"}),
        (lambda c: c.rollback(), "POST /versions/rollback", {"client_id": "ann"}),
    ],
)
def test_a_call_is_one_request_and_returns_the_answer(server, client, call, target, body):
    server.answer = json_answer({"id": "x"})
    assert call(client) == {"id": "x"}
    assert targets(server) == [target]
    request = server.requests[0]
    assert (json.loads(request.body) if body else request.body) == (body or b"")
    assert request.headers["Content-Type"] == ("application/json" if body else None)


def test_volumes_arrive_byte_for_byte_under_names_that_reveal_nothing(server, client, volumes):
    seen = list[tuple[int, int]]()
    server.answer = json_answer({"session_id": "abc", "session_info": {}})
    assert client.create_session(volumes, lambda sent, total: seen.append((sent, total))) == "abc"
    request = server.requests[0]
    parts = form_parts(request)
    assert list(parts) == [f"{role}.nii.gz" for role in ROLES]
    assert all(parts[f"{role}.nii.gz"].get_payload(decode=True) == path.read_bytes() for role, path in volumes.items())
    assert b"ller" not in request.body[:200]
    assert seen[-1] == (len(request.body), len(request.body))
    assert [sent for sent, _ in seen] == sorted({sent for sent, _ in seen})


def test_a_session_may_lack_modalities_or_build_on_an_earlier_one(server, client, volumes):
    server.answer = json_answer({"session_id": "new"})
    three, flair = {role: volumes[role] for role in ("t1", "t1ce", "flair")}, {"flair": volumes["flair"]}
    assert client.create_session(three, allow_missing=True) == client.create_session(flair, base="old & gone") == "new"
    assert client.create_session(flair, base="old", allow_missing=True) == client.create_session(three) == "new"
    queries = ["?allow_missing=true", "?base=old+%26+gone", "?allow_missing=true&base=old", ""]
    assert targets(server) == [f"PUT /session/{query}" for query in queries]
    sent = [list(form_parts(request)) for request in server.requests]
    assert sent == [[f"{role}.nii.gz" for role in roles] for roles in (three, flair, flair, three)]


def test_a_large_upload_is_not_held_in_memory(server, client, tmp_path):
    (tmp_path / "big.nii").touch()
    os.truncate(tmp_path / "big.nii", 64 << 20)

    def discard(handler):
        remaining = int(handler.headers["Content-Length"])
        while remaining:
            remaining -= len(handler.rfile.read(min(remaining, 1 << 16)))
        handler.reply(200, b'{"image": "x"}', "application/json")

    server.answer = discard
    tracemalloc.start()
    client.upload_image("x", tmp_path / "big.nii")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 << 20


def test_files_are_saved_under_names_that_the_server_cannot_choose(server, tmp_path):
    server.answer = file_answer(
        NRRD, "application/octet-stream", Content_Disposition='attachment; filename="../x.nrrd"'
    )
    client = TumorLoopClient(server.url + "/prefix")
    result = InferResult(tmp_path / "a.nrrd", {"maps": {"entropy": MAP}})
    progress = list[int]()
    paths = [
        client.download_image("case", tmp_path),
        client.download_volume("a/b", "t1ce", tmp_path, lambda done, total: progress.append(done)),
        client.download_label("case", "v0001", tmp_path),
        client.download_label("case", "v0002", tmp_path, ending=".nrrd"),
        client.download_map(result, "entropy", tmp_path / "new folder"),
        client.download_map(result, "entropy", tmp_path, ending=".nrrd"),
    ]
    names = ("image", "t1ce", "v0001", "v0002", "new folder/entropy", "entropy")
    assert paths == [tmp_path / f"{name}.nrrd" for name in names]
    assert all(path.read_bytes() == NRRD for path in paths)
    assert progress[-1] == len(NRRD)
    assert targets(server) == [
        "GET /prefix/datastore/image?image=case",
        "GET /prefix/cases/a%2Fb/volumes/t1ce",
        "GET /prefix/cases/case/labels/v0001",
        "GET /prefix/cases/case/labels/v0002?ending=.nrrd",
        f"GET /prefix{MAP}",
        f"GET /prefix{MAP}?ending=.nrrd",
    ]


def test_a_result_is_saved_whole_and_an_inference_sends_only_the_parameters_that_are_given(server, client, tmp_path):
    params, folder = {"model_version": "v0000", "volumes_ml": {"whole tumor": 1.5}}, tmp_path / "out"
    server.answer = http_server.result_answer(http_server.result_body(LABELMAP, params))
    result = client.infer(case_id="a b/ü", params={"reference": "t1ce"}, folder=folder)
    assert (result.path, result.params) == (folder / "segmentation.nii.gz", params)
    assert result.path.read_bytes() == LABELMAP
    assert http_server.files_in(folder) == ["segmentation.nii.gz"]
    client, given = TumorLoopClient(server.url), {"allow_missing": True, "output_maps": True, "job": "j"}
    client.infer(case_id="a", folder=folder)
    client.infer(session_id="s", folder=folder, **given, params={"reference": "t1"})
    assert targets(server)[0] == "POST /infer/tumorloop?image=a+b%2F%C3%BC&output=all"
    assert targets(server)[2] == "POST /infer/tumorloop?session_id=s&output=all"
    sent = [{"client_id": "ann", "reference": "t1ce"}, {}, {**given, "reference": "t1"}]
    assert [params_in(request) for request in server.requests] == sent
    for case, session in ((None, None), ("a", "s")):
        with pytest.raises(ValueError, match="either case_id or session_id"):
            client.infer(folder=tmp_path, case_id=case, session_id=session)


def test_a_job_is_watched_and_cancelled_by_its_id_and_unknown_ones_are_none(server, client):
    server.answer = json_answer({"id": "job12345"})
    assert client.job("job12345") == client.cancel_job("job12345") == {"id": "job12345"}
    server.answer = refusal(404, "job", "There is no job.")
    assert client.job("job12345") is client.cancel_job("job12345") is None
    assert targets(server) == ["GET /jobs/job12345", "DELETE /jobs/job12345"] * 2
    ids = {new_job_id() for _ in range(100)}
    assert len([job for job in ids if re.fullmatch(r"[a-z0-9]{8,64}", job)]) == 100


def test_a_label_is_submitted_with_its_params_and_tag(server, client, tmp_path):
    (tmp_path / "Änne.seg.nrrd").write_bytes(b"NRRD0004")
    server.answer = json_answer({"image": "case", "label": "v0001"})
    sent = client.save_label("case", tmp_path / "Änne.seg.nrrd", {"comment": "ok"}, tag="draft")
    assert sent["label"] == "v0001"
    assert targets(server) == ["PUT /datastore/label?image=case&tag=draft"]
    assert params_in(server.requests[0]) == {"client_id": "ann", "comment": "ok"}
    assert form_parts(server.requests[0])["label.seg.nrrd"].get_payload(decode=True) == b"NRRD0004"


def test_lists_are_accepted_bare_or_named_nothing_is_none_and_an_answer_of_another_kind_is_a_bad_reply(server, client):
    def answer(call, content, status=200):
        server.answer = json_answer(content, status)
        return call()

    assert answer(client.next_sample, {}) is None
    assert answer(client.train_status, {"detail": "No Train Tasks Found"}, 404) is None
    assert answer(client.corrections, {"detail": "An earlier release has no such route."}, 404) is None
    assert (answer(client.corrections, {"cases": []}), targets(server)[-1]) == ({"cases": []}, "GET /corrections")
    assert answer(client.train_stats, {"train_stats": {"tumorloop": {"epoch": 3}}}) == {"epoch": 3}
    assert client.train_stats("other") == {}
    for content in ([{"id": "v0000"}], {"versions": [{"id": "v0000"}], "current": "v0000"}):
        assert answer(client.versions, content) == [{"id": "v0000"}]
    with pytest.raises(BadReply, match="has no list of cases"):
        answer(client.cases, {"other": 1})
    for call in (client.training_plan, client.make_sample):
        with pytest.raises(BadReply, match="is not a JSON object"):
            answer(call, [1])


def test_addresses_are_understood_as_people_type_them_and_those_of_maps_lead_nowhere_else(tmp_path):
    assert str(Address.parse("localhost:8000/")) == "http://localhost:8000"
    assert str(Address.parse(" https://seg.example.org/loop/ ")) == "https://seg.example.org:443/loop"
    assert str(Address.parse("http://[::1]:8000")) == "http://[::1]:8000"
    for url in ("ftp://somewhere", "http://", "http://host:port", "http://[::1", ""):
        with pytest.raises(ServerUnreachable, match="not a server address"):
            TumorLoopClient(url)
    client = TumorLoopClient("http://127.0.0.1:1")
    elsewhere = ("http://elsewhere.example/maps/0a/entropy.nii.gz", "/maps/../datastore/entropy.nii.gz", 7)
    for name, address in (*(("entropy", one) for one in elsewhere), ("../entropy", "/maps/0a/entropy.nii.gz")):
        with pytest.raises(BadReply, match="invalid address for a map"):
            client.download_map(InferResult(tmp_path, {"maps": {name: address}}), name, tmp_path)
    with pytest.raises(ValueError, match="no map 'entropy'; it has none"):
        client.download_map(InferResult(tmp_path, {}), "entropy", tmp_path)
