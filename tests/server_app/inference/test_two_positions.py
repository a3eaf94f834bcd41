"""Images whose sform and qform differ: whatever the server writes for them lies on them, in every program."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import requests
import SimpleITK as sitk

from tests import synthetic
from tests.server_app.conftest import Server, accepted, load, serving
from training.images.grid import Grid, Volume
from training.images.write import write_labelmap
from training.modalities import ROLES

CASE = "BraTS20_Training_001"
MOVED = np.array([[1.0, 0, 0, 20.0], [0, 0.8, -0.6, -7.0], [0, 0.6, 0.8, 5.0], [0, 0, 0, 1.0]])


@pytest.fixture(scope="module")
def two_positions(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("positions")
    folder = synthetic.write_case(home / "studies", CASE, label=False)
    for role in ROLES:
        image = load(folder / f"{CASE}_{role}.nii.gz")
        micrometers = np.diag([1000.0, 1000.0, 1000.0, 1.0])
        sform, qform = micrometers @ image.affine, micrometers @ MOVED @ image.affine
        image.header.set_xyzt_units("micron")
        image.set_sform(sform, code="aligned")
        image.set_qform(qform, code="scanner")  # the one that ITK uses
        nibabel.save(image, folder / f"{CASE}_{role}.nii.gz")
    with serving(home / "studies", home / "workspace", tiny_model) as running:
        yield running


def fetched(answer: requests.Response, path: Path) -> Path:
    assert answer.status_code == 200, answer.text
    path.write_bytes(answer.content)
    return path


def assert_lies_on(path: Path, reference: Path) -> None:
    found, expected = sitk.ReadImage(str(path)), sitk.ReadImage(str(reference))
    assert found.GetSize() == expected.GetSize()
    for read in ("GetOrigin", "GetSpacing", "GetDirection"):
        assert np.allclose(getattr(found, read)(), getattr(expected, read)(), rtol=0, atol=1e-3)
    if path.name.endswith("nrrd"):
        return
    image, original = load(path), load(reference)
    for form in ("get_sform", "get_qform"):
        (affine, code), (expected_affine, expected_code) = (
            getattr(each, form)(coded=True) for each in (image, original)
        )
        assert code == expected_code
        assert np.array_equal(affine, expected_affine)
    assert image.header["xyzt_units"] == original.header["xyzt_units"]


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd", ".seg.nrrd"])
@pytest.mark.parametrize("by", ["case", "session"])
def test_a_result_lies_on_its_reference(two_positions: Server, tmp_path: Path, ending: str, by: str) -> None:
    where = {"image": CASE} if by == "case" else {"session_id": two_positions.session(CASE)}
    answer = two_positions.infer({"result_extension": ending}, output="image", **where)
    assert_lies_on(fetched(answer, tmp_path / f"result{ending}"), two_positions.volumes(CASE)["t1ce"])


def test_maps_the_volume_and_a_label_drawn_in_slicer_lie_on_the_reference(
    two_positions: Server, tmp_path: Path
) -> None:
    server, reference = two_positions, two_positions.volumes(CASE)["t1ce"]
    address = accepted(server.infer({"output_maps": True}, image=CASE))["maps"]["entropy"]
    for query, name in (("", "entropy.nii.gz"), ("?ending=.nrrd", "entropy.nrrd")):
        assert_lies_on(fetched(server.request("GET", address + query), tmp_path / name), reference)
    volume = fetched(server.request("GET", f"/cases/{CASE}/volumes/t1ce"), tmp_path / "t1ce.nrrd")
    assert_lies_on(volume, reference)

    truth = synthetic.truth(synthetic.brats_grid())
    drawn = write_labelmap(Volume(truth.data, Grid(truth.grid.shape, MOVED @ truth.grid.affine)), tmp_path / "l.nrrd")
    stored: dict[str, Any] = accepted(server.send_label(CASE, drawn))
    assert stored["reference"] == "t1ce"
    assert stored["dice_against_model"]
    for ending in (".nii.gz", ".nrrd"):
        answer = server.request("GET", f"/cases/{CASE}/labels/{stored['version']}", params={"ending": ending})
        path = fetched(answer, tmp_path / f"stored{ending}")
        assert_lies_on(path, reference)
        assert np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(path))).T, truth.data)
