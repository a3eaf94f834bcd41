"""The fault-injecting proxy itself, between the real client and a small real server."""

from __future__ import annotations

import gzip
import json
import os
import socket
import threading
import time

import pytest
from TumorLoopLib.client import TumorLoopClient
from TumorLoopLib.client.address import Timeouts
from TumorLoopLib.client.errors import (
    Cancelled,
    ConnectionLost,
    NotAuthorized,
    RequestRejected,
    ServerFailed,
    ServerTimeout,
    ServerUnreachable,
)

from tests.slicer_extension.faults import (
    broken_server,
    cut_request,
    cut_response,
    delay,
    full_disk,
    silent,
    trickle,
    wrong_token,
)
from tests.slicer_extension.odd_server import Handler, files_in, odd_server, result_answer, result_body
from tests.slicer_extension.proxy import proxy_of, wait_until

IMPATIENT = Timeouts(connect=1, answer=0.5, transfer=0.5, check=0.5, infer=0.5)
LABELMAP = gzip.compress(os.urandom(200_000))


def answer_like_tumorloop(handler: Handler) -> None:
    """Accept sessions, answer inferences with a labelmap, and everything else with a small object."""
    if handler.path.startswith("/infer/"):
        result_answer(result_body(LABELMAP, {"model_version": "v0000"}))(handler)
        return
    handler.record()
    handler.reply(200, json.dumps({"session_id": "abc", "name": "TumorLoop"}).encode(), "application/json")


@pytest.fixture
def server():
    with odd_server(answer_like_tumorloop) as running:
        yield running


@pytest.fixture
def proxy(server):
    before = set(threading.enumerate())
    with proxy_of(server.url) as running:
        yield running
    assert wait_until(lambda: not set(threading.enumerate()) - before), "the proxy left threads behind"


@pytest.fixture
def client(proxy):
    return TumorLoopClient(proxy.url)


@pytest.fixture
def volumes(tmp_path):
    """Two files, the second larger than all buffers between client, proxy and server."""
    for role, size in {"t1": 100_000, "flair": 16 << 20}.items():
        (tmp_path / f"{role}.nrrd").write_bytes(os.urandom(size))
    return {role: tmp_path / f"{role}.nrrd" for role in ("t1", "flair")}


def test_without_a_fault_everything_passes_byte_for_byte(proxy, server, client, volumes, tmp_path):
    assert client.create_session(volumes) == "abc"
    result = client.infer(session_id="abc", folder=tmp_path / "out")
    assert result.path.read_bytes() == LABELMAP
    assert server.requests[0].body == bytes(proxy.requests[0].body)
    assert all(path.read_bytes() in server.requests[0].body for path in volumes.values())


def test_requests_are_recorded_with_what_was_sent_and_answered(proxy, client, volumes, tmp_path):
    client.create_session(volumes)
    client.infer(session_id="abc", folder=tmp_path / "out")
    sent, inferred = proxy.requests
    assert (sent.name, sent.files, sent.size) == ("PUT /session/", ["t1.nrrd", "flair.nrrd"], sent.announced)
    assert (inferred.name, inferred.query) == ("POST /infer/tumorloop", "session_id=abc&output=all")
    assert wait_until(lambda: inferred.finished and sent.finished)
    assert inferred.status == 200
    assert inferred.answered > len(LABELMAP)
    assert not sent.broke_off
    assert not inferred.broke_off
    assert not inferred.cancelled
    assert proxy.requests_to("PUT *") == [sent]


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        (wrong_token(), NotAuthorized, "Invalid token"),
        (broken_server(), ServerFailed, r"Internal Server Error \(HTTP 500\)"),
        (full_disk(), ServerFailed, r"disk is full"),
    ],
    ids=["wrong token", "HTML page", "full disk"],
)
def test_a_made_up_answer_takes_the_server_s_place(proxy, server, client, volumes, fault, error, words):
    proxy.fault("PUT /session/", fault)
    with pytest.raises(error, match=words):
        client.create_session(volumes)
    assert server.requests == []
    assert proxy.requests[0].size == proxy.requests[0].announced


def test_a_fault_hits_only_its_method_and_path(proxy, client):
    proxy.fault("DELETE /train/", broken_server())
    proxy.fault("GET /cases", broken_server())
    assert client.info()["name"] == "TumorLoop"
    with pytest.raises(ServerFailed):
        client.stop_training()


def test_a_fault_that_is_used_up_lets_the_retry_pass(proxy, client, volumes):
    proxy.fault("PUT /session/", full_disk(), times=1)
    with pytest.raises(ServerFailed):
        client.create_session(volumes)
    assert client.create_session(volumes) == "abc"


def test_a_later_fault_wins_and_healing_takes_all_away(proxy, client):
    proxy.fault("*", broken_server())
    proxy.fault("GET *", wrong_token())
    with pytest.raises(NotAuthorized):
        client.info()
    proxy.heal()
    assert client.info()["name"] == "TumorLoop"


