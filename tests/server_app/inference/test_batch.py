"""What a batch may be told, and what must never reach the process that is started for it."""

from __future__ import annotations

from typing import Any

import pytest

from server_app.api.logs_and_batches import batch_params
from tests.server_app.conftest import Server, eventually
from training.errors import InputError

#: As MONAI Label's own page fills them in.
STOCK = {"device": "cuda", "multi_gpu": True, "gpus": "all", "logging": "WARNING", "save_label": True}
STOCK |= {"label_tag": "original", "max_workers": 1, "max_batch_size": 0}
OURS: dict[str, Any] = {"images": ["a"], "max_batch_size": 2, "label_tag": "original", "save_label": False}
OURS |= {"reference": "t1ce", "allow_missing": True, "client_id": "anna"}


def test_what_a_batch_takes_is_passed_on() -> None:
    assert batch_params(OURS) == OURS


def test_what_stock_clients_send_besides_is_taken_and_dropped() -> None:
    assert batch_params(STOCK) == {"save_label": True, "label_tag": "original", "max_batch_size": 0}


@pytest.mark.parametrize("name", ["bundle_path", "model", "image", "answer", "case", "ticket", "Gpus", ""])
def test_anything_else_is_refused_by_its_name(name: str) -> None:
    with pytest.raises(InputError) as caught:
        batch_params({**OURS, name: "/tmp"})
    assert caught.value.field == name
    assert repr(name) in caught.value.message


@pytest.mark.parametrize("most", ["many", -1, 1.5, True, [2]])
def test_a_number_of_cases_that_is_none_is_refused(most: Any) -> None:
    with pytest.raises(InputError) as caught:
        batch_params({**OURS, "max_batch_size": most})
    assert caught.value.field == "max_batch_size"


def test_a_server_starts_nothing_with_a_folder_of_programs(server: Server) -> None:
    before = server.request("GET", "/batch/infer", params={"all": "true"}).text
    answer = server.request("POST", "/batch/infer/tumorloop", json={"bundle_path": "/tmp", "images": []})
    assert (answer.status_code, answer.json()["detail"]["field"]) == (422, "bundle_path")
    assert server.request("GET", "/batch/infer", params={"all": "true"}).text == before


def test_the_process_hears_nothing_of_the_gpus_that_a_client_names(server: Server) -> None:
    answer = server.request("POST", "/batch/infer/tumorloop", json={**STOCK, "gpus": "7", "images": []})
    assert answer.status_code == 200, answer.text
    told = answer.json()["request"]
    assert told["images"] == []
    assert not {"device", "multi_gpu", "logging", "max_workers", "bundle_path"} & set(told)
    assert told.get("gpus", "all") == "all"  # MONAI Label's own word
    eventually(lambda: server.get("/batch/infer")["status"] == "DONE", seconds=120)
