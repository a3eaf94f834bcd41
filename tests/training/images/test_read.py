import gzip

import nibabel
import numpy as np
import pytest

from tests import synthetic
from training.errors import InputError
from training.images.grid import Grid, Volume
from training.images.read import count_channels, read_grid, read_labelmap, read_volume, read_volumes

GRID = synthetic.oblique_grid((0.9, 0.9, 5.5), (20, 24, 8), degrees=(10.0, 5.0, -7.0))


@pytest.fixture
def nifti(tmp_path):
    return synthetic.save(synthetic.head(GRID, "t1"), tmp_path / "t1.nii.gz")


def test_a_nifti_file_gives_its_voxels_and_its_place(nifti):
    volume = read_volume(nifti)
    assert volume.data.dtype == np.float32
    assert np.array_equal(volume.data, synthetic.head(GRID, "t1").data)
    assert volume.grid.matches(GRID)
    assert read_grid(nifti).axcodes == "LAS"


def test_a_header_with_only_a_qform_is_honored(tmp_path):
    path = synthetic.save(synthetic.head(GRID, "t1"), tmp_path / "t1.nii.gz", sform=0, qform=1)
    assert read_grid(path).matches(GRID)


def test_a_header_without_any_position_is_refused_with_a_remedy(tmp_path):
    path = synthetic.save(synthetic.head(GRID, "t1"), tmp_path / "t1.nii.gz", sform=0, qform=0)
    with pytest.raises(InputError, match=r"t1\.nii\.gz.*sform_code and qform_code are both 0.*fslorient"):
        read_volume(path)


def test_scaled_integers_are_read_in_their_units(tmp_path):
    image = nibabel.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.eye(4))
    image.header.set_slope_inter(0.5, 10.0)
    nibabel.save(image, tmp_path / "t1.nii")
    assert np.allclose(read_volume(tmp_path / "t1.nii").data.ravel(), np.arange(24) * 0.5 + 10.0)


def test_voxels_that_are_not_numbers_become_0(tmp_path):
    data = np.ones((4, 4, 4), np.float32)
    data[0] = np.nan
    data[1] = np.inf
    nibabel.save(nibabel.Nifti1Image(data, np.eye(4)), tmp_path / "t1.nii")
    assert read_volume(tmp_path / "t1.nii").data.sum() == 32.0


def test_a_text_file_named_nii_gz_is_refused_by_name(tmp_path):
    path = tmp_path / "t2.nii.gz"
    path.write_text("not an image at all\n")
    with pytest.raises(InputError, match=r"t2\.nii\.gz is not a NIfTI file"):
        read_volume(path)


def test_gzipped_text_named_nii_gz_is_refused_by_name(tmp_path):
    path = tmp_path / "t2.nii.gz"
    path.write_bytes(gzip.compress(b"not an image at all\n" * 100))
    with pytest.raises(InputError, match=r"t2\.nii\.gz is not a NIfTI file"):
        read_volume(path)


@pytest.mark.parametrize("kept", [0.5, 0.9, 0.999])
def test_a_file_that_is_cut_off_is_refused_by_name(nifti, kept):
    content = nifti.read_bytes()
    nifti.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(InputError, match=r"t1\.nii\.gz is cut off or damaged"):
        read_volume(nifti)


def test_an_uncompressed_file_that_is_cut_off_is_refused_by_name(tmp_path):
    path = synthetic.save(synthetic.head(GRID, "t1"), tmp_path / "t1.nii")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"t1\.nii is cut off or damaged"):
        read_volume(path)


def test_an_empty_file_is_refused_by_name(tmp_path):
    (tmp_path / "t1.nii").write_bytes(b"")
    with pytest.raises(InputError, match=r"t1\.nii is not a NIfTI file"):
        read_volume(tmp_path / "t1.nii")


def test_a_missing_file_and_an_unknown_ending_are_refused_by_name(tmp_path):
    with pytest.raises(InputError, match=r"absent\.nii does not exist"):
        read_volume(tmp_path / "absent.nii")
    (tmp_path / "t1.jpg").write_bytes(b"x")
    with pytest.raises(InputError, match=r"t1\.jpg has no known file ending"):
        read_volume(tmp_path / "t1.jpg")


def test_an_affine_with_nan_is_refused_by_name(tmp_path):
    path = synthetic.save(synthetic.head(GRID, "t1"), tmp_path / "t1.nii")
    content = bytearray(path.read_bytes())
    content[280:284] = np.float32(np.nan).tobytes()  # srow_x[0]
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match=r"t1\.nii: the affine holds values that are not numbers"):
        read_volume(path)


