import nrrd
import numpy as np
import pytest
import SimpleITK as sitk

from tests import synthetic
from tests.training import rejected
from training.images.read import count_channels, read_volume

GRID = synthetic.oblique_grid((0.9, 1.1, 3.0), (12, 10, 6), degrees=(12.0, -8.0, 20.0))
DATA = np.arange(12 * 10 * 6, dtype=np.int16).reshape(12, 10, 6)


def lps(grid):
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ grid.affine


def write_nrrd(path, data, grid=GRID, *, space="left-posterior-superior", list_axis=None, **fields):
    affine = lps(grid) if space.startswith("left-post") else grid.affine
    directions = affine[:3, :3].T
    kinds = ["domain"] * 3
    if list_axis is not None:
        directions = np.insert(directions, list_axis, np.nan, axis=0)
        kinds.insert(list_axis, "list")
    header = {"space": space, "space directions": directions, "space origin": affine[:3, 3], "kinds": kinds}
    nrrd.write(str(path), data, {**header, **fields})
    return path


@pytest.mark.parametrize("space", ["left-posterior-superior", "right-anterior-superior"])
def test_a_nrrd_file_lies_where_itk_puts_it(tmp_path, space):
    path = write_nrrd(tmp_path / "t1.nrrd", DATA, space=space)
    volume = read_volume(path)
    assert np.array_equal(volume.data, DATA)
    assert volume.grid.matches(GRID)
    point = (3, 7, 2)
    by_itk = np.array(sitk.ReadImage(str(path)).TransformIndexToPhysicalPoint(point)) * [-1, -1, 1]
    assert np.allclose(volume.grid.affine[:3, :3] @ point + volume.grid.affine[:3, 3], by_itk, atol=1e-4)


@pytest.mark.parametrize("axis", [0, 3])
def test_the_list_axis_of_a_4d_nrrd_file_counts_volumes_wherever_it_is(tmp_path, axis):
    data = np.arange(12 * 10 * 6 * 4, dtype=np.int16).reshape(12, 10, 6, 4)
    path = write_nrrd(tmp_path / "four.nrrd", np.moveaxis(data, 3, axis), list_axis=axis)
    assert count_channels(path) == 4
    volume = read_volume(path, channel=2)
    assert np.array_equal(volume.data, data[..., 2])
    assert volume.grid.matches(GRID)


@pytest.mark.parametrize("field", ["space", "space directions", "space origin", "truncated"])
def test_a_nrrd_file_without_a_position_or_a_truncated_one_is_rejected_by_name(tmp_path, field):
    path = write_nrrd(tmp_path / "t1.nrrd", np.random.default_rng(0).permutation(DATA.ravel()).reshape(DATA.shape))
    content = path.read_bytes()
    kept = b"\n".join(line for line in content.split(b"\n") if not line.startswith(field.encode() + b":"))
    path.write_bytes(content[:-200] if field == "truncated" else kept)
    with rejected(r"t1\.nrrd is cut off or damaged" if field == "truncated" else rf"t1\.nrrd.*{field}"):
        read_volume(path)


@pytest.mark.parametrize("ending", [".mha", ".mhd", ".nii.gz", ".nrrd"])
def test_files_written_by_itk_are_read_in_the_same_position(tmp_path, ending):
    image = sitk.GetImageFromArray(np.ascontiguousarray(DATA.T))
    affine = lps(GRID)
    image.SetSpacing(GRID.spacing)
    image.SetDirection((affine[:3, :3] / np.array(GRID.spacing)).ravel().tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    sitk.WriteImage(image, str(tmp_path / f"t1{ending}"))
    volume = read_volume(tmp_path / f"t1{ending}")
    assert np.array_equal(volume.data, DATA)
    assert volume.grid.matches(GRID)


def test_an_encoding_that_is_not_read_and_a_missing_file_of_voxels_are_named(tmp_path):
    path = write_nrrd(tmp_path / "t1.nrrd", DATA)
    path.write_bytes(path.read_bytes().replace(b"encoding: gzip", b"encoding: hex"))
    with rejected(r"t1\.nrrd has the encoding 'hex'; save it with raw or gzip"):
        read_volume(path)
    detached = write_nrrd(tmp_path / "t2.nhdr", DATA)
    assert np.array_equal(read_volume(detached).data, DATA)
    (voxels,) = set(tmp_path.iterdir()) - {path, detached}
    voxels.unlink()
    with rejected(rf"t2\.nhdr is not complete: the file of its voxels, {voxels.name}, is missing"):
        read_volume(detached)


def test_metadata_that_itk_writes_are_not_taken_for_fields(tmp_path):
    image = sitk.GetImageFromArray(np.ascontiguousarray(DATA.T))
    texts = {"dim[0]": "3", "0010|0010": "M\xfcller", "type": "uint8", "space units": "um", "sizes": "1 1 1"}
    for key, text in {**texts, "descrip": ""}.items():
        image.SetMetaData(key, text)
    sitk.WriteImage(image, str(tmp_path / "t1.nrrd"))
    volume = read_volume(tmp_path / "t1.nrrd")
    assert np.array_equal(volume.data, DATA)
    assert volume.grid.spacing == (1.0, 1.0, 1.0)
