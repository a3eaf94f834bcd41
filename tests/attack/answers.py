"""Answers of a malicious server to a client: to MONAI Label's own, and to that of the Slicer panel.

The server under attack has no part in these. A client runs in a process of its own, with limited memory, and asks a
server that answers with far more than it should.
"""

from __future__ import annotations

import gzip
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.attack.attack import Attack
from tests.attack.samples import packed_zeros
from tests.attack.targets import Run, Target
from tests.attack.wire import CLOSED, SILENT, Reply

_GROUP = "an answer to a client"
_REPOSITORY = Path(__file__).resolve().parents[2]
_MEGABYTE = 2**20
#: MiB of memory that a client needs at most for an honest answer, and that it gets at most.
_FAIR, _MOST = 512, 4096
_SECONDS = 40

#: Programs that ask the server at ``url``, as ``what`` says; both print what became of it, and their peak memory.
_OURS = """
from TumorLoopLib.client import TumorLoopClient
from TumorLoopLib.client.errors import ClientError
client = TumorLoopClient(url)
def ask(): client.info() if what == "info" else client.infer(case_id="a", folder=folder)
"""
_STOCK = """
from monailabel.client.client import MONAILabelClient
ClientError = Exception
client = MONAILabelClient(url, tmpdir=folder)
def ask(): client.info() if what == "info" else client.infer("tumorloop", "a", {})
"""
_FRAME = """
import resource, sys, tempfile
resource.setrlimit(resource.RLIMIT_AS, (most << 20, most << 20))
folder = tempfile.mkdtemp(dir=box)
CLIENT
begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    ask()
    end = "took"
except MemoryError:
    end = "no memory"
except ClientError:
    end = "refused"
print(end, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - begun) >> 10)
"""


def attacks() -> Iterator[Attack]:
    """Yield the attacks on clients."""
    text, form = "application/json", "multipart/form-data; boundary=x"
    for what, run in {
        "JSON of 1.5 GB": _answer("info", text, lambda: (b" " * _MEGABYTE for _ in range(1536))),
        "JSON coded as gzip: 512 MiB": _answer("info", text, lambda: [packed_zeros()], {"Content-Encoding": "gzip"}),
        "JSON coded as gzip twice": _answer(
            "info", text, lambda: [gzip.compress(packed_zeros())], {"Content-Encoding": "gzip, gzip"}
        ),
        "JSON of 4 GB, of which nothing comes": _answer("info", text, lambda: [b"{}"], {"Content-Length": str(2**32)}),
        "a labelmap that unpacks into 3 GB": _answer("infer", form, lambda: [_labelmap()]),
        "a labelmap coded as gzip": _answer(
            "infer", form, lambda: [gzip.compress(_labelmap())], {"Content-Encoding": "gzip"}
        ),
    }.items():
        yield Attack(_GROUP, what, run)


@cache
def _labelmap() -> bytes:
    """An inference's reply with a labelmap of six gzip members, each of 512 MiB."""
    head = b"--x\r\nContent-Disposition: form-data; name="
    params = head + b'"params"\r\nContent-Type: application/json\r\n\r\n{}\r\n'
    image = head + b'"image"; filename="label.nii.gz"\r\nContent-Type: application/octet-stream\r\n\r\n'
    return params + image + packed_zeros() * 6 + b"\r\n--x--\r\n"


def _answer(what: str, kind: str, content: Any, headers: dict[str, str] | None = None) -> Run:
    def run(target: Target) -> Reply:
        with _malicious_server({"Content-Type": kind, **(headers or {})}, content) as url:
            return _asked(target, url, what)

    return run


@contextmanager
def _malicious_server(headers: dict[str, str], content: Any) -> Iterator[str]:
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(200)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(OSError):  # the client has hung up
                for part in content():
                    self.wfile.write(part)
                if "Content-Length" in headers:
                    over.wait(_SECONDS)

        do_POST = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        over.set()
        server.shutdown()
        server.server_close()


def _asked(target: Target, url: str, what: str) -> Reply:
    """Have a client ask; hanging up counts as a closed connection, taking the answer or all memory as let through."""
    given = f"url, what, most, box = {url!r}, {what!r}, {_MOST}, {str(target.box / 'home')!r}\n"
    program = given + _FRAME.replace("CLIENT", _STOCK if target.stock else _OURS)
    started = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=_REPOSITORY / "slicer_extension" / "TumorLoop", capture_output=True,
            text=True, timeout=_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Reply(SILENT, b"", time.monotonic() - started)
    end, _, peak = (done.stdout.strip().splitlines() or [""])[-1].partition(" ")
    seconds = time.monotonic() - started
    if end == "refused" and int(peak) < _FAIR:
        return Reply(CLOSED, b"", seconds)
    return Reply(200 if end in ("took", "refused", "no memory") else 500, done.stderr.encode()[-500:], seconds)
