"""The form of a labelmap as MONAI Label's clients ask for it: its extension, voxel type and compression."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel
import nrrd
import numpy as np
import pytest
import requests
from monailabel.client.client import MONAILabelClient

from tests.server_app.conftest import CASES, Server, accepted, load, refused
from training.images.read import read_labelmap
from training.images.write import EXPORT_ENDINGS, LABELMAP_DTYPES

CASE = CASES[0]
#: As the OHIF plug-in of MONAI Label 0.8.5 sends it: its reader of NRRD files knows no compressed ones.
OHIF = {"result_extension": ".nrrd", "result_dtype": "uint8", "result_compress": False, "restore_label_idx": False}


@pytest.fixture
def client(server: Server, tmp_path: Path) -> MONAILabelClient:
    return MONAILabelClient(server.url, tmpdir=str(tmp_path))


def stored_type(path: Path) -> str:
    """The type of a file's voxels."""
    if path.name.endswith(".nrrd"):
        return str(nrrd.read(str(path))[0].dtype)
    return str(load(path).get_data_dtype())


def test_the_info_lists_the_types_and_a_client_may_send_the_lists_back(client: MONAILabelClient) -> None:
    config = client.info()["models"]["tumorloop"]["config"]
    assert config["result_dtype"] == list(LABELMAP_DTYPES)
    assert config["result_compress"] is True
    file, _ = client.infer("tumorloop", CASE, dict(config))
    assert (file.endswith(".nii.gz"), stored_type(Path(file))) == (True, "uint8")


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "int64"])
def test_every_format_has_the_voxel_type_that_the_stock_client_asks_for(client: MONAILabelClient, dtype: str) -> None:
    expected = read_labelmap(client.infer("tumorloop", CASE, {})[0])
    for ending in EXPORT_ENDINGS:
        file, _ = client.infer("tumorloop", CASE, {"result_extension": ending, "result_dtype": dtype})
        assert (file.endswith(ending), stored_type(Path(file))) == (True, dtype)
        found = read_labelmap(file)
        assert np.array_equal(found.data, expected.data)
        assert found.grid.matches(expected.grid)


@pytest.mark.parametrize("ending", EXPORT_ENDINGS)
def test_a_result_that_shall_not_be_compressed_holds_its_voxels_as_they_are(
    client: MONAILabelClient, server: Server, ending: str
) -> None:
    params = {"result_extension": ending, "result_compress": False}
    session = server.session(CASE)
    for where in ({"image_id": CASE}, {"image_id": "", "session_id": session}):
        file = Path(client.infer("tumorloop", params=dict(params), **where)[0])
        voxels = read_labelmap(file).data
        assert file.stat().st_size > voxels.size
        content = file.read_bytes()
        assert content[:2] == b"\x1f\x8b" if ending == ".nii.gz" else voxels.tobytes(order="F") in content
        if ending.endswith("nrrd"):
            assert nrrd.read_header(str(file))["encoding"] == "raw"
    packed = Path(client.infer("tumorloop", CASE, {"result_extension": ending, "result_compress": True})[0])
    assert packed.stat().st_size < voxels.size or ending == ".nii"


@pytest.mark.parametrize("multipart", [True, False], ids=["multipart", "urlencoded"])
def test_the_ohif_plug_in_gets_a_nrrd_file_whose_bytes_are_the_voxels(
    server: Server, multipart: bool, tmp_path: Path
) -> None:
    params = json.dumps(OHIF)
    form: dict[str, Any] = {"files": {"params": (None, params)}} if multipart else {"data": {"params": params}}
    headers = {"accept": "application/json, multipart/form-data"}
    where = {"image": CASE, "output": "image"}
    answer = server.request("POST", "/infer/tumorloop", params=where, headers=headers, **form)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/octet-stream")
    assert answer.headers["content-disposition"].endswith('.nrrd"')
    assert int(answer.headers["content-length"]) == len(answer.content)
    head, _, body = answer.content.partition(b"\n\n")
    assert {b"type: uint8", b"encoding: raw", b"sizes: 64 72 60"} <= set(head.splitlines())
    plain = server.infer({}, image=CASE, output="image")
    (tmp_path / "plain.nii.gz").write_bytes(plain.content)
    assert body == read_labelmap(tmp_path / "plain.nii.gz").data.tobytes(order="F")


def test_both_parts_of_a_reply_are_as_asked(server: Server, tmp_path: Path) -> None:
    answer = server.infer({"result_extension": ".nii", "result_dtype": "float32"}, image=CASE, output="all")
    assert answer.status_code == 200
    part = answer.content.partition(b'filename="')[2]
    name, _, rest = part.partition(b'"')
    assert name.endswith(b".nii")
    content = rest.partition(b"\r\n\r\n")[2].rpartition(b"\r\n--")[0]
    (tmp_path / "part.nii").write_bytes(content)
    assert nibabel.Nifti1Image.from_filename(tmp_path / "part.nii").get_data_dtype() == np.float32
    facts = accepted(server.infer({"result_dtype": "float32"}, image=CASE))
    assert facts["label_names"]


def test_a_label_that_the_server_keeps_has_its_own_form_whatever_the_reply_has(
    server: Server, client: MONAILabelClient
) -> None:
    params = {"save_label": True, "label_tag": "float", "result_dtype": "float32", "result_extension": ".nrrd"}
    client.infer("tumorloop", CASE, params)
    kept = Path(client.download_label(CASE, "float"))
    assert (kept.name.endswith(".nii.gz"), stored_type(kept)) == (True, "uint8")


@pytest.mark.parametrize(
    "dtype", ["float16", "complex64", "bool", "str", "np.uint8", "UINT8", "void", 8, ["uint8"], {}]
)
def test_a_type_that_cannot_hold_labels_is_refused_wherever_it_is_sent(server: Server, dtype: Any) -> None:
    params = {"result_dtype": dtype}
    session = server.session(CASE)
    for answer in (
        *(server.infer(params, image=CASE, output=output) for output in ("image", "json", "all")),
        server.infer(params, session_id=session),
        server.request("POST", "/batch/infer/tumorloop", json={"images": [], **params}),
    ):
        found = refused(answer)
        assert found["field"] == "result_dtype"
        assert "uint8, int8, uint16" in found["message"]


@pytest.mark.parametrize("value", ["yes", "false", 0, 1, [False], {}])
def test_whether_to_compress_is_true_or_false(server: Server, value: Any) -> None:
    answers: list[requests.Response] = [server.infer({"result_compress": value}, image=CASE)]
    answers.append(server.request("POST", "/batch/infer/tumorloop", json={"images": [], "result_compress": value}))
    assert {refused(answer)["field"] for answer in answers} == {"result_compress"}
