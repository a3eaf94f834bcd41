"""A small server that answers as TumorLoop does, at once, and remembers what it was sent.

It segments by brightness, on the grid of the volume it got, and reads and writes files with ``pynrrd``: not with the
panel's own code, whose mistakes it would then share. Tests of the panel use it where a server's insides do not matter.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import nrrd
import numpy as np

from tests.slicer_extension.client.http_server import Handler, http_server, result_answer, result_body
from tests.slicer_extension.scene.nodes import INFO

#: Brightness from which on a voxel of the reference gets the labels 1, 2 and 3.
LEVELS = (100, 200, 300)
VERSION = "v0001"


@dataclass
class Image:
    """A file as it was sent: its bytes, and what ``pynrrd`` reads in it.

    Attributes:
        content: The file.
        array: ``(k, j, i)``.
        ijk_to_ras: 4x4.
    """

    content: bytes
    array: np.ndarray
    ijk_to_ras: np.ndarray


@dataclass
class Label:
    """A label that was submitted."""

    image: Image
    params: dict[str, Any]
    tag: str
    version: str


@dataclass
class PlayedServer:
    """What the server has and does; a test may change it while it runs.

    Attributes:
        sessions: The volumes of each session by role.
        uploads: The names of the files of each upload, in order.
        cases: The volumes of each case.
        labels: The labels of each case.
        asked: Method and path of every request, with its query.
        training: What ``/info`` says of the training.
        trained_with: Parameters of the last training.
        versions: The model versions.
        new_corrections: What the plan of the next training says.
        strategies: The ways to choose the next case, with the reason that each gives.
        hold: While it returns true, an inference does not answer.
        spoil: Changes a labelmap before it is sent.
    """

    url: str = ""
    sessions: dict[str, dict[str, Image]] = field(default_factory=dict)
    uploads: list[list[str]] = field(default_factory=list)
    cases: dict[str, dict[str, Image]] = field(default_factory=dict)
    labels: dict[str, list[Label]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    training: dict[str, Any] = field(default_factory=dict)
    trained_with: dict[str, Any] | None = None
    versions: list[dict[str, Any]] = field(default_factory=lambda: [{"id": VERSION, "current": True}])
    new_corrections: int = 0
    strategies: dict[str, str] = field(default_factory=lambda: {"first": "", "uncertainty": "The model is least sure."})
    hold: Callable[[], bool] = lambda: False
    spoil: Callable[[np.ndarray], np.ndarray] = lambda array: array

    def answer(self, handler: Handler) -> None:
        """SegmentationResult one request."""
        parts = urlsplit(handler.path)
        self.asked.append(f"{handler.command} {handler.path}")
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        body = handler.body()
        for pattern, action in self._actions().items():
            found = re.fullmatch(pattern, f"{handler.command} {parts.path}")
            if found:
                action(handler, body, query, *found.groups())
                return
        _json(handler, {"detail": f"no route {handler.command} {parts.path}"}, 404)

    def _actions(self) -> dict[str, Callable[..., None]]:
        return {
            r"GET /info/": lambda handler, body, query: _json(handler, self._info()),
            r"PUT /session/": self._session,
            r"POST /infer/tumorloop": self._infer,
            r"GET /jobs/(\w+)": lambda handler, *_: _json(handler, {"state": "computing", "share": 0.5}),
            r"DELETE /jobs/(\w+)": lambda handler, *_: _json(handler, {"state": "cancelled"}),
            r"GET /cases": lambda handler, *_: _json(handler, {"cases": self._cases()}),
            r"PUT /cases/([\w-]+)": self._case,
            r"POST /activelearning/(\w+)": self._next,
            r"GET /cases/([\w-]+)/volumes/(\w+)": self._volume,
            r"GET /cases/([\w-]+)/labels": lambda handler, body, query, case: _json(handler, self._history(case)),
            r"GET /cases/([\w-]+)/labels/(v\d+)": self._label_file,
            r"PUT /datastore/label": self._label,
            r"GET /train/tumorloop/plan": lambda handler, *_: _json(handler, self._plan()),
            r"POST /train/tumorloop": self._train,
            r"DELETE /train/": self._stop,
            r"GET /versions": lambda handler, *_: _json(handler, {"versions": self.versions}),
            r"POST /versions/rollback": lambda handler, *_: self._serve(handler, self.versions[-2]["id"]),
            r"POST /versions/(v\d+)/promote": lambda handler, body, query, version: self._serve(handler, version),
        }

    def _info(self) -> dict[str, Any]:
        current = next(version["id"] for version in self.versions if version["current"])
        labeled = sum(any(label.tag == "final" for label in labels) for labels in self.labels.values())
        return {
            "name": "TumorLoop",
            "version": "0.1.0",
            "models": {"tumorloop": {}},
            "model_version": current,
            "datastore": {"total": len(self.cases), "completed": labeled},
            "train_stats": {"tumorloop": self.training},
            **INFO,
        }

    def _session(self, handler: Handler, body: bytes, query: dict[str, str]) -> None:
        files = {str(part.get_filename()): _content(part) for part in _parts(handler, body)}
        self.uploads.append(sorted(files))
        kept = dict(self.sessions.get(query.get("base", ""), {}))
        kept.update({name.partition(".")[0]: read(content) for name, content in files.items()})
        session = f"session{len(self.sessions)}"
        self.sessions[session] = kept
        _json(handler, {"session_id": session})

    def _infer(self, handler: Handler, body: bytes, query: dict[str, str]) -> None:
        while self.hold():
            if handler.server.over.wait(0.02):
                return
        volumes = self.sessions[query["session_id"]] if "session_id" in query else self.cases[query["image"]]
        asked = json.loads(_content(_parts(handler, body)[0]))
        reference = volumes[asked.get("reference", "t1ce")]
        array = self.spoil(np.digitize(reference.array, LEVELS).astype(np.uint8))
        current = self._info()["model_version"]
        params = {"model_version": current, "seconds": {"total": 1.0}, "warnings": []}
        result_answer(result_body(write(array, reference.ijk_to_ras), params, "answer.nrrd"))(_answered(handler))

    def _case(self, handler: Handler, body: bytes, query: dict[str, str], case: str) -> None:
        self.cases[case] = self.sessions[query["session_id"]]
        _json(handler, {"id": case})

    def _cases(self) -> list[dict[str, Any]]:
        return [{"id": case, "labeled": bool(self.labels.get(case))} for case in self.cases]

    def _next(self, handler: Handler, body: bytes, query: dict[str, str], strategy: str) -> None:
        """Propose the last case by name that has no label, or the one before the one that is open."""
        if strategy not in self.strategies:
            _json(handler, {"detail": {"field": "strategy", "message": f"There is no strategy {strategy}."}}, 404)
            return
        waiting = sorted((case for case in self.cases if not self.labels.get(case)), reverse=True)
        after = json.loads(body).get("after")
        place = waiting.index(after) + 1 if after in waiting else 0
        reason = self.strategies[strategy]
        found = {"id": waiting[place % len(waiting)], **({"reason": reason} if reason else {})} if waiting else {}
        _json(handler, found)

    def _volume(self, handler: Handler, body: bytes, query: dict[str, str], case: str, role: str) -> None:
        name = f'attachment; filename="{role}.nrrd"'
        content = self.cases[case][role].content
        handler.reply(200, content, "application/octet-stream", Content_Disposition=name)

    def _label(self, handler: Handler, body: bytes, query: dict[str, str]) -> None:
        parts = {str(part.get_param("name", header="content-disposition")): part for part in _parts(handler, body)}
        labels = self.labels.setdefault(query["image"], [])
        params = json.loads(_content(parts["params"]))
        label = Label(read(_content(parts["label"])), params, query["tag"], f"v{len(labels) + 1:04d}")
        labels.append(label)
        self.new_corrections += query["tag"] == "final"
        _json(handler, {"image": query["image"], "label": query["image"], "version": label.version})

    def _history(self, case: str) -> dict[str, Any]:
        return {
            "labels": [
                {
                    "version": label.version,
                    "user": label.params.get("client_id"),
                    "time": "2026-01-02T03:04:05+00:00",
                    "status": label.params.get("status"),
                    "tag": label.tag,
                    "comment": label.params.get("comment"),
                    "model_version": label.params.get("model_version"),
                    "dice_against_model": {"WT": 0.9},
                }
                for label in self.labels.get(case, [])
            ]
        }

    def _label_file(self, handler: Handler, body: bytes, query: dict[str, str], case: str, version: str) -> None:
        label = next(label for label in self.labels[case] if label.version == version)
        name = f'attachment; filename="{version}.nrrd"'
        handler.reply(200, label.image.content, "application/octet-stream", Content_Disposition=name)

    def _plan(self) -> dict[str, Any]:
        return {
            "parent": self._info()["model_version"],
            "new": self.new_corrections,
            "total": self.new_corrections,
            "cases": list(self.cases),
            "max_epochs": 4,
            "expected_seconds": 90.0,
        }

    def _train(self, handler: Handler, body: bytes, query: dict[str, str]) -> None:
        self.trained_with = json.loads(body)
        self.training = {"run": "one", "state": "training", "epoch": 1, "total_epochs": 4, "eta": 30.0, "history": []}
        _json(handler, {"id": "one", "status": "SUBMITTED"})

    def _stop(self, handler: Handler, body: bytes, query: dict[str, str]) -> None:
        self.training = {**self.training, "state": "stopped"}
        _json(handler, {"id": "one", "status": "STOPPED"})

    def _serve(self, handler: Handler, version: str) -> None:
        for one in self.versions:
            one["current"] = one["id"] == version
        _json(handler, {"id": version})


@contextmanager
def played_server() -> Iterator[PlayedServer]:
    """Run a played server."""
    played = PlayedServer()
    with http_server(played.answer) as server:
        played.url = server.url
        yield played


def read(content: bytes) -> Image:
    """Read a NRRD file with ``pynrrd``."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "image.nrrd")
        path.write_bytes(content)
        array, header = nrrd.read(str(path))
    ijk_to_lps = np.eye(4)
    ijk_to_lps[:3, :3], ijk_to_lps[:3, 3] = header["space directions"].T, header["space origin"]
    assert header["space"] == "left-posterior-superior"
    return Image(content, array.transpose(2, 1, 0), np.diag([-1.0, -1.0, 1.0, 1.0]) @ ijk_to_lps)


def write(array_kji: np.ndarray, ijk_to_ras: np.ndarray) -> bytes:
    """Return a NRRD file made with ``pynrrd``."""
    ijk_to_lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ ijk_to_ras
    header = {
        "space": "left-posterior-superior",
        "space directions": ijk_to_lps[:3, :3].T,
        "space origin": ijk_to_lps[:3, 3],
        "encoding": "gzip",
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "image.nrrd")
        nrrd.write(str(path), array_kji.transpose(2, 1, 0), header)
        return path.read_bytes()


def _parts(handler: Handler, body: bytes) -> list[Message]:
    message = BytesParser().parsebytes(f"Content-Type: {handler.headers['Content-Type']}\r\n\r\n".encode() + body)
    return [part for part in message.walk() if part is not message]


def _content(part: Message) -> bytes:
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    return content


def _answered(handler: Handler) -> Handler:
    """Keep what answers the request from reading its body again."""
    handler.headers.replace_header("Content-Length", "0")
    return handler


def _json(handler: Handler, content: Any, status: int = 200) -> None:
    handler.reply(status, json.dumps(content).encode(), "application/json")
