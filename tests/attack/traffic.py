"""Requests that are too large, too slow, too deep, or no requests at all."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

from tests.attack.attack import Attack
from tests.attack.samples import CASE
from tests.attack.targets import Run, Target, request
from tests.attack.wire import Reply, send_raw

_GROUP = "traffic"
#: Seconds for which a slow client goes on; the limits of ours end it long before.
_SLOW = 12
_HEAD = b"PUT /session/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=x\r\n"
_PART = b'--x\r\nContent-Disposition: form-data; name="files"; filename="t1.nii.gz"\r\n\r\n'
#: MONAI Label puts this folder on the path of the process that it starts.
_PROGRAMS = b'{"bundle_path": "/tmp", "gpus": "0", "images": []}'
_JSON = {"Content-Type": "application/json"}
_TRAIN, _NOTE, _INFER = "/train/tumorloop", f"/datastore/image/info?image={CASE}", f"/infer/tumorloop?image={CASE}"
_SMUGGLED = (
    b"POST /train/tumorloop HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nContent-Length: 40\r\n"
    b"Connection: close\r\n\r\nGET /info/ HTTP/1.1\r\nHost: x\r\n\r\n"
)

#: Within the limit of a header's size; merging them takes time (Starlette: CVE-2025-62727).
_RANGES = "bytes=" + ",".join(f"{number}-{number}" for number in range(0, 20_000, 2))[:60_000].rpartition(",")[0]
_DICOM = bytes(128) + b"DICM" + b"\x02\0\0\0UL\x04\0\0\0\0\0"
#: A request for an association (DICOM PS3.8, 9.3.2) without presentation contexts, and a command after it whose
#: instance UID leads out (pynetdicom: CVE-2026-56445; DCMTK: CVE-2026-50003).
_ASSOCIATION = b"\x01\0\0\0\0\x59\0\x01\0\0" + b"ANY-SCP".ljust(16) + b"ATTACK".ljust(16) + bytes(32)
_ASSOCIATION += b"\x10\0\0\x151.2.840.10008.3.1.1.1"
_STORE = b"\x04\0\0\0\0\x40\0\0\0\x3c\x01\x03" + b"\0\0\0\x10\x32\0\0\0../../../elsewhere/written".ljust(58, b"\0")
_KERAS = ("model.keras", b"PK\x03\x04" + b'{"class_name": "Lambda", "config": {"function": "os.system"}}')


def attacks() -> Iterator[Attack]:
    """Yield the attacks on the server's time and memory."""
    json_head = b"POST /train/tumorloop HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    for name, run in {
        "slow loris: the head of a request, a byte a second": _drip(b"GET / HTTP/1.1\r\nX-Slow: ", b"a"),
        "slow loris: an upload, a byte a second": _drip(_HEAD + b"Content-Length: 1000000\r\n\r\n" + _PART, b"a"),
        "slow loris: JSON, a byte a second": _drip(json_head + b"Content-Length: 1000\r\n\r\n", b" "),
        "slow loris: chunks without an end": _drip(_HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
        "a connection that says nothing": lambda target: send_raw(target.port, [], timeout=_SLOW - 2),
        "the 201st connection of one client": _two_hundred_connections,
        "an upload of 100 MB where 64 MiB are allowed": lambda target: target.send(
            "PUT", "/session/", files={"files": ("t1.nii.gz", bytes(100_000_000))}, timeout=60
        ),
        "100 MB of JSON for a training": lambda target: _json(_TRAIN, b'"' + b"a" * 100_000_000 + b'"')(target),
        "JSON nested 100,000 deep for a training": _json(_TRAIN, b"[" * 100_000),
        "JSON with NaN for a training": _json(_TRAIN, b'{"max_epochs": NaN}'),
        "a note with NaN, which no JSON reply can hold": _poisoned_note,
        "a note that is no JSON": request("PUT", _NOTE, data={"info": "{"}),
        "parameters nested 100,000 deep": request("POST", _INFER, data={"params": '{"a":' * 100_000}, timeout=60),
        "parameters that are a list": request("POST", _INFER, data={"params": "[1, 2]"}, timeout=60),
        "an address of 60,000 bytes": request("GET", "/datastore/image?image=" + "a" * 60_000),
        "two lengths for one body": lambda target: send_raw(target.port, [_SMUGGLED], timeout=10),
        "the log's last 10^30 lines": request("GET", "/logs/?lines=" + "9" * 30),
        "a checksum of an unknown kind": request("HEAD", f"/datastore/image?image={CASE}&check_sum=x:y"),
        "another model's weights put in place": request("PUT", "/model/tumorloop", files={"file": ("m.pt", b"other")}),
        "the DICOM proxy, to fetch from elsewhere": request("GET", "/proxy/dicom/wado/studies"),
        "a training of a model that does not exist": _json("/train/spleen", b"{}"),
        "a batch inference of a model that does not exist": _json("/batch/infer/spleen", b"{}"),
        "a batch inference with a folder of programs": _json("/batch/infer/tumorloop", _PROGRAMS),
        "a scoring method that does not exist": _json("/scoring/spleen", b"{}"),
        "10,000 ranges of a file": request("GET", f"/datastore/image?image={CASE}", headers={"Range": _RANGES}),
        "the viewer, to fetch from elsewhere": request("GET", "/ohif/viewer?url=http://127.0.0.1:9/patient.json"),
        "a model in Keras' format that runs a program": request("PUT", "/model/tumorloop", files={"file": _KERAS}),
        "a DICOM association": lambda target: send_raw(target.port, [_ASSOCIATION], timeout=10),
        "a DICOM file stored under a path": lambda target: send_raw(target.port, [_ASSOCIATION, _STORE], timeout=10),
        "a DICOM file as an upload": request("PUT", "/session/", files={"files": ("t1.dcm", _DICOM)}),
        "a DICOM file as a label": request(
            "PUT", f"/datastore/label?image={CASE}&tag=final", files={"label": ("label.dcm", _DICOM)}
        ),
    }.items():
        yield Attack(_GROUP, name, run)


def _drip(first: bytes, then: bytes) -> Run:
    return lambda target: send_raw(target.port, [first, *[then] * _SLOW], pause=1.0, timeout=_SLOW - 2)


def _json(address: str, body: bytes) -> Run:
    return request("POST", address, body=body, headers=_JSON, timeout=60)


def _two_hundred_connections(target: Target) -> Reply:
    """Open many connections from one client; return what becomes of the last one's question."""
    with ExitStack() as stack:
        for _ in range(200):
            try:
                stack.enter_context(socket.create_connection(("127.0.0.1", target.port), 5))
            except OSError:
                break
        time.sleep(0.5)
        return target.send("GET", "/info/", timeout=10)


def _poisoned_note(target: Target) -> Reply:
    stored = target.send("PUT", _NOTE, data={"info": '{"size": NaN}'})
    return target.send("GET", _NOTE) if stored.status == 200 else stored
