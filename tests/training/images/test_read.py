import gzip

import nibabel
import numpy as np

from tests import synthetic
from tests.training import rejected
from training.images.read import count_channels, read_grid, read_labelmap, read_volume, read_volumes

GRID = synthetic.oblique_grid((0.9, 0.9, 5.5), (20, 24, 8), degrees=(10.0, 5.0, -7.0))
HEAD = synthetic.head(GRID, "t1")


def save(path, data, affine=None):
    nibabel.save(nibabel.Nifti1Image(data, np.eye(4) if affine is None else affine), path)
    return path


def test_a_nifti_file_gives_its_voxels_and_position_also_with_a_qform_alone_but_not_without(tmp_path):
    path = tmp_path / "t1.nii.gz"
    for sform in (1, 0):
        volume = read_volume(synthetic.save(HEAD, path, sform=sform, qform=1))
        assert volume.data.dtype == np.float32
        assert np.array_equal(volume.data, HEAD.data)
        assert volume.grid.matches(GRID)
    synthetic.save(HEAD, path, sform=0, qform=0)
    with rejected(r"t1\.nii\.gz.*sform_code and qform_code are both 0.*fslorient"):
        read_grid(path)


def test_missing_unknown_and_truncated_files_are_rejected_by_name(tmp_path):
    (tmp_path / "t1.jpg").write_bytes(b"x")
    (tmp_path / "t2.nii.gz").write_bytes(gzip.compress(b"not an image at all\n" * 100))
    for message in ("absent.nii does not exist", "t1.jpg has no known file ending", "t2.nii.gz is not a NIfTI file"):
        with rejected(message):
            read_volume(tmp_path / message.split()[0])
    for name, kept in (("t1.nii.gz", 0.5), ("t1.nii.gz", 0.9), ("t1.nii.gz", 0.999), ("t1.nii", 0.99)):
        path = synthetic.save(HEAD, tmp_path / name)
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * kept)])
        with rejected(f"{name} is cut off or damaged"):
            read_volume(path)


def test_integers_are_scaled_voxels_that_are_not_finite_become_0_and_channels_are_read_by_number(tmp_path):
    image = nibabel.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.eye(4))
    image.header.set_slope_inter(0.5, 10.0)
    nibabel.save(image, tmp_path / "t1.nii")
    assert np.allclose(read_volume(tmp_path / "t1.nii").data.ravel(), np.arange(24) * 0.5 + 10.0)
    data = np.ones((4, 4, 4), np.float32)
    data[0], data[1] = np.nan, np.inf
    assert read_volume(save(tmp_path / "t1.nii", data)).data.sum() == 32.0
    with rejected("complex"):
        read_volume(save(tmp_path / "t1.nii", np.ones((4, 4, 4), np.complex64)))
    four = np.arange(4 * 5 * 6 * 3, dtype=np.int16).reshape(4, 5, 6, 3)
    path = save(tmp_path / "t1.nii.gz", four)
    assert count_channels(path) == 3
    assert np.array_equal(read_volume(path, channel=1).data, four[..., 1])
    for volume, channel in zip(read_volumes(path, [2, 0]), (2, 0), strict=True):
        assert np.array_equal(volume.data, four[..., channel])
    with rejected(r"t1\.nii\.gz holds 3 volumes where one is expected"):
        read_volume(path)
    with rejected(r"channels 0 to 2; there is no channel 3"):
        read_volume(path, channel=3)
    assert read_volume(save(path, four[..., :1])).data.shape == (4, 5, 6)


def test_a_labelmap_keeps_its_values_and_rejects_fractions(tmp_path):
    data = np.zeros((4, 5, 6), np.float32)
    data[1] = 4.0
    labelmap = read_labelmap(save(tmp_path / "seg.nii", data))
    assert labelmap.data.dtype.kind in "iu"
    assert set(np.unique(labelmap.data)) == {0, 4}
    data[2] = 0.5
    with rejected(r"seg\.nii holds values that are not whole numbers", "label"):
        read_labelmap(save(tmp_path / "seg.nii", data))
