"""Listening where others reach it: users and TLS, checked before the server starts and over real sockets."""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
from pathlib import Path

import psutil
import pytest
import requests
from TumorLoopLib.client import TumorLoopClient
from TumorLoopLib.client.errors import NotAuthorized, ServerUnreachable

from server_app.access.startup_checks import check_tls, tokens_required
from server_app.access.users import Users
from server_app.common.identity import Role
from tests.server_app.access.conftest import bearer
from tests.server_app.conftest import free_port, start_server
from training.errors import InputError


def certificate(folder: Path, password: str = "") -> tuple[Path, Path]:
    """Write a certificate for 127.0.0.1, signed by itself, and its key."""
    folder.mkdir(parents=True, exist_ok=True)
    command = "openssl req -x509 -newkey rsa:2048 -days 1 -subj /CN=tumorloop.test -addext subjectAltName=IP:127.0.0.1"
    command += f" -keyout key.pem -out cert.pem {f'-passout pass:{password}' if password else '-nodes'}"
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    return folder / "cert.pem", folder / "key.pem"


def test_users_are_needed_where_others_reach_the_server_or_tokens_were_asked_for(tmp_path: Path) -> None:
    users = Users(tmp_path / "users.json")

    def refused(host: str, required: bool) -> None:
        with pytest.raises(InputError, match="users add"):
            tokens_required(host, users, required=required, oidc=False)

    for host in ("127.0.0.1", "localhost", "::1"):
        assert not tokens_required(host, users, required=False, oidc=False)
        refused(host, True)
    for host in ("0.0.0.0", "::", "192.168.1.5", "server.hospital.example", ""):
        assert not tokens_required(host, users, required=False, oidc=True)
        refused(host, False)
        users.add("anna", Role.READER)
        assert tokens_required(host, users, required=False, oidc=False)
        users.revoke("anna")
        refused(host, False)


def test_tls_takes_a_certificate_with_its_key_and_nothing_else(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    check_tls(cert, key)
    check_tls(None, None)
    _, other = certificate(tmp_path / "other")
    _, locked = certificate(tmp_path / "locked", "secret")
    for pair in ((cert, None), (None, key), (cert, tmp_path / "none.pem"), (cert, other), (key, cert), (cert, locked)):
        with pytest.raises(InputError) as caught:
            check_tls(*pair)
        assert caught.value.field == "tls"


def test_with_monai_labels_own_command_only_programs_on_this_machine_need_no_token(
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


def test_a_server_that_others_reach_takes_nothing_without_a_token_nor_plain_http_nor_old_tls_and_proves_who_it_is(
    many_cases: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, port, (cert, key) = tmp_path / "workspace", free_port(), certificate(tmp_path / "tls")
    token = Users(workspace / "users.json").add("anna", Role.ANNOTATOR)
    command = ["server_app", "--studies", str(many_cases), "--port", str(port), "--workspace", str(workspace)]
    command += ["--host", "0.0.0.0", "--tls-cert", str(cert), "--tls-key", str(key)]
    command += ["--conf", f"model={tiny_model}", "--conf", "warm_up=false"]
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(cert))
    server = start_server(command, port, many_cases, workspace)
    server.url = server.url.replace("http:", "https:")
    try:
        server.wait_until_ready()
        assert server.request("GET", "/info/").status_code == 401  # also from its own machine
        access = server.get("/info/", headers=bearer(token))["access"]
        assert access == {"tokens": True, "user": "anna", "role": "annotator"}
        with pytest.raises(requests.ConnectionError):
            requests.get(server.url.replace("https:", "http:") + "/info/", headers=bearer(token), timeout=30)
        old = ssl.create_default_context(cafile=str(cert))
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
        with socket.create_connection(("127.0.0.1", port), 30) as raw, pytest.raises(ssl.SSLError):
            old.wrap_socket(raw, server_hostname="127.0.0.1")
        assert TumorLoopClient(server.url, token, ca_file=str(cert)).info()["access"]["user"] == "anna"
        with pytest.raises(NotAuthorized):
            TumorLoopClient(server.url, ca_file=str(cert)).info()
        with pytest.raises(ServerUnreachable):  # the panel's client checks the certificate
            TumorLoopClient(server.url, token).info()
    finally:
        server.stop()
