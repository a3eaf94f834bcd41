"""Requests by those who may not: without a token, with a wrong one, with too little a role, from a foreign page.

Stock MONAI Label knows users only by an OIDC server; without one it has none, and everybody may do everything.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.attack.attack import Attack
from tests.attack.samples import CASE, four_volumes, label
from tests.attack.targets import Run, Target, request
from tests.attack.wire import Reply, send_raw

_GROUP = "who may do what"
_LABEL = f"/datastore/label?image={CASE}&tag=final"


def attacks() -> Iterator[Attack]:
    """Yield the attacks on the rules of access."""
    label_file: dict[str, Any] = {"files": {"label": ("label.nii.gz", label())}}
    image_file: dict[str, Any] = {"files": {"file": ("new.nii.gz", four_volumes())}}
    image = f"/datastore/image?image={CASE}"
    for name, method, address, who, more in (
        ("no token: the server's description", "GET", "/info/", "", {}),
        ("no token: an image", "GET", image, "", {}),
        ("no token: a label", "PUT", _LABEL, "", label_file),
        ("no token: an inference", "POST", f"/infer/tumorloop?image={CASE}", "", {}),
        ("no token: the log", "GET", "/logs/", "", {}),
        ("no token: the table of routes", "GET", "/openapi.json", "", {}),
        ("a revoked token", "GET", image, "revoked", {}),
        ("a reader who submits a label", "PUT", _LABEL, "reader", label_file),
        ("a reader who uploads a case", "PUT", "/datastore/?image=new", "reader", image_file),
        ("a reader who trains", "POST", "/train/tumorloop", "reader", {}),
        ("an annotator who trains", "POST", "/train/tumorloop", "annotator", {}),
        ("an annotator who removes a case", "DELETE", "/datastore/image?id=nobody", "annotator", {}),
        ("an annotator who stops a training", "DELETE", "/train/", "annotator", {}),
        ("an annotator who reads the log", "GET", "/logs/", "annotator", {}),
    ):
        yield Attack(_GROUP, name, _as(who, method, address, more), tokens=True)
    for name, address, authorization in (
        ("a token that nobody has", image, "Bearer tumorloop_0123456789abcdef_" + "A" * 43),
        ("a token cut short", image, "Bearer {cut}"),
        ("a token with another scheme", image, "Basic {token}"),
        ("a token of 50,000 bytes", image, "Bearer " + "a" * 50_000),
        ("a token in the address", "/info/?token={token}", ""),
    ):
        yield Attack(_GROUP, name, _with_token(authorization, address), tokens=True)
    for name, target_and_host in (
        ("a host that makes the path another one", "/info/ HTTP/1.1\r\nHost: 127.0.0.1/healthz?"),
        ("a target without a slash", "@127.0.0.1/healthz HTTP/1.1\r\nHost: 127.0.0.1"),
        ("a target with a host of its own", "http://127.0.0.1/info/ HTTP/1.1\r\nHost: 127.0.0.1"),
        (
            "a proxy's header that names this machine",
            "/info/ HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-For: 127.0.0.1",
        ),
        ("a header that names another path", "/info/ HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Original-URL: /healthz"),
    ):
        yield Attack(_GROUP, name, _raw(target_and_host), tokens=True)
    page = {"Origin": "http://elsewhere.example", "Content-Type": "text/plain"}
    run = request("POST", "/train/tumorloop", body=b"{}", headers=page, timeout=60)
    yield Attack(_GROUP, "a foreign web page that starts a training", run)
    run = request("GET", image, headers={"Host": "elsewhere.example"})
    yield Attack(_GROUP, "a foreign web page under a name that leads here", run)


def _as(who: str, method: str, address: str, more: dict[str, Any]) -> Run:
    def run(target: Target) -> Reply:
        token = target.tokens.get(who, "a token") if who else ""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return target.send(method, address, headers=headers, timeout=60, **more)

    return run


def _raw(target_and_host: str) -> Run:
    content = f"GET {target_and_host}\r\nConnection: close\r\n\r\n".encode()
    return lambda target: send_raw(target.port, [content], timeout=10)


def _with_token(authorization: str, address: str) -> Run:
    def run(target: Target) -> Reply:
        token = target.tokens.get("trainer", "x" * 20)
        headers = {"Authorization": authorization.format(token=token, cut=token[:-1])} if authorization else {}
        return target.send("GET", address.format(token=token), headers=headers)

    return run
