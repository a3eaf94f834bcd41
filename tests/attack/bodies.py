"""Bodies that lie about their length or their coding, and forms that are made to be slow to read.

Most are findings of 2025 and 2026 against comparable servers and their libraries; ``docs/security.md`` lists them.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator

from tests.attack.attack import Attack
from tests.attack.samples import CASE, label, packed_zeros
from tests.attack.targets import Run, Target, request
from tests.attack.wire import Reply, send_raw

_GROUP = "a body that lies"
_FORM = "multipart/form-data; boundary=x"
_PART = b'--x\r\nContent-Disposition: form-data; name="files"; filename="t1.nii"\r\n\r\n'
_END = b"\r\n--x--\r\n"
_TRAIN = "/train/tumorloop"
_UPLOAD_HEAD = f"PUT /session/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: {_FORM}\r\n".encode()
_MEGABYTE = 2**20

#: Lengths that are none, or that a server may read as another one.
LENGTHS = {
    "4 GB, of which nothing comes": "4294967296",
    "one byte less than 4 GB": "4294967295",
    "2^63 bytes": str(2**63),
    "2^64 + 5 bytes": str(2**64 + 5),
    "10^30 bytes": "1" + "0" * 30,
    "less than none": "-1",
    "with a sign": "+5",
    "hexadecimal": "0x10",
    "with an underscore": "1_0",
    "in two numbers": "5, 6",
    "in Arabic digits": "\u0665",
    "of nothing": "",
}
#: Chunks that end elsewhere for a server that reads them carelessly.
CHUNKS = {
    "of 2^64 - 1 bytes": b"FFFFFFFFFFFFFFFF\r\nhello\r\n",
    "of -1 byte": b"-1\r\nhello\r\n0\r\n\r\n",
    "of 0x5 bytes": b"0x5\r\nhello\r\n0\r\n\r\n",
    "with 100 kB behind its size": b"5;" + b"a" * 100_000 + b"\r\nhello\r\n0\r\n\r\n",
    "without its line end (h11)": b"5\r\nhelloXX0\r\n\r\n",
}


def attacks() -> Iterator[Attack]:
    """Yield the attacks with bodies."""
    for what, run in {**_coded(), **_lengths(), **_forms()}.items():
        yield Attack(_GROUP, what, run)


def _coded() -> dict[str, Run]:
    """Bodies that a server would have to unpack (Orthanc: CVE-2026-5438)."""

    def form() -> bytes:
        return gzip.compress(_PART) + packed_zeros() + gzip.compress(_END)

    bombs: dict[str, tuple[str, Callable[[], bytes]]] = {
        "gzip": ("gzip", form),
        "deflate": ("deflate", lambda: zlib.compress(_PART + bytes(512 * _MEGABYTE) + _END, 1)),
        "zstd": ("zstd", _zstd_bomb),
        "gzip within gzip": ("gzip, gzip", lambda: gzip.compress(form(), 9)),
    }
    runs: dict[str, Run] = {}
    for what, (coding, content) in bombs.items():
        runs[f"an upload coded as {what}: 512 MiB"] = _send("PUT", "/session/", content, _FORM, coding)
    quote = gzip.compress(b'"')
    text = _send("POST", _TRAIN, lambda: quote + packed_zeros() + quote, "application/json", "gzip")
    runs["JSON coded as gzip: 512 MiB"] = text
    for coding in ("x-gzip", "br", "identity, gzip", "unheard-of"):
        run = _send("POST", _TRAIN, lambda: gzip.compress(b"{}"), "application/json", coding)
        runs[f"JSON of two bytes coded as {coding}"] = run
    part = _PART.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n")
    runs["a part of a form coded as gzip"] = _send("PUT", "/session/", lambda: part + packed_zeros() + _END, _FORM)
    return runs


def _lengths() -> dict[str, Run]:
    """Bodies that are longer or shorter than announced (Orthanc: CVE-2026-5440; h11: CVE-2025-43859)."""
    runs = {f"a length {what}": _raw(f"Content-Length: {value}", b"hello") for what, value in LENGTHS.items()}
    for method, address in (("POST", _TRAIN), ("GET", "/info/"), ("DELETE", "/session/0")):
        head = (
            f"{method} {address} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: 4294967296\r\n\r\n"
        )
        runs[f"a length 4 GB for a {method}"] = _bytes(head.encode())
    runs["60 MB announced, of which nothing comes"] = _raw("Content-Length: 60000000", b"")
    runs["10 bytes announced, a million sent"] = _raw("Content-Length: 10", _PART + bytes(_MEGABYTE))
    runs["a length and chunks"] = _raw("Content-Length: 5\r\nTransfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n")
    for coding in ("gzip, chunked", "chunked, chunked", "xchunked", "identity"):
        runs[f"a transfer coded as {coding}"] = _raw(f"Transfer-Encoding: {coding}", b"0\r\n\r\n")
    runs["chunks without an end"] = lambda target: send_raw(
        target.port,
        [_UPLOAD_HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[b"100000\r\n%b\r\n" % bytes(_MEGABYTE)] * 100],
    )
    return runs | {f"a chunk {what}": _raw("Transfer-Encoding: chunked", content) for what, content in CHUNKS.items()}


def _forms() -> dict[str, Run]:
    """Forms that are slow to read or hide a name (python-multipart, Starlette)."""
    hidden = _PART.replace(b'"t1.nii"', b"\"t1.nii\"; filename*=UTF-8''..%2F..%2F..%2Felsewhere%2Fwritten.nii")
    many = b"--x\r\n" + b"".join(b"X-%d: a\r\n" % number for number in range(100_000)) + b"\r\n" + _END
    fields = "&".join(f"a{number}=1" for number in range(100_000))
    coded = "application/x-www-form-urlencoded"
    infer = f"/infer/tumorloop?image={CASE}"
    long_boundary = b"--" + b"x" * 60_000
    return {
        "a form whose part has 100,000 headers": _send("PUT", "/session/", lambda: many, _FORM),
        "a form whose part has a header of 10 MB": _send(
            "PUT", "/session/", lambda: b"--x\r\nX: " + bytes(10 * _MEGABYTE) + b"\r\n\r\n" + _END, _FORM
        ),
        "a form after 60 MB of line ends": _send("PUT", "/session/", lambda: b"\r\n" * 30_000_000, _FORM),
        "a form before 60 MB of nothing": _send("PUT", "/session/", lambda: _PART + _END + bytes(60_000_000), _FORM),
        "a form without a boundary": _send("PUT", "/session/", lambda: _PART + _END, "multipart/form-data"),
        "a form that does not end": _send("PUT", "/session/", lambda: _PART + bytes(1000), _FORM),
        "a form with a boundary of 60 kB": _send(
            "PUT", "/session/", lambda: long_boundary + b"\r\n\r\n", f"multipart/form-data; boundary={'x' * 60_000}"
        ),
        "a form with a second name for its file": _send("PUT", "/session/", lambda: hidden + b"no image" + _END, _FORM),
        "a form with two labels": _two_labels(),
        "a form of 100,000 fields": _send("POST", infer, lambda: fields.encode(), coded),
        "a form with a field of 10 MB": _send("POST", infer, lambda: b"params=" + b"a" * (10 * _MEGABYTE), coded),
        "parameters that are given twice": request(
            "POST", infer, files=[("params", (None, "{}")), ("params", (None, '{"reference": "t2"}'))], timeout=60
        ),
        "parameters with one name twice": request(
            "POST", infer, data={"params": '{"reference": "t1", "reference": "t2"}'}, timeout=60
        ),
        "an address with one name twice": request("POST", f"{infer}&image=other", data={"params": "{}"}, timeout=60),
    }  # fmt: skip


def _two_labels() -> Run:
    files = [("label", ("label.nii.gz", label())), ("label", ("other.nii.gz", b"no image"))]
    return request("PUT", f"/datastore/label?image={CASE}&tag=final", files=files, timeout=60)


def _send(method: str, address: str, content: Callable[[], bytes], kind: str, coding: str = "") -> Run:
    """Send a body, made only then: some are large."""
    headers = {"Content-Type": kind, **({"Content-Encoding": coding} if coding else {})}
    return lambda target: target.send(method, address, body=content(), headers=headers, timeout=60)


def _raw(headers: str, body: bytes) -> Run:
    return _bytes(_UPLOAD_HEAD + headers.encode() + b"\r\n\r\n" + body)


def _bytes(content: bytes) -> Run:
    def run(target: Target) -> Reply:
        return send_raw(target.port, [content], timeout=10)

    return run


def _zstd_bomb() -> bytes:
    """512 MiB as zstd (RFC 8878): one frame of blocks that repeat a byte 128 KiB times."""
    block = (2**17 << 3 | 1 << 1).to_bytes(3, "little") + b"\0"
    return b"\x28\xb5\x2f\xfd" + b"\x00\x58" + block * 4095 + bytes([block[0] | 1]) + block[1:]
