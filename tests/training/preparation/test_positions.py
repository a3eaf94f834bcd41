import nibabel
import numpy as np
import pytest

from tests import synthetic
from tests.training import rejected
from training.images.grid import Grid, Volume
from training.images.read import read_volume
from training.images.write import write_volume
from training.modalities import ROLES
from training.preparation.positions import check_size, position_warnings
from training.preparation.prepare import prepare

GRID = synthetic.brats_grid()


def scaled(factor):
    return np.diag([factor, factor, factor, 1.0]) @ GRID.affine


def nifti(path, affine, *, unit="mm", qform=None, codes=(2, 1)):
    image = nibabel.Nifti1Image(synthetic.head(GRID, "t1").data, affine)
    image.header.set_xyzt_units(unit)
    image.set_sform(affine, code=codes[0])
    image.set_qform(affine if qform is None else qform, code=codes[1])
    nibabel.save(image, path)
    return read_volume(path)


@pytest.mark.parametrize(
    ("factor", "unit", "message"),
    [
        (1000.0, "mm", "says millimeters, which makes it 72 m long. .* micrometers, set xyzt_units to 3"),
        (0.001, "mm", "says millimeters, which makes it 0.072 mm long. .* meters, set xyzt_units to 1"),
        (1.0, "meter", "says meters, which makes it 72 m long. .* millimeters, set xyzt_units to 2"),
        (1.0, "micron", "says micrometers, which makes it 0.072 mm long. .* millimeters, set xyzt_units to 2"),
        (1000.0, "unknown", "names no unit, so millimeters are meant, .* micrometers, set xyzt_units to 3"),
        (20.0, "mm", "says millimeters, which makes it 1.44 m long. Correct the voxel size"),
        (0.1, "mm", "says millimeters, which makes it 7.2 mm long. .* centimeters, convert them"),
    ],
)
def test_a_head_of_impossible_size_is_rejected_with_the_unit_and_never_guessed(tmp_path, factor, unit, message):
    volume = nifti(tmp_path / "t1.nii", scaled(factor), unit=unit)
    with rejected(f"T1 \\(t1\\) cannot be a head: its header {message}", "t1"):
        prepare({"t1": volume}, allow_missing=True)


def test_a_head_in_any_stated_unit_is_prepared_alike_also_when_the_units_of_the_modalities_differ(tmp_path):
    volumes = synthetic.four_volumes(GRID)
    plain = prepare(volumes)
    for role, (factor, unit) in zip(ROLES, ((1000.0, "micron"), (0.001, "meter"), (1.0, "unknown")), strict=False):
        volumes[role] = Volume(volumes[role].data, nifti(tmp_path / "x.nii", scaled(factor), unit=unit).grid)
    mixed = prepare(volumes)
    assert np.array_equal(mixed.image, plain.image)
    assert mixed.warnings == plain.warnings


def test_a_nrrd_file_of_impossible_size_is_rejected_without_the_ways_of_nifti():
    with rejected("names no unit, so millimeters are meant, .* If its numbers are micrometers, convert them", "t2"):
        check_size("t2", Grid(GRID.shape, scaled(1000.0)))


def test_only_forms_that_move_a_modality_against_the_reference_are_told(tmp_path):
    moved = GRID.affine.copy()
    moved[0, 3] += 20.0
    plain = nifti(tmp_path / "a.nii", GRID.affine)
    two = nifti(tmp_path / "b.nii", GRID.affine, qform=moved)
    scanner = nifti(tmp_path / "c.nii", GRID.affine, qform=moved, codes=(1, 1))
    assert position_warnings({"t1ce": two, "flair": two}, "t1ce") == []
    assert position_warnings({"t1ce": plain, "flair": scanner}, "t1ce") == []
    for volumes, name in (
        ({"t1ce": plain, "flair": two}, "FLAIR"),
        ({"t1ce": two, "flair": plain}, "T1 with contrast"),
    ):
        (warning,) = position_warnings(volumes, "t1ce")
        assert f"The header of {name} states two positions that differ, sform and qform. The sform is used" in warning
        assert "FLAIR lies up to 20 mm elsewhere on T1 with contrast" in warning
    (warning,) = position_warnings({"t1": plain, "t1ce": two, "t2": plain, "flair": plain}, "t1ce")
    assert "T1, T2 and FLAIR lie up to 20 mm elsewhere on T1 with contrast" in warning
    volumes = {role: Volume(volume.data, plain.grid) for role, volume in synthetic.four_volumes(GRID).items()}
    volumes["flair"] = Volume(volumes["flair"].data, two.grid)
    assert any("3D Slicer uses the qform" in warning for warning in prepare(volumes).warnings)


def test_a_unit_that_3d_slicer_ignores_is_told_if_only_one_modality_has_it(tmp_path):
    path = write_volume(Volume(synthetic.head(GRID, "t2").data, Grid(GRID.shape, scaled(1000.0))), tmp_path / "t2.nrrd")
    path.write_bytes(path.read_bytes().replace(b"\nencoding", b"\nspace units: um um um\nencoding", 1))
    t2, t1ce = read_volume(path), Volume(synthetic.head(GRID, "t1ce").data, GRID)
    (warning,) = position_warnings({"t1ce": t1ce, "t2": t2}, "t1ce")
    assert "The header of T2 says micrometers, which 3D Slicer ignores" in warning
    (warning,) = position_warnings({"t1ce": t2, "t2": t2}, "t1ce")
    assert "The header of T1 with contrast says micrometers, which 3D Slicer ignores. A result as .nrrd" in warning
