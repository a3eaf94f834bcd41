"""The client against a real server over a real socket: what it sends, and what it makes of the answers."""

from __future__ import annotations

import ast
import gzip
import json
import os
import subprocess
import sys
import tracemalloc
from email.message import Message
from email.parser import BytesParser
from pathlib import Path

import pytest
import TumorLoopLib
from TumorLoopLib.client import InferResult, TumorLoopClient
from TumorLoopLib.client.address import Address, Timeouts
from TumorLoopLib.client.errors import (
    BadReply,
    ServerUnreachable,
)

from tests.slicer_extension.odd_server import (
    Handler,
    Seen,
    files_in,
    json_answer,
    odd_server,
    result_answer,
    result_body,
)

ROLES = ("t1", "t1ce", "t2", "flair")
IMPATIENT = Timeouts(connect=1, answer=0.5, transfer=0.5, check=0.5, infer=0.5)
LABELMAP = gzip.compress(os.urandom(100_000) + b"\r\n--" + bytes(1000))


@pytest.fixture
def volumes(tmp_path):
    """Four files whose names give a patient away."""
    paths = {}
    for role in ROLES:
        paths[role] = tmp_path / f"Müller_Änne_{role}.nii.gz"
        paths[role].write_bytes(os.urandom(200_000))
    return paths


def form_parts(request: Seen) -> dict[str, Message]:
    """Read a request's form with the standard library's own parser."""
    head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
    message = BytesParser().parsebytes(head + request.body)
    assert not message.defects
    parts = [part for part in message.walk() if part is not message]
    return {str(part.get_filename() or part.get_param("name", header="content-disposition")): part for part in parts}


def test_four_volumes_arrive_byte_for_byte_under_names_that_tell_nothing(volumes):
    seen: list[tuple[int, int]] = []
    with odd_server(json_answer({"session_id": "abc", "session_info": {}})) as server:
        session = TumorLoopClient(server.url).create_session(volumes, lambda sent, total: seen.append((sent, total)))
    request = server.requests[0]
    assert session == "abc"
    assert (request.method, request.path) == ("PUT", "/session/")
    parts = form_parts(request)
    assert list(parts) == [f"{role}.nii.gz" for role in ROLES]
    assert all(parts[f"{role}.nii.gz"].get_payload(decode=True) == path.read_bytes() for role, path in volumes.items())
    assert b"ller" not in request.body[:200]
    assert seen[-1] == (len(request.body), len(request.body))
    assert [sent for sent, _ in seen] == sorted({sent for sent, _ in seen})


def test_a_large_upload_is_not_held_in_memory(tmp_path):
    big = tmp_path / "big.nii"
    with open(big, "wb") as handle:
        handle.truncate(64 << 20)

    def swallow(handler: Handler) -> None:
        remaining = int(handler.headers["Content-Length"])
        while remaining:
            remaining -= len(handler.rfile.read(min(remaining, 1 << 16)))
        handler.reply(200, b'{"image": "x"}', "application/json")

    with odd_server(swallow) as server:
        tracemalloc.start()
        TumorLoopClient(server.url).upload_image("x", big)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 4 << 20


def test_a_result_is_saved_whole_under_a_name_the_server_cannot_choose(tmp_path):
    params = {"model_version": "v0000", "volumes_ml": {"whole tumor": 1.5}}
    with odd_server(result_answer(result_body(LABELMAP, params))) as server:
        client = TumorLoopClient(server.url, user="ann")
        result = client.infer(case_id="a b/ü", params={"reference": "t1ce"}, folder=tmp_path / "out")
    assert result.path == tmp_path / "out" / "segmentation.nii.gz"
    assert result.path.read_bytes() == LABELMAP
    assert result.params == params
    assert files_in(tmp_path / "out") == ["segmentation.nii.gz"]
    assert server.requests[0].path == "/infer/tumorloop?image=a+b%2F%C3%BC&output=all"
    sent = json.loads(form_parts(server.requests[0])["params"].get_payload())  # type: ignore[arg-type]
    assert sent == {"client_id": "ann", "reference": "t1ce"}


def test_wishes_are_sent_only_when_they_are_made(tmp_path):
    with odd_server(result_answer(result_body(LABELMAP, {}))) as server:
        client = TumorLoopClient(server.url)
        client.infer(case_id="a", folder=tmp_path)
        client.infer(case_id="a", folder=tmp_path, allow_missing=True, output_maps=True, params={"reference": "t1"})
    sent = [json.loads(form_parts(request)["params"].get_payload()) for request in server.requests]  # type: ignore[arg-type]
    assert sent == [{}, {"reference": "t1", "allow_missing": True, "output_maps": True}]


def test_a_session_short_of_a_modality_says_so(volumes):
    del volumes["t2"]
    with odd_server(json_answer({"session_id": "abc"})) as server:
        assert TumorLoopClient(server.url).create_session(volumes, allow_missing=True) == "abc"
    assert server.requests[0].path == "/session/?allow_missing=true"
    assert list(form_parts(server.requests[0])) == ["t1.nii.gz", "t1ce.nii.gz", "flair.nii.gz"]


