"""What cannot be used is refused with what is wrong and where, and the server goes on."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import nibabel
import numpy as np
import pytest
import requests

from tests.server_app.conftest import CASES, Server, load

Infer = Callable[..., tuple[np.ndarray, dict[str, Any]]]


@pytest.fixture(autouse=True)
def _the_server_goes_on(server: Server, infer: Infer) -> Iterator[None]:
    yield
    result, _ = infer(CASES[0])
    assert result.any()


def detail(response: requests.Response, status: int = 422) -> dict[str, str]:
    assert response.status_code == status, response.text
    found = response.json()["detail"]
    assert str(Path.cwd()) not in found["message"]
    assert "/workspace" not in found["message"]
    return dict(found)


def session(server: Server, files: dict[str, bytes]) -> requests.Response:
    return server.request("PUT", "/session/", files=[("files", item) for item in files.items()])


def four(server: Server, case: str = CASES[0]) -> dict[str, bytes]:
    return {f"{role}.nii.gz": path.read_bytes() for role, path in server.volumes(case).items()}


def submit(server: Server, case: str, path: Path, tag: str = "final", **params: Any) -> requests.Response:
    where, data = {"image": case, "tag": tag}, {"params": json.dumps(params)}
    with open(path, "rb") as handle:
        return server.request("PUT", "/datastore/label", params=where, data=data, files={"label": handle})


def save(data: np.ndarray, affine: np.ndarray, path: Path) -> Path:
    nibabel.save(nibabel.Nifti1Image(data, affine), path)
    return path


@pytest.fixture
def truth(server: Server) -> nibabel.Nifti1Image:
    return load(server.studies / CASES[0] / f"{CASES[0]}_seg.nii.gz")


def test_a_missing_modality_is_named_with_the_files_that_came(server: Server) -> None:
    files = four(server)
    del files["t2.nii.gz"]
    found = detail(session(server, files))
    assert found["field"] == "t2"
    assert "T2 (t2)" in found["message"]
    assert "flair.nii.gz" in found["message"]


def test_two_files_for_one_modality_are_both_named(server: Server) -> None:
    files = {**four(server), "t1_post_gd.nii.gz": four(server)["t1ce.nii.gz"]}
    found = detail(session(server, files))
    assert found["field"] == "t1ce"
    assert "t1_post_gd.nii.gz" in found["message"]
    assert "t1ce.nii.gz" in found["message"]


@pytest.mark.parametrize("name", ["sitecustomize.py", "notes.txt", "nii.gz.so", "t1"])
def test_a_file_that_is_no_volume_is_not_kept_beside_those_that_are(server: Server, name: str) -> None:
    before = sorted(path.name for path in (server.workspace / "sessions").iterdir())
    found = detail(session(server, {**four(server), name: b"import os"}))
    assert (found["field"], found["message"].split(" ")[0]) == ("files", name)
    assert sorted(path.name for path in (server.workspace / "sessions").iterdir()) == before


def test_two_files_of_one_name_are_refused(server: Server) -> None:
    content = four(server)["t1.nii.gz"]
    files = [("files", ("t1.nii.gz", content)), ("files", ("../t1.nii.gz", content))]
    assert "t1.nii.gz" in detail(server.request("PUT", "/session/", files=files))["message"]


def test_text_named_nii_gz_is_no_image(server: Server) -> None:
    found = detail(session(server, {**four(server), "t2.nii.gz": b"this is no image"}))
    assert "t2.nii.gz" in found["message"]


def test_a_case_with_a_text_file_among_its_four_is_not_stored(server: Server) -> None:
    files = [("files", item) for item in {**four(server), "t2.nii.gz": b"this is no image"}.items()]
    found = detail(server.request("PUT", "/cases/broken", files=files))
    assert found["field"] == "t2"
    assert "broken" not in {case["id"] for case in server.get("/cases")["cases"]}


def test_a_file_that_was_cut_off_is_told_at_the_inference(server: Server) -> None:
    files = four(server)
    files["flair.nii.gz"] = files["flair.nii.gz"][:-2000]
    created = session(server, files)
    assert created.status_code == 200, created.text
    answer = server.request("POST", "/infer/tumorloop", params={"session_id": created.json()["session_id"]})
    assert detail(answer)["field"] == "flair"


def test_a_4d_file_that_was_cut_off_is_not_stored(server: Server, tmp_path: Path) -> None:
    image = load(server.volumes(CASES[0])["t1"])
    path = save(np.stack([np.asarray(image.dataobj)] * 4, axis=-1), image.affine, tmp_path / "whole.nii.gz")
    content = path.read_bytes()[:-3000]
    answer = server.request("PUT", "/datastore/", params={"image": "cut"}, files={"file": ("cut.nii.gz", content)})
    assert "cut.nii.gz" in detail(answer)["message"]
    assert "cut" not in {case["id"] for case in server.get("/cases")["cases"]}


def test_an_upload_whose_connection_breaks_harms_nobody(server: Server) -> None:
    address = urlsplit(server.url)
    body = b'--x\r\nContent-Disposition: form-data; name="files"; filename="t1.nii.gz"\r\n\r\n' + b"z" * 5000
    head = (
        f"PUT /session/ HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: {len(body) + 90000}\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
    )
    with socket.create_connection((str(address.hostname), int(address.port or 0)), 10) as connection:
        connection.sendall(head.encode() + body)


def test_a_body_that_is_not_multipart_after_all_is_refused(server: Server) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = server.request("PUT", "/session/", headers=headers, data=b"--y\r\nnonsense")
    assert 400 <= answer.status_code < 500


def test_a_single_volume_is_answered_with_what_is_missing(server: Server) -> None:
    files = {"file": ("t1ce.nii.gz", server.volumes(CASES[0])["t1ce"].read_bytes())}
    found = detail(server.request("PUT", "/datastore/", params={"image": "one"}, files=files))
    assert "four modalities" in found["message"]
    assert "T2 (t2)" in found["message"]


def test_an_unknown_model_is_named_for_inference_and_training(server: Server) -> None:
    for method, path in (("POST", "/infer/spleen?image=x"), ("POST", "/train/spleen")):
        found = detail(server.request(method, path), 404)
        assert found["field"] == "model"
        assert "'spleen'" in found["message"]
        assert "tumorloop" in found["message"]


@pytest.mark.parametrize(
    ("image", "status"), [("nobody", 404), ("", 404), ("/etc/passwd", 422), ("../../etc/passwd", 422), ("..", 422)]
)
def test_only_known_images_reach_the_model(server: Server, image: str, status: int) -> None:
    assert detail(server.request("POST", "/infer/tumorloop", params={"image": image}), status)["field"] == "image"


def test_parameters_cannot_replace_the_image(server: Server) -> None:
    data = {"params": json.dumps({"image": "/etc/passwd"})}
    answer = server.request("POST", "/infer/tumorloop", params={"image": CASES[0], "output": "json"}, data=data)
    assert answer.status_code == 200
    assert answer.json()["label_names"]


@pytest.mark.parametrize(("wrong", "status"), [("nobody", 404), ("..", 422), ("%2e%2e", 422), ("0123/../..", 422)])
def test_an_unknown_session_is_refused(server: Server, wrong: str, status: int) -> None:
    answer = server.request("POST", "/infer/tumorloop", params={"session_id": wrong})
    assert detail(answer, status)["field"] == "session_id"


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"result_extension": ".png"}, "result_extension"),
        ({"reference": "t3"}, "reference"),
    ],
)
def test_a_parameter_that_cannot_be_used_is_named(server: Server, params: dict[str, str], field: str) -> None:
    data = {"params": json.dumps(params)}
    answer = server.request("POST", "/infer/tumorloop", params={"image": CASES[0]}, data=data)
    assert detail(answer)["field"] == field


def test_parameters_that_are_no_json_are_refused(server: Server) -> None:
    answer = server.request("POST", "/infer/tumorloop", params={"image": CASES[0]}, data={"params": "{"})
    assert detail(answer)["field"] == "params"


def test_a_label_on_another_grid_is_refused_with_numbers(
    server: Server, truth: nibabel.Nifti1Image, tmp_path: Path
) -> None:
    shifted = truth.affine.copy()
    shifted[0, 3] += 3.0
    data = np.asarray(truth.dataobj)
    found = detail(submit(server, CASES[0], save(data, shifted, tmp_path / "shifted.nii.gz")))
    assert found["field"] == "label"
    assert "3.00 mm" in found["message"]
    smaller = detail(submit(server, CASES[0], save(data[1:], truth.affine, tmp_path / "smaller.nii.gz")))
    assert "63 x 72 x 60" in smaller["message"]


def test_junk_as_a_label_is_refused_and_not_stored(server: Server, tmp_path: Path) -> None:
    before = len(server.get(f"/cases/{CASES[0]}/labels")["labels"])
    junk = tmp_path / "label.nii.gz"
    for content in (b"", b"this is no label", gzip.compress(b"nor is this")):
        junk.write_bytes(content)
        assert detail(submit(server, CASES[0], junk))["field"] == "label"
    assert len(server.get(f"/cases/{CASES[0]}/labels")["labels"]) == before


def test_values_and_names_that_nobody_knows_are_named(
    server: Server, truth: nibabel.Nifti1Image, tmp_path: Path
) -> None:
    data = np.asarray(truth.dataobj)
    path = save(data.astype(np.uint8) * 2, truth.affine, tmp_path / "eight.nii.gz")
    assert "8" in detail(submit(server, CASES[0], path))["message"]
    half = save(data.astype(np.float32) / 2, truth.affine, tmp_path / "half.nii.gz")
    assert "whole numbers" in detail(submit(server, CASES[0], half))["message"]
    one = save((data > 0).astype(np.uint8), truth.affine, tmp_path / "one.nii.gz")
    found = detail(submit(server, CASES[0], one, label_info=[{"name": "spleen", "idx": 1}]))
    assert (found["field"], "'spleen'" in found["message"]) == ("label_info", True)


def test_an_empty_label_must_be_meant(server: Server, truth: nibabel.Nifti1Image, tmp_path: Path) -> None:
    empty = save(np.zeros(truth.shape, np.uint8), truth.affine, tmp_path / "empty.nii.gz")
    assert "empty" in detail(submit(server, CASES[0], empty, tag="check"))["message"]
    assert submit(server, CASES[0], empty, tag="check", allow_empty=True).status_code == 200


@pytest.mark.parametrize("tag", ["../x", "a b", "source", "x" * 40])
def test_a_tag_is_no_path(server: Server, truth: nibabel.Nifti1Image, tmp_path: Path, tag: str) -> None:
    path = save(np.asarray(truth.dataobj), truth.affine, tmp_path / "label.nii.gz")
    assert detail(submit(server, CASES[0], path, tag=tag))["field"] == "tag"


@pytest.mark.parametrize("name", ["../../../x", "a/b", "..", ".hidden", "a\\b", "\x00"])
def test_a_case_cannot_be_stored_under_a_path(server: Server, name: str) -> None:
    files = {"file": ("a.nii.gz", b"x")}
    assert detail(server.request("PUT", "/datastore/", params={"image": name}, files=files))["field"] == "image"


def test_an_upload_does_not_take_the_place_of_another_case(server: Server) -> None:
    files = [("files", item) for item in four(server, CASES[1]).items()]
    assert detail(server.request("PUT", f"/cases/{CASES[0]}", files=files), 409)["field"] == "image"
    assert detail(server.request("DELETE", "/datastore/", params={"id": CASES[0]}), 409)["field"] == "image"


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"max_epochs": 0}, "max_epochs"),
        ({"max_epochs": 1001}, "max_epochs"),
        ({"max_epochs": "many"}, "max_epochs"),
        ({"tumorloop": {"patch": 3}}, "patch"),
        ({"max_epoch": 2}, "max_epoch"),
    ],
)
def test_a_training_setting_that_cannot_be_used_is_named(server: Server, settings: dict[str, Any], field: str) -> None:
    for path in ("/train/", "/train/tumorloop"):
        assert detail(server.request("POST", path, json=settings))["field"] == field


def test_an_unknown_version_cannot_be_promoted(server: Server) -> None:
    found = detail(server.request("POST", "/versions/v0999/promote"), 404)
    assert "v0999" in found["message"]
