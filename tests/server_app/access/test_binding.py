"""Listening where others reach it: users and TLS, checked before the server starts and over real sockets."""

from __future__ import annotations

import datetime
import ipaddress
import os
import re
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from TumorLoopLib.client import TumorLoopClient
from TumorLoopLib.client.errors import NotAuthorized, ServerUnreachable

from server_app.access.binding import check_tls, tokens_required
from server_app.access.users import Users
from server_app.common.identity import Role
from tests.server_app.access.conftest import bearer
from tests.server_app.conftest import REPOSITORY, Server, eventually, free_port, start_server
from training.errors import InputError


def certificate(folder: Path, password: bytes | None = None) -> tuple[Path, Path]:
    """Write a certificate for 127.0.0.1, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tumorloop.test")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cipher = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, cipher))
    return folder / "cert.pem", folder / "key.pem"


# === Before it starts ===


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_on_loopback_no_user_is_needed(tmp_path: Path, host: str) -> None:
    assert not tokens_required(host, Users(tmp_path / "users.json"), required=False, oidc=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "server.hospital.example", ""])
def test_elsewhere_users_are_needed(tmp_path: Path, host: str) -> None:
    users = Users(tmp_path / "users.json")
    with pytest.raises(InputError, match="users add"):
        tokens_required(host, users, required=False, oidc=False)
    users.add("anna", Role.READER)
    assert tokens_required(host, users, required=False, oidc=False)
    users.revoke("anna")
    with pytest.raises(InputError, match="users add"):
        tokens_required(host, users, required=False, oidc=False)


def test_where_tokens_were_asked_for_users_are_needed_on_loopback_too(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="users add"):
        tokens_required("127.0.0.1", Users(tmp_path / "users.json"), required=True, oidc=False)


def test_monai_labels_own_oidc_setting_needs_no_users(tmp_path: Path) -> None:
    assert not tokens_required("0.0.0.0", Users(tmp_path / "users.json"), required=False, oidc=True)


def test_a_certificate_and_its_key_are_accepted(tmp_path: Path) -> None:
    check_tls(*certificate(tmp_path))
    check_tls(None, None)


def test_tls_files_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    _, other = certificate(tmp_path / "other")
    _, locked = certificate(tmp_path / "locked", b"secret")
    for pair in ((cert, None), (None, key), (cert, tmp_path / "none.pem"), (cert, other), (key, cert), (cert, locked)):
        with pytest.raises(InputError) as caught:
            check_tls(*pair)
        assert caught.value.field == "tls"


@pytest.mark.parametrize("options", [("--host", "0.0.0.0"), ("--require-token",)])
def test_the_server_refuses_to_start_without_users_and_says_how_to_add_one(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    (tmp_path / "studies").mkdir()
    command = [sys.executable, "-m", "server_app", "--studies", str(tmp_path / "studies"), "--port", "0"]
    command += ["--workspace", str(tmp_path / "workspace"), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=REPOSITORY, env=dict(os.environ))
    assert done.returncode == 2
    assert "python -m server_app users add" in done.stderr
    assert "Traceback" not in done.stderr


# === MONAI Label's own command, which listens everywhere ===


def test_behind_monai_labels_own_command_only_this_machine_needs_no_token(
    many_cases: Path, tiny_model: Path, tmp_path: Path
) -> None:
    others = [address.address for addresses in psutil.net_if_addrs().values() for address in addresses]
    elsewhere = [address for address in others if re.fullmatch(r"[\d.]+", address) and not address.startswith("127.")]
    if not elsewhere:
        pytest.skip("this machine has no address but loopback")
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "main.py").write_text("from server_app.app import TumorLoopApp\n")
    port, workspace = free_port(), tmp_path / "workspace"
    command = ["monailabel.main", "start_server", "--app", str(tmp_path / "app")]
    command += ["--studies", str(many_cases), "--port", str(port), "--conf", "workspace", str(workspace)]
    command += ["--conf", "model", str(tiny_model), "--conf", "warm_up", "false", "--access_log"]
    server = start_server(command, port, many_cases, workspace)
    try:
        server.wait_until_ready()
        assert server.get("/info/")["access"]["tokens"] is False
        server.url = f"http://{elsewhere[0]}:{port}"
        refused = server.request("GET", "/info/")
        assert refused.status_code == 401
        assert "users add" in refused.json()["detail"]["message"]
        token = Users(workspace / "users.json").add("anna", Role.ANNOTATOR)
        assert server.get(f"/info/?leaked={token}", headers=bearer(token))["access"]["user"] == "anna"
        assert "leaked=[token]" in server.log.read_text()
        assert token not in server.log.read_text()
    finally:
        server.stop()


# === A server that everybody reaches, with TLS ===


@pytest.fixture(scope="module")
def cert(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def open_server(
    many_cases: Path, tiny_model: Path, cert: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, str]]:
    """``python -m server_app --host 0.0.0.0`` with TLS, and the token of its one user."""
    workspace = tmp_path_factory.mktemp("open") / "workspace"
    token = Users(workspace / "users.json").add("anna", Role.ANNOTATOR)
    port = free_port()
    command = ["server_app", "--studies", str(many_cases), "--port", str(port), "--workspace", str(workspace)]
    command += ["--host", "0.0.0.0", "--tls-cert", str(cert[0]), "--tls-key", str(cert[1])]
    server = start_server(
        [*command, "--conf", f"model={tiny_model}", "--conf", "warm_up=false"], port, many_cases, workspace
    )
    server.url = server.url.replace("http:", "https:")
    try:
        eventually(lambda: _answers(server, cert[0]), seconds=180)
        yield server, token
    finally:
        server.stop()


def _answers(server: Server, cert: Path) -> bool:
    assert server.process.poll() is None, server.log.read_text()[-3000:]
    try:
        return requests.get(f"{server.url}/healthz", verify=str(cert), timeout=30).status_code == 200
    except requests.ConnectionError:
        return False


def test_it_asks_for_tokens_by_itself_also_on_its_own_machine(
    open_server: tuple[Server, str], cert: tuple[Path, Path]
) -> None:
    server, token = open_server
    assert server.request("GET", "/info/", verify=str(cert[0])).status_code == 401
    answer = server.request("GET", "/info/", verify=str(cert[0]), headers=bearer(token))
    assert answer.json()["access"] == {"tokens": True, "user": "anna", "role": "annotator"}


def test_it_speaks_no_plain_http_and_no_old_tls(open_server: tuple[Server, str], cert: tuple[Path, Path]) -> None:
    server, token = open_server
    with pytest.raises(requests.ConnectionError):
        requests.get(server.url.replace("https:", "http:") + "/info/", headers=bearer(token), timeout=30)
    context = ssl.create_default_context(cafile=str(cert[0]))
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    port = int(server.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), 30) as raw, pytest.raises(ssl.SSLError):
        context.wrap_socket(raw, server_hostname="127.0.0.1")


def test_the_panels_client_checks_the_certificate(open_server: tuple[Server, str], cert: tuple[Path, Path]) -> None:
    server, token = open_server
    tls = ssl.create_default_context(cafile=str(cert[0]))
    assert TumorLoopClient(server.url, token, tls=tls).info()["access"]["user"] == "anna"
    with pytest.raises(NotAuthorized):
        TumorLoopClient(server.url, tls=tls).info()
    with pytest.raises(ServerUnreachable):
        TumorLoopClient(server.url, token).info()
