"""Requests that are too large, too slow, too deep, or no requests at all."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

from tests.attack.attack import Attack
from tests.attack.samples import CASE
from tests.attack.targets import Target
from tests.attack.wire import Reply, send_raw

_GROUP = "traffic"
#: Seconds for which a slow client goes on; the limits of ours end it long before.
_SLOW = 12
_HEAD = b"PUT /session/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=x\r\n"
_PART = b'--x\r\nContent-Disposition: form-data; name="files"; filename="t1.nii.gz"\r\n\r\n'
#: MONAI Label puts this folder on the path of the process that it starts.
_PROGRAMS = b'{"bundle_path": "/tmp", "gpus": "0", "images": []}'
_JSON = {"Content-Type": "application/json"}


def attacks() -> Iterator[Attack]:
    """Yield the attacks on the server's time and memory."""
    drips: dict[str, list[bytes]] = {
        "slow loris: the head of a request, a byte a second": [b"GET / HTTP/1.1\r\nX-Slow: ", *[b"a"] * _SLOW],
        "slow loris: an upload, a byte a second": [_HEAD + b"Content-Length: 1000000\r\n\r\n" + _PART, *[b"a"] * _SLOW],
        "slow loris: JSON, a byte a second": [
            b"POST /train/tumorloop HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Content-Length: 1000\r\n\r\n",
            *[b" "] * _SLOW,
        ],
        "slow loris: chunks without an end": [_HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[b"1\r\na\r\n"] * _SLOW],
    }
    for name, parts in drips.items():
        yield Attack(_GROUP, name, _drip(parts))
    yield Attack(_GROUP, "a connection that says nothing", lambda target: send_raw(target.port, [], timeout=_SLOW - 2))
    yield Attack(_GROUP, "the 201st connection of one client", _crowd)
    yield Attack(_GROUP, "an upload of 100 MB where 64 MiB are allowed", _large_upload)
    yield Attack(_GROUP, "100 MB of JSON for a training", _large_json)
    yield Attack(_GROUP, "JSON nested 100,000 deep for a training", _json("/train/tumorloop", b"[" * 100_000))
    yield Attack(_GROUP, "JSON with NaN for a training", _json("/train/tumorloop", b'{"max_epochs": NaN}'))
    yield Attack(_GROUP, "a note with NaN, which no JSON reply can hold", _poisoned_note)
    yield Attack(_GROUP, "a note that is no JSON", _note("{"))
    yield Attack(_GROUP, "parameters nested 100,000 deep", _params('{"a":' * 100_000))
    yield Attack(_GROUP, "parameters that are a list", _params("[1, 2]"))
    yield Attack(_GROUP, "an address of 60,000 bytes", _address("/datastore/image?image=" + "a" * 60_000))
    yield Attack(_GROUP, "two lengths for one body", _smuggled)
    yield Attack(_GROUP, "the log's last 10^30 lines", _address("/logs/?lines=" + "9" * 30))
    yield Attack(_GROUP, "a checksum of an unknown kind", _address("/datastore/image?image=%s&check_sum=x:y", "HEAD"))
    yield Attack(_GROUP, "another model's weights put in place", _weights)
    yield Attack(_GROUP, "the DICOM proxy, to fetch from elsewhere", _address("/proxy/dicom/wado/studies"))
    yield Attack(_GROUP, "a training of a model that does not exist", _json("/train/spleen", b"{}"))
    yield Attack(_GROUP, "a batch inference of a model that does not exist", _json("/batch/infer/spleen", b"{}"))
    yield Attack(_GROUP, "a batch inference with a folder of programs", _json("/batch/infer/tumorloop", _PROGRAMS))
    yield Attack(_GROUP, "a scoring method that does not exist", _json("/scoring/spleen", b"{}"))


def _drip(parts: list[bytes]) -> Callable[[Target], Reply]:
    return lambda target: send_raw(target.port, parts, pause=1.0, timeout=_SLOW - 2)


def _crowd(target: Target) -> Reply:
    """Open many connections from one client; return what becomes of the last one's question."""
    with ExitStack() as stack:
        for _ in range(200):
            try:
                stack.enter_context(socket.create_connection(("127.0.0.1", target.port), 5))
            except OSError:
                break
        time.sleep(0.5)
        return target.send("GET", "/info/", timeout=10)


def _large_upload(target: Target) -> Reply:
    return target.send("PUT", "/session/", files={"files": ("t1.nii.gz", bytes(100_000_000))}, timeout=60)


def _large_json(target: Target) -> Reply:
    return target.send("POST", "/train/tumorloop", body=b'"' + b"a" * 100_000_000 + b'"', headers=_JSON, timeout=60)


def _json(address: str, body: bytes) -> Callable[[Target], Reply]:
    return lambda target: target.send("POST", address, body=body, headers=_JSON, timeout=30)


def _note(info: str) -> Callable[[Target], Reply]:
    return lambda target: target.send("PUT", f"/datastore/image/info?image={CASE}", data={"info": info})


def _poisoned_note(target: Target) -> Reply:
    stored = _note('{"size": NaN}')(target)
    return target.send("GET", f"/datastore/image/info?image={CASE}") if stored.status == 200 else stored


def _params(params: str) -> Callable[[Target], Reply]:
    return lambda target: target.send("POST", f"/infer/tumorloop?image={CASE}", data={"params": params}, timeout=60)


def _address(address: str, method: str = "GET") -> Callable[[Target], Reply]:
    return lambda target: target.send(method, address.replace("%s", CASE))


def _smuggled(target: Target) -> Reply:
    head = b"POST /train/tumorloop HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nContent-Length: 40\r\n"
    return send_raw(
        target.port, [head + b"Connection: close\r\n\r\nGET /info/ HTTP/1.1\r\nHost: x\r\n\r\n"], timeout=10
    )


def _weights(target: Target) -> Reply:
    return target.send("PUT", "/model/tumorloop", files={"file": ("model.pt", b"other weights")})
