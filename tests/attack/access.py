"""Requests by those who may not: without a token, with a wrong one, with too little a role, from a foreign page.

Stock MONAI Label knows users only by an OIDC server; without one it has none, and everybody may do everything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tests.attack.attack import Attack
from tests.attack.samples import CASE, four_volumes, label
from tests.attack.targets import Target
from tests.attack.wire import Reply

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
    for name, token in _WRONG.items():
        yield Attack(_GROUP, name, _with(token, image), tokens=True)
    yield Attack(_GROUP, "a token in the address", _token_in_address, tokens=True)
    yield Attack(_GROUP, "a foreign web page that starts a training", _foreign_page)
    yield Attack(_GROUP, "a foreign web page under a name that leads here", _rebound)


_WRONG: dict[str, Callable[[Target], str]] = {
    "a token that nobody has": lambda target: "Bearer tumorloop_0123456789abcdef_" + "A" * 43,
    "a token cut short": lambda target: "Bearer " + target.tokens.get("trainer", "x" * 20)[:-1],
    "a token with another scheme": lambda target: "Basic " + target.tokens.get("trainer", "x" * 20),
    "a token of 50,000 bytes": lambda target: "Bearer " + "a" * 50_000,
}


def _as(who: str, method: str, address: str, more: dict[str, Any]) -> Callable[[Target], Reply]:
    def run(target: Target) -> Reply:
        token = target.tokens.get(who, "a token") if who else ""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return target.send(method, address, headers=headers, timeout=60, **more)

    return run


def _with(authorization: Callable[[Target], str], address: str) -> Callable[[Target], Reply]:
    return lambda target: target.send("GET", address, headers={"Authorization": authorization(target)})


def _token_in_address(target: Target) -> Reply:
    return target.send("GET", f"/info/?token={target.tokens.get('trainer', 'x')}")


def _foreign_page(target: Target) -> Reply:
    headers = {"Origin": "http://elsewhere.example", "Content-Type": "text/plain"}
    return target.send("POST", "/train/tumorloop", body=b"{}", headers=headers, timeout=60)


def _rebound(target: Target) -> Reply:
    return target.send("GET", f"/datastore/image?image={CASE}", headers={"Host": "elsewhere.example"})
