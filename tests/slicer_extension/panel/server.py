"""A small HTTP server that answers as TumorLoop does, at once, and records what it was sent.

It segments by brightness, on the grid of the volume it got, and reads and writes files with ``pynrrd``: not with the
panel's own code, whose mistakes it would then share.
"""

from __future__ import annotations

import io
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.parser import BytesParser
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import nrrd
import numpy as np

from tests.slicer_extension.client.http_server import BOUNDARY, Answer, Handler, http_server, result_body
from tests.slicer_extension.scene.nodes import INFO

#: Brightness from which on a voxel of the reference gets the labels 1, 2 and 3.
LEVELS = (100, 200, 300)
#: When every segmentation was made.
ANSWER_TIME = "2026-01-02T03:00:00+00:00"
_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


class Image(NamedTuple):
    """A file as it was sent, and what ``pynrrd`` reads in it: ``(k, j, i)`` and its matrix."""

    content: bytes
    array: np.ndarray
    ijk_to_ras: np.ndarray


class Label(NamedTuple):
    """A label that was submitted."""

    image: Image
    params: dict[str, Any]
    tag: str
    version: str


@dataclass
class Request:
    """What a client sent: its query, its body, or the parts of its form by file name or field name."""

    query: dict[str, str]
    body: bytes
    parts: dict[str, bytes]


