"""The app itself, without the web around it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import HTTPException

from server_app.app import TumorLoopApp
from tests import synthetic

CASES = ("BraTS20_Training_001", "BraTS20_Training_002")


@pytest.fixture
def app(tmp_path: Path, tiny_model: Path) -> Iterator[TumorLoopApp]:
    for name in CASES:
        synthetic.write_case(tmp_path / "studies", name)
    conf = {"workspace": str(tmp_path / "workspace"), "model": str(tiny_model)}
    made = TumorLoopApp("server_app", str(tmp_path / "studies"), conf)
    yield made
    made.close()


def test_many_cases_are_segmented_without_a_gpu(app: TumorLoopApp, tmp_path: Path) -> None:
    damaged = tmp_path / "studies" / "BraTS20_Training_002" / "BraTS20_Training_002_t2.nii.gz"
    damaged.write_bytes(damaged.read_bytes()[:-500])
    results = app.batch_infer({"model": "tumorloop", "images": "unlabeled"})
    json.dumps(results)
    assert results["BraTS20_Training_001"]["params"]["model_version"] == "v0000"
    assert app.datastore().get_label_info("BraTS20_Training_001", "original")["model_version"] == "v0000"
    assert results["BraTS20_Training_002"]["error"]["field"] == "t2"
    assert list(app.workspace.incoming.iterdir()) == []


def test_a_batch_tells_how_unsure_the_model_is_and_does_nothing_twice(app: TumorLoopApp) -> None:
    asked: list[str] = []
    infer = app.infer

    def counted(request: dict[str, Any], *more: Any, **named: Any) -> dict[str, Any]:
        asked.append(request["image"])
        return infer(request, *more, **named)

    app.infer = counted  # type: ignore[method-assign]
    assert app.next_sample({"strategy": "uncertainty"})["uncertainty"] is None
    only_scores = {"model": "tumorloop", "images": "unlabeled", "save_label": False}
    first = app.batch_infer({**only_scores, "max_batch_size": 1})
    assert (asked, list(first)) == ([CASES[0]], [CASES[0]])
    both = app.batch_infer(only_scores)
    assert asked == list(CASES)
    assert "v0000" in both[CASES[0]]["skipped"]
    assert both[CASES[0]]["params"]["uncertainty"] == first[CASES[0]]["params"]["uncertainty"]
    assert app.datastore().get_labels_by_image_id(CASES[0]) == {"source": CASES[0]}
    scores = {case: both[case]["params"]["uncertainty"] for case in CASES}
    chosen = app.next_sample({"strategy": "uncertainty"})
    assert chosen["uncertainty"] == max(scores.values()) == scores[chosen["id"]]
    assert "least sure" in chosen["reason"]
    labels = app.batch_infer({"model": "tumorloop"})  # their labels were not stored yet
    assert [labels[case]["label"] for case in CASES] == list(CASES)
    assert asked == [*CASES, *CASES]
    again = app.batch_infer({"model": "tumorloop"})
    assert asked == [*CASES, *CASES]
    assert all("skipped" in again[case] for case in CASES)
    json.dumps(again)


def test_a_file_of_the_machine_never_reaches_the_model(app: TumorLoopApp, tmp_path: Path) -> None:
    stranger = tmp_path / "studies" / "BraTS20_Training_001"
    link = app.workspace.incoming / "link"
    link.symlink_to(stranger)
    for image in (str(stranger), str(link), "../studies", None, 7):
        with pytest.raises(HTTPException) as caught:
            app.infer({"model": "tumorloop", "image": image})
        assert caught.value.status_code == 404


def test_a_workspace_without_any_model_says_how_to_get_one(tmp_path: Path) -> None:
    synthetic.write_case(tmp_path / "studies")
    conf = {"workspace": str(tmp_path / "workspace"), "model": str(tmp_path / "none")}
    app = TumorLoopApp("server_app", str(tmp_path / "studies"), conf)
    try:
        assert app.info()["model_version"] is None
        with pytest.raises(HTTPException) as caught:
            app.infer({"model": "tumorloop", "image": "BraTS20_Training_001"})
    finally:
        app.close()
    assert caught.value.status_code == 422
    assert "no model" in str(caught.value.detail)
