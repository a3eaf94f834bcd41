"""Labels as the unmodified MONAI Label client submits them: what their values mean, and what is recorded of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from monailabel.client.client import MONAILabelClient, MONAILabelClientException

from server_app.cases.case_ids import images_digest
from server_app.cases.uploads import Uploads
from server_app.labels.store import LabelStore
from tests import synthetic
from tests.server_app.conftest import CASES, Server, accepted, refused, voxels
from training.hashes import file_sha256
from training.images.grid import Grid, Volume
from training.images.write import write_labelmap

CASE = "provenance-1"
#: Labels with this tag do not train: the server is shared with other tests.
TAG = "trial"
MakeLabel = Callable[..., str]


@pytest.fixture(scope="module")
def case(server: Server) -> str:
    return str(accepted(server.send(f"/cases/{CASE}", server.contents(CASES[0])))["id"])


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


def test_a_label_is_recorded_with_what_was_said_its_source_who_when_the_model_and_the_images(
    client: MONAILabelClient, server: Server, case: str, label: MakeLabel
) -> None:
    client.infer("tumorloop", case, {})
    said = {"comment": "the rim\nwas missed", "status": "approved", "source": "segment editor"}
    answer = client.save_label(case, label(1, 2, 2), tag=TAG, params=dict(said))
    (found,) = [one for one in labels_of(server) if one["version"] == answer["version"]]
    assert {name: found[name] for name in said} == said
    assert (found["user"], found["tag"], found["reference"]) == ("dr-who", TAG, "t1ce")
    assert (found["model_version"], found["time"][-6:], "place" in found) == ("v0000", "+00:00", False)
    assert set(found["dice_against_model"]) == {"WT", "TC", "ET"}
    stored = LabelStore(server.workspace / "labels").versions(case, TAG)[-1]
    assert found["file_sha256"] == file_sha256(stored.path)
    (upload,) = [one for one in Uploads(server.workspace / "uploads").cases() if one.id == case]
    assert found["images"] == images_digest(upload)
    for number, (said, source) in enumerate(
        (({"model_version": "v0000"}, "correction"), ({}, "correction"), ({"source": "a program"}, "a program"))
    ):
        client.save_label(case, label(1, 2, number), tag=TAG, params=dict(said))
        assert labels_of(server)[-1]["source"] == source


def test_what_cannot_be_recorded_is_refused_and_control_characters_are_left_out(
    server: Server, case: str, label: MakeLabel
) -> None:
    before = len(labels_of(server))
    for field, value in (
        ("comment", {"deep": []}), ("comment", "x" * 4001), ("status", ["approved"]), ("status", "x" * 101),
        ("source", 3), ("model_version", "../../v0001"), ("model_version", 1), ("label_info", "ET"),
        ("reference", "ct"),
    ):  # fmt: skip
        assert refused(server.send_label(case, Path(label(3, 2, 1)), TAG, **{field: value}))["field"] == field
    assert len(labels_of(server)) == before
    accepted(server.send_label(case, Path(label(2, 2, 3)), TAG, client_id="dr\x1b[31m-who\r\n", comment="a\x00b"))
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
    again = [(entry["user"], entry["status"]) for entry in found["notes"]["said_again"]]
    assert again == [("dr-chief", "approved"), ("dr-chief", "withdrawn")]


def test_a_segmentation_that_slicer_cropped_is_stored_on_the_whole_grid_and_one_that_is_no_label_is_refused_by_name(
    server: Server, case: str, label: MakeLabel, tmp_path: Path
) -> None:
    truth = synthetic.truth(synthetic.brats_grid())
    where = np.argwhere(truth.data)
    low, high = where.min(0), where.max(0) + 1
    affine = truth.grid.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ low
    data = truth.data[tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))]
    x, y, z = data.shape
    cropped = write_labelmap(Volume(data, Grid((x, y, z), affine)), tmp_path / "label.seg.nrrd")
    accepted(server.send_label(case, cropped, TAG))
    stored = LabelStore(server.workspace / "labels").versions(case, TAG)[-1]
    assert np.array_equal(voxels(stored.path), truth.data)
    renamed = tmp_path / "other.seg.nrrd"
    renamed.write_bytes(cropped.read_bytes().replace(b"Name:=necrotic core", b"Name:=brain mask", 1))
    answer = refused(server.send_label(case, renamed, TAG))
    assert (answer["field"], "'brain mask'" in answer["message"]) == ("label", True)
    both = refused(server.send_label(case, Path(label(1, 4, 3)), TAG))
    assert (both["field"], "holds both 3 and 4" in both["message"]) == ("label", True)
    accepted(server.send_label(case, Path(label(1, 4, 3)), TAG, label_scheme="brats-2024-post"))
    stored = LabelStore(server.workspace / "labels").versions(case, TAG)[-1]
    assert np.array_equal(voxels(stored.path), np.where(truth.data == 2, 0, truth.data))
