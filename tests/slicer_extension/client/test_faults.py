import gzip
import os
import socket
import threading
import time
from contextlib import ExitStack, contextmanager

import pytest
from TumorLoopLib.client import TumorLoopClient, errors, new_job_id
from TumorLoopLib.client.address import Timeouts
from TumorLoopLib.client.errors import BadReply, Cancelled, ConnectionLost, LocalFileError, ServerFailed, ServerTimeout

from tests.slicer_extension.client import http_server
from tests.slicer_extension.client.http_server import file_answer, files_in, json_answer, wait_forever

IMPATIENT = Timeouts(connect=0.3, answer=0.2, transfer=0.2, check=0.2, infer=0.2)
LABELMAP = gzip.compress(os.urandom(100_000) + b"\r\n--" + bytes(1000))
RESULT = http_server.result_body(LABELMAP, {})
PAGE = b"<html><head><style>b{}</style><title>502</title></head><body><h1>Bad &amp; Gateway</h1></body></html>"


@pytest.fixture
def big(tmp_path):
    """A file larger than all buffers between client and server."""
    (tmp_path / "big.nii").touch()
    os.truncate(tmp_path / "big.nii", 64 << 20)
    return tmp_path / "big.nii"


def stall(handler):
    http_server.result_answer(RESULT[:1000], 10**6)(handler)
    wait_forever(handler)


@contextmanager
def cancelled_at_once(begun):
    """Yield an event that is set once ``begun`` is, and expect the block to end as cancelled within a second."""
    cancel, times = threading.Event(), list[float]()

    def set_it():
        begun.wait(10)
        times.append(time.monotonic())
        cancel.set()

    thread = threading.Thread(target=set_it)
    thread.start()
    with pytest.raises(Cancelled):
        yield cancel
    thread.join()
    assert time.monotonic() - times[0] < 1


@pytest.mark.parametrize(
    ("body", "length", "error", "words"),
    [
        (RESULT[:50_000], len(RESULT), ConnectionLost, "broke off after 50000"),
        (RESULT[:50_000], None, BadReply, "cut off"),
        (http_server.result_body(LABELMAP[:-20], {}), None, BadReply, "damaged"),
        (http_server.result_body(b"", {}), None, BadReply, "empty"),
        (http_server.result_body(LABELMAP, [1]), None, BadReply, "cannot be read"),
        (b"", None, BadReply, "empty"),
    ],
    ids=["connection drops", "form cut off", "file cut off", "no file content", "odd params", "nothing"],
)
def test_an_incomplete_result_leaves_the_old_one_alone(server, client, tmp_path, body, length, error, words):
    (tmp_path / "segmentation.nii.gz").write_bytes(b"old")
    server.answer = http_server.result_answer(body, length)
    with pytest.raises(error, match=words):
        client.infer(case_id="x", folder=tmp_path)
    assert files_in(tmp_path) == ["segmentation.nii.gz"]
    assert (tmp_path / "segmentation.nii.gz").read_bytes() == b"old"


@pytest.mark.parametrize(
    ("status", "detail", "error", "field", "message"),
    [
        (422, "Image 'x' not found", errors.RequestRejected, "", "Image 'x' not found"),
        (422, {"field": "t2", "message": "It is not NIfTI."}, errors.RequestRejected, "t2", "It is not NIfTI."),
        (422, [{"loc": ["body", "files"], "msg": "Required"}], errors.RequestRejected, "files", "files: Required"),
        (404, {"field": "base", "message": "No such session."}, errors.RequestRejected, "base", "No such session."),
        (401, "Invalid token", errors.NotAuthorized, "", "The server refuses access: Invalid token"),
        (499, {"field": "job", "message": "It was cancelled."}, Cancelled, None, "It was cancelled."),
        (499, b"", Cancelled, None, "Cancelled."),
        (507, {"field": "disk", "message": "The disk is full."}, ServerFailed, None, "The disk is full."),
        (507, b"", ServerFailed, None, "The server failed: Insufficient Storage (HTTP 507)."),
        (502, PAGE, ServerFailed, None, "The server failed: 502 Bad & Gateway (HTTP 502)."),
    ],
)
def test_a_refusal_is_a_typed_error_in_the_servers_own_words(server, tmp_path, status, detail, error, field, message):
    page = isinstance(detail, bytes)
    server.answer = file_answer(detail, "text/html", status) if page else json_answer({"detail": detail}, status)
    client = TumorLoopClient(server.url, "s3cret")
    with pytest.raises(error) as caught:
        client.info()
    assert (str(caught.value), getattr(caught.value, "field", None)) == (message, field)
    assert getattr(caught.value, "status", 499) == status
    assert server.requests[0].headers["Authorization"] == "Bearer s3cret"
    with pytest.raises(error):
        client.infer(case_id="a", job=new_job_id(), folder=tmp_path)
    assert files_in(tmp_path) == []


