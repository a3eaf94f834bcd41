"""The unmodified MONAI Label client and raw requests against a real server."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from monailabel.client.client import MONAILabelClient, MONAILabelClientException

from tests.server_app.conftest import CASES, Server, eventually, load, tree_digest, voxels
from training.labels import LABEL_NAMES
from training.modalities import ROLES

Infer = Callable[..., tuple[np.ndarray, dict[str, Any]]]


@pytest.fixture
def client(server: Server, tmp_path: Path) -> MONAILabelClient:
    return MONAILabelClient(server.url, tmpdir=str(tmp_path), client_id="dr-who")


def decathlon_file(server: Server, case: str, path: Path) -> Path:
    """Write a case as one 4D file in the Decathlon's order."""
    images = [load(server.volumes(case)[role]) for role in ("flair", "t1", "t1ce", "t2")]
    data = np.stack([np.asarray(image.dataobj) for image in images], axis=-1)
    nibabel.save(nibabel.Nifti1Image(data, images[0].affine), path)
    return path


def test_info_tells_the_model_its_labels_and_what_clients_must_know(client: MONAILabelClient) -> None:
    info = client.info()
    assert info["models"]["tumorloop"]["labels"] == LABEL_NAMES
    assert info["labels"] == list(LABEL_NAMES)
    assert info["trainers"]["tumorloop"]["config"]["max_epochs"] >= 1
    assert set(info["strategies"]) == {"first", "random", "uncertainty"}
    assert [modality["role"] for modality in info["modalities"]] == list(ROLES)
    assert {entry["name"]: entry["value"] for entry in info["label_details"]} == LABEL_NAMES
    assert info["model_version"].startswith("v")


def test_info_tells_what_the_served_model_is_for_and_its_limits(client: MONAILabelClient) -> None:
    info = client.info()
    card = info["model_card"]
    assert card["version"] == info["model_version"]
    assert card["research_only"] is True
    assert "not a medical device" in card["not_for"]
    assert "Research on the segmentation of gliomas" in card["intended_use"]
    assert card["limits"]
    assert "history" not in json.dumps(card)


def test_next_sample_names_an_unlabeled_case_and_its_display_volume(client: MONAILabelClient, server: Server) -> None:
    sample = client.next_sample("first", {})
    assert sample["id"] in CASES
    downloaded = server.request("GET", "/datastore/image", params={"image": sample["id"]})
    assert downloaded.content == server.volumes(sample["id"])["t1ce"].read_bytes()
    assert sample["checksum"].startswith("SHA256:")


def test_infer_by_case_id_gives_a_labelmap_on_the_grid_of_t1ce(client: MONAILabelClient, server: Server) -> None:
    file, facts = client.infer("tumorloop", CASES[0], {})
    result, reference = load(file), load(server.volumes(CASES[0])["t1ce"])
    assert result.shape == reference.shape
    assert np.array_equal(result.affine, reference.affine)
    assert result.get_data_dtype() == np.uint8
    assert facts["label_names"] == LABEL_NAMES
    assert set(np.unique(result.dataobj)) <= {0, 1, 2, 3}
    expected = np.count_nonzero(np.asarray(result.dataobj) == 3) / 1000
    assert facts["volumes_ml"]["enhancing tumor"] == pytest.approx(expected, abs=1e-3)
    assert facts["model_version"].startswith("v")
    assert facts["seconds"]["total"] > 0


@pytest.mark.parametrize("ending", [".nrrd", ".seg.nrrd", ".nii"])
def test_the_result_comes_in_the_format_asked_for(client: MONAILabelClient, infer: Infer, ending: str) -> None:
    from training.images.read import read_labelmap

    file, _ = client.infer("tumorloop", CASES[0], {"result_extension": ending})
    assert file.endswith(ending)
    expected, _ = infer(CASES[0])
    assert np.array_equal(read_labelmap(file).data, expected)


def test_four_files_in_a_session_give_the_same_voxels_as_the_case_id(server: Server, infer: Infer) -> None:
    files = [("files", (f"{role}.nii.gz", path.read_bytes())) for role, path in server.volumes(CASES[1]).items()]
    created = server.request("PUT", "/session/", files=files)
    assert created.status_code == 200, created.text
    session = created.json()["session_id"]
    assert server.get(f"/session/{session}")["name"] == session
    by_session, _ = infer("", session_id=session)
    by_id, _ = infer(CASES[1])
    assert np.array_equal(by_session, by_id)
    assert by_id.any()
    assert server.request("DELETE", f"/session/{session}").status_code == 200
    assert server.request("GET", f"/session/{session}").status_code == 404


def test_an_uploaded_4d_file_is_a_case_with_the_same_answer(
    client: MONAILabelClient, server: Server, infer: Infer, tmp_path: Path
) -> None:
    whole = decathlon_file(server, CASES[0], tmp_path / "BRATS_001.nii.gz")
    assert client.upload_image(str(whole), image_id="upload one")["image"] == "upload-one"
    uploaded, _ = infer("upload-one")
    original, _ = infer(CASES[0])
    assert np.array_equal(uploaded, original)
    shown = server.request("GET", "/datastore/image", params={"image": "upload-one"})
    (tmp_path / "shown.nii.gz").write_bytes(shown.content)
    assert np.array_equal(voxels(tmp_path / "shown.nii.gz"), voxels(server.volumes(CASES[0])["t1ce"]))
    again = client.upload_image(str(whole), image_id="upload one")
    assert again["image"] == "upload-one"
    removed = server.request("DELETE", "/datastore/", params={"id": "upload-one"})
    assert removed.status_code == 200
    assert "upload-one" not in {case["id"] for case in server.get("/cases")["cases"]}


