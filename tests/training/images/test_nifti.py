"""NIfTI in all its forms: pairs, byte orders, versions, and names that say something else than the content."""

import gzip

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from tests import synthetic
from tests.training import rejected
from training.cases.case import case_from_roles
from training.cases.find import find_cases
from training.images.nifti import write_joined
from training.images.read import count_channels, header_beside, image_files, read_grid, read_labelmap, read_volume
from training.modalities import ROLES

GRID = synthetic.oblique_grid((0.9, 0.9, 5.5), (10, 12, 6), degrees=(10.0, 5.0, -7.0))
DATA = np.arange(10 * 12 * 6, dtype=np.int16).reshape(GRID.shape)


def pair(folder, stem="t1", data=DATA, kind=nibabel.Nifti1Pair):
    nibabel.save(kind(data, GRID.affine), folder / f"{stem}.img")
    return folder / f"{stem}.hdr", folder / f"{stem}.img"


@pytest.mark.parametrize("kind", [nibabel.Nifti1Pair, nibabel.Nifti2Pair])
def test_both_files_of_a_pair_give_its_volume_compressed_or_not(tmp_path, kind):
    header, voxels = pair(tmp_path, kind=kind)
    for path in (header, voxels):
        volume = read_volume(path)
        assert np.array_equal(volume.data, DATA)
        assert volume.grid.matches(GRID)
        assert image_files(path) == [header, voxels]
    assert header_beside(voxels) == header
    assert header_beside(header) is None
    for path in (header, voxels):
        (tmp_path / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    for name in ("t1.hdr.gz", "t1.img.gz"):
        assert np.array_equal(read_volume(tmp_path / name).data, DATA)


def test_a_folder_of_pairs_is_one_case_whose_fingerprint_changes_with_the_voxels(tmp_path):
    for role in ROLES:
        pair(tmp_path, role)
    (case,), problems = find_cases(tmp_path)
    assert not problems
    assert [source.path.name for source in case.sources.values()] == [f"{role}.hdr" for role in ROLES]
    assert set(case.read_all()) == set(ROLES)
    before = case.fingerprint()
    pair(tmp_path, "t2", DATA + 1)
    assert case.fingerprint() != before
    by_voxels = case_from_roles({role: tmp_path / f"{role}.img" for role in ROLES})
    assert by_voxels.fingerprint() == case.fingerprint()


def test_half_a_pair_and_an_analyze_file_are_rejected_with_a_way_out(tmp_path):
    header, voxels = pair(tmp_path)
    content = header.read_bytes()
    header.unlink()
    with rejected(r"t1\.img is half of a pair: its header, t1\.hdr, is missing"):
        read_volume(voxels)
    header.write_bytes(content)
    voxels.unlink()
    with rejected(r"t1\.hdr is half of a pair: its voxels, t1\.img, is missing"):
        read_grid(header)
    nibabel.save(nibabel.AnalyzeImage(DATA, None), tmp_path / "t1.img")
    for path in (header, voxels):
        with rejected(r"ANALYZE 7\.5.*which side is left.*dcm2niix"):
            read_volume(path)
    (tmp_path / "t2.hdr").write_text("ENVI\nsamples = 3\n")
    with rejected(r"t2\.hdr is not a NIfTI file"):
        read_volume(tmp_path / "t2.hdr")


def test_the_voxels_of_a_pair_are_not_taken_for_compressed_ones(tmp_path):
    data = DATA.copy()
    data[0, 0, 0] = np.int16(-29921)  # 1f 8b, with which gzip begins
    _, voxels = pair(tmp_path, data=data)
    assert voxels.read_bytes()[:2] == b"\x1f\x8b"
    assert np.array_equal(read_volume(voxels).data, data)


def test_a_pair_becomes_one_file_with_the_same_voxels_and_header(tmp_path):
    image = nibabel.Nifti1Pair(DATA, GRID.affine)
    image.header.set_slope_inter(0.5, 3.0)
    nibabel.save(image, tmp_path / "t1.img")
    write_joined(tmp_path / "t1.hdr", tmp_path / "t1.nii")
    joined = nibabel.Nifti1Image.from_filename(tmp_path / "t1.nii")
    original = nibabel.Nifti1Pair.from_filename(tmp_path / "t1.img")
    assert np.array_equal(joined.get_fdata(), original.get_fdata())
    assert np.array_equal(joined.affine, original.affine)
    assert np.array_equal(read_volume(tmp_path / "t1.nii").data, read_volume(tmp_path / "t1.hdr").data)


def test_what_a_file_holds_counts_and_not_what_it_is_called(tmp_path):
    nibabel.save(nibabel.Nifti1Image(DATA, GRID.affine), tmp_path / "t1.nii")
    content = (tmp_path / "t1.nii").read_bytes()
    members = gzip.compress(content[:1000]) + gzip.compress(content[1000:])
    for name, stored in (("t1.nii.gz", content), ("t1.nii", gzip.compress(content)), ("t1.nii.gz", members)):
        (tmp_path / name).write_bytes(stored)
        assert np.array_equal(read_volume(tmp_path / name).data, DATA)
    (tmp_path / "t1.nii").write_bytes(gzip.compress(content)[:-20])
    with rejected(r"t1\.nii is cut off or damaged"):
        read_volume(tmp_path / "t1.nii")


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("order", ["<", ">"])
def test_byte_orders_versions_and_extensions_make_no_difference(tmp_path, kind, order):
    image = kind(DATA, GRID.affine, kind.header_class(endianness=order))
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"x" * 5000))
    nibabel.save(image, tmp_path / "t1.nii.gz")
    volume = read_volume(tmp_path / "t1.nii.gz")
    assert np.array_equal(volume.data, DATA)
    assert volume.grid.matches(GRID)
    assert np.array_equal(read_labelmap(tmp_path / "t1.nii.gz").data, DATA)


@pytest.mark.parametrize("slope", [0.0, np.nan])
def test_a_slope_that_is_no_number_or_0_means_no_scaling(tmp_path, slope):
    image = nibabel.Nifti1Image(DATA, GRID.affine)
    nibabel.save(image, tmp_path / "t1.nii")
    content = bytearray((tmp_path / "t1.nii").read_bytes())
    content[112:116] = np.array(slope, "<f4").tobytes()
    (tmp_path / "t1.nii").write_bytes(content)
    assert np.array_equal(read_volume(tmp_path / "t1.nii").data, DATA)


def test_volumes_lie_along_the_fourth_or_fifth_axis(tmp_path):
    nibabel.save(nibabel.Nifti1Image(np.stack([DATA] * 3, -1)[..., None, :], GRID.affine), tmp_path / "vector.nii")
    assert count_channels(tmp_path / "vector.nii") == 3
    assert np.array_equal(read_volume(tmp_path / "vector.nii", 1).data, DATA)
    image = sitk.GetImageFromArray(np.arange(4 * 5 * 6 * 2, dtype=np.float32).reshape(6, 5, 4, 2), isVector=True)
    sitk.WriteImage(image, str(tmp_path / "itk.nii"))
    assert np.array_equal(read_volume(tmp_path / "itk.nii", 1).data, sitk.GetArrayFromImage(image)[..., 1].T)
