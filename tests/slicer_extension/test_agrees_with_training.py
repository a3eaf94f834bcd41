"""The panel imports nothing of the server's side, so these tests hold the two sides together."""

from pathlib import Path

import numpy as np
import pytest
from TumorLoopLib.files.nrrd import read_nrrd, write_nrrd
from TumorLoopLib.scene import comparison, roles
from TumorLoopLib.scene.labels import LabelSet

from server_app import description
from tests.slicer_extension.scene.nodes import INFO, SHAPE, image, labelmap, oblique
from training import modalities
from training.cases.find import is_label
from training.evaluation.metrics import region_dice
from training.images.grid import Grid, Volume
from training.images.read import read_labelmap, read_volume
from training.images.write import terminology_entry, write_labelmap, write_volume
from training.labels import LABELS, REGIONS
from training.models.store import ModelStore

#: Names as they come: BraTS 2018 to 2023, TCGA, Decathlon, and series of four vendors in several languages.
NAMES = (Path(__file__).parent / "series_names.txt").read_text("utf-8").splitlines()


def grid(shape_kji=SHAPE, affine=None):
    return Grid(shape_kji[::-1], oblique() if affine is None else affine)


def test_the_list_of_names_is_broad():
    told = [modalities.role_of(name) for name in NAMES]
    assert len(set(NAMES)) == len(NAMES) > 120
    assert all(told.count(role) > 10 for role in (*modalities.ROLES, None))


@pytest.mark.parametrize("name", NAMES)
def test_a_name_has_the_same_role_on_both_sides(name):
    assert roles.role_of(name) == modalities.role_of(name)


def test_the_roles_and_their_order_are_the_same():
    assert roles.ROLES == modalities.ROLES
    assert roles.TITLES == modalities.TITLES


@pytest.mark.parametrize(
    "name", ["a_seg.nii.gz", "label.nrrd", "GT.mha", "x.seg.nrrd", "t1_GlistrBoost.nii.gz", "t1.nii"]
)
def test_segmentations_are_told_from_images_alike(name):
    assert roles.is_derived(name) == is_label(name)


def test_the_labels_the_server_describes_are_those_it_works_with(tmp_path):
    described = LabelSet.from_info(description.of(ModelStore(tmp_path)))
    assert described == LabelSet.from_info(INFO)
    assert [(one.value, one.key, one.name) for one in described.labels] == [(n.value, n.key, n.name) for n in LABELS]
    assert {region.key: region.values for region in described.regions} == REGIONS


def test_segments_get_the_terminology_that_exported_files_have(tmp_path):
    described = LabelSet.from_info(description.of(ModelStore(tmp_path)))
    assert [one.terminology_entry for one in described.labels] == [terminology_entry(label) for label in LABELS]


def pairs():
    empty, one = np.zeros(SHAPE, np.uint8), labelmap()
    rng = np.random.default_rng(3)
    noisy = np.where(rng.random(SHAPE) < 0.2, rng.integers(0, 4, SHAPE), one).astype(np.uint8)
    no_et = np.where(one == 3, 0, one).astype(np.uint8)
    return {
        "same": (one, one),
        "noisy": (one, noisy),
        "both empty": (empty, empty),
        "one empty": (one, empty),
        "no enhancing tumor in one": (no_et, one),
        "no enhancing tumor in both": (no_et, np.where(noisy == 3, 2, noisy).astype(np.uint8)),
    }


@pytest.mark.parametrize("name", list(pairs()))
def test_dice_is_that_of_the_servers_metrics(name):
    answer, edited = pairs()[name]
    labels = LabelSet.from_info(INFO)
    assert comparison.compare(answer, edited, oblique(), labels).dice == pytest.approx(region_dice(edited, answer))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32", "float64"])
def test_the_server_reads_what_the_panel_writes(tmp_path, dtype):
    array = image().astype(dtype)
    write_nrrd(tmp_path / "t1.nrrd", array, oblique())
    volume = read_volume(tmp_path / "t1.nrrd")
    assert np.array_equal(volume.data, array.transpose(2, 1, 0))
    assert volume.grid.matches(grid())


def test_the_server_reads_the_panels_labelmap(tmp_path):
    write_nrrd(tmp_path / "label.nrrd", labelmap(), oblique())
    assert np.array_equal(read_labelmap(tmp_path / "label.nrrd").data, labelmap().transpose(2, 1, 0))


def test_the_panel_reads_what_the_server_writes(tmp_path):
    write_labelmap(Volume(labelmap().transpose(2, 1, 0), grid()), tmp_path / "label.nrrd")
    write_volume(Volume(image().transpose(2, 1, 0), grid()), tmp_path / "t2.nrrd")
    for name, array in (("label.nrrd", labelmap()), ("t2.nrrd", image())):
        back, ijk_to_ras = read_nrrd(tmp_path / name)
        assert back.dtype == array.dtype
        assert np.array_equal(back, array)
        assert np.allclose(ijk_to_ras, oblique(), atol=1e-6)


def test_a_sheared_grid_of_a_transform_survives_the_way_to_the_server(tmp_path):
    shear = np.eye(4)
    shear[0, 1] = 0.3
    write_nrrd(tmp_path / "t1.nrrd", image(), shear @ oblique())
    assert read_volume(tmp_path / "t1.nrrd").grid.matches(grid(affine=shear @ oblique()))
