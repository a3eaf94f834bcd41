"""The client against a server that refuses, breaks, stalls or vanishes."""

from __future__ import annotations

import gzip
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from TumorLoopLib.client import TumorLoopClient
from TumorLoopLib.client.address import Timeouts
from TumorLoopLib.client.errors import (
    BadReply,
    Cancelled,
    ConnectionLost,
    LocalFileError,
    NotAuthorized,
    RequestRejected,
    ServerFailed,
    ServerTimeout,
    ServerUnreachable,
)

from tests.slicer_extension.odd_server import (
    Handler,
    files_in,
    json_answer,
    odd_server,
    result_answer,
    result_body,
    text_answer,
)

IMPATIENT = Timeouts(connect=1, answer=0.5, transfer=0.5, check=0.5, infer=0.5)
LABELMAP = gzip.compress(os.urandom(100_000) + b"\r\n--" + bytes(1000))


@pytest.fixture
def big(tmp_path):
    """A file larger than all buffers between client and server."""
    path = tmp_path / "big.nii"
    with open(path, "wb") as handle:
        handle.truncate(64 << 20)
    return path


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 2
    while set(threading.enumerate()) - before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not set(threading.enumerate()) - before


@pytest.mark.parametrize(
    ("body", "length", "error", "words"),
    [
        (result_body(LABELMAP, {})[:50_000], len(result_body(LABELMAP, {})), ConnectionLost, "broke off after 50000"),
        (result_body(LABELMAP, {})[:50_000], None, BadReply, "cut off"),
        (result_body(LABELMAP[:-20], {}), None, BadReply, "damaged"),
        (result_body(b"", {}), None, BadReply, "empty"),
        (result_body(LABELMAP, [1]), None, BadReply, "cannot be read"),
        (b"", None, BadReply, "empty"),
    ],
    ids=["connection drops", "form cut off", "file cut off", "no file content", "odd params", "nothing"],
)
def test_an_incomplete_result_leaves_the_old_one_alone(tmp_path, body, length, error, words):
    (tmp_path / "segmentation.nii.gz").write_bytes(b"old")
    with odd_server(result_answer(body, length)) as server, pytest.raises(error, match=words):
        TumorLoopClient(server.url).infer(case_id="x", folder=tmp_path)
    assert files_in(tmp_path) == ["segmentation.nii.gz"]
    assert (tmp_path / "segmentation.nii.gz").read_bytes() == b"old"


@pytest.mark.parametrize(
    ("detail", "field", "message"),
    [
        ("Image 'x' not found", "", "Image 'x' not found"),
        ({"field": "t2", "message": "t2.nii.gz is not a NIfTI file"}, "t2", "t2.nii.gz is not a NIfTI file"),
        ([{"loc": ["body", "files"], "msg": "Field required", "type": "missing"}], "files", "files: Field required"),
    ],
    ids=["text", "ours", "pydantic"],
)
def test_a_refusal_carries_the_server_s_own_words(detail, field, message):
    with odd_server(json_answer({"detail": detail}, 422)) as server, pytest.raises(RequestRejected) as caught:
        TumorLoopClient(server.url).info()
    assert (caught.value.status, caught.value.field, caught.value.message) == (422, field, message)


def test_a_wrong_token_is_its_own_error_and_a_right_one_is_sent():
    with odd_server(json_answer({"detail": "Invalid token"}, 401)) as server, pytest.raises(NotAuthorized):
        TumorLoopClient(server.url, "s3cret").info()
    assert server.requests[0].headers["Authorization"] == "Bearer s3cret"


def test_an_html_error_page_becomes_one_sentence():
    page = "<html><head><style>b{}</style><title>502</title></head><body><h1>Bad &amp; Gateway</h1></body></html>"
    with odd_server(text_answer(502, page)) as server, pytest.raises(ServerFailed) as caught:
        TumorLoopClient(server.url).info()
    assert str(caught.value) == "The server failed: 502 Bad & Gateway (HTTP 502)."


def test_another_web_server_is_recognized_as_such():
    with odd_server(text_answer(200, "<html>It works!</html>")) as server, pytest.raises(BadReply, match="text/html"):
        TumorLoopClient(server.url).info()


def test_something_that_does_not_speak_http_is_recognized():
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            connection, _ = listener.accept()
            connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")
            connection.recv(1000)
            connection.close()

        thread = threading.Thread(target=greet)
        thread.start()
        with pytest.raises(BadReply, match="not a web server"):
            TumorLoopClient(f"127.0.0.1:{listener.getsockname()[1]}").info()
        thread.join()


def test_nobody_listening_is_unreachable():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ServerUnreachable, match="No server answers at") as caught:
        TumorLoopClient(f"127.0.0.1:{port}").info()
    assert "refused" in str(caught.value)


