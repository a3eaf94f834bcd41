"""The panel imports nothing of the server's side, so these tests hold the two sides together."""

from pathlib import Path

import numpy as np
import pytest
from TumorLoopLib.files.nrrd import read_nrrd, write_nrrd
from TumorLoopLib.scene import comparison, roles, series_names
from TumorLoopLib.scene.labels import LabelSet

from server_app import description
from tests.slicer_extension.scene.nodes import INFO, SHAPE, image, labelmap, oblique
from training import modalities
from training.cases.files import is_label
from training.dicom import recognize
from training.evaluation.metrics import region_dice
from training.images.grid import Grid, Volume
from training.images.read import read_labelmap, read_volume
from training.images.write import terminology_entry, write_labelmap, write_volume
from training.labels import LABELS, REGIONS
from training.models.store import ModelStore

#: Names as they come: BraTS 2018 to 2023, TCGA, Decathlon, and series of four vendors in several languages.
NAMES = (Path(__file__).parent / "series_names.txt").read_text("utf-8").splitlines()


def test_a_name_has_the_same_role_on_both_sides_and_segmentations_are_told_from_images():
    expected = {name: modalities.role_of(name) for name in NAMES}
    assert len(expected) == len(NAMES) > 120
    assert all(list(expected.values()).count(role) > 10 for role in (*modalities.ROLES, None))
    assert {name: roles.role_of(name) for name in NAMES} == expected
    assert (roles.ROLES, roles.TITLES) == (modalities.ROLES, modalities.TITLES)
    for name in (
        "a_seg.nii.gz",
        "label.nrrd",
        "GT.mha",
        "x.seg.nrrd",
        "t1_GlistrBoost.nii.gz",
        "a_tumorMask.nii",
        "t1.nii",
    ):
        assert roles.is_derived(name) == is_label(name), name


def test_the_words_of_dicom_series_are_understood_alike_on_both_sides():
    more = [
        "sT1W_3D_TFE_cor KM",
        "eT1W_SE_CLEAR",
        "T1 s/c",
        "T1 c/ contraste",
        "AX T1 造影",
        "T1 без контраста",
        "PD/T2",
    ]
    more += ["T1 nach KM", "T2 水抑制", "T1 voor contrast", "T1 despues gd", "T1 w/ Gd", "ü_T1_ä"]
    for name in [*NAMES, *more]:
        assert series_names.plain_text(name) == recognize.plain_text(name), name
    found = [roles.role_of(series_names.understood(name)) for name in more]
    assert found == ["t1ce", "t1", "t1", "t1ce", "t1ce", "t1", None, "t1ce", "flair", "t1", "t1ce", "t1ce", "t1"]


def test_the_labels_the_server_describes_are_those_it_works_with_and_exports(tmp_path):
    described = LabelSet.from_info(description.describe(ModelStore(tmp_path)))
    assert described == LabelSet.from_info(INFO)
    assert [(one.value, one.key, one.name) for one in described.labels] == [(n.value, n.key, n.name) for n in LABELS]
    assert {region.key: region.values for region in described.regions} == REGIONS
    assert [one.terminology_entry for one in described.labels] == [terminology_entry(label) for label in LABELS]


def test_dice_is_that_of_the_servers_metrics():
    empty, one = np.zeros(SHAPE, np.uint8), labelmap()
    rng = np.random.default_rng(3)
    noisy = np.where(rng.random(SHAPE) < 0.2, rng.integers(0, 4, SHAPE), one).astype(np.uint8)
    no_et, noisy_no_et = (np.where(array == 3, 2, array).astype(np.uint8) for array in (one, noisy))
    labels = LabelSet.from_info(INFO)
    for answer, edited in ((one, one), (one, noisy), (empty, empty), (one, empty), (no_et, one), (no_et, noisy_no_et)):
        found = comparison.compare(answer, edited, oblique(), labels).dice
        assert found == pytest.approx(region_dice(edited, answer))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32", "float64"])
def test_the_server_reads_what_the_panel_writes_on_oblique_and_sheared_grids(tmp_path, dtype):
    array, shear = image().astype(dtype), np.eye(4)
    shear[0, 1] = 0.3
    for affine in (oblique(), shear @ oblique()):
        write_nrrd(tmp_path / "t1.nrrd", array, affine)
        volume = read_volume(tmp_path / "t1.nrrd")
        assert np.array_equal(volume.data, array.transpose(2, 1, 0))
        assert volume.grid.matches(Grid(SHAPE[::-1], affine))


def test_labelmaps_and_volumes_go_both_ways(tmp_path):
    write_nrrd(tmp_path / "own.nrrd", labelmap(), oblique())
    assert np.array_equal(read_labelmap(tmp_path / "own.nrrd").data, labelmap().transpose(2, 1, 0))
    grid = Grid(SHAPE[::-1], oblique())
    write_labelmap(Volume(labelmap().transpose(2, 1, 0), grid), tmp_path / "label.nrrd")
    write_volume(Volume(image().transpose(2, 1, 0), grid), tmp_path / "t2.nrrd")
    for name, array in (("label.nrrd", labelmap()), ("t2.nrrd", image())):
        back, ijk_to_ras = read_nrrd(tmp_path / name)
        assert back.dtype == array.dtype
        assert np.array_equal(back, array)
        assert np.allclose(ijk_to_ras, oblique(), atol=1e-6)
