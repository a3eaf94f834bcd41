"""Sample cases that a real server makes when asked."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from server_app.cases.samples import sample_phantom
from tests import synthetic
from tests.server_app.conftest import Server, load, serving, voxels
from training.labels import LABELS
from training.modalities import ROLES
from training.phantoms.files import BRATS_AFFINE, on_brats_grid

CASE = "BraTS20_Training_001"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Server]:
    """A server over one case."""
    folder = tmp_path_factory.mktemp("samples")
    synthetic.write_case(folder / "studies", CASE)
    with serving(folder / "studies", folder / "workspace", tiny_model) as running:
        yield running


def sample(server: Server, **params: Any) -> requests.Response:
    return server.request("POST", "/samples", json=params)


def ids(server: Server) -> set[str]:
    return {case["id"] for case in server.get("/cases")["cases"]}


def test_a_sample_is_a_case_with_every_label_in_its_tumor_and_no_stored_label(server: Server) -> None:
    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(sample, server, seed=1, client_id="ann")
        answered = 0
        while not made.done():
            assert server.request("GET", "/info/").status_code == 200
            answered += 1
            time.sleep(0.1)
    answer = made.result()
    assert answer.status_code == 200, answer.text
    assert answered > 2
    described = answer.json()
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


def test_the_same_seed_is_the_same_case_and_without_one_the_next_is_made(server: Server) -> None:
    assert sample(server, seed=1).json()["id"] == "sample-1"
    assert server.request("POST", "/samples").json()["id"] == "sample-2"
    assert ids(server) == {CASE, "sample-1", "sample-2"}


def test_a_sample_is_segmented_and_labeled_like_any_case(server: Server, tmp_path: Path) -> None:
    assert sample(server, seed=1).status_code == 200
    answer = server.request("POST", "/infer/tumorloop", params={"image": "sample-1", "output": "image"})
    assert answer.status_code == 200, answer.text
    (tmp_path / "label.nii.gz").write_bytes(answer.content)
    with open(tmp_path / "label.nii.gz", "rb") as handle:
        stored = server.request("PUT", "/datastore/label", params={"image": "sample-1"}, files={"label": handle})
    assert stored.status_code == 200, stored.text
    assert stored.json()["split"] == "train"


@pytest.mark.parametrize("seed", [-1, 1_000_000, "1", 1.5, True, [1], {"a": 1}])
def test_a_seed_that_is_none_is_refused(server: Server, seed: Any) -> None:
    before = ids(server)
    answer = sample(server, seed=seed)
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"]["field"] == "seed"
    assert ids(server) == before


@pytest.mark.parametrize("body", [b"[1]", b'"x"', b"{", b"7"])
def test_a_body_that_is_no_object_is_refused(server: Server, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    assert server.request("POST", "/samples", data=body, headers=headers).status_code == 422
