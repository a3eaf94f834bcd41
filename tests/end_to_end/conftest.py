"""Small cases and a server that plays a script, for testing the demo itself."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from tests.slicer_extension.odd_server import Handler, OddServer, odd_server, result_answer, result_body
from training.cases.case import Case
from training.cases.find import case_from_folder

SHAPE = (48, 56, 40)
AFFINE = np.diag([-2.0, -2.0, 2.0, 1.0])


def save(data: np.ndarray, path: Path, affine: np.ndarray = AFFINE) -> Path:
    """Write an array as NIfTI."""
    nibabel.save(nibabel.Nifti1Image(data, affine), path)
    return path


@pytest.fixture
def small_case(tmp_path) -> Case:
    """An ellipsoid head with a round tumor, and its label, in a folder ``studies/small``."""
    folder = tmp_path / "studies" / "small"
    folder.mkdir(parents=True)
    grid = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1)
    head = (((grid - [24, 28, 20]) / [20, 24, 17]) ** 2).sum(-1) < 1
    distance = np.linalg.norm(grid - [32, 20, 24], axis=-1)
    label = np.select([distance < 2, distance < 4, distance < 7], [1, 4, 2]).astype(np.uint8)
    for number, role in enumerate(("t1", "t1ce", "t2", "flair")):
        save((head * (300 + 40 * number) + 90 * (label > 0)).astype(np.int16), folder / f"{role}.nii.gz")
    save(label, folder / "seg.nii.gz")
    return case_from_folder(folder)


class Script:
    """What a played server answers; a test changes the one thing that shall go wrong.

    Attributes:
        answers: The labelmaps of the inferences by model version.
        affine: The grid they lie on.
        promotes: Whether the training makes a new version current.
        keeps: Whether submitted labels are kept.
        train_status: The status the training ends with.
    """

    def __init__(self, case: Case) -> None:
        truth = case.read_label().data
        self.case = case
        self.answers = {"v0000": np.roll(truth, 4, axis=0), "v0001": np.roll(truth, 1, axis=0)}
        self.affine = AFFINE
        self.promotes = True
        self.keeps = True
        self.train_status = "DONE"
        self._labels: list[dict[str, Any]] = []
        self._trained = False

    def play(self, handler: Handler) -> None:
        """Answer one request."""
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
        return {
            "GET /info/": lambda handler: _json(
                handler, {"name": "script", "train_stats": {"tumorloop": {**stats, "history": history}}}
            ),
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
        path = save(
            self.answers[version].astype(np.uint8),
            self.case.sources["t1"].path.parent.parent / "answer.nii.gz",
            self.affine,
        )
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
    """The script of a server that does everything right."""
    return Script(small_case)


@pytest.fixture
def played(script) -> Iterator[OddServer]:
    """A server that plays ``script``."""
    with odd_server(script.play) as server:
        yield server


def _json(handler: Handler, content: Any, status: int = 200) -> None:
    handler.record()
    handler.reply(status, json.dumps(content).encode(), "application/json")
