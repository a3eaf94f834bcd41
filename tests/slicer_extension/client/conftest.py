import threading
import time

import pytest
from TumorLoopLib.client import TumorLoopClient

from tests.slicer_extension.client.http_server import http_server, json_answer
from tests.slicer_extension.client.tls import https_server, make_authority


@pytest.fixture(scope="session")
def one_server():
    with http_server(json_answer({})) as running:
        yield running


@pytest.fixture
def server(one_server):
    """A server whose ``answer`` the test sets; afterwards neither it nor the client may leave a thread behind."""
    one_server.start(json_answer({}))
    before = set(threading.enumerate())
    yield one_server
    one_server.over.set()
    deadline = time.monotonic() + 5
    while left := set(threading.enumerate()) - before:
        assert time.monotonic() < deadline, left
        time.sleep(0.005)


@pytest.fixture
def client(server):
    return TumorLoopClient(server.url, user="ann")


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """A hospital's own certificate authority, which no system knows."""
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def secured(authority):
    """A server that speaks https, and the file of the authority that signed its certificate."""
    with https_server(json_answer({"image": "x", "pad": "y" * 300_000}), authority) as server:
        yield server, str(authority.certificate)
