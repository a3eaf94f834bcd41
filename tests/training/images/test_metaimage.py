"""MetaImage files are read as SimpleITK reads them, with any fields that SimpleITK writes."""

import itertools
import zlib

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from tests import synthetic
from tests.training import rejected
from training.images.read import count_channels, image_files, read_grid, read_volume, read_volumes

GRID = synthetic.oblique_grid((0.9, 1.1, 3.0), (12, 10, 6), degrees=(12.0, -8.0, 20.0))
DATA = np.arange(12 * 10 * 6, dtype=np.int16).reshape(GRID.shape)
PLAIN = {"ObjectType": "Image", "NDims": "3", "BinaryData": "True", "BinaryDataByteOrderMSB": "False"}
PLAIN |= {"TransformMatrix": "0 1 0 0 0 1 1 0 0", "Offset": "1 -2 3", "ElementSpacing": "1 2 3", "DimSize": "4 5 6"}
PLAIN |= {"ElementType": "MET_SHORT", "ElementDataFile": "LOCAL"}
VOXELS = np.arange(120, dtype="<i2")


def write(path, fields, content=VOXELS.tobytes(), *, separator=" = "):
    """Write a header whose last field is ElementDataFile, and the voxels."""
    ordered = {**{name: value for name, value in fields.items() if name != "ElementDataFile"}}
    ordered["ElementDataFile"] = fields["ElementDataFile"]
    lines = "".join(f"{name}{separator}{value}\n" for name, value in ordered.items() if value is not None)
    path.write_bytes(lines.encode("latin-1") + content)
    return path


def assert_read_as_by_itk(path):
    image, volume = sitk.ReadImage(str(path)), read_volume(path)
    assert np.array_equal(sitk.GetArrayFromImage(image).T, volume.data)
    for index in itertools.product(*[(0, side - 1) for side in volume.grid.shape]):
        point = np.array(image.TransformIndexToPhysicalPoint(index)) * [-1, -1, 1]
        assert np.allclose(volume.grid.affine[:3, :3] @ index + volume.grid.affine[:3, 3], point, rtol=0, atol=1e-4)


