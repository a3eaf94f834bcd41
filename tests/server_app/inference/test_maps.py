"""Maps of how sure the model is: made when requested, fetched at their address, and kept for a while."""

from __future__ import annotations

import os
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest
from fastapi import HTTPException

from server_app.inference.maps import MapStore
from tests import synthetic
from tests.server_app.conftest import CASES, Server, accepted, load, refused

MAPS = ["probability_wt", "probability_tc", "probability_et", "entropy"]


def fetched(server: Server, address: str, folder: Path) -> nibabel.Nifti1Image:
    answer = server.request("GET", address)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/gzip"
    name = address.rsplit("/", 1)[1]
    assert f'filename="{name}"' in answer.headers["Content-Disposition"]
    (folder / name).write_bytes(answer.content)
    return load(folder / name)


def test_requested_maps_lie_on_the_reference_grid_and_inside_the_brain(server: Server, tmp_path: Path) -> None:
    found = accepted(server.infer({"output_maps": True}, image=CASES[0]))
    assert list(found["maps"]) == MAPS
    reference = load(server.volumes(CASES[0])["t1ce"])
    brain = np.asarray(reference.dataobj) != 0
    for address in found["maps"].values():
        image = fetched(server, address, tmp_path)
        assert (image.get_data_dtype(), image.shape) == (np.float32, reference.shape)
        assert np.allclose(image.affine, reference.affine)
        data = np.asarray(image.dataobj)
        assert 0 <= data.min() <= data.max() <= 1
        assert not data[~brain].any()
        assert data.any()
    for wrong in (address.replace("entropy", "other"), address.removesuffix(".gz")):
        assert refused(server.request("GET", wrong), 404)["field"] == "map"


def test_maps_are_made_of_an_incomplete_session_too(server: Server, tmp_path: Path) -> None:
    session = server.session(CASES[0], "t1", "flair", "t2")
    found = accepted(server.infer({"allow_missing": True, "output_maps": True}, session_id=session))
    assert found["missing"] == ["t1ce"]
    assert fetched(server, found["maps"]["entropy"], tmp_path).shape == synthetic.brats_grid().shape


# === Where maps are kept ===


def fill(store: MapStore, seconds_ago: float = 0.0) -> Path:
    with store.new_folder() as folder:
        (folder / "entropy.nii.gz").write_bytes(b"x")
    for path in (folder / "entropy.nii.gz", folder):
        os.utime(path, (time.time() - seconds_ago,) * 2)
    return folder


def test_only_the_maps_of_the_last_inferences_are_kept(tmp_path: Path) -> None:
    store = MapStore(tmp_path / "maps", keep=2)
    store.prune()  # before anything was made
    assert not (tmp_path / "maps").exists()
    first, second, third = (fill(store, seconds_ago) for seconds_ago in (30, 20, 10))
    assert not first.exists()
    assert store.file(second.name, "entropy.nii.gz") == second / "entropy.nii.gz"
    assert store.file(third.name, "entropy.nii.gz").read_bytes() == b"x"


def test_maps_of_a_waiting_inference_are_kept(tmp_path: Path) -> None:
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
    with pytest.raises(ZeroDivisionError), MapStore(tmp_path / "maps").new_folder() as folder:
        divmod((folder / "entropy.nii.gz").write_bytes(b"x"), 0)
    assert not folder.exists()
