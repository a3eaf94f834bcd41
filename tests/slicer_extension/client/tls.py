"""A certificate authority of the tests' own, and servers that speak https with its certificates."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.slicer_extension.client.http_server import Answer, HttpServer, http_server

#: A name that no name server knows, and that the certificates are for beside 127.0.0.1.
NAME = "seg.hospital.invalid"
_REQUEST = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1"
_FOR_SERVERS = f"-extensions usr_cert -addext subjectAltName=IP:127.0.0.1,DNS:{NAME}"


class Authority(NamedTuple):
    """Files in PEM form: the authority's certificate, and that of a server with its key."""

    certificate: Path
    server: Path

    @property
    def server_certificate(self) -> Path:
        """The server's certificate without its key."""
        return self.server.with_suffix(".crt")


def make_authority(folder: Path, name: str = "Hospital") -> Authority:
    """Make an authority and a certificate that it has signed; skips the test without the ``openssl`` program."""
    if shutil.which("openssl") is None:
        pytest.skip("the openssl program is not here to make a certificate")
    folder.mkdir(parents=True, exist_ok=True)
    key, certificate, server = folder / "ca.key", folder / "ca.crt", folder / "server.pem"
    _run(f"{_REQUEST} -subj /CN={name} -keyout {key} -out {certificate}")
    signed = server.with_suffix(".crt")
    _run(f"{_REQUEST} {_FOR_SERVERS} -subj /CN={NAME} -CA {certificate} -CAkey {key} -keyout {server} -out {signed}")
    server.write_bytes(server.read_bytes() + signed.read_bytes())
    return Authority(certificate, server)


@contextmanager
def https_server(answer: Answer, authority: Authority) -> Iterator[HttpServer]:
    with http_server(answer) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority.server)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        server.url = server.url.replace("http://", "https://")
        yield server


def _run(command: str) -> None:
    subprocess.run(command.split(), check=True, capture_output=True)
