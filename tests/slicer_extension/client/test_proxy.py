"""The fault-injecting proxy itself, between the real client and a small real server."""

from __future__ import annotations

import gzip
import os
import threading
import time

import pytest
from TumorLoopLib.client import TumorLoopClient
from TumorLoopLib.client.errors import Cancelled, ConnectionLost, NotAuthorized, ServerFailed, ServerUnreachable

from tests.slicer_extension.client import proxy as faults
from tests.slicer_extension.client.http_server import Handler, json_answer, result_answer, result_body

LABELMAP = gzip.compress(os.urandom(200_000))


@pytest.fixture
def proxy(server):
    result, other = result_answer(result_body(LABELMAP, {})), json_answer({"session_id": "abc", "name": "x"})
    server.answer = lambda handler: (result if handler.path.startswith("/infer/") else other)(handler)
    with faults.proxy_of(server.url) as running:
        yield running


@pytest.fixture
def client(proxy):
    return TumorLoopClient(proxy.url)


@pytest.fixture
def volumes(tmp_path):
    """Two files, the second larger than all buffers between client, proxy and server."""
    paths = {role: tmp_path / f"{role}.nrrd" for role in ("t1", "flair")}
    for path, size in zip(paths.values(), (100_000, 16 << 20), strict=True):
        path.write_bytes(os.urandom(size))
    return paths


def test_without_a_fault_everything_passes_byte_for_byte_and_is_recorded(proxy, server, client, volumes, tmp_path):
    assert client.create_session(volumes) == "abc"
    assert client.infer(session_id="abc", folder=tmp_path / "out").path.read_bytes() == LABELMAP
    assert server.requests[0].body == bytes(proxy.requests[0].body)
    assert all(path.read_bytes() in server.requests[0].body for path in volumes.values())
    assert [seen.name for seen in proxy.requests] == ["PUT /session/", "POST /infer/tumorloop"]
    assert proxy.requests_to("PUT *")[0].files == ["t1.nrrd", "flair.nrrd"]


@pytest.mark.parametrize("fault", [faults.full_disk(), faults.cut_request(300_000), faults.silent(0.1)])
def test_a_fault_keeps_the_request_from_the_server_and_is_used_up(proxy, server, client, volumes, fault):
    proxy.fault("PUT /session/", fault, times=1)
    with pytest.raises((ServerFailed, ConnectionLost)):
        client.create_session(volumes)
    assert server.requests == []
    assert fault.request_limit in (None, len(proxy.requests[0].body))
    assert client.create_session(volumes) == "abc"


def test_a_fault_hits_only_its_method_and_path_and_the_later_one_wins(proxy, client, tmp_path):
    proxy.fault("*", faults.broken_server())
    proxy.fault("GET *", faults.wrong_token())
    proxy.fault("GET /info/", faults.delay(0.2))
    proxy.fault("POST /infer/*", faults.cut_response(50_000))
    started = time.monotonic()
    assert client.info()["name"] == "x"
    assert time.monotonic() - started > 0.2
    for error, call in ((NotAuthorized, client.cases), (ServerFailed, client.stop_training)):
        with pytest.raises(error):
            call()
    with pytest.raises(ConnectionLost, match="broke off after 50000"):
        client.infer(case_id="x", folder=tmp_path)


def test_a_server_that_goes_down_cuts_what_is_under_way_and_comes_up_at_the_same_address(proxy, server, client):
    proxy.fault("GET /info/", faults.delay(0.3), times=1)
    threading.Timer(0.1, proxy.go_down).start()
    with pytest.raises(ConnectionLost):
        client.info()
    with pytest.raises(ServerUnreachable, match="refused"):
        client.info()
    proxy.come_up()
    proxy.come_up()
    assert client.info()["name"] == "x"
    proxy.go_down()
    assert len(server.requests) == 1, "a request went through to a server that was said to be dead"


def test_a_client_that_hangs_up_is_noticed_by_the_server_behind(server, client, tmp_path):
    cancel, noticed = threading.Event(), threading.Event()

    def compute(handler: Handler) -> None:
        handler.body()
        cancel.set()
        handler.connection.settimeout(5)
        if handler.connection.recv(1) == b"":
            noticed.set()

    server.answer = compute
    with pytest.raises(Cancelled):
        client.infer(case_id="x", folder=tmp_path, cancel=cancel)
    assert noticed.wait(2)
