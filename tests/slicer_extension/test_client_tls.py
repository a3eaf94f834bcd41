"""The client over https: certificates are checked, and all waits can still be cancelled."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import threading
import time

import pytest
from TumorLoopLib.client import TumorLoopClient
from TumorLoopLib.client.errors import Cancelled, ConnectionLost, ServerUnreachable

from tests.slicer_extension.odd_server import Handler, json_answer, odd_server


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A self-signed certificate for 127.0.0.1 and its key, in one file."""
    if shutil.which("openssl") is None:
        pytest.skip("the openssl program is not here to make a certificate")
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    )
    subprocess.run(
        [*command.split(), "-keyout", path, "-out", path.with_suffix(".crt")], check=True, capture_output=True
    )
    path.write_bytes(path.read_bytes() + path.with_suffix(".crt").read_bytes())
    return path


def secured(server, certificate):
    """Put TLS under a server and return its address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    return server.url.replace("http://", "https://")


def trusting(certificate):
    return ssl.create_default_context(cafile=certificate.with_suffix(".crt"))


def test_a_certificate_nobody_vouches_for_is_refused(certificate):
    with odd_server(json_answer({})) as server, pytest.raises(ServerUnreachable, match="not trusted"):
        TumorLoopClient(secured(server, certificate)).info()
    assert server.requests == []


def test_a_trusted_server_is_talked_to_in_both_directions(certificate, tmp_path):
    big = tmp_path / "big.nii"
    big.write_bytes(bytes(8 << 20))
    with odd_server(json_answer({"image": "x", "pad": "y" * 300_000})) as server:
        url = secured(server, certificate)
        assert TumorLoopClient(url, tls=trusting(certificate)).upload_image("x", big) == "x"
    assert len(server.requests[0].body) > 8 << 20


def test_cancel_ends_a_secured_upload_within_a_second(certificate, tmp_path):
    big = tmp_path / "big.nii"
    big.write_bytes(bytes(64 << 20))

    def never_read(handler: Handler) -> None:
        handler.server.over.wait(30)

    cancel = threading.Event()
    timer = threading.Timer(0.3, cancel.set)
    with odd_server(never_read) as server:
        client = TumorLoopClient(secured(server, certificate), tls=trusting(certificate))
        timer.start()
        started = time.monotonic()
        with pytest.raises(Cancelled):
            client.upload_image("x", big, cancel=cancel)
    assert time.monotonic() - started < 1.5
    timer.join()


def test_https_where_the_server_speaks_http_is_said():
    with odd_server(json_answer({})) as server, pytest.raises(ConnectionLost, match="speak https there"):
        TumorLoopClient(server.url.replace("http://", "https://")).info()
