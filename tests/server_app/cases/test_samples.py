"""Sample cases that a real server makes when asked."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from server_app.cases.samples import sample_phantom
from tests.server_app.conftest import Server, accepted, load, refused, voxels
from training.labels import LABELS
from training.modalities import ROLES
from training.phantoms.files import BRATS_AFFINE, on_brats_grid


def sample(server: Server, **params: Any) -> requests.Response:
    return server.request("POST", "/samples", json=params)


@pytest.fixture(scope="module", autouse=True)
def _removed_afterwards(server: Server) -> Iterator[None]:
    yield
    for case in server.case_ids():
        if case.startswith("sample-"):
            accepted(server.request("DELETE", "/datastore/", params={"id": case}))


def test_a_sample_is_a_case_with_every_label_in_its_tumor_and_no_stored_label(server: Server) -> None:
    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(sample, server, seed=1, client_id="ann")
        answered = 0
        while not made.done():
            assert server.request("GET", "/info/").status_code == 200
            answered += 1
    described = accepted(made.result())
    assert answered > 2
    assert (described["id"], described["source"]) == ("sample-1", "upload")
    assert (described["labeled"], described["has_source_label"], described["label_version"]) == (False, False, None)
    assert server.get("/cases/sample-1/labels")["labels"] == []
    assert list((server.workspace / "incoming").iterdir()) == []

    phantom = sample_phantom(1)
    assert set(np.unique(phantom.label)) == {0, *(label.value for label in LABELS)}
    for channel, role in enumerate(ROLES):
        path = server.workspace / "uploads" / "sample-1" / f"{role}.nii.gz"
        expected = on_brats_grid(np.round(phantom.image[..., channel]).astype(np.int16))
        assert np.array_equal(voxels(path), expected)
        assert np.array_equal(load(path).affine, BRATS_AFFINE)

    before = server.case_ids()
    assert sample(server, seed=1).json()["id"] == "sample-1"
    assert accepted(server.request("POST", "/samples"))["id"] == "sample-2"
    assert server.case_ids() == {*before, "sample-2"}


def test_a_sample_is_segmented_and_labeled_like_any_case(server: Server, tmp_path: Path) -> None:
    accepted(sample(server, seed=1))
    answer = server.infer(output="image", image="sample-1")
    (tmp_path / "label.nii.gz").write_bytes(answer.content)
    assert accepted(server.send_label("sample-1", tmp_path / "label.nii.gz"))["split"] in ("train", "validation")


@pytest.mark.parametrize("seed", ["-1", "1000000", '"1"', "1.5", "true", "[1]", '{"a": 1}'])
def test_an_invalid_seed_is_refused(server: Server, seed: str) -> None:
    before = server.case_ids()
    assert refused(send(server, f'{{"seed": {seed}}}'))["field"] == "seed"
    assert server.case_ids() == before


@pytest.mark.parametrize("body", ["[1]", '"x"', "{", "7"])
def test_a_body_that_is_not_an_object_is_refused(server: Server, body: str) -> None:
    assert send(server, body).status_code == 422


def send(server: Server, body: str) -> requests.Response:
    return server.request("POST", "/samples", data=body, headers={"Content-Type": "application/json"})