def image_with_metadata():
    """An image with the metadata of a NIfTI file and of DICOM, as SimpleITK keeps them."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(DATA.T))
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ GRID.affine
    image.SetSpacing(GRID.spacing)
    image.SetDirection((lps[:3, :3] / np.array(GRID.spacing)).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    texts = {"dim[0]": "3", "qto_xyz": "1 0 0 0", "descrip": "", "0008|0005": "ISO_IR 100", "0010|0010": "M\xfcller^A"}
    texts |= {"0008|103e": "T1 = MPRAGE: 1 mm", "a key. with (more)": "x" * 3000, "0010|4000": "one\r\ntwo\nthree"}
    texts |= {"aux_file": "ElementDataFile = /etc/passwd", "intent_name": "  "}
    for key, text in texts.items():
        image.SetMetaData(key, text)
    return image


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("name", ["t1.mha", "t1.mhd", "T1 (2).mhd"])
def test_whatever_simpleitk_writes_beside_the_image_does_not_matter(tmp_path, name, compressed):
    path = tmp_path / name
    sitk.WriteImage(image_with_metadata(), str(path), compressed)
    volume = read_volume(path)
    assert np.array_equal(volume.data, DATA)
    assert volume.grid.matches(GRID)
    assert len(image_files(path)) == (1 if name.endswith(".mha") else 2)


@pytest.mark.parametrize("compressed", [False, True])
def test_a_file_that_simpleitk_made_of_a_nifti_file_has_its_voxels_and_position(tmp_path, compressed):
    nibabel.save(nibabel.Nifti1Image(DATA, GRID.affine), tmp_path / "t1.nii.gz")
    sitk.WriteImage(sitk.ReadImage(str(tmp_path / "t1.nii.gz")), str(tmp_path / "t1.mha"), compressed)
    assert b"dim[0] = 3" in (tmp_path / "t1.mha").read_bytes()
    assert_read_as_by_itk(tmp_path / "t1.mha")
    assert read_grid(tmp_path / "t1.mha").matches(GRID)


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
def test_every_kind_of_voxel_is_read(tmp_path, dtype):
    sitk.WriteImage(sitk.GetImageFromArray(np.arange(60, dtype=dtype).reshape(3, 4, 5)), str(tmp_path / "t1.mha"))
    assert_read_as_by_itk(tmp_path / "t1.mha")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"TransformMatrix": None, "Rotation": "0 1 0 0 0 1 1 0 0"},
        {"Offset": None, "Position": "4 5 6", "CenterOfRotation": "0 0 0"},
        {"Offset": None, "Origin": "4 5 6", "AnatomicalOrientation": "LPI"},
        {"ElementSpacing": None, "ElementSize": "2 2 2"},
        {"ElementSize": "9 9 9"},
        {"Offset": None, "TransformMatrix": None, "ElementSpacing": None, "BinaryData": None},
        {"BinaryDataByteOrderMSB": "True"},
        {"BinaryDataByteOrderMSB": None, "ElementByteOrderMSB": "True"},
        {"HeaderSize": "-1"},
        {"Comment": "text : with = signs", "Modality": "MET_MOD_MR"},
    ],
    ids=str,
)
@pytest.mark.parametrize("separator", [" = ", "=", ": "])
def test_the_fields_mean_what_they_mean_to_itk(tmp_path, changes, separator):
    assert_read_as_by_itk(write(tmp_path / "t1.mha", {**PLAIN, **changes}, separator=separator))


def test_voxels_lie_in_a_file_beside_the_header_behind_a_header_of_their_own_or_compressed(tmp_path):
    (tmp_path / "t1.raw").write_bytes(b"abcdef" + VOXELS.tobytes())
    for size in ("6", "-1"):
        fields = {**PLAIN, "HeaderSize": size, "ElementDataFile": "t1.raw"}
        assert_read_as_by_itk(write(tmp_path / "t1.mhd", fields, b""))
    packed = zlib.compress(VOXELS.tobytes())
    fields = {**PLAIN, "CompressedData": "True", "CompressedDataSize": str(len(packed))}
    assert_read_as_by_itk(write(tmp_path / "t1.mha", fields, packed))
    without_size = write(tmp_path / "t1.mha", {**PLAIN, "CompressedData": "True"}, packed)
    assert np.array_equal(read_volume(without_size).data.ravel("F"), VOXELS)  # ITK returns memory it has not written to


def test_several_volumes_are_components_or_a_fourth_axis(tmp_path):
    path = write(tmp_path / "four.mha", {**PLAIN, "DimSize": "4 5 3", "ElementNumberOfChannels": "2"})
    volumes = read_volumes(path, [0, 1])
    expected = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    assert all(np.array_equal(volume.data, expected[..., k].T) for k, volume in enumerate(volumes))
    image = sitk.GetImageFromArray(np.arange(4 * 3 * 5 * 6, dtype=np.int16).reshape(4, 3, 5, 6), isVector=False)
    sitk.WriteImage(image, str(path), True)
    assert count_channels(path) == 4
    assert np.array_equal(read_volume(path, 2).data, sitk.GetArrayFromImage(image)[2].T)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"NDims": "2"}, "NDims"),
        ({"NDims": None}, "NDims"),
        ({"DimSize": "4 5"}, "DimSize must be 3 numbers"),
        ({"DimSize": "4 5 -6"}, "DimSize is 4 5 -6"),
        ({"DimSize": "99999999999 99999999999 9"}, "damaged: DimSize"),
        ({"DimSize": "2147483647 2147483647 2147483647"}, "too large"),
        ({"ElementNumberOfChannels": "1073741824"}, "too large"),
        ({"ElementNumberOfChannels": "0"}, "ElementNumberOfChannels"),
        ({"ElementSpacing": "1 0 1"}, "ElementSpacing is 1 0 1"),
        ({"ElementSpacing": "1 nan 1"}, "ElementSpacing must be 3 numbers"),
        ({"TransformMatrix": "1 0 0 0 1 0 0 0 0"}, "singular"),
        ({"Offset": "1 2 3", "Origin": "4 5 6"}, "Offset and Origin, and they differ"),
        ({"ElementType": "MET_OTHER"}, "ElementType is MET_OTHER"),
        ({"BinaryData": "False"}, "binary form"),
        ({"ObjectType": "Mesh"}, "must hold an image"),
        ({"HeaderSize": "99999999999"}, "HeaderSize"),
        ({"CompressedData": "True"}, "cut off or damaged"),
        ({"DistanceUnits": "furlong"}, "DistanceUnits is 'furlong'"),
        ({"ElementDataFile": ""}, "points to another file"),
    ],
    ids=str,
)
def test_a_header_with_impossible_or_contradictory_fields_is_rejected_by_name(tmp_path, changes, message):
    with rejected(rf"t1\.mha.*{message}"):
        read_volume(write(tmp_path / "t1.mha", {**PLAIN, **changes}))


def test_one_field_with_two_values_and_a_missing_file_of_voxels_are_rejected_and_a_unit_counts(tmp_path):
    path = write(tmp_path / "t1.mha", PLAIN)
    path.write_bytes(b"DimSize = 5 4 6\n" + path.read_bytes())
    with rejected("says DimSize twice, and differently"):
        read_volume(path)
    with rejected(r"the file of its voxels, t1\.raw, is missing"):
        read_volume(write(tmp_path / "t1.mhd", {**PLAIN, "ElementDataFile": "t1.raw"}))
    assert read_grid(write(path, {**PLAIN, "DistanceUnits": "cm"})).spacing == (10.0, 20.0, 30.0)
