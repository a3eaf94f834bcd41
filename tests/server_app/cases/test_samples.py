"""Sample cases that a real server makes when asked."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import requests

from server_app.cases.samples import sample_phantom
from tests.server_app.conftest import CASES, Server, accepted, load, refused, voxels
from training.labels import LABELS
from training.modalities import ROLES
from training.phantoms.files import BRATS_AFFINE, on_brats_grid


def send(server: Server, body: str) -> requests.Response:
    return server.request("POST", "/samples", data=body, headers={"Content-Type": "application/json"})


@pytest.fixture(scope="module", autouse=True)
def _first_sample(server: Server) -> Iterator[None]:
    """A case that has the name of the first sample."""
    accepted(server.send("/cases/sample-1", server.contents(CASES[0])))
    yield
    for case in server.case_ids():
        if case.startswith("sample-"):
            accepted(server.request("DELETE", "/datastore/", params={"id": case}))


def test_a_sample_is_a_case_with_every_label_in_its_tumor_and_no_stored_one_and_can_be_segmented_and_labeled(
    server: Server, tmp_path: Path
) -> None:
    before = server.case_ids()
    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(server.request, "POST", "/samples")
        answered = 0
        while not made.done():
            assert server.request("GET", "/info/").status_code == 200
            answered += 1
    described = accepted(made.result())
    assert answered > 2
    assert (described["id"], described["source"]) == ("sample-2", "upload")
    assert (described["labeled"], described["has_source_label"], described["label_version"]) == (False, False, None)
    assert server.get("/cases/sample-2/labels")["labels"] == []
    assert list((server.workspace / "incoming").iterdir()) == []

    phantom = sample_phantom(2)
    assert set(np.unique(phantom.label)) == {0, *(label.value for label in LABELS)}
    for channel, role in enumerate(ROLES):
        path = server.workspace / "uploads" / "sample-2" / f"{role}.nii.gz"
        expected = on_brats_grid(np.round(phantom.image[..., channel]).astype(np.int16))
        assert np.array_equal(voxels(path), expected)
        assert np.array_equal(load(path).affine, BRATS_AFFINE)

    assert accepted(send(server, '{"seed": 2, "client_id": "ann"}'))["id"] == "sample-2"
    assert server.case_ids() == {*before, "sample-2"}
    (tmp_path / "label.nii.gz").write_bytes(server.infer(output="image", image="sample-2").content)
    assert accepted(server.send_label("sample-2", tmp_path / "label.nii.gz"))["split"] in ("train", "validation")


def test_an_invalid_seed_and_a_body_that_is_not_an_object_are_refused(server: Server) -> None:
    before = server.case_ids()
    for seed in ("-1", "1000000", '"1"', "1.5", "true", "[1]", '{"a": 1}'):
        assert refused(send(server, f'{{"seed": {seed}}}'))["field"] == "seed"
    for body in ("[1]", '"x"', "{", "7"):
        assert send(server, body).status_code == 422
    assert server.case_ids() == before