def test_a_map_is_saved_under_its_name_from_the_address_in_the_result(tmp_path):
    def answer(handler: Handler) -> None:
        handler.record()
        name = 'attachment; filename="../x.nii.gz"'
        handler.reply(200, LABELMAP, "application/gzip", Content_Disposition=name)

    address = "/maps/0123456789abcdef0123456789abcdef/entropy.nii.gz"
    result = InferResult(tmp_path / "a.nii.gz", {"maps": {"entropy": address}})
    with odd_server(answer) as server:
        path = TumorLoopClient(server.url + "/prefix").download_map(result, "entropy", tmp_path / "out")
    assert path == tmp_path / "out" / "entropy.nii.gz"
    assert path.read_bytes() == LABELMAP
    assert server.requests[0].path == "/prefix" + address


def test_a_map_that_was_not_made_is_refused_before_anything_is_sent(tmp_path):
    client = TumorLoopClient("http://127.0.0.1:1")
    with pytest.raises(ValueError, match="no map 'entropy'; it has none"):
        client.download_map(InferResult(tmp_path, {}), "entropy", tmp_path)


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("entropy", "http://elsewhere.example/maps/0a/entropy.nii.gz"),
        ("entropy", "/maps/../datastore/entropy.nii.gz"),
        ("entropy", 7),
        ("../entropy", "/maps/0a/entropy.nii.gz"),
    ],
)
def test_an_address_or_name_of_a_map_that_leads_elsewhere_is_refused(tmp_path, name, address):
    result = InferResult(tmp_path, {"maps": {name: address}})
    with pytest.raises(BadReply, match="invalid address for a map"):
        TumorLoopClient("http://127.0.0.1:1").download_map(result, name, tmp_path)


def test_a_volume_and_a_label_are_downloaded_with_the_server_s_ending(tmp_path):
    def answer(handler: Handler) -> None:
        handler.record()
        name = 'attachment; filename="../../x.nrrd"'
        handler.reply(200, b"NRRD0004\n", "application/octet-stream", Content_Disposition=name)

    with odd_server(answer) as server:
        client = TumorLoopClient(server.url)
        image = client.download_image("case", tmp_path)
        label = client.download_label("case", "v0001", tmp_path)
    assert (image, label) == (tmp_path / "image.nrrd", tmp_path / "v0001.nrrd")
    assert [request.path for request in server.requests] == [
        "/datastore/image?image=case",
        "/cases/case/labels/v0001",
    ]


def test_a_label_is_submitted_with_its_params_and_tag(tmp_path):
    label = tmp_path / "Änne.seg.nrrd"
    label.write_bytes(b"NRRD0004")
    with odd_server(json_answer({"image": "case", "label": "v0001"})) as server:
        answer = TumorLoopClient(server.url, user="ann").save_label("case", label, {"comment": "ok"}, tag="draft")
    request = server.requests[0]
    assert answer["label"] == "v0001"
    assert (request.method, request.path) == ("PUT", "/datastore/label?image=case&tag=draft")
    parts = form_parts(request)
    assert json.loads(str(parts["params"].get_payload())) == {"client_id": "ann", "comment": "ok"}
    assert parts["label.seg.nrrd"].get_payload(decode=True) == b"NRRD0004"


def test_training_is_started_with_its_parameters_in_the_body():
    with odd_server(json_answer({"id": "1", "status": "SUBMITTED"})) as server:
        TumorLoopClient(server.url).train(params={"max_epochs": 2})
    request = server.requests[0]
    assert (request.method, request.path, json.loads(request.body)) == ("POST", "/train/tumorloop", {"max_epochs": 2})
    assert request.headers["Content-Type"] == "application/json"


def test_nothing_left_to_label_and_nothing_trained_yet_are_none():
    with odd_server(json_answer({})) as server:
        assert TumorLoopClient(server.url).next_sample() is None
    with odd_server(json_answer({"detail": "No Train Tasks Found"}, 404)) as server:
        assert TumorLoopClient(server.url).train_status() is None


def test_lists_are_accepted_bare_or_under_their_name():
    for content in ([{"id": "v0000"}], {"versions": [{"id": "v0000"}], "current": "v0000"}):
        with odd_server(json_answer(content)) as server:
            assert TumorLoopClient(server.url).versions() == [{"id": "v0000"}]
    with odd_server(json_answer({"other": 1})) as server, pytest.raises(BadReply, match="has no list of cases"):
        TumorLoopClient(server.url).cases()


def test_train_stats_are_those_of_the_model():
    with odd_server(json_answer({"train_stats": {"tumorloop": {"epoch": 3}}})) as server:
        assert TumorLoopClient(server.url).train_stats() == {"epoch": 3}
        assert TumorLoopClient(server.url).train_stats("other") == {}


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("localhost:8000/", "http://localhost:8000"),
        (" https://seg.example.org/loop/ ", "https://seg.example.org:443/loop"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_addresses_are_understood_as_people_type_them(text, full):
    assert str(Address.parse(text)) == full


@pytest.mark.parametrize("url", ["ftp://somewhere", "http://", "http://host:port", "http://[::1", ""])
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(ServerUnreachable, match="not a server address"):
        TumorLoopClient(url)


def test_the_client_runs_on_the_standard_library_alone_and_reads_as_python_3_9():
    library = Path(TumorLoopLib.__file__).parent
    for path in (library / "client").glob("*.py"):
        ast.parse(path.read_text("utf-8"), feature_version=(3, 9))
    # -S leaves the installed packages out, -I the surroundings.
    code = f"import sys; sys.path.insert(0, {str(library.parent)!r}); import TumorLoopLib.client"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True, timeout=60)
