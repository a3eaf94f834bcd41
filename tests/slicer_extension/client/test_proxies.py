"""Servers behind a site's proxy: who is contacted through it, and what a refusal says."""

import base64
import socket
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from TumorLoopLib.client import TumorLoopClient
from TumorLoopLib.client.address import Address, Timeouts
from TumorLoopLib.client.diagnosis import NAME as NAME_STEP
from TumorLoopLib.client.diagnosis import TCP, diagnose
from TumorLoopLib.client.errors import ServerTimeout, ServerUnreachable
from TumorLoopLib.client.proxies import proxy_for

from tests.slicer_extension.client.tls import NAME

PROXY = "http://proxy.invalid:3128"


class Tunnel(BaseHTTPRequestHandler):
    """A proxy that leads every tunnel to one server, whatever name it is asked for."""

    server: "TunnelServer"

    def do_CONNECT(self):
        self.server.asked.append((self.path, self.headers.get("Proxy-Authorization")))
        if self.server.status != 200:
            self.send_error(self.server.status)
            return
        with socket.create_connection(self.server.target) as upstream:
            self.send_response(200, "Connection established")
            self.end_headers()
            back = threading.Thread(target=pass_on, args=(upstream, self.connection))
            back.start()
            pass_on(self.connection, upstream)
            back.join()
        self.close_connection = True

    def log_message(self, format, *args):
        """Keep the tests' output clean."""


class TunnelServer(ThreadingHTTPServer):
    daemon_threads = True
    status = 200
    target = ("127.0.0.1", 0)

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Tunnel)
        self.asked = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


def pass_on(source, target):
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def set_to(monkeypatch, **settings):
    """Set the environment's proxies to these and no others."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def proxy(secured):
    """A proxy in front of the https server of ``secured``."""
    tunnel = TunnelServer()
    tunnel.target = secured[0].server_address
    thread = threading.Thread(target=tunnel.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield tunnel
    tunnel.shutdown()
    tunnel.server_close()
    thread.join()


@pytest.fixture
def distant(secured):
    """A client of a server whose name only the proxy knows."""
    return TumorLoopClient(f"https://{NAME}:8443", ca_file=secured[1])


@pytest.mark.parametrize("credentials", ["", "anna:s%40fe"])
def test_https_goes_through_a_tunnel_and_the_certificate_is_checked_at_its_other_end(
    proxy, distant, secured, monkeypatch, tmp_path, credentials
):
    address = proxy.url.replace("//", f"//{credentials}@") if credentials else proxy.url
    set_to(monkeypatch, HTTPS_PROXY=address)
    assert distant.info()["image"] == "x"
    expected = f"Basic {base64.b64encode(b'anna:s@fe').decode()}" if credentials else None
    assert proxy.asked == [(f"{NAME}:8443", expected)]
    (tmp_path / "big.nii").write_bytes(bytes(3 << 20))
    assert distant.upload_image("x", tmp_path / "big.nii") == "x"
    with pytest.raises(ServerUnreachable, match="is not trusted"):
        TumorLoopClient(distant.server_url).info()


def test_the_connection_test_names_the_proxy(proxy, secured, monkeypatch):
    set_to(monkeypatch, HTTPS_PROXY=proxy.url)
    steps = {step.step: step for step in diagnose(f"https://{NAME}:8443", "", ca_file=secured[1])}
    assert f"the proxy {proxy.url[7:]}" in steps[NAME_STEP].detail
    assert steps[TCP].ok
    proxy.status = 502
    last = list(diagnose(f"https://{NAME}:8443", "", ca_file=secured[1]))[-1]
    assert (last.step, last.ok) == (TCP, False)
    set_to(monkeypatch, HTTPS_PROXY=PROXY)
    assert [step.detail for step in diagnose("https://seg:1", "")] == ["The proxy proxy.invalid:3128 was not found."]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (407, r"asks for a name and a password: HTTPS_PROXY=http://name:password@127"),
        (403, rf"does not connect to https://{NAME}:8443 \(HTTP 403 Forbidden\).*add {NAME} to NO_PROXY"),
    ],
)
def test_a_proxy_that_refuses_says_why_and_what_to_do(proxy, distant, monkeypatch, status, words):
    proxy.status = status
    set_to(monkeypatch, HTTPS_PROXY=proxy.url)
    with pytest.raises(ServerUnreachable, match=words):
        distant.info()


def test_a_proxy_that_is_not_there_silent_or_none_is_named(distant, monkeypatch):
    def greet():
        connection, _ = listener.accept()
        with connection:
            connection.recv(1 << 16)
            connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        set_to(monkeypatch, HTTPS_PROXY=f"127.0.0.1:{port}")
        with pytest.raises(ServerTimeout, match=f"The proxy 127.0.0.1:{port} did not respond"):
            TumorLoopClient(distant.server_url, timeouts=Timeouts(connect=0.3)).info()
        listener.accept()[0].close()
        thread = threading.Thread(target=greet)
        thread.start()
        with pytest.raises(ServerUnreachable, match="is not an http proxy"):
            distant.info()
        thread.join()
    for setting, words in (
        (f"http://127.0.0.1:{port}", rf"No server answers at .*This is the proxy for https://{NAME}"),
        ("socks5://127.0.0.1:1080", "does not name an http proxy"),
        ("https://user:secret@127.0.0.1:1080", "does not name an http proxy"),
        ("http://[::1", "does not name an http proxy"),
    ):
        set_to(monkeypatch, HTTPS_PROXY=setting)
        with pytest.raises(ServerUnreachable, match=words) as caught:
            distant.info()
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "no_proxy", "through"),
    [
        ("https://seg.hospital.invalid", "", True),
        ("https://seg.hospital.invalid", "hospital.invalid", False),
        ("https://seg.hospital.invalid", ".hospital.invalid, other", False),
        ("https://seg.hospital.invalid:8443", "seg.hospital.invalid:8443", False),
        ("https://seg.hospital.invalid:8443", "seg.hospital.invalid:8444", True),
        ("https://seg.hospital.invalid", "*", False),
        ("https://10.1.2.3:8443", "10.0.0.0/8", False),
        ("https://10.1.2.3:8443", "192.168.0.0/16,hospital", True),
        ("https://[fd00::7]:8443", "fd00::/8", False),
        ("https://[fd00::7]:8443", "", True),
        ("https://127.0.0.1:8443", "", False),
        ("https://localhost:8443", "", False),
        ("https://[::1]:8443", "", False),
        ("http://seg.hospital.invalid:8000", "", False),
    ],
)
def test_which_servers_are_contacted_through_the_proxy(monkeypatch, address, no_proxy, through):
    set_to(monkeypatch, HTTPS_PROXY=PROXY, HTTP_PROXY=PROXY, NO_PROXY=no_proxy)
    assert str(proxy_for(Address.parse(address))) == ("proxy.invalid:3128" if through else "None")


def test_without_a_setting_there_is_no_proxy_and_an_http_server_that_is_not_reached_tells_why(monkeypatch):
    set_to(monkeypatch)
    assert proxy_for(Address.parse("https://seg.hospital.invalid")) is None
    set_to(monkeypatch, http_proxy=PROXY)
    with pytest.raises(ServerUnreachable, match="Only https addresses"):
        TumorLoopClient("http://seg.hospital.invalid").info()
