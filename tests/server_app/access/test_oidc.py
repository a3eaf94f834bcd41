"""MONAI Label's own OIDC setting: the tokens of a realm, which these tests serve, are valid on our server too."""

from __future__ import annotations

import base64
import http.server
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import jwt
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from fastapi import HTTPException
from monailabel.client.client import MONAILabelClient
from monailabel.endpoints.user import auth

from server_app.access import oidc
from server_app.common.identity import Role
from tests import synthetic
from tests.server_app.access.conftest import CASE, audit_lines, bearer
from tests.server_app.conftest import Server, serving

KEY = rsa.generate_private_key(65537, 2048)
PUBLIC = KEY.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
ROLES = {"rita": "monailabel-user", "anna": "monailabel-annotator", "tom": "monailabel-admin"}


def token(name: str, key: Any = KEY, algorithm: str = "RS256", **claims: Any) -> str:
    """Sign a token as Keycloak does; each role comes with the lesser ones."""
    roles = list(ROLES.values())[: list(ROLES).index(name) + 1] if name in ROLES else []
    content = {"preferred_username": name, "exp": time.time() + 60, "realm_access": {"roles": roles}, **claims}
    return jwt.encode(content, key, algorithm=algorithm)


class _Realm(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        content = json.dumps({"public_key": base64.b64encode(PUBLIC).decode()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture(scope="module")
def realm() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Realm) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/realms/test"
        server.shutdown()


@pytest.fixture(scope="module")
def server(realm: str, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of one case that was started with MONAI Label's OIDC setting, also where others reach it."""
    home = tmp_path_factory.mktemp("oidc")
    synthetic.write_case(home / "studies", CASE)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MONAI_LABEL_AUTH_ENABLE", "true")
        environment.setenv("MONAI_LABEL_AUTH_REALM_URI", realm)
        with serving(home / "studies", home / "ws", tiny_model, "--host", "0.0.0.0", warm_up="false") as running:
            yield running


def test_the_stock_client_works_with_a_token_of_the_realm(server: Server, tmp_path: Path) -> None:
    client = MONAILabelClient(server.url, tmpdir=str(tmp_path), client_id="mallory")
    assert client.auth_enabled()
    client.update_auth({"token_type": "Bearer", "access_token": token("anna")})
    assert client.auth_valid_token()
    assert client.info()["access"] == {"tokens": True, "user": "anna", "role": "annotator"}
    truth = server.studies / CASE / f"{CASE}_seg.nii.gz"
    assert client.save_label(CASE, str(truth), params={})["version"] == "v0001"
    (label,) = server.get(f"/cases/{CASE}/labels", headers=bearer(token("rita")))["labels"]
    assert label["user"] == "anna"
    assert "anna" in {line["user"] for line in audit_lines(server.workspace / "audit")}


def test_the_realms_roles_stand_for_ours_and_the_highest_counts(server: Server) -> None:
    for name, method, path, status in (
        ("rita", "GET", "/info/", 200), ("rita", "PUT", "/cases/x", 403), ("rita", "POST", "/reload", 200),
        ("anna", "DELETE", "/train/", 403), ("tom", "DELETE", "/train/", 200), ("tom", "GET", "/logs/", 200),
        ("anna", "GET", "/logs/", 403), ("nobody", "GET", "/info/", 401),
    ):  # fmt: skip
        assert server.request(method, path, headers=bearer(token(name))).status_code == status, (name, method, path)
    assert oidc.role_of([]) is oidc.role_of(["other"]) is None
    assert oidc.role_of(["monailabel-user"]) is Role.READER
    assert oidc.role_of(["monailabel-reviewer"]) is Role.ANNOTATOR
    assert oidc.role_of(["monailabel-user", "monailabel-admin"]) is Role.TRAINER


def test_a_token_that_the_realm_did_not_sign_is_refused(server: Server) -> None:
    secret = base64.b64encode(PUBLIC)  # a public key taken for a shared secret
    forged = [token("tom", rsa.generate_private_key(65537, 2048)), token("tom", secret, "HS256")]
    forged += [token("tom", None, "none"), token("tom", exp=time.time() - 60)]
    for wrong in (*forged, "", "x.y.z", token("tom")[:-4]):
        answer = server.request("GET", "/info/", headers=bearer(wrong))
        assert answer.status_code == 401, wrong
        assert not wrong or wrong not in answer.text
    assert server.request("GET", "/info/").status_code == 401


def test_nobody_gets_in_while_the_realm_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "get_public_key", Mock(side_effect=requests.ConnectionError("no route")))
    with pytest.raises(HTTPException, match=r"^503: "):
        oidc.identify(token("tom"))