def test_an_upload_is_cut_after_the_given_bytes(proxy, server, client, volumes):
    proxy.fault("PUT /session/", cut_request(300_000), times=1)
    with pytest.raises(ConnectionLost):
        client.create_session(volumes)
    seen = proxy.requests[0]
    assert wait_until(lambda: seen.broke_off)
    assert seen.size == 300_000
    assert server.requests == []
    assert client.create_session(volumes) == "abc"


def test_a_result_is_cut_after_the_given_bytes(proxy, client, tmp_path):
    proxy.fault("POST /infer/*", cut_response(50_000), times=1)
    with pytest.raises(ConnectionLost, match="broke off after 50000"):
        client.infer(case_id="x", folder=tmp_path / "out")
    assert files_in(tmp_path / "out") == []
    seen = proxy.requests[0]
    assert wait_until(lambda: seen.broke_off)
    assert (seen.status, seen.answered, seen.finished) == (200, 50_000, False)
    assert client.infer(case_id="x", folder=tmp_path / "out").path.read_bytes() == LABELMAP


def test_silence_ends_without_an_answer(proxy, server, client):
    proxy.fault("GET /info/", silent(0.3))
    started = time.monotonic()
    with pytest.raises(ConnectionLost, match="without an answer"):
        client.info()
    assert 0.3 <= time.monotonic() - started < 2
    assert server.requests == []


def test_an_impatient_client_gives_up_on_a_silent_server_and_the_proxy_stops_at_once(proxy):
    proxy.fault("*", silent(60))
    with pytest.raises(ServerTimeout):
        TumorLoopClient(proxy.url, timeouts=IMPATIENT).info()
    started = time.monotonic()
    proxy.stop()
    assert time.monotonic() - started < 2


def test_a_delayed_answer_comes_late_and_whole(proxy, client):
    proxy.fault("GET /info/", delay(0.4))
    started = time.monotonic()
    assert client.info()["name"] == "TumorLoop"
    assert 0.4 <= time.monotonic() - started < 3


def test_a_slow_line_is_slow_both_ways(proxy, client, volumes, tmp_path):
    proxy.fault("*", trickle(400_000))
    started = time.monotonic()
    client.create_session({"t1": volumes["t1"]})
    assert 0.2 <= time.monotonic() - started < 3
    started = time.monotonic()
    assert client.infer(case_id="x", folder=tmp_path / "out").path.read_bytes() == LABELMAP
    assert 0.4 <= time.monotonic() - started < 5


def test_a_server_that_is_down_refuses_and_comes_up_at_the_same_address(proxy, client):
    proxy.go_down()
    with pytest.raises(ServerUnreachable, match="refused"):
        client.info()
    assert proxy.requests == []
    proxy.come_up()
    proxy.come_up()
    assert client.info()["name"] == "TumorLoop"


def test_going_down_cuts_what_is_under_way(proxy, server, client):
    proxy.fault("GET /info/", delay(0.5))
    timer = threading.Timer(0.2, proxy.go_down)
    timer.start()
    with pytest.raises(ConnectionLost):
        client.info()
    timer.join()
    time.sleep(0.5)
    assert server.requests == [], "a request went through to a server that was said to be dead"


def test_a_client_that_hangs_up_is_noticed_by_the_server_behind(tmp_path):
    noticed = threading.Event()

    def compute(handler: Handler) -> None:
        handler.record()
        handler.connection.settimeout(5)
        if handler.connection.recv(1) == b"":
            noticed.set()

    cancel = threading.Event()
    with odd_server(compute) as server, proxy_of(server.url) as proxy:
        timer = threading.Timer(0.2, cancel.set)
        timer.start()
        with pytest.raises(Cancelled):
            TumorLoopClient(proxy.url).infer(case_id="x", folder=tmp_path, cancel=cancel)
        timer.join()
        assert noticed.wait(2)
        assert wait_until(lambda: proxy.requests[0].cancelled)


def test_a_refusal_in_the_middle_of_an_upload_reaches_the_client(volumes):
    def refuse(handler: Handler) -> None:
        handler.rfile.read(1 << 16)
        handler.reply(413, b'{"detail": "too large"}', "application/json")
        handler.connection.shutdown(socket.SHUT_WR)
        handler.server.over.wait(0.5)

    with (
        odd_server(refuse) as server,
        proxy_of(server.url) as proxy,
        pytest.raises(RequestRejected, match="too large"),
    ):
        TumorLoopClient(proxy.url).create_session(volumes)


def test_a_server_that_is_not_there_is_a_lost_connection(proxy, server, client):
    server.shutdown()
    server.server_close()
    with pytest.raises(ConnectionLost):
        client.info()