def test_a_4d_file_sent_with_the_request_is_segmented_and_forgotten(
    server: Server, infer: Infer, tmp_path: Path
) -> None:
    whole = decathlon_file(server, CASES[0], tmp_path / "head.nii.gz")
    sent, _ = infer("", file=str(whole))
    by_id, _ = infer(CASES[0])
    assert np.array_equal(sent, by_id)
    eventually(lambda: not list((server.workspace / "incoming").iterdir()))


def test_four_files_become_a_case_of_the_server(server: Server, infer: Infer) -> None:
    files = [("files", (f"{role}.nii.gz", path.read_bytes())) for role, path in server.volumes(CASES[2]).items()]
    created = server.request("PUT", "/cases/patient-7", files=files)
    assert created.status_code == 200, created.text
    assert created.json()["source"] == "upload"
    assert server.request("PUT", "/cases/patient-7", files=files).status_code == 200
    stored, _ = infer("patient-7")
    original, _ = infer(CASES[2])
    assert np.array_equal(stored, original)


def test_a_submitted_label_is_kept_with_who_when_and_how_far_from_the_model(
    client: MONAILabelClient, server: Server, infer: Infer, tmp_path: Path
) -> None:
    case = CASES[3]
    truth = server.studies / case / f"{case}_seg.nii.gz"
    infer(case)
    info = [{"name": name, "idx": value} for name, value in LABEL_NAMES.items()]
    answer = client.save_label(case, str(_contiguous(truth, tmp_path)), params={"label_info": info, "comment": "ok"})
    assert answer["version"] == "v0001"
    assert client.save_label(case, str(_contiguous(truth, tmp_path)), params={"label_info": info})["new"] is False
    (label,) = server.get(f"/cases/{case}/labels")["labels"]
    assert (label["user"], label["tag"], label["comment"]) == ("dr-who", "final", "ok")
    assert label["model_version"].startswith("v")
    assert 0 <= label["dice_against_model"]["WT"] < 1
    assert label["split"] == "train"
    stored = client.download_label(case, "final")
    assert np.array_equal(voxels(stored), voxels(_contiguous(truth, tmp_path)))
    source = client.download_label(case, "source")
    assert np.array_equal(voxels(source), voxels(stored))
    objects = client.datastore()["objects"]
    assert objects[case]["labels"]["final"]["info"]["version"] == "v0001"
    assert case not in {client.next_sample("random", {})["id"] for _ in range(10)}
    assert client.info()["datastore"]["completed"] >= 1


def test_notes_of_a_reviewer_stay_with_the_label(server: Server) -> None:
    case = CASES[3]
    note = {"segmentationMeta": {"status": "approved", "level": "easy"}}
    data = {"info": json.dumps(note)}
    where = {"label": case, "tag": "final"}
    assert server.request("PUT", "/datastore/label/info", params=where, data=data).status_code == 200
    assert server.get("/datastore/label/info", params=where)["segmentationMeta"] == note["segmentationMeta"]


def test_the_dataset_can_be_downloaded(server: Server, tmp_path: Path) -> None:
    import io
    import zipfile

    answer = server.request("GET", "/datastore/dataset")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert f"{CASES[3]}/label.nii.gz" in archive.namelist()
        assert f"{CASES[3]}/{CASES[3]}_flair.nii.gz" in archive.namelist()


def test_the_models_answer_can_be_saved_as_a_label(client: MONAILabelClient, server: Server) -> None:
    def labeled() -> set[str]:
        return {case["id"] for case in server.get("/cases")["cases"] if case["labeled"]}

    before = labeled()
    client.infer("tumorloop", CASES[0], {"save_label": True})
    tags = {label["tag"] for label in server.get(f"/cases/{CASES[0]}/labels")["labels"]}
    assert "original" in tags
    assert labeled() == before


def test_an_unknown_strategy_is_named(client: MONAILabelClient) -> None:
    with pytest.raises(MONAILabelClientException) as caught:
        client.next_sample("clever", {})
    assert caught.value.status_code == 404
    assert "clever" in str(caught.value.msg)


def test_the_studies_folder_is_never_written_to(
    server: Server, studies_before: dict[str, str], client: MONAILabelClient, infer: Infer, tmp_path: Path
) -> None:
    infer(CASES[0])
    client.next_sample("first", {})
    client.upload_image(str(decathlon_file(server, CASES[0], tmp_path / "a.nii.gz")), image_id="another")
    truth = server.studies / CASES[0] / f"{CASES[0]}_seg.nii.gz"
    client.save_label(CASES[0], str(truth), tag="trial", params={})
    assert tree_digest(server.studies) == studies_before


def _contiguous(brats: Path, folder: Path) -> Path:
    """Write a BraTS label with the values of the wire."""
    image = load(brats)
    data = np.array([0, 1, 2, 0, 3], np.uint8)[np.asarray(image.dataobj)]
    path = folder / "corrected.nii.gz"
    nibabel.save(nibabel.Nifti1Image(data, image.affine), path)
    return path
