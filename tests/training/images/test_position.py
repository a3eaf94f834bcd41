"""A file written on the grid of another one lies where that one lies, in every program."""

import pickle
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from tests import synthetic
from tests.training import rejected
from training.images.grid import Grid, Volume, matching_name
from training.images.read import read_grid, read_labelmap, read_volume
from training.images.write import write_labelmap, write_volume

SHAPE = (10, 12, 6)
GRID = synthetic.oblique_grid((1.0, 1.2, 3.0), SHAPE, degrees=(10.0, 5.0, -7.0), center=(3.0, -8.0, 20.0))
LABELS = np.zeros(SHAPE, np.uint8)
LABELS[2:5, 3:6, 1:4] = 2


def moved(affine, millimeters=20.0, degrees=10.0):
    turned = np.eye(4)
    angle = np.deg2rad(degrees)
    turned[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    turned[0, 3] = millimeters
    return turned @ affine


def save(path, sform, qform, codes, *, unit="mm", kind=nibabel.Nifti1Image):
    image = kind(np.ones(SHAPE, np.int16), np.eye(4))
    image.header.set_xyzt_units(unit)
    image.set_sform(sform, code=codes[0])
    image.set_qform(qform, code=codes[1])
    nibabel.save(image, path)
    return path


def loaded(path) -> Any:
    return nibabel.load(path)


def by_itk(path):
    """The affine (RAS) with which SimpleITK reads a file."""
    image = sitk.ReadImage(str(path))
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


def assert_same_header(path, other):
    first, second = loaded(path), loaded(other)
    for form in ("get_sform", "get_qform"):
        (affine, code), (other_affine, other_code) = getattr(first, form)(coded=True), getattr(second, form)(coded=True)
        assert code == other_code
        assert (affine is None and other_affine is None) or np.allclose(affine, other_affine, rtol=0, atol=1e-5)
    assert first.header["xyzt_units"] == second.header["xyzt_units"]


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("codes", [(2, 1), (1, 1), (1, 2), (3, 1), (4, 3), (2, 0), (0, 1), (0, 3), (2, 2)], ids=str)
@pytest.mark.parametrize("far", [(20.0, 10.0), (0.5, 0.0), (0.0, 0.0)], ids=str)
def test_a_labelmap_carries_both_forms_their_codes_and_the_unit_of_its_reference(tmp_path, codes, far, kind):
    reference = save(tmp_path / "t1ce.nii.gz", GRID.affine, moved(GRID.affine, *far), codes, kind=kind)
    grid = read_volume(reference).grid
    assert np.allclose(grid.affine, loaded(reference).affine)
    grid = pickle.loads(pickle.dumps(grid))  # as between the processes of the server
    seg = write_labelmap(Volume(LABELS, grid), tmp_path / "seg.nii.gz")
    assert_same_header(reference, seg)
    if kind is nibabel.Nifti1Image:  # SimpleITK does not read the other
        assert np.allclose(by_itk(seg), by_itk(reference), rtol=0, atol=1e-5)
    assert_same_header(reference, write_volume(Volume(LABELS.astype(np.float32), grid), tmp_path / "map.nii"))
    assert_same_header(reference, write_labelmap(read_labelmap(seg), tmp_path / "again.nii"))
    assert np.array_equal(read_labelmap(tmp_path / "again.nii").data, LABELS)


@pytest.mark.parametrize("ending", [".nrrd", ".seg.nrrd"])
@pytest.mark.parametrize(
    ("codes", "form"), [((2, 1), "qform"), ((1, 2), "sform"), ((3, 0), "sform"), ((0, 1), "qform")]
)
def test_a_nrrd_file_lies_where_itk_shows_the_reference_and_matches_it_both_ways(tmp_path, codes, form, ending):
    forms = {"sform": GRID.affine, "qform": moved(GRID.affine)}
    reference = save(tmp_path / "t1ce.nii", forms["sform"], forms["qform"], codes)
    grid = read_grid(reference)
    seg = write_labelmap(Volume(LABELS, grid), tmp_path / f"seg{ending}")
    assert np.allclose(by_itk(seg), by_itk(reference), rtol=0, atol=1e-3)
    assert np.allclose(by_itk(seg), forms[form], rtol=0, atol=1e-3)
    for other in (read_grid(seg), Grid(SHAPE, forms["sform"] if codes[0] else forms["qform"])):
        assert grid.matches(other)
        assert other.matches(grid)
        assert grid.difference(other) == ""
    elsewhere = Grid(SHAPE, moved(GRID.affine, -30.0))
    assert not grid.matches(elsewhere)
    assert not elsewhere.matches(grid)


def test_a_sheared_sform_is_kept_beside_a_qform_and_of_several_grids_the_one_with_the_same_affine_precedes(tmp_path):
    sheared = GRID.affine.copy()
    sheared[:3, 1] += 0.3 * sheared[:3, 0]
    reference = save(tmp_path / "t1ce.nii", sheared, GRID.affine, (2, 1))
    grid = read_grid(reference)
    assert np.allclose(grid.affine, sheared)
    assert_same_header(reference, write_labelmap(Volume(LABELS, grid), tmp_path / "seg.nii"))
    seg = write_labelmap(Volume(LABELS, grid), tmp_path / "seg.nrrd")
    assert np.allclose(by_itk(seg), by_itk(reference), atol=1e-3)
    plain = Grid(SHAPE, GRID.affine)
    assert matching_name(read_grid(seg), {"t1ce": grid}) == "t1ce"
    assert matching_name(read_grid(seg), {"t1ce": grid, "t2": plain}) == "t2"
    assert matching_name(Grid(SHAPE, moved(GRID.affine)), {"t1ce": grid, "t2": plain}) is None


@pytest.mark.parametrize("codes", [(1, 1), (0, 1), (2, 0)], ids=str)
@pytest.mark.parametrize(("unit", "factor"), [("micron", 1e3), ("meter", 1e-3), ("mm", 1.0), ("unknown", 1.0)])
def test_a_nifti_file_in_another_unit_lies_in_millimeters_and_its_labelmap_has_its_unit(tmp_path, unit, factor, codes):
    affine = np.diag([-1.0, 1.2, 3.0, 1.0])
    affine[:3, 3] = [5.0, -7.0, 9.0]
    stored = np.diag([factor, factor, factor, 1.0]) @ affine
    reference = save(tmp_path / "t1ce.nii.gz", stored, stored, codes, unit=unit)
    grid = read_grid(reference)
    assert np.allclose(grid.affine, affine, rtol=0, atol=1e-5)
    assert np.isclose(grid.voxel_ml, 3.6e-3)
    seg = write_labelmap(Volume(LABELS, grid), tmp_path / "seg.nii.gz")
    assert_same_header(reference, seg)
    assert np.array_equal(by_itk(seg), by_itk(reference))
    assert np.allclose(by_itk(write_labelmap(Volume(LABELS, grid), tmp_path / "seg.nrrd")), affine, atol=1e-4)


@pytest.mark.parametrize(
    ("names", "factor"),
    [
        ('"um" "um" "um"', 1e-3),
        ("microns microns microns", 1e-3),
        ('"\N{MICRO SIGN}m" "\N{MICRO SIGN}m" "\N{MICRO SIGN}m"', 1e-3),
        ("m m m", 1e3),
        ('"cm" "cm" "cm"', 10.0),
        ('"Millimeters" "mm" "millimetre"', 1.0),
        ('"" "" ""', 1.0),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_the_unit_of_a_nrrd_file_counts_and_a_labelmap_for_it_has_the_same(tmp_path, names, factor, encoding):
    path = write_volume(Volume(LABELS.astype(np.int16), Grid(SHAPE, GRID.affine)), tmp_path / "t1.nrrd")
    content = path.read_bytes()
    path.write_bytes(content.replace(b"\nencoding", f"\nspace units: {names}\nencoding".encode(encoding), 1))
    volume = read_volume(path)
    assert np.allclose(volume.grid.affine[:3], GRID.affine[:3] * factor)
    assert np.array_equal(volume.data, LABELS)
    seg = write_labelmap(Volume(LABELS, volume.grid), tmp_path / "seg.nrrd")
    assert np.allclose(read_grid(seg).affine, volume.grid.affine, rtol=1e-6)
    assert np.allclose(by_itk(seg), GRID.affine, atol=1e-4)  # ITK ignores the unit
    in_millimeters = write_labelmap(Volume(LABELS, volume.grid), tmp_path / "seg.nii")
    assert np.allclose(loaded(in_millimeters).affine[:3], GRID.affine[:3] * factor, rtol=1e-5)


def test_units_of_a_nrrd_file_that_are_unknown_or_differ_are_rejected_by_name(tmp_path):
    path = write_volume(Volume(LABELS.astype(np.int16), GRID), tmp_path / "t1.nrrd")
    content = path.read_bytes()
    for names, message in (("pixels pixels pixels", "'pixels'.*not a known unit"), ("um um mm", "names several units")):
        path.write_bytes(content.replace(b"\nencoding", f"\nspace units: {names}\nencoding".encode(), 1))
        with rejected(rf"t1\.nrrd: 'space units' .*{message}|{message}"):
            read_grid(path)
