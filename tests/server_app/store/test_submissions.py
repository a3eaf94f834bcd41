"""Labels as the unmodified MONAI Label client submits them: what they mean, and what is known of them afterwards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
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


def label(folder: Path, *values: int) -> Path:
    """A label on the case's grid, in which core, edema and enhancing tumor have these values."""
    lookup = np.array([0, *values], np.uint8)
    truth = synthetic.truth(synthetic.brats_grid())
    truth.data[:] = lookup[truth.data]
    return synthetic.save(truth, folder / "label.nii.gz")


def info(*entries: tuple[str, int]) -> dict[str, Any]:
    return {"label_info": [{"name": name, "idx": number} for name, number in entries]}


@pytest.mark.parametrize(
    "names",
    [
        info(("necrotic core", 1), ("peritumoral edema", 2), ("enhancing tumor", 3)),
        info(("necrotic core", 2), ("peritumoral edema", 3), ("enhancing tumor", 4)),  # scribbles first, and skipped
        info(("necrotic core", 1), ("peritumoral edema", 3), ("enhancing tumor", 4)),  # scribbles in between
        info(("necrotic core", 3), ("peritumoral edema", 4), ("enhancing tumor", 5)),
    ],
)
def test_the_panels_numbers_may_count_segments_it_skipped(
    client: MONAILabelClient, server: Server, case: str, tmp_path: Path, names: dict[str, Any]
) -> None:
    client.save_label(case, str(label(tmp_path, 1, 2, 3)), tag=TAG, params=names)
    assert np.array_equal(voxels(client.download_label(case, TAG)), voxels(label(tmp_path, 1, 2, 3)))


def test_segments_in_another_order_are_told_by_their_names(client: MONAILabelClient, case: str, tmp_path: Path) -> None:
    names = info(("enhancing tumor", 1), ("necrotic core", 2), ("peritumoral edema", 3))
    client.save_label(case, str(label(tmp_path, 2, 3, 1)), tag=TAG, params=names)
    assert np.array_equal(voxels(client.download_label(case, TAG)), voxels(label(tmp_path, 1, 2, 3)))


def test_numbers_that_could_swap_labels_unseen_are_refused_with_what_to_do(
    client: MONAILabelClient, case: str, tmp_path: Path
) -> None:
    names = info(("necrotic core", 2), ("peritumoral edema", 3), ("enhancing tumor", 4))
    with pytest.raises(MONAILabelClientException) as caught:
        client.save_label(case, str(label(tmp_path, 0, 2, 3)), tag=TAG, params=names)
    assert "Status: 422" in str(caught.value.msg)
    assert "two ways" in str(caught.value.msg)
    assert "move scribbles" in str(caught.value.msg)


def test_everything_is_known_of_a_label_afterwards(
    client: MONAILabelClient, server: Server, case: str, tmp_path: Path
) -> None:
    client.infer("tumorloop", case, {})
    said = {"comment": "the rim\nwas missed", "status": "approved", "source": "segment editor"}
    answer = client.save_label(case, str(label(tmp_path, 1, 2, 2)), tag=TAG, params=dict(said))
    (told,) = [one for one in server.get(f"/cases/{case}/labels")["labels"] if one["version"] == answer["version"]]
    assert {name: told[name] for name in said} == said
    assert (told["user"], told["tag"], told["reference"]) == ("dr-who", TAG, "t1ce")
    assert told["model_version"] == "v0000"
    assert set(told["dice_against_model"]) == {"WT", "TC", "ET"}
    assert told["time"].endswith("+00:00")
    assert "place" not in told
    stored = LabelStore(server.workspace / "labels").versions(case, TAG)[-1]
    assert told["file_sha256"] == file_sha256(stored.path)
    (upload,) = [one for one in Uploads(server.workspace / "uploads").cases() if one.id == case]
    assert told["images"] == images_digest(upload)


@pytest.mark.parametrize(
    ("said", "source"),
    [
        ({"model_version": "v0000"}, "correction"),
        ({}, "correction"),
        ({"source": "another program"}, "another program"),
    ],
)
def test_where_a_label_comes_from_is_told_or_follows(
    client: MONAILabelClient, server: Server, case: str, tmp_path: Path, said: dict[str, Any], source: str
) -> None:
    client.infer("tumorloop", case, {})
    client.save_label(case, str(label(tmp_path, 1, 2, 1)), tag=TAG, params={"comment": "earlier"})
    client.save_label(case, str(label(tmp_path, 1, 2, 3)), tag=TAG, params=dict(said))
    assert server.get(f"/cases/{case}/labels")["labels"][-1]["source"] == source


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"comment": {"deep": []}}, "comment"),
        ({"comment": "x" * 4001}, "comment"),
        ({"status": ["approved"]}, "status"),
        ({"status": "x" * 101}, "status"),
        ({"source": 3}, "source"),
        ({"model_version": "../../v0001"}, "model_version"),
        ({"model_version": 1}, "model_version"),
        ({"label_info": "ET"}, "label_info"),
        ({"reference": "ct"}, "reference"),
    ],
)
def test_what_cannot_be_kept_of_a_label_is_refused(
    server: Server, case: str, tmp_path: Path, said: dict[str, Any], field: str
) -> None:
    before = len(server.get(f"/cases/{case}/labels")["labels"])
    with open(label(tmp_path, 3, 2, 1), "rb") as handle:
        answer = server.request(
            "PUT",
            "/datastore/label",
            params={"image": case, "tag": TAG},
            files={"label": handle},
            data={"params": json.dumps(said)},
        )
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"]["field"] == field
    assert len(server.get(f"/cases/{case}/labels")["labels"]) == before


def test_a_name_cannot_carry_control_characters_into_the_record(server: Server, case: str, tmp_path: Path) -> None:
    with open(label(tmp_path, 2, 2, 3), "rb") as handle:
        answer = server.request(
            "PUT",
            "/datastore/label",
            params={"image": case, "tag": TAG},
            files={"label": handle},
            data={"params": json.dumps({"client_id": "dr\x1b[31m-who\r\n", "comment": "a\x00b"})},
        )
    assert answer.status_code == 200, answer.text
    told = server.get(f"/cases/{case}/labels")["labels"][-1]
    assert (told["user"], told["comment"]) == ("dr[31m-who", "a b")


def test_the_same_label_again_is_one_version_and_what_is_said_of_it_is_kept(
    client: MONAILabelClient, server: Server, case: str, tmp_path: Path
) -> None:
    path = str(label(tmp_path, 3, 3, 1))
    client.save_label(case, path, tag=TAG, params={"comment": "a draft"})
    reviewer = MONAILabelClient(server.url, tmpdir=str(tmp_path), client_id="dr-chief")
    for status in ("approved", "approved", "withdrawn"):
        assert reviewer.save_label(case, path, tag=TAG, params={"status": status})["new"] is False
    told = server.get(f"/cases/{case}/labels")["labels"][-1]
    assert (told["user"], told["comment"], told["status"]) == ("dr-who", "a draft", None)
    assert [(entry["user"], entry["status"]) for entry in told["notes"]["said_again"]] == [
        ("dr-chief", "approved"),
        ("dr-chief", "withdrawn"),
    ]
