"""A small case and a scripted server, for testing the demo itself."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from tests import synthetic
from tests.slicer_extension.client.http_server import Handler, HttpServer, http_server, result_answer, result_body
from training.cases.case import Case
from training.cases.find import case_from_folder
from training.images.grid import Volume


@pytest.fixture
def small_case(tmp_path) -> Case:
    """A small case with its label, in a folder ``studies/small``."""
    return case_from_folder(synthetic.write_case(tmp_path / "studies", "small"))


class Script:
    """The behavior of a scripted server that does everything right; a test changes what is to go wrong."""

    def __init__(self, case: Case) -> None:
        truth = case.read_label()
        self.case, self.grid = case, truth.grid
        self.labelmaps = {"v0000": np.roll(truth.data, 4, axis=0), "v0001": np.roll(truth.data, 1, axis=0)}
        self.promotes, self.keeps, self.train_status = True, True, "DONE"
        self._labels: list[dict[str, Any]] = []
        self._trained = False

    def reply(self, handler: Handler) -> None:
        """Reply to one request."""
        name = f"{handler.command} {handler.path.split('?')[0]}"
        for pattern, action in self._actions().items():
            if re.fullmatch(pattern, name):
                action(handler)
                return
        _json(handler, {"detail": f"no route {name}"}, 404)

    def _actions(self) -> dict[str, Callable[[Handler], None]]:
        versions = ["v0000", "v0001"] if self._trained else ["v0000"]
        stats = {"epoch": 2, "total_epochs": 2, "train": {"loss": 0.5}, "eval": {"mean": 0.7}, "message": "promoted"}
        history = [{"epoch": 1, "loss": 0.9, "mean": 0.6}, {"epoch": 2, "loss": 0.5, "mean": 0.7}]
        info = {"name": "script", "train_stats": {"tumorloop": {**stats, "history": history}}}
        return {
            "GET /info/": lambda handler: _json(handler, info),
            "POST /activelearning/first": lambda handler: _json(handler, {"id": self.case.id}),
            "PUT /session/": lambda handler: _json(handler, {"session_id": "s"}),
            "POST /infer/tumorloop": self._infer,
            "PUT /datastore/label": self._keep,
            f"GET /cases/{self.case.id}/labels": lambda handler: _json(handler, self._labels),
            "POST /train/tumorloop": self._train,
            "GET /train/": lambda handler: _json(handler, {"status": self.train_status, "details": ["last words"]}),
            "GET /versions": lambda handler: _json(handler, [{"id": name} for name in versions]),
        }

    def _infer(self, handler: Handler) -> None:
        version = "v0001" if self._trained and self.promotes else "v0000"
        path = self.case.sources["t1"].path.parent.parent / "result.nii.gz"
        data = self.labelmaps.get(version, self.labelmaps["v0000"])
        synthetic.save(Volume(data.astype(np.uint8), self.grid), path)
        params = {"model_version": version, "seconds": {"network": 0.1}}
        result_answer(result_body(path.read_bytes(), params))(handler)
        path.unlink()

    def _keep(self, handler: Handler) -> None:
        if self.keeps:
            self._labels.append({"version": f"v{len(self._labels) + 1:04d}"})
        _json(handler, {"image": self.case.id})

    def _train(self, handler: Handler) -> None:
        self._trained = True
        _json(handler, {"status": "SUBMITTED"})


@pytest.fixture
def script(small_case) -> Script:
    return Script(small_case)


@pytest.fixture
def scripted_server(script) -> Iterator[HttpServer]:
    """A server that behaves as ``script`` says."""
    with http_server(script.reply) as server:
        yield server


def _json(handler: Handler, content: Any, status: int = 200) -> None:
    handler.record()
    handler.reply(status, json.dumps(content).encode(), "application/json")
