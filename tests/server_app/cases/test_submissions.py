"""Labels as the unmodified MONAI Label client submits them: what their values mean, and what is recorded of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from monailabel.client.client import MONAILabelClient, MONAILabelClientException

from server_app.cases.case_ids import images_digest
from server_app.cases.uploads import Uploads
from server_app.labels.store import LabelStore
from tests import synthetic
from tests.server_app.conftest import CASES, Server, voxels
from training.hashes import file_sha256

CASE = "provenance-1"
#: Labels with this tag do not train: the server is shared with other tests.
TAG = "trial"
MakeLabel = Callable[..., str]


@pytest.fixture(scope="module")
def case(server: Server) -> str:
    """A case that no other test labels."""
    files = [("files", (f"{role}.nii.gz", path.read_bytes())) for role, path in server.volumes(CASES[0]).items()]
    answer = server.request("PUT", f"/cases/{CASE}", files=files)
    assert answer.status_code == 200, answer.text
    return CASE


@pytest.fixture
def client(server: Server, tmp_path: Path) -> MONAILabelClient:
    return MONAILabelClient(server.url, tmpdir=str(tmp_path), client_id="dr-who")


@pytest.fixture
def label(tmp_path: Path) -> MakeLabel:
    """Write a label on the case's grid, in which core, edema and enhancing tumor have the given values."""

    def write(*values: int) -> str:
        truth = synthetic.truth(synthetic.brats_grid())
        truth.data[:] = np.array([0, *values], np.uint8)[truth.data]
        return str(synthetic.save(truth, tmp_path / "label.nii.gz"))

    return write


def label_info(*numbers: int) -> dict[str, Any]:
    """The panel's names of core, edema and enhancing tumor, in the order of its segments."""
    named = sorted(zip(numbers, ("necrotic core", "peritumoral edema", "enhancing tumor"), strict=True))
    return {"label_info": [{"name": name, "idx": number} for number, name in named]}


def labels_of(server: Server) -> list[dict[str, Any]]:
    return list(server.get(f"/cases/{CASE}/labels")["labels"])


def send(server: Server, file: str, params: dict[str, Any]) -> requests.Response:
    """Submit a label with parameters that no client of ours would send."""
    with open(file, "rb") as handle:
        return server.request(
            "PUT", "/datastore/label", params={"image": CASE, "tag": TAG}, files={"label": handle},
            data={"params": json.dumps(params)},
        )  # fmt: skip


def test_the_names_decide_what_values_mean_and_what_could_be_read_in_two_ways_is_refused_with_advice(
    client: MONAILabelClient, case: str, label: MakeLabel
) -> None:
    skipped_scribbles, another_order = ((1, 3, 4), (1, 2, 3)), ((2, 3, 1), (2, 3, 1))
    for numbers, values in (skipped_scribbles, another_order):
        client.save_label(case, label(*values), tag=TAG, params=label_info(*numbers))
        assert np.array_equal(voxels(client.download_label(case, TAG)), voxels(label(1, 2, 3)))
    with pytest.raises(MONAILabelClientException) as caught:
        client.save_label(case, label(0, 2, 3), tag=TAG, params=label_info(2, 3, 4))
    assert all(part in str(caught.value.msg) for part in ("Status: 422", "two ways", "move scribbles"))


def test_a_label_is_recorded_with_what_was_said_who_when_the_model_and_the_images(
    client: MONAILabelClient, server: Server, case: str, label: MakeLabel
) -> None:
    client.infer("tumorloop", case, {})
    said = {"comment": "the rim\nwas missed", "status": "approved", "source": "segment editor"}
    answer = client.save_label(case, label(1, 2, 2), tag=TAG, params=dict(said))
    (found,) = [one for one in labels_of(server) if one["version"] == answer["version"]]
    assert {name: found[name] for name in said} == said
    assert (found["user"], found["tag"], found["reference"]) == ("dr-who", TAG, "t1ce")
    assert found["model_version"] == "v0000"
    assert set(found["dice_against_model"]) == {"WT", "TC", "ET"}
    assert found["time"].endswith("+00:00")
    assert "place" not in found
    stored = LabelStore(server.workspace / "labels").versions(case, TAG)[-1]
    assert found["file_sha256"] == file_sha256(stored.path)
    (upload,) = [one for one in Uploads(server.workspace / "uploads").cases() if one.id == case]
    assert found["images"] == images_digest(upload)


def test_the_source_of_a_label_is_what_was_said_or_a_correction_of_the_model(
    client: MONAILabelClient, server: Server, case: str, label: MakeLabel
) -> None:
    client.infer("tumorloop", case, {})
    for number, (said, source) in enumerate(
        (({"model_version": "v0000"}, "correction"), ({}, "correction"), ({"source": "a program"}, "a program"))
    ):
        client.save_label(case, label(1, 2, number), tag=TAG, params=dict(said))
        assert labels_of(server)[-1]["source"] == source


def test_parameters_that_cannot_be_recorded_are_refused(server: Server, case: str, label: MakeLabel) -> None:
    before = len(labels_of(server))
    for field, value in (
        ("comment", {"deep": []}), ("comment", "x" * 4001), ("status", ["approved"]), ("status", "x" * 101),
        ("source", 3), ("model_version", "../../v0001"), ("model_version", 1), ("label_info", "ET"),
        ("reference", "ct"),
    ):  # fmt: skip
        answer = send(server, label(3, 2, 1), {field: value})
        assert answer.status_code == 422, answer.text
        assert answer.json()["detail"]["field"] == field
    assert len(labels_of(server)) == before


def test_control_characters_do_not_get_into_the_record(server: Server, case: str, label: MakeLabel) -> None:
    answer = send(server, label(2, 2, 3), {"client_id": "dr\x1b[31m-who\r\n", "comment": "a\x00b"})
    assert answer.status_code == 200, answer.text
    assert [labels_of(server)[-1][name] for name in ("user", "comment")] == ["dr[31m-who", "a b"]


def test_a_label_that_is_submitted_again_stays_one_version_and_what_is_said_of_it_is_kept(
    client: MONAILabelClient, server: Server, case: str, label: MakeLabel, tmp_path: Path
) -> None:
    path = label(3, 3, 1)
    client.save_label(case, path, tag=TAG, params={"comment": "a draft"})
    reviewer = MONAILabelClient(server.url, tmpdir=str(tmp_path), client_id="dr-chief")
    for status in ("approved", "approved", "withdrawn"):
        assert reviewer.save_label(case, path, tag=TAG, params={"status": status})["new"] is False
    found = labels_of(server)[-1]
    assert (found["user"], found["comment"], found["status"]) == ("dr-who", "a draft", None)
    assert [(entry["user"], entry["status"]) for entry in found["notes"]["said_again"]] == [
        ("dr-chief", "approved"),
        ("dr-chief", "withdrawn"),
    ]