def test_a_singular_affine_is_refused_by_name(tmp_path):
    path = synthetic.save(synthetic.head(GRID, "t1"), tmp_path / "t1.nii")
    content = bytearray(path.read_bytes())
    content[280:328] = bytes(48)  # srow_x, srow_y, srow_z
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match=r"t1\.nii: the affine is singular"):
        read_volume(path)


def test_a_header_that_promises_too_many_voxels_is_refused_before_reading(tmp_path):
    path = synthetic.save(synthetic.head(GRID, "t1"), tmp_path / "t1.nii")
    content = bytearray(path.read_bytes())
    content[42:48] = np.array([30000, 30000, 30000], np.int16).tobytes()  # dim[1:4]
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match=r"t1\.nii is too large: 30000 x 30000 x 30000"):
        read_volume(path)


def test_a_file_of_several_volumes_is_refused_where_one_is_expected(tmp_path):
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 5, 6, 3), np.int16), np.eye(4)), tmp_path / "t1.nii")
    with pytest.raises(InputError, match=r"t1\.nii holds 3 volumes where one is expected"):
        read_volume(tmp_path / "t1.nii")
    with pytest.raises(InputError, match=r"channels 0 to 2; there is no channel 3"):
        read_volume(tmp_path / "t1.nii", channel=3)


def test_channels_of_a_4d_file_are_read_by_number(tmp_path):
    data = np.arange(4 * 5 * 6 * 3, dtype=np.int16).reshape(4, 5, 6, 3)
    nibabel.save(nibabel.Nifti1Image(data, np.eye(4)), tmp_path / "four.nii.gz")
    assert count_channels(tmp_path / "four.nii.gz") == 3
    assert np.array_equal(read_volume(tmp_path / "four.nii.gz", channel=1).data, data[..., 1])
    last, first = read_volumes(tmp_path / "four.nii.gz", [2, 0])
    assert np.array_equal(last.data, data[..., 2])
    assert np.array_equal(first.data, data[..., 0])


def test_a_fourth_axis_of_length_one_is_no_obstacle(tmp_path):
    nibabel.save(nibabel.Nifti1Image(np.ones((4, 5, 6, 1), np.int16), np.eye(4)), tmp_path / "t1.nii")
    assert read_volume(tmp_path / "t1.nii").data.shape == (4, 5, 6)


def test_colors_and_complex_numbers_are_refused(tmp_path):
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 5, 6), np.complex64), np.eye(4)), tmp_path / "t1.nii")
    with pytest.raises(InputError, match="complex"):
        read_volume(tmp_path / "t1.nii")


def test_a_labelmap_keeps_its_values_and_refuses_fractions(tmp_path):
    data = np.zeros((4, 5, 6), np.float32)
    data[1] = 4.0
    nibabel.save(nibabel.Nifti1Image(data, np.eye(4)), tmp_path / "seg.nii")
    labelmap = read_labelmap(tmp_path / "seg.nii")
    assert labelmap.data.dtype.kind in "iu"
    assert set(np.unique(labelmap.data)) == {0, 4}
    data[2] = 0.5
    nibabel.save(nibabel.Nifti1Image(data, np.eye(4)), tmp_path / "seg.nii")
    with pytest.raises(InputError, match=r"seg\.nii holds values that are not whole numbers") as caught:
        read_labelmap(tmp_path / "seg.nii")
    assert caught.value.field == "label"


def test_grids_match_within_a_tolerance_and_say_how_they_differ():
    moved = GRID.affine.copy()
    moved[0, 3] += 5e-3
    assert GRID.matches(Grid(GRID.shape, moved))
    moved[0, 3] += 1.0
    assert not GRID.matches(Grid(GRID.shape, moved))
    assert "corner voxels lie up to 1.0" in GRID.difference(Grid(GRID.shape, moved))
    assert "20 x 24 x 8 against 20 x 24 x 9" in GRID.difference(Grid((20, 24, 9), GRID.affine))
    assert "LAS against RAS" in GRID.difference(synthetic.oblique_grid((0.9, 0.9, 5.5), GRID.shape, axcodes="RAS"))
    assert "0.9 x 0.9 x 5.5 mm against 1 x 0.9 x 5.5 mm" in GRID.difference(
        synthetic.oblique_grid((1.0, 0.9, 5.5), GRID.shape, degrees=(10.0, 5.0, -7.0))
    )
    assert GRID.difference(GRID) == ""


def test_a_grid_knows_its_voxels_and_a_volume_its_shape():
    assert GRID.spacing == pytest.approx((0.9, 0.9, 5.5))
    assert GRID.voxel_ml == pytest.approx(0.9 * 0.9 * 5.5 / 1000)
    with pytest.raises(ValueError, match="differ in shape"):
        Volume(np.zeros((2, 2, 2)), GRID)
