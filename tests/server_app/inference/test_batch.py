"""Many cases in one request: what a batch takes, computes and skips."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from fastapi import HTTPException

from server_app.api.logs_and_batches import batch_params
from server_app.app import TumorLoopApp
from tests import synthetic
from tests.server_app.conftest import Server, accepted, eventually, refused
from training.errors import InputError
from training.models import BUNDLED_MODELS

CASES = ("BraTS20_Training_001", "BraTS20_Training_002")
#: As MONAI Label's own page fills them in.
STOCK = {"device": "cuda", "multi_gpu": True, "gpus": "all", "logging": "WARNING", "save_label": True}
STOCK |= {"label_tag": "original", "max_workers": 1, "max_batch_size": 0}
OURS: dict[str, Any] = {"images": ["a"], "max_batch_size": 2, "label_tag": "original", "save_label": False}
OURS |= {"reference": "t1ce", "allow_missing": True, "allow_whole_head": True, "client_id": "anna"}


def test_a_batch_keeps_its_own_parameters_and_drops_those_of_stock_clients() -> None:
    assert batch_params(OURS) == OURS
    assert batch_params(STOCK) == {"save_label": True, "label_tag": "original", "max_batch_size": 0}


NAMES = ("bundle_path", "model", "image", "answer", "case", "ticket", "Gpus", "")
SIZES: tuple[Any, ...] = ("many", -1, 1.5, True, [2])


@pytest.mark.parametrize(
    ("name", "value"), [*((name, "/tmp") for name in NAMES), *(("max_batch_size", size) for size in SIZES)]
)
def test_any_other_parameter_and_an_invalid_batch_size_are_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(InputError) as caught:
        batch_params({**OURS, name: value})
    assert (caught.value.field, name in OURS or repr(name) in caught.value.message) == (name, True)


def test_a_refused_batch_starts_no_process_and_the_named_gpus_do_not_reach_one(server: Server) -> None:
    before = server.request("GET", "/batch/infer", params={"all": "true"}).text
    for params in ({"bundle_path": "/tmp", "images": []}, {"save_label": "x"}):
        found = refused(server.request("POST", "/batch/infer/tumorloop", json=params))
        assert found["field"] == next(iter(params))
        assert server.request("GET", "/batch/infer", params={"all": "true"}).text == before
    answer = server.request("POST", "/batch/infer/tumorloop", json={**STOCK, "gpus": "7", "images": []})
    request = accepted(answer)["request"]
    assert not {"device", "multi_gpu", "logging", "max_workers", "bundle_path"} & set(request)
    assert (request["images"], request.get("gpus", "all")) == ([], "all")  # "all" is MONAI Label's own default
    eventually(lambda: server.get("/batch/infer")["status"] == "DONE", seconds=120)


def test_a_batch_computes_nothing_twice_and_survives_a_damaged_case(app: TumorLoopApp, studies: Path) -> None:
    requested: list[str] = []
    infer = app.infer

    def counted(request: Any, *more: Any, **named: Any) -> dict[str, Any]:
        requested.append(request["image"])
        return infer(request, *more, **named)

    app.infer = counted  # type: ignore[method-assign]
    assert app.next_sample({"strategy": "uncertainty"})["uncertainty"] is None
    only_scores = {"model": "tumorloop", "images": "unlabeled", "save_label": False}
    first = app.batch_infer({**only_scores, "max_batch_size": 1})
    assert (requested, list(first)) == ([CASES[0]], [CASES[0]])
    both = app.batch_infer(only_scores)
    assert requested == list(CASES)
    assert "v0000" in both[CASES[0]]["skipped"]
    assert both[CASES[0]]["params"]["uncertainty"] == first[CASES[0]]["params"]["uncertainty"]
    assert app.datastore().get_labels_by_image_id(CASES[0]) == {"source": CASES[0]}
    scores = {case: both[case]["params"]["uncertainty"] for case in CASES}
    chosen = app.next_sample({"strategy": "uncertainty"})
    assert chosen["uncertainty"] == max(scores.values()) == scores[chosen["id"]]
    assert "Ranked 1 of 2" in chosen["reason"]
    labels = app.batch_infer({"model": "tumorloop"})  # their labels were not stored yet
    assert [labels[case]["label"] for case in CASES] == list(CASES)
    assert requested == [*CASES, *CASES]
    again = app.batch_infer({"model": "tumorloop"})
    assert requested == [*CASES, *CASES]
    assert all("skipped" in again[case] for case in CASES)
    assert again[CASES[0]]["params"]["model_version"] == "v0000"
    assert app.datastore().get_label_info(CASES[0], "original")["model_version"] == "v0000"

    damaged = synthetic.write_case(studies, "BraTS20_Training_000") / "BraTS20_Training_000_t2.nii.gz"
    damaged.write_bytes(damaged.read_bytes()[:-500])
    app.datastore().catalog.search()
    results = app.batch_infer({"model": "tumorloop"})
    json.dumps(results)
    assert results["BraTS20_Training_000"]["error"]["field"] == "t2"
    assert all("skipped" in results[case] for case in CASES)
    assert list(app.services.workspace.incoming.iterdir()) == []


def refusal(app: TumorLoopApp, image: Any) -> tuple[int, str]:
    with pytest.raises(HTTPException) as caught:
        app.infer({"model": "tumorloop", "image": image})
    return caught.value.status_code, str(caught.value.detail)


def test_a_path_of_the_machine_never_reaches_the_model(app: TumorLoopApp, studies: Path) -> None:
    link = app.services.workspace.incoming / "link"
    link.symlink_to(studies / CASES[0])
    for image in (str(studies / CASES[0]), str(link), "../studies", None, 7):
        assert refusal(app, image)[0] == 404


def test_a_workspace_that_lost_its_model_says_how_to_get_one(studies: Path, tmp_path: Path) -> None:
    model = tmp_path / "v0000"
    shutil.copytree(BUNDLED_MODELS / "v0000", model)
    conf = {"workspace": str(tmp_path / "workspace"), "model": str(model)}
    with contextlib.closing(TumorLoopApp("server_app", str(studies), conf)) as app:
        shutil.rmtree(model)
        assert app.info()["model_version"] is None
        status, detail = refusal(app, CASES[0])
    assert (status, "no model" in detail) == (422, True)
