"""Requests that cannot be served are refused with what is wrong and where; nothing is kept, and the server goes on."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from tests.server_app.conftest import CASES, Server, accepted, four_in_one, load, refused, save

CASE = CASES[0]
Infer = Callable[..., tuple[np.ndarray, dict[str, Any]]]


@pytest.fixture(scope="module", autouse=True)
def _the_server_goes_on(server: Server) -> Iterator[None]:
    def kept() -> list[Any]:
        sessions, labels = sorted((server.workspace / "sessions").iterdir()), server.get(f"/cases/{CASE}/labels")
        return [sessions, server.case_ids(), len(labels["labels"])]

    before = kept()
    yield
    accepted(server.infer(image=CASE))
    assert kept() == before
    assert list((server.workspace / "incoming").iterdir()) == []


def says(answer: requests.Response, field: str, *words: str, status: int = 422) -> None:
    """Make sure that a refusal names a field and holds all words."""
    found = refused(answer, status)
    assert (found["field"], [word for word in words if word not in found["message"]]) == (field, [])


# === Files ===


@pytest.mark.parametrize("path", ["/session/", "/cases/refused"])
def test_a_missing_modality_is_named_with_the_files_that_came(server: Server, path: str) -> None:
    says(server.send(path, server.contents(CASE, "t1", "t1ce", "flair")), "t2", "T2 (t2)", "flair.nii.gz")


def test_a_single_volume_is_no_case(server: Server) -> None:
    (file,) = server.contents(CASE, "t1ce").items()
    for method, path in (("PUT", "/datastore/?image=one"), ("POST", "/infer/tumorloop")):
        message = refused(server.request(method, path, files={"file": file}))["message"]
        assert "four modalities" in message
        assert "T2 (t2)" in message


def test_two_files_for_one_modality_or_of_one_name_are_refused_by_name(server: Server) -> None:
    files = server.contents(CASE)
    more = {**files, "t1_post_gd.nii.gz": files["t1ce.nii.gz"]}
    says(server.send("/session/", more), "t1ce", "t1_post_gd.nii.gz", "t1ce.nii.gz")
    twice = [("files", (name, files["t1.nii.gz"])) for name in ("t1.nii.gz", "../t1.nii.gz")]
    assert "t1.nii.gz" in refused(server.request("PUT", "/session/", files=twice))["message"]


@pytest.mark.parametrize("name", ["sitecustomize.py", "notes.txt", "nii.gz.so", "t1"])
def test_a_file_that_is_not_a_volume_is_refused(server: Server, name: str) -> None:
    found = refused(server.send("/session/", {**server.contents(CASE), name: b"import os"}))
    assert (found["field"], found["message"].split(" ")[0]) == ("files", name)


@pytest.mark.parametrize("path", ["/session/", "/cases/refused"])
def test_text_named_like_a_volume_is_refused_by_its_modality(server: Server, path: str) -> None:
    says(server.send(path, {**server.contents(CASE), "t2.nii.gz": b"this is no image"}), "t2", "T2 (t2): t2.nii.gz")


def test_truncated_files_and_bodies_are_refused(server: Server, tmp_path: Path) -> None:
    files = server.contents(CASE)
    session = accepted(server.send("/session/", {**files, "flair.nii.gz": files["flair.nii.gz"][:-2000]}))["session_id"]
    says(server.infer(session_id=session), "flair")
    accepted(server.request("DELETE", f"/session/{session}"))
    content = four_in_one(server, CASE, tmp_path / "whole.nii.gz").read_bytes()[:-3000]
    answer = server.request("PUT", "/datastore/", params={"image": "cut"}, files={"file": ("cut.nii.gz", content)})
    assert "cut.nii.gz" in refused(answer)["message"]
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = server.request("PUT", "/session/", headers=headers, data=b"--y\r\nnonsense")
    assert 400 <= answer.status_code < 500


# === Names and parameters ===


@pytest.mark.parametrize(
    ("method", "path", "status", "field"),
    [
        ("POST", "/infer/spleen?image=x", 404, "model"),
        ("POST", "/train/spleen", 404, "model"),
        ("GET", "/train/spleen/plan", 404, "model"),
        ("POST", "/versions/v0999/promote", 404, "version"),
        ("GET", "/versions/v0999/pictures/after.png", 404, "version"),
        *(("GET", f"/versions/v0000/pictures/{name}", 404, "picture") for name in ("after.png", "weights.npz")),
        ("POST", "/activelearning/clever", 404, "strategy"),
        ("GET", "/jobs/0123456789abcdef", 404, "job"),
        ("DELETE", "/jobs/0123456789abcdef", 404, "job"),
        ("GET", "/jobs/UPPERCASE", 422, "job"),
        ("DELETE", f"/jobs/{'a' * 65}", 422, "job"),
        ("GET", f"/maps/{'0' * 32}/entropy.nii.gz", 404, "map"),
        ("GET", "/maps/nobody/entropy.nii.gz", 404, "map"),
        ("GET", "/cases/nobody/volumes/t1", 404, "image"),
        *(("GET", f"/cases/{CASE}/volumes/{role}", 404, "role") for role in ("t3", "seg", "T1")),
        ("POST", "/infer/tumorloop?image=", 404, "image"),
        ("POST", "/infer/tumorloop?image=nobody", 404, "image"),
        ("POST", "/infer/tumorloop?image=/etc/passwd", 422, "image"),
        ("POST", "/infer/tumorloop?session_id=nobody", 404, "session_id"),
        ("DELETE", f"/datastore/?id={CASE}", 409, "image"),
    ],
)
def test_unknown_names_are_refused(server: Server, method: str, path: str, status: int, field: str) -> None:
    words = ("'spleen'", "tumorloop") if path.startswith("/infer/spleen") else ()
    says(server.request(method, path), field, *words, status=status)
    if path.startswith("/infer/tumorloop?image"):
        data = {"params": json.dumps({"allow_missing": True})}
        says(server.request(method, path, data=data), field, status=status)


def test_parameters_cannot_replace_the_image_or_what_the_server_sets(server: Server, infer: Infer) -> None:
    params = {"image": "/etc/passwd", "case": "/etc", "ticket": {"cancelled": True}, "answer": "/tmp/x"}
    assert np.array_equal(infer(CASE, params=params)[0], infer(CASE)[0])


def test_what_is_given_twice_is_refused(server: Server) -> None:
    where, label = {"image": CASE, "tag": "trial"}, (server.studies / CASE / f"{CASE}_seg.nii.gz").read_bytes()
    labels = [("label", (name, label)) for name in ("one.nii.gz", "two.nii.gz")]
    says(server.request("PUT", "/datastore/label", params=where, files=labels), "label", "twice")
    params = [("params", (None, text)) for text in ("{}", '{"reference": "t2"}')]
    says(server.request("POST", "/infer/tumorloop", params=where, files=params), "params", "twice")
    says(server.request("POST", f"/infer/tumorloop?image={CASE}&image={CASES[1]}"), "image", "twice")
    for text in ('{"reference": "t1", "reference": "t2"}', '{"a": [{"b": 1, "b": 1}]}'):
        found = server.request("POST", "/infer/tumorloop", params=where, data={"params": text})
        says(found, "params", "twice")
    headers = {"Content-Type": "application/json"}
    says(server.request("POST", "/train/tumorloop", data='{"run": "a", "run": "b"}', headers=headers), "body", "twice")


def test_a_misspelt_parameter_is_refused_and_one_that_means_nothing_here_is_listed(server: Server) -> None:
    for name, meant in (
        ("refrence", "reference"),
        ("Result_Dtype", "result_dtype"),
        ("allow-missing", "allow_missing"),
    ):
        says(server.infer({name: "t2"}, image=CASE), name, meant)
    label = server.studies / CASE / f"{CASE}_seg.nii.gz"
    says(server.send_label(CASE, label, tag="trial", lable_info=[]), "lable_info", "label_info")
    stock = {"device": "cpu", "restore_label_idx": False, "label_prompt": [1], "result_write_to_file": True}
    assert accepted(server.infer({**stock, "client_id": "ann", "user": "ann"}, image=CASE))["ignored"] == sorted(stock)
    offered = accepted(server.request("GET", "/info/"))["models"]["tumorloop"]["config"]
    assert accepted(server.infer(offered, image=CASE))["ignored"] == []  # as MONAI Label's panel sends them back
    where, file = {"image": CASE, "output": "json"}, {"label": ("label.nii.gz", label.read_bytes())}
    answer = server.request("POST", "/infer/tumorloop", params=where, data={"params": "{}"}, files=file)
    assert accepted(answer)["ignored"] == ["label"]


NOT_A_FLAG: tuple[Any, ...] = ("yes", "true", 1, [True], {})
NO_ROLE: tuple[Any, ...] = (["t2"], 0, False, {}, "T2")
NOT_A_JOB: tuple[Any, ...] = ("short", "UPPERCASE", "a" * 65, "../../etc/passwd", "with space", "", 12345678, ["a"])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("result_extension", ".png"),
        ("reference", "t3"),
        *(("allow_missing", value) for value in NOT_A_FLAG),
        *(("allow_whole_head", value) for value in NOT_A_FLAG),
        *(("output_maps", value) for value in NOT_A_FLAG),
        *(("reference", value) for value in NO_ROLE),
        *(("job", value) for value in NOT_A_JOB),
    ],
)
def test_an_invalid_parameter_is_named(server: Server, name: str, value: Any) -> None:
    says(server.infer({name: value}, image=CASE), name)


def test_parameters_that_are_not_json_and_an_upload_that_would_replace_a_case_are_refused(server: Server) -> None:
    says(server.request("POST", "/infer/tumorloop", params={"image": CASE}, data={"params": "{"}), "params")
    says(server.send(f"/cases/{CASE}", server.contents(CASES[1])), "image", status=409)


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"max_epochs": 0}, "max_epochs"),
        ({"max_epochs": 1001}, "max_epochs"),
        ({"max_epochs": "many"}, "max_epochs"),
        ({"tumorloop": {"patch": 3}}, "patch"),
        ({"max_epoch": 2}, "max_epoch"),
        ({"mode": "sites"}, "mode"),
        ({"mode": "site", "max_epochs": 2}, "max_epochs"),
        ({"mode": "site", "share": 0}, "share"),
        ({"mode": "site", "resume": True}, "mode"),
    ],
)
def test_an_invalid_training_setting_is_named(server: Server, settings: dict[str, Any], field: str) -> None:
    for path in ("/train/", "/train/tumorloop"):
        says(server.request("POST", path, json=settings), field)


def test_labels_that_cannot_be_used_are_refused_with_the_reason(server: Server, tmp_path: Path) -> None:
    truth = load(server.studies / CASE / f"{CASE}_seg.nii.gz")
    data, shifted, between = np.asarray(truth.dataobj), truth.affine.copy(), truth.affine.copy()
    shifted[0, 3] += 3.0
    between[0, 3] += 0.4  # a part of the grid would be accepted
    labels: dict[str, tuple[np.ndarray, np.ndarray]] = {
        "3.00 mm": (data, shifted),
        "63 x 72 x 60": (data[1:], between),
        "8": (data.astype(np.uint8) * 2, truth.affine),
        "whole numbers": (data.astype(np.float32) / 2, truth.affine),
        "empty": (np.zeros_like(data), truth.affine),
    }
    for words, (values, affine) in labels.items():
        says(server.send_label(CASE, save(values, affine, tmp_path / "label.nii.gz")), "label", words)
    for content in (b"", b"this is no label", gzip.compress(b"nor is this")):
        (tmp_path / "junk.nii.gz").write_bytes(content)
        says(server.send_label(CASE, tmp_path / "junk.nii.gz"), "label")
    empty = tmp_path / "label.nii.gz"
    accepted(server.send_label(CASES[1], empty, tag="check", allow_empty=True))
    says(server.send_label(CASE, empty, tag="source", allow_empty=True), "tag")
    for name in ("allow_empty", "allow_outside"):
        says(server.send_label(CASE, empty, **{name: "true"}), name)


def test_a_label_outside_the_head_is_refused_unless_it_is_meant_so(server: Server, tmp_path: Path) -> None:
    truth = load(server.studies / CASES[1] / f"{CASES[1]}_seg.nii.gz")
    data, corner = np.asarray(truth.dataobj), np.zeros(truth.shape, np.uint8)
    corner[:8, :8, :8] = 2
    for wrong in (corner, np.full(truth.shape, 2, np.uint8)):
        label = save(wrong, truth.affine, tmp_path / "label.nii.gz")
        says(server.send_label(CASES[1], label, tag="place"), "label", "outside the head", "allow_outside")
    accepted(server.send_label(CASES[1], save(corner, truth.affine, label), tag="place", allow_outside=True))
    crossing = data.copy()
    crossing[:3, :3, :3] = 2  # a few voxels beside it
    accepted(server.send_label(CASES[1], save(crossing, truth.affine, label), tag="place"))


def test_only_the_servers_own_pages_may_read_its_replies(server: Server) -> None:
    foreign = server.request("GET", "/info/", headers={"Origin": "http://elsewhere.example"})
    assert "access-control-allow-origin" not in foreign.headers
    own = server.request("GET", "/info/", headers={"Origin": server.url})
    assert own.headers["access-control-allow-origin"] == server.url
