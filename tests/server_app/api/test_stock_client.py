"""The unmodified MONAI Label client and raw requests against a real server."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from monailabel.client.client import MONAILabelClient

from tests.server_app.conftest import CASES, Server, accepted, eventually, four_in_one, load, save, tree_digest, voxels
from training.images.read import read_labelmap
from training.labels import LABEL_NAMES
from training.modalities import ROLES

Infer = Callable[..., tuple[np.ndarray, dict[str, Any]]]


@pytest.fixture
def client(server: Server, tmp_path: Path) -> MONAILabelClient:
    return MONAILabelClient(server.url, tmpdir=str(tmp_path), client_id="dr-who")


def test_info_describes_the_model_its_labels_its_purpose_and_its_limits(client: MONAILabelClient) -> None:
    info = client.info()
    assert info["models"]["tumorloop"]["labels"] == LABEL_NAMES
    assert info["labels"] == list(LABEL_NAMES)
    assert info["trainers"]["tumorloop"]["config"]["max_epochs"] >= 1
    assert set(info["strategies"]) == {"first", "random", "uncertainty"}
    assert [modality["role"] for modality in info["modalities"]] == list(ROLES)
    assert {entry["name"]: entry["value"] for entry in info["label_details"]} == LABEL_NAMES
    assert info["model_version"].startswith("v")
    card = info["model_card"]
    assert (card["version"], card["research_only"]) == (info["model_version"], True)
    assert "not a medical device" in card["not_for"]
    assert "Research on the segmentation of gliomas" in card["intended_use"]
    assert card["limits"]
    assert "history" not in json.dumps(card)


def test_next_sample_names_an_unlabeled_case_and_its_display_volume(client: MONAILabelClient, server: Server) -> None:
    sample = client.next_sample("first", {})
    assert (sample["id"] in CASES, sample["checksum"].partition(":")[0]) == (True, "SHA256")
    downloaded = server.request("GET", "/datastore/image", params={"image": sample["id"]})
    assert downloaded.content == server.volumes(sample["id"])["t1ce"].read_bytes()


def test_the_result_is_a_labelmap_on_the_grid_of_t1ce_in_every_format(client: MONAILabelClient, server: Server) -> None:
    file, facts = client.infer("tumorloop", CASES[0], {})
    result, reference = load(file), load(server.volumes(CASES[0])["t1ce"])
    assert np.array_equal(result.affine, reference.affine)
    assert (result.shape, result.get_data_dtype()) == (reference.shape, np.uint8)
    assert (facts["label_names"], facts["model_version"][0]) == (LABEL_NAMES, "v")
    assert set(np.unique(result.dataobj)) <= {0, 1, 2, 3}
    expected = np.count_nonzero(np.asarray(result.dataobj) == 3) / 1000
    assert facts["volumes_ml"]["enhancing tumor"] == pytest.approx(expected, abs=1e-3)
    assert facts["seconds"]["total"] > 0
    for ending in (".nrrd", ".seg.nrrd", ".nii"):
        file, _ = client.infer("tumorloop", CASES[0], {"result_extension": ending})
        assert file.endswith(ending)
        assert np.array_equal(read_labelmap(file).data, np.asarray(result.dataobj))


def test_four_files_give_the_same_voxels_in_a_session_as_a_new_case_and_by_id(server: Server, infer: Infer) -> None:
    by_id, _ = infer(CASES[1])
    assert by_id.any()
    session = server.session(CASES[1])
    assert server.get(f"/session/{session}")["name"] == session
    assert np.array_equal(infer("", session_id=session)[0], by_id)
    accepted(server.request("DELETE", f"/session/{session}"))
    assert server.request("GET", f"/session/{session}").status_code == 404
    for _ in range(2):
        assert accepted(server.send("/cases/patient-7", server.contents(CASES[1])))["source"] == "upload"
    assert np.array_equal(infer("patient-7")[0], by_id)
    accepted(server.request("DELETE", "/datastore/", params={"id": "patient-7"}))


def test_a_4d_file_is_segmented_like_its_case_as_an_upload_and_within_a_request(
    client: MONAILabelClient, server: Server, infer: Infer, tmp_path: Path
) -> None:
    whole = str(four_in_one(server, CASES[0], tmp_path / "BRATS_001.nii.gz"))
    original, _ = infer(CASES[0])
    for _ in range(2):
        assert client.upload_image(whole, image_id="upload one")["image"] == "upload-one"
    assert np.array_equal(infer("upload-one")[0], original)
    shown = server.request("GET", "/datastore/image", params={"image": "upload-one"})
    (tmp_path / "shown.nii.gz").write_bytes(shown.content)
    assert np.array_equal(voxels(tmp_path / "shown.nii.gz"), voxels(server.volumes(CASES[0])["t1ce"]))
    accepted(server.request("DELETE", "/datastore/", params={"id": "upload-one"}))
    assert "upload-one" not in server.case_ids()
    assert np.array_equal(infer("", file=whole)[0], original)
    eventually(lambda: not list((server.workspace / "incoming").iterdir()))


def test_a_submitted_label_is_kept_with_who_when_and_how_far_from_the_model(
    client: MONAILabelClient, server: Server, infer: Infer, tmp_path: Path
) -> None:
    case = CASES[3]
    image = load(server.studies / case / f"{case}_seg.nii.gz")
    contiguous = np.array([0, 1, 2, 0, 3], np.uint8)[np.asarray(image.dataobj)]  # BraTS' 4 is our 3
    truth = save(contiguous, image.affine, tmp_path / "corrected.nii.gz")
    infer(case)
    info = [{"name": name, "idx": value} for name, value in LABEL_NAMES.items()]
    assert client.save_label(case, str(truth), params={"label_info": info, "comment": "ok"})["version"] == "v0001"
    assert client.save_label(case, str(truth), params={"label_info": info})["new"] is False
    (label,) = server.get(f"/cases/{case}/labels")["labels"]
    assert [label[name] for name in ("user", "tag", "comment", "split")] == ["dr-who", "final", "ok", "train"]
    assert label["model_version"].startswith("v")
    assert 0 <= label["dice_against_model"]["WT"] < 1
    for tag in ("final", "source"):
        assert np.array_equal(voxels(client.download_label(case, tag)), voxels(truth))
    objects = client.datastore()["objects"]
    assert objects[case]["labels"]["final"]["info"]["version"] == "v0001"
    assert case not in {client.next_sample("random", {})["id"] for _ in range(10)}
    assert client.info()["datastore"]["completed"] >= 1
    note = {"segmentationMeta": {"status": "approved", "level": "easy"}}
    where, data = {"label": case, "tag": "final"}, {"info": json.dumps(note)}
    accepted(server.request("PUT", "/datastore/label/info", params=where, data=data))
    assert server.get("/datastore/label/info", params=where)["segmentationMeta"] == note["segmentationMeta"]


def test_a_saved_result_of_the_model_does_not_count_as_a_label(client: MONAILabelClient, server: Server) -> None:
    before = client.info()["datastore"]["completed"]
    client.infer("tumorloop", CASES[0], {"save_label": True})
    assert "original" in {label["tag"] for label in server.get(f"/cases/{CASES[0]}/labels")["labels"]}
    assert client.info()["datastore"]["completed"] == before


def test_replaced_routes_reply_as_those_of_monai_label(server: Server, tmp_path: Path) -> None:
    case, source = CASES[0], {"label": CASES[0], "tag": "source"}
    assert server.get("/datastore/")["total"] >= len(CASES)
    assert case in server.get("/datastore/", params={"output": "all"})["objects"]
    assert server.get("/datastore/image/info", params={"image": case})["name"] == case
    assert isinstance(server.get("/datastore/label/info", params=source), dict)
    sent = server.request("GET", "/datastore/label", params=source)
    (tmp_path / "label.nii.gz").write_bytes(sent.content)
    label = voxels(server.studies / case / f"{case}_seg.nii.gz")
    assert np.array_equal(voxels(tmp_path / "label.nii.gz") > 0, label > 0)
    assert "NOT Found" in server.request("GET", "/model/tumorloop").text
    for method, path, status in (
        ("HEAD", f"/datastore/label?image={case}&tag=source", 200),
        ("HEAD", f"/datastore/label?image={case}&tag=none", 404),
        ("DELETE", f"/datastore/label?id={case}&tag=none", 404),
        ("DELETE", "/datastore/image?id=nobody", 404),
        ("DELETE", "/session/0123", 404),
        ("GET", "/model/info/tumorloop", 404),
        ("GET", "/datastore/?output=other", 422),
    ):
        assert server.request(method, path).status_code == status, path


def test_the_studies_folder_is_never_written_to(
    server: Server, studies_before: dict[str, str], client: MONAILabelClient, infer: Infer, tmp_path: Path
) -> None:
    infer(CASES[0])
    client.next_sample("first", {})
    client.upload_image(str(four_in_one(server, CASES[0], tmp_path / "a.nii.gz")), image_id="another")
    truth = server.studies / CASES[0] / f"{CASES[0]}_seg.nii.gz"
    client.save_label(CASES[0], str(truth), tag="trial", params={})
    accepted(server.request("DELETE", "/datastore/", params={"id": "another"}))
    assert tree_digest(server.studies) == studies_before