@dataclass
class ScriptedServer:
    """The server's state; a test may change it while it runs.

    Attributes:
        uploads: The names of the files of each upload, in order.
        asked: Method and path of every request, with its query.
        pictures: The pictures of every version by name.
        failures: Answers that requests get once instead of their own, by method and path.
        may_infer: An inference waits until it is set; ``may_store``: a submitted label.
        distort: Changes a labelmap before it is sent.
        warnings: About every segmentation.
        preprocessing: What was done to the volumes of every segmentation, as in a reply.
        brain: The brain mask of every session: that of the last one that was sent.
        extras: The brain mask and DICOM headers of each upload, by file name.
        seg: The DICOM SEG of every label.
        stage: Of every computation.
        case_params: The parameters with which the last case was stored.
        inferences: The parameters of the segmentations it was asked for, without those it refused.
    """

    url: str = ""
    sessions: dict[str, dict[str, Image]] = field(default_factory=dict)
    uploads: list[list[str]] = field(default_factory=list)
    cases: dict[str, dict[str, Image]] = field(default_factory=dict)
    labels: dict[str, list[Label]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    training: dict[str, Any] = field(default_factory=dict)
    trained_with: dict[str, Any] | None = None
    versions: list[dict[str, Any]] = field(default_factory=lambda: [{"id": "v0001", "current": True}])
    pictures: dict[str, bytes] = field(default_factory=dict)
    new_corrections: int = 0
    site_needs: int = 3
    corrections: dict[str, Any] = field(default_factory=dict)
    failures: dict[str, Answer] = field(default_factory=dict)
    may_infer: threading.Event = field(default_factory=threading.Event)
    may_store: threading.Event = field(default_factory=threading.Event)
    distort: Callable[[np.ndarray], np.ndarray] = lambda array: array
    warnings: list[str] = field(default_factory=list)
    preprocessing: dict[str, Any] | None = None
    brain: bytes = b""
    extras: list[dict[str, bytes]] = field(default_factory=list)
    seg: bytes = b""
    stage: str = "computing"
    inferences: list[dict[str, Any]] = field(default_factory=list)
    case_params: dict[str, Any] = field(default_factory=dict)

    def answer(self, handler: Handler) -> None:
        """Answer a request: dictionaries as JSON, bytes as a file."""
        path = urlsplit(handler.path)
        name = f"{handler.command} {path.path}"
        self.asked.append(f"{handler.command} {handler.path}")
        if name in self.failures:
            self.failures.pop(name)(handler)
            return
        body = handler.body()
        form: Any = BytesParser().parsebytes(
            f"Content-Type: {handler.headers.get('Content-Type')}\r\n\r\n".encode() + body
        )
        parts: dict[str, bytes] = {}
        for part in form.get_payload() if form.is_multipart() else ():
            name_of_part = part.get_filename() or part.get_param("name", header="content-disposition")
            parts[name_of_part] = part.get_payload(decode=True)
        matches = ((reply, re.fullmatch(pattern, name)) for pattern, reply in _REPLIES.items())
        reply, groups = next((reply, found.groups()) for reply, found in matches if found)
        content = reply(self, Request(dict(parse_qsl(path.query)), body, parts), *groups)
        if isinstance(content, dict):
            handler.reply(200, json.dumps(content).encode(), "application/json")
        elif content.startswith(b"--"):
            handler.reply(200, content, f"multipart/form-data; boundary={BOUNDARY}")
        else:
            named = 'attachment; filename="image.nrrd"'
            handler.reply(200, content, "application/octet-stream", Content_Disposition=named)

    def current(self) -> str:
        return str(next(version["id"] for version in self.versions if version["current"]))

    def info(self, _request: Request) -> dict[str, Any]:
        labeled = sum(any(label.tag == "final" for label in labels) for labels in self.labels.values())
        return {
            **{"name": "TumorLoop", "version": "0.1.0", "models": {"tumorloop": {}}, "model_version": self.current()},
            "datastore": {"total": len(self.cases), "completed": labeled},
            "train_stats": {"tumorloop": self.training},
            **INFO,
        }

    def new_session(self, request: Request) -> dict[str, Any]:
        names = request.parts.keys() & {"brain.nrrd", "dicom.zip"}
        extras = {name: request.parts.pop(name) for name in names}
        self.extras.append(extras)
        self.brain = extras.get("brain.nrrd", self.brain)
        self.uploads.append(sorted(request.parts))
        volumes = {name.partition(".")[0]: read(content) for name, content in request.parts.items()}
        session = f"session{len(self.sessions)}"
        self.sessions[session] = {**self.sessions.get(request.query.get("base", ""), {}), **volumes}
        return {"session_id": session}

    def infer(self, request: Request) -> bytes:
        self.may_infer.wait()
        query = request.query
        volumes = self.sessions[query["session_id"]] if "session_id" in query else self.cases[query["image"]]
        self.inferences.append(json.loads(request.parts["params"]))
        reference = volumes[self.inferences[-1].get("reference", "t1ce")]
        array = self.distort(np.digitize(reference.array, LEVELS).astype(np.uint8))
        params: dict[str, Any] = {"model_version": self.current(), "seconds": {"total": 1.0}, "warnings": self.warnings}
        params |= {"answer_time": ANSWER_TIME, "preprocessing": self.preprocessing}
        return result_body(write(array, reference.ijk_to_ras), params, "answer.nrrd")

    def cut(self, request: Request, _session: str) -> dict[str, Any]:
        self.brain = request.parts["brain.nrrd"]
        return {"state": "done", "preprocessing": self.preprocessing}

    def new_case(self, request: Request, case: str) -> dict[str, Any]:
        self.case_params = json.loads(request.parts.get("params", b"{}"))
        self.cases[case] = self.sessions[request.query["session_id"]]
        return {"id": case}

    def next_case(self, request: Request, _strategy: str) -> dict[str, Any]:
        """Propose the last case by name that has no label, or the one before the one that is open."""
        waiting = sorted((case for case in self.cases if not self.labels.get(case)), reverse=True)
        after = json.loads(request.body).get("after")
        position = waiting.index(after) + 1 if after in waiting else 0
        return {"id": waiting[position % len(waiting)], "reason": "The model is least sure."} if waiting else {}

    def new_label(self, request: Request) -> dict[str, Any]:
        case, tag = request.query["image"], request.query["tag"]
        self.may_store.wait()
        labels = self.labels.setdefault(case, [])
        image, params = read(request.parts["label.nrrd"]), json.loads(request.parts["params"])
        labels.append(Label(image, params, tag, f"v{len(labels) + 1:04d}"))
        self.new_corrections += tag == "final"
        return {"image": case, "label": case, "version": labels[-1].version}

    def history(self, _request: Request, case: str) -> dict[str, Any]:
        common = {"time": "2026-01-02T03:04:05+00:00", "dice_against_model": {"WT": 0.9}}
        return {
            "labels": [
                {**common, "version": label.version, "tag": label.tag, "user": label.params.get("client_id")}
                | {name: label.params.get(name) for name in ("status", "comment", "model_version")}
                for label in self.labels.get(case, [])
            ]
        }

    def train(self, request: Request) -> dict[str, Any]:
        self.trained_with = json.loads(request.body)
        self.training = {"run": "one", "state": "training", "epoch": 1, "total_epochs": 4, "eta": 30.0, "history": []}
        return {"id": "one", "status": "SUBMITTED"}

    def stop(self, _request: Request) -> dict[str, Any]:
        self.training = {**self.training, "state": "stopped"}
        return {"id": "one", "status": "STOPPED"}

    def use(self, _request: Request, version: str = "") -> dict[str, Any]:
        chosen = version or self.versions[-2]["id"]
        for one in self.versions:
            one["current"] = one["id"] == chosen
        return {"id": chosen}


_REPLIES: dict[str, Callable[..., Any]] = {
    r"GET /info/": ScriptedServer.info,
    r"PUT /session/": ScriptedServer.new_session,
    r"POST /infer/tumorloop": ScriptedServer.infer,
    r"GET /session/(\w+)/brain": lambda s, _, session: s.brain,
    r"GET /cases/([\w-]+)/brain": lambda s, _, case: s.brain,
    r"PUT /session/(\w+)/brain": ScriptedServer.cut,
    r"GET /jobs/\w+": lambda s, _: {"state": "computing", "share": 0.5, "stage": s.stage},
    r"DELETE /jobs/\w+": lambda s, _: {"state": "cancelled"},
    r"GET /cases": lambda s, _: {"cases": [{"id": case, "labeled": bool(s.labels.get(case))} for case in s.cases]},
    r"PUT /cases/([\w-]+)": ScriptedServer.new_case,
    r"POST /activelearning/(\w+)": ScriptedServer.next_case,
    r"GET /cases/([\w-]+)/volumes/(\w+)": lambda s, _, case, role: s.cases[case][role].content,
    r"GET /cases/([\w-]+)/labels": ScriptedServer.history,
    r"GET /cases/([\w-]+)/labels/v0*(\d+)": lambda s, request, case, number: (
        s.seg if "output" in request.query else s.labels[case][int(number) - 1].image.content
    ),
    r"PUT /datastore/label": ScriptedServer.new_label,
    r"GET /corrections": lambda s, _: s.corrections,
    r"GET /train/tumorloop/plan": lambda s, _: {
        **{"parent": s.current(), "new": s.new_corrections, "total": s.new_corrections, "cases": list(s.cases)},
        **{"max_epochs": 4, "expected_seconds": 90.0, "site": {"studies": len(s.cases), "needed": s.site_needs}},
    },
    r"POST /train/tumorloop": ScriptedServer.train,
    r"DELETE /train/": ScriptedServer.stop,
    r"GET /versions": lambda s, _: {"versions": s.versions},
    r"GET /versions/(v\d+)/pictures/(\w+\.png)": lambda s, _, version, name: s.pictures[name],
    r"POST /versions/rollback": ScriptedServer.use,
    r"POST /versions/(v\d+)/promote": ScriptedServer.use,
}


@contextmanager
def scripted_server() -> Iterator[ScriptedServer]:
    """Run a scripted server."""
    scripted = ScriptedServer()
    with http_server(scripted.answer) as server:
        scripted.url = server.url
        scripted.may_infer.set()
        scripted.may_store.set()
        try:
            yield scripted
        finally:
            scripted.may_infer.set()
            scripted.may_store.set()


def read(content: bytes) -> Image:
    """Read a NRRD file with ``pynrrd``."""
    file = io.BytesIO(content)
    header = nrrd.read_header(file)
    ijk_to_lps = np.eye(4)
    ijk_to_lps[:3, :3], ijk_to_lps[:3, 3] = header["space directions"].T, header["space origin"]
    assert header["space"] == "left-posterior-superior"
    return Image(content, nrrd.read_data(header, file).transpose(2, 1, 0), _TO_LPS @ ijk_to_lps)


def write(array_kji: np.ndarray, ijk_to_ras: np.ndarray) -> bytes:
    """Return a NRRD file made with ``pynrrd``."""
    matrix, file = _TO_LPS @ ijk_to_ras, io.BytesIO()
    header = {"space": "left-posterior-superior", "encoding": "gzip"}
    header |= {"space directions": matrix[:3, :3].T, "space origin": matrix[:3, 3]}
    nrrd.write(file, array_kji.transpose(2, 1, 0), header)
    return file.getvalue()