def test_what_is_no_tumorloop_server_or_no_https_or_no_token_is_recognized(server, client):
    with pytest.raises(errors.NotAuthorized, match="not allowed in one"):
        TumorLoopClient(server.url, "s3crét")
    server.answer = file_answer(b"<html>It works!</html>", "text/html")
    with pytest.raises(BadReply, match="text/html"):
        client.info()
    server.answer = lambda handler: handler.wfile.write(b"SSH-2.0-OpenSSH_9.6\r\n")
    with pytest.raises(BadReply, match="not a web server"):
        client.info()
    with socket.create_server(("127.0.0.1", 0)) as closed:
        client = TumorLoopClient(f"127.0.0.1:{closed.getsockname()[1]}")
    with pytest.raises(errors.ServerUnreachable, match=r"No server answers at .*refused"):
        client.info()
    with pytest.raises(ConnectionLost, match="speak https there"):
        TumorLoopClient(server.url.replace("http://", "https://")).info()


@pytest.mark.parametrize("answer", [wait_forever, stall], ids=["before its answer", "during its answer"])
def test_a_silent_server_times_out_in_words_and_cancel_ends_the_wait_within_a_second(server, client, tmp_path, answer):
    server.answer = answer
    with cancelled_at_once(server.busy) as cancel:
        client.infer(case_id="x", folder=tmp_path, cancel=cancel)
    started = time.monotonic()
    with pytest.raises(ServerTimeout, match="did not respond"):
        TumorLoopClient(server.url, timeouts=IMPATIENT).infer(case_id="x", folder=tmp_path)
    assert time.monotonic() - started < 1.5
    assert files_in(tmp_path) == []


def test_a_server_that_hangs_up_or_refuses_during_an_upload_is_heard(server, client, big):
    def refuse(handler):
        handler.rfile.read(1 << 16)
        handler.reply(413, b'{"detail": "too large"}', "application/json")
        handler.connection.shutdown(socket.SHUT_WR)
        handler.server.over.wait(0.5)

    def hang_up(handler):
        handler.rfile.read(1 << 16)
        handler.connection.shutdown(socket.SHUT_RDWR)

    for server.answer, error, words in ((refuse, errors.RequestRejected, "too large"), (hang_up, ConnectionLost, "")):
        with pytest.raises(error, match=words):
            client.upload_image("x", big)


def test_cancel_hangs_up_so_that_the_server_notices(server, client, tmp_path):
    cancel, noticed = threading.Event(), threading.Event()

    def compute(handler):
        handler.body()
        cancel.set()
        handler.connection.settimeout(5)
        if handler.connection.recv(1) == b"":
            noticed.set()

    server.answer = compute
    with pytest.raises(Cancelled):
        client.infer(case_id="x", folder=tmp_path, cancel=cancel)
    assert noticed.wait(2)


@pytest.mark.parametrize("kind", ["plain", "secured"])
def test_cancel_ends_an_upload_within_a_second_and_a_later_one_sends_nothing(request, server, client, big, kind):
    if kind == "secured":
        server, ca_file = request.getfixturevalue("secured")
        client = TumorLoopClient(server.url, ca_file=ca_file)
    server.answer = wait_forever
    with cancelled_at_once(server.busy) as cancel:
        client.upload_image("x", big, cancel=cancel)
    server.answer = json_answer({})
    with pytest.raises(Cancelled):
        client.upload_image("x", big, cancel=cancel)
    assert server.requests == []


def test_a_connection_attempt_can_be_cancelled_and_times_out(big):
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):  # fills the queue of a listener that never accepts
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        client = TumorLoopClient(f"127.0.0.1:{listener.getsockname()[1]}", timeouts=IMPATIENT)
        with pytest.raises(ServerTimeout, match="did not accept a connection within 0 seconds"):
            client.info()
        client = TumorLoopClient(client.server_url)
        soon = threading.Event()
        threading.Timer(0.05, soon.set).start()
        with cancelled_at_once(soon) as cancel:
            client.upload_image("x", big, cancel=cancel)


def test_local_files_that_are_absent_grow_while_sent_or_cannot_be_written_are_named(server, client, big, tmp_path):
    def grow(sent, total):
        if sent < 1 << 17:
            with open(big, "ab") as handle:
                handle.write(b"more")

    with pytest.raises(LocalFileError, match=r"absent\.nii"):
        client.upload_image("x", tmp_path / "absent.nii")
    with pytest.raises(LocalFileError, match="changed while it was being sent"):
        client.upload_image("x", big, grow)
    assert server.requests == []
    server.answer = http_server.result_answer(RESULT)
    with pytest.raises(LocalFileError, match="saved in"):
        client.infer(case_id="x", folder=big)  # a file, not a folder