def test_a_silent_server_times_out_in_words():
    with odd_server(never_read) as server:
        started = time.monotonic()
        with pytest.raises(ServerTimeout, match="did not respond"):
            TumorLoopClient(server.url, timeouts=IMPATIENT).info()
    assert time.monotonic() - started < 1.5


def test_a_server_that_stalls_in_the_middle_of_a_result_times_out(tmp_path):
    def stall(handler: Handler) -> None:
        result_answer(result_body(LABELMAP, {})[:1000], 10**6)(handler)
        handler.server.over.wait(10)

    with odd_server(stall) as server, pytest.raises(ServerTimeout):
        TumorLoopClient(server.url, timeouts=IMPATIENT).infer(case_id="x", folder=tmp_path)
    assert files_in(tmp_path) == []


def test_a_server_that_hangs_up_during_the_upload_is_a_lost_connection(big):
    def hang_up(handler: Handler) -> None:
        handler.rfile.read(1 << 16)
        handler.connection.shutdown(socket.SHUT_RDWR)

    with odd_server(hang_up) as server, pytest.raises(ConnectionLost):
        TumorLoopClient(server.url).upload_image("x", big)


def test_a_refusal_in_the_middle_of_an_upload_is_heard(big):
    def refuse(handler: Handler) -> None:
        handler.rfile.read(1 << 16)
        handler.reply(413, b'{"detail": "too large"}', "application/json")
        handler.connection.shutdown(socket.SHUT_WR)
        handler.server.over.wait(0.5)

    with odd_server(refuse) as server, pytest.raises(RequestRejected, match="too large"):
        TumorLoopClient(server.url).upload_image("x", big)


def wait_forever(handler: Handler) -> None:
    handler.body()
    handler.server.over.wait(30)


def never_read(handler: Handler) -> None:
    handler.server.over.wait(30)


def trickle(handler: Handler) -> None:
    result_answer(result_body(LABELMAP, {})[:1000], 10**6)(handler)
    handler.server.over.wait(30)


@contextmanager
def cancelled_within_a_second(after: float = 0.3) -> Iterator[threading.Event]:
    """Yield an event that is set soon, and expect the block to end as cancelled at once."""
    cancel = threading.Event()
    timer = threading.Timer(after, cancel.set)
    timer.start()
    started = time.monotonic()
    with pytest.raises(Cancelled):
        yield cancel
    assert after <= time.monotonic() - started + 0.05 < after + 1
    timer.join()


@pytest.mark.parametrize("behavior", [wait_forever, trickle], ids=["while it computes", "while it answers"])
def test_cancel_ends_an_inference_within_a_second(tmp_path, behavior):
    with odd_server(behavior) as server, cancelled_within_a_second() as cancel:
        TumorLoopClient(server.url).infer(case_id="x", folder=tmp_path / "out", cancel=cancel)
    assert files_in(tmp_path / "out") == []


def test_cancel_ends_an_upload_within_a_second(big):
    with odd_server(never_read) as server, cancelled_within_a_second() as cancel:
        TumorLoopClient(server.url).upload_image("x", big, cancel=cancel)


def test_cancel_ends_a_connection_attempt_within_a_second(big):
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):  # fills the queue of a listener that never accepts
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        client = TumorLoopClient(f"127.0.0.1:{listener.getsockname()[1]}")
        with cancelled_within_a_second() as cancel:
            client.upload_image("x", big, cancel=cancel)
        client = TumorLoopClient(client.server_url, timeouts=IMPATIENT)
        with pytest.raises(ServerTimeout, match="did not accept a connection within 1 seconds"):
            client.info()


def test_a_call_that_was_cancelled_before_it_began_sends_nothing(big):
    cancel = threading.Event()
    cancel.set()
    with odd_server(json_answer({})) as server, pytest.raises(Cancelled):
        TumorLoopClient(server.url).upload_image("x", big, cancel=cancel)
    assert server.requests == []


def test_a_file_that_is_not_there_is_named_before_anything_is_sent(tmp_path):
    with odd_server(json_answer({})) as server, pytest.raises(LocalFileError, match=r"absent\.nii"):
        TumorLoopClient(server.url).upload_image("x", tmp_path / "absent.nii")
    assert server.requests == []


def test_a_file_that_grows_while_it_is_sent_is_reported(big):
    def grow(sent: int, total: int) -> None:
        if sent < 1 << 17:
            with open(big, "ab") as handle:
                handle.write(b"more")

    with odd_server(json_answer({})) as server, pytest.raises(LocalFileError, match="changed while it was being sent"):
        TumorLoopClient(server.url).upload_image("x", big, grow)
    assert server.requests == []


def test_a_folder_that_cannot_be_written_is_a_local_error(tmp_path):
    (tmp_path / "out").write_text("a file, not a folder")
    with (
        odd_server(result_answer(result_body(LABELMAP, {}))) as server,
        pytest.raises(LocalFileError, match="saved in"),
    ):
        TumorLoopClient(server.url).infer(case_id="x", folder=tmp_path / "out")
