"""Cases short of modalities, and maps of how sure the model is, over a real server; and where maps are kept."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import requests
from fastapi import HTTPException

from server_app.inference.maps import MapStore
from tests import synthetic
from tests.server_app.conftest import Server, load, serving, tree_digest, voxels
from training.modalities import ROLES

WHOLE, SHORT = "BraTS20_Training_001", "BraTS20_Training_002"
MAPS = ["probability_wt", "probability_tc", "probability_et", "entropy"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Server]:
    """A server over a whole case and one without T2."""
    folder = tmp_path_factory.mktemp("short")
    for name in (WHOLE, SHORT):
        synthetic.write_case(folder / "studies", name)
    (folder / "studies" / SHORT / f"{SHORT}_t2.nii.gz").unlink()
    with serving(folder / "studies", folder / "workspace", tiny_model) as running:
        yield running


def infer(server: Server, where: dict[str, str], output: str = "json", **params: Any) -> requests.Response:
    data = {"params": json.dumps(params)}
    return server.request("POST", "/infer/tumorloop", params={**where, "output": output}, data=data)


def facts(answer: requests.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def refused(answer: requests.Response, status: int = 422) -> dict[str, str]:
    assert answer.status_code == status, answer.text
    return dict(answer.json()["detail"])


def session(server: Server, *roles: str, **query: Any) -> requests.Response:
    volumes = server.volumes(WHOLE)
    files = [("files", (f"{role}.nii.gz", volumes[role].read_bytes())) for role in roles]
    return server.request("PUT", "/session/", files=files, params=query)


def fetched(server: Server, address: str, folder: Path) -> nibabel.Nifti1Image:
    answer = server.request("GET", address)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/gzip"
    name = address.rsplit("/", 1)[1]
    assert f'filename="{name}"' in answer.headers["Content-Disposition"]
    (folder / name).write_bytes(answer.content)
    return load(folder / name)


# === Missing modalities ===


def test_a_case_short_of_a_modality_is_segmented_if_the_request_says_so(server: Server) -> None:
    before = tree_digest(server.studies)
    found = facts(infer(server, {"image": SHORT}, allow_missing=True))
    assert found["missing"] == ["t2"]
    assert any("T2 (t2) was missing" in warning for warning in found["warnings"])
    assert (found["reference"], found["maps"]) == ("t1ce", {})
    assert tree_digest(server.studies) == before


def test_without_the_flag_a_case_short_of_a_modality_is_none_but_a_problem(server: Server) -> None:
    assert refused(infer(server, {"image": SHORT}), 404)["field"] == "image"
    assert refused(infer(server, {"image": SHORT}, allow_missing=False), 404)["field"] == "image"
    listed = server.get("/cases")
    assert [case["id"] for case in listed["cases"]] == [WHOLE]
    assert "T2 (t2)" in listed["problems"][0]["message"]


def test_a_case_short_of_a_modality_can_hold_no_label(server: Server) -> None:
    found = refused(infer(server, {"image": SHORT}, allow_missing=True, save_label=True))
    assert found["field"] == "save_label"


@pytest.mark.parametrize(
    ("image", "status"), [("nobody", 404), ("", 404), ("/etc/passwd", 422), ("../../etc/passwd", 422), ("..", 422)]
)
def test_only_known_images_reach_the_model_even_if_something_may_be_missing(
    server: Server, image: str, status: int
) -> None:
    assert refused(infer(server, {"image": image}, allow_missing=True), status)["field"] == "image"


def test_a_whole_case_misses_nothing_and_has_the_same_answer_with_the_flag(server: Server, tmp_path: Path) -> None:
    assert facts(infer(server, {"image": WHOLE}))["missing"] == []
    answers = []
    for params in ({}, {"allow_missing": True}):
        answer = infer(server, {"image": WHOLE}, "image", **params)
        (tmp_path / "answer.nii.gz").write_bytes(answer.content)
        answers.append(voxels(tmp_path / "answer.nii.gz"))
    assert np.array_equal(answers[0], answers[1])


@pytest.mark.parametrize("roles", [("t1", "t1ce", "flair"), ("t1", "t2"), ("flair",)])
def test_a_session_may_be_short_of_modalities_if_it_says_so(server: Server, roles: tuple[str, ...]) -> None:
    created = session(server, *roles, allow_missing="true")
    assert created.status_code == 200, created.text
    where = {"session_id": created.json()["session_id"]}
    found = facts(infer(server, where, allow_missing=True))
    assert found["missing"] == [role for role in ROLES if role not in roles]
    assert found["reference"] == ("t1ce" if "t1ce" in roles else roles[0])
    without_flag = refused(infer(server, where))
    assert without_flag["field"] in found["missing"]


def test_a_session_short_of_a_modality_is_refused_without_the_flag_and_names_no_folder(server: Server) -> None:
    found = refused(session(server, "t1", "t1ce", "flair"))
    assert found["field"] == "t2"
    assert found["message"].startswith("Missing: T2 (t2).")


def test_a_session_of_nothing_recognizable_is_refused_even_with_the_flag(server: Server) -> None:
    files = [("files", ("scan.nii.gz", server.volumes(WHOLE)["t1"].read_bytes()))]
    found = refused(server.request("PUT", "/session/", files=files, params={"allow_missing": "true"}))
    assert found["field"] == "image"
    assert "scan.nii.gz does not tell which modality" in found["message"]


def test_a_reference_that_is_missing_is_refused(server: Server) -> None:
    assert refused(infer(server, {"image": SHORT}, allow_missing=True, reference="t2"))["field"] == "reference"


def test_a_file_sent_with_the_request_may_be_short_of_modalities_if_it_says_so(server: Server, tmp_path: Path) -> None:
    single = {"file": ("t1ce.nii.gz", server.volumes(WHOLE)["t1ce"].read_bytes())}
    where = {"output": "json"}
    data = {"params": json.dumps({"allow_missing": True})}
    answer = server.request("POST", "/infer/tumorloop", params=where, data=data, files=single)
    assert facts(answer)["missing"] == ["t1", "t2", "flair"]
    assert "four modalities" in refused(server.request("POST", "/infer/tumorloop", files=single))["message"]

    images = [load(server.volumes(WHOLE)[role]) for role in ("flair", "t1")]
    stacked = np.stack([np.asarray(image.dataobj) for image in images], axis=-1)
    nibabel.save(nibabel.Nifti1Image(stacked, images[0].affine), tmp_path / "two.nii.gz")
    two = {"file": ("two.nii.gz", (tmp_path / "two.nii.gz").read_bytes())}
    data = {"params": json.dumps({"allow_missing": True, "order": "flair,t1"})}
    answer = server.request("POST", "/infer/tumorloop", params=where, data=data, files=two)
    assert facts(answer)["missing"] == ["t1ce", "t2"]


@pytest.mark.parametrize("name", ["allow_missing", "output_maps"])
@pytest.mark.parametrize("value", ["yes", "true", 1, [True], {}])
def test_a_flag_that_is_neither_true_nor_false_is_named(server: Server, name: str, value: Any) -> None:
    assert refused(infer(server, {"image": WHOLE}, **{name: value}))["field"] == name


# === Maps ===


def test_maps_come_with_an_inference_that_asks_for_them(server: Server, tmp_path: Path) -> None:
    found = facts(infer(server, {"image": WHOLE}, output_maps=True))
    assert list(found["maps"]) == MAPS
    reference = load(server.volumes(WHOLE)["t1ce"])
    brain = np.asarray(reference.dataobj) != 0
    for address in found["maps"].values():
        image = fetched(server, address, tmp_path)
        assert image.get_data_dtype() == np.float32
        assert image.shape == reference.shape
        assert np.allclose(image.affine, reference.affine)
        data = np.asarray(image.dataobj)
        assert 0 <= data.min() <= data.max() <= 1
        assert not data[~brain].any()
        assert data.any()


def test_maps_and_missing_modalities_go_together_in_a_session(server: Server, tmp_path: Path) -> None:
    created = session(server, "t1", "flair", "t2", allow_missing="true").json()["session_id"]
    found = facts(infer(server, {"session_id": created}, allow_missing=True, output_maps=True))
    assert found["missing"] == ["t1ce"]
    assert fetched(server, found["maps"]["entropy"], tmp_path).shape == synthetic.brats_grid().shape


@pytest.mark.parametrize(
    "address",
    [
        "/maps/00000000000000000000000000000000/entropy.nii.gz",
        "/maps/nobody/entropy.nii.gz",
        "/maps/%2e%2e/split.json",
        "/maps/..%2f..%2fsplit.json/x",
    ],
)
def test_a_map_that_is_not_there_is_not_found(server: Server, address: str) -> None:
    assert server.request("GET", address).status_code == (422 if "%2" in address else 404)


def test_a_map_of_another_name_is_not_found_and_the_refusal_says_so(server: Server) -> None:
    address = facts(infer(server, {"image": WHOLE}, output_maps=True))["maps"]["entropy"]
    for name in ("other.nii.gz", "entropy.nii", "..%2fentropy.nii.gz"):
        found = server.request("GET", address.replace("entropy.nii.gz", name))
        assert found.status_code == (422 if "%2f" in name else 404)
    assert refused(server.request("GET", address.replace("entropy", "other")), 404)["field"] == "map"


# === Where maps are kept ===


def fill(store: MapStore, seconds_ago: float = 0.0) -> Path:
    with store.new_folder() as folder:
        (folder / "entropy.nii.gz").write_bytes(b"x")
    for path in (folder / "entropy.nii.gz", folder):
        os.utime(path, (time.time() - seconds_ago,) * 2)
    return folder


def test_the_maps_of_the_last_inferences_are_kept_and_older_ones_make_room(tmp_path: Path) -> None:
    store = MapStore(tmp_path / "maps", keep=2)
    first, second, third = (fill(store, seconds_ago) for seconds_ago in (30, 20, 10))
    assert not first.exists()
    assert store.file(second.name, "entropy.nii.gz") == second / "entropy.nii.gz"
    assert store.file(third.name, "entropy.nii.gz").read_bytes() == b"x"


def test_maps_of_an_inference_that_still_waits_are_not_pushed_out(tmp_path: Path) -> None:
    store = MapStore(tmp_path / "maps", keep=1)
    with store.new_folder() as waiting:
        os.utime(waiting, (time.time() - 7200,) * 2)
        first, second = fill(store, 20), fill(store, 10)
        assert waiting.is_dir()
        assert (first.exists(), second.exists()) == (False, True)
    store.prune()
    assert not waiting.exists()


def test_maps_that_are_too_old_are_gone(tmp_path: Path) -> None:
    store = MapStore(tmp_path / "maps", seconds=60)
    old, new = fill(store, 61), fill(store, 10)
    with pytest.raises(HTTPException) as caught:
        store.file(old.name, "entropy.nii.gz")
    assert (caught.value.status_code, caught.value.detail["field"]) == (404, "map")  # type: ignore[index]
    store.prune()
    assert [folder.name for folder in (tmp_path / "maps").iterdir()] == [new.name]


def test_maps_of_an_inference_that_failed_are_gone(tmp_path: Path) -> None:
    store = MapStore(tmp_path / "maps")

    def fail(folder: Path) -> None:
        (folder / "entropy.nii.gz").write_bytes(b"x")
        raise RuntimeError

    with pytest.raises(RuntimeError), store.new_folder() as folder:
        fail(folder)
    assert not folder.exists()


def test_pruning_before_anything_was_made_does_nothing(tmp_path: Path) -> None:
    MapStore(tmp_path / "maps").prune()
    assert not (tmp_path / "maps").exists()
