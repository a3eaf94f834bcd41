"""Cases and sessions that lack modalities, segmented where the request allows it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.server_app.conftest import CASES, INCOMPLETE, Server, accepted, load, refused, save, tree_digest, voxels
from training.modalities import ROLES

CASE = CASES[0]
ALLOWED = {"allow_missing": True}


def test_an_incomplete_case_is_segmented_if_the_request_allows_it(server: Server) -> None:
    before = tree_digest(server.studies)
    found = accepted(server.infer(ALLOWED, image=INCOMPLETE))
    assert found["missing"] == ["t2"]
    assert any("T2 (t2) was missing" in warning for warning in found["warnings"])
    assert (found["reference"], found["maps"]) == ("t1ce", {})
    assert tree_digest(server.studies) == before
    for params in ({}, {"allow_missing": False}):
        assert refused(server.infer(params, image=INCOMPLETE), 404)["field"] == "image"
    assert INCOMPLETE not in server.case_ids()
    assert "T2 (t2)" in server.get("/cases")["problems"][0]["message"]
    for param, value in (("save_label", True), ("reference", "t2")):
        assert refused(server.infer({**ALLOWED, param: value}, image=INCOMPLETE))["field"] == param


def test_a_complete_case_has_the_same_result_with_the_flag(server: Server, tmp_path: Path) -> None:
    assert accepted(server.infer(image=CASE))["missing"] == []
    for name, params in (("plain.nii.gz", {}), ("allowed.nii.gz", ALLOWED)):
        (tmp_path / name).write_bytes(server.infer(params, "image", image=CASE).content)
    assert np.array_equal(voxels(tmp_path / "plain.nii.gz"), voxels(tmp_path / "allowed.nii.gz"))


@pytest.mark.parametrize("roles", [("t1", "t1ce", "flair"), ("t1", "t2"), ("flair",)])
def test_an_incomplete_session_is_segmented_if_the_request_allows_it(server: Server, roles: tuple[str, ...]) -> None:
    session = server.session(CASE, *roles)
    found = accepted(server.infer(ALLOWED, session_id=session))
    assert found["missing"] == [role for role in ROLES if role not in roles]
    assert found["reference"] == ("t1ce" if "t1ce" in roles else roles[0])
    assert refused(server.infer(session_id=session))["field"] in found["missing"]


def test_a_series_given_twice_is_refused_with_both_files_and_segmented_without_the_wrong_one(server: Server) -> None:
    files = server.contents(CASE)
    files["t1ce.nii.gz"] = files["t1.nii.gz"]
    found = refused(server.infer(session_id=accepted(server.send("/session/", files))["session_id"]))
    assert found["field"] == "t1ce"
    assert "hold the same voxels" in found["message"]
    assert "t1.nii.gz (t1) and t1ce.nii.gz (t1ce)" in found["message"]
    del files["t1ce.nii.gz"]
    session = accepted(server.send("/session/", files, allow_missing="true"))["session_id"]
    assert accepted(server.infer(ALLOWED, session_id=session))["missing"] == ["t1ce"]


def test_a_file_within_the_request_may_lack_modalities_but_must_name_one(server: Server, tmp_path: Path) -> None:
    images = [load(server.volumes(CASE)[role]) for role in ("flair", "t1")]
    stacked = np.stack([np.asarray(image.dataobj) for image in images], axis=-1)
    two = save(stacked, images[0].affine, tmp_path / "two.nii.gz")
    for path, params, missing in (
        (server.volumes(CASE)["t1ce"], '{"allow_missing": true}', ["t1", "t2", "flair"]),
        (two, '{"allow_missing": true, "order": "flair,t1"}', ["t1ce", "t2"]),
    ):
        file, data = {"file": (path.name, path.read_bytes())}, {"params": params}
        answer = server.request("POST", "/infer/tumorloop", params={"output": "json"}, data=data, files=file)
        assert accepted(answer)["missing"] == missing
    files = {"scan.nii.gz": server.contents(CASE)["t1.nii.gz"]}
    found = refused(server.send("/session/", files, allow_missing="true"))
    assert (found["field"], "scan.nii.gz does not say which modality" in found["message"]) == ("image", True)
