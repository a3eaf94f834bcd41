"""Files made to harm whoever reads them: rejected by name, without using the memory they ask for."""

import bz2
import gzip
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from tests import synthetic
from tests.training import rejected
from training.errors import InputError
from training.images.read import read_grid, read_header, read_labelmap, read_volume
from training.images.write import write_labelmap

MEGABYTE = 2**20
VOXELS = np.arange(512, dtype=np.uint8)
NRRD = "NRRD0005\ntype: uint8\ndimension: 3\nspace: left-posterior-superior\nsizes: {sizes}\n"
NRRD += "space directions: (1,0,0) (0,1,0) (0,0,1)\nendian: little\nencoding: {encoding}\n"
NRRD += "space origin: (0,0,0)\n{more}\n"
MHA = "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\nCompressedData = False\n"
MHA += "TransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = 0 0 0\nElementSpacing = 1 1 1\nDimSize = {size}\n"
MHA += "{more}ElementType = MET_UCHAR\nElementDataFile = {file}\n"


def nrrd(path: Path, content: bytes, sizes: str = "8 8 8", encoding: str = "raw", **fields: str) -> Path:
    more = "".join(f"{name.replace('_', ' ')}: {value}\n" for name, value in fields.items())
    path.write_bytes(NRRD.format(sizes=sizes, encoding=encoding, more=more).encode() + content)
    return path


def mha(path: Path, content: bytes = bytes(512), size: str = "8 8 8", file: str = "LOCAL", more: str = "") -> Path:
    path.write_bytes(MHA.format(size=size, file=file, more=more).encode() + content)
    return path


def nifti_header(**fields: object) -> bytes:
    header = nibabel.Nifti1Image(np.zeros((8, 8, 8), np.uint8), np.eye(4)).header
    for name, value in {"magic": b"n+1", "vox_offset": 352, **fields}.items():
        header[name] = value
    return bytes(header.binaryblock)


@pytest.fixture(scope="module")
def zeros() -> bytes:
    """150 MB that compress to a few kilobytes."""
    return bytes(150 * MEGABYTE)


@contextmanager
def little_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 40 * MEGABYTE
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("pack", "encoding"), [(gzip.compress, "gzip"), (bz2.compress, "bzip2")])
def test_a_compressed_nrrd_file_is_not_decompressed_beyond_its_voxels(
    tmp_path: Path, zeros: bytes, pack: Callable[[bytes], bytes], encoding: str
) -> None:
    good = nrrd(tmp_path / "t2.nrrd", pack(VOXELS.tobytes()), encoding=encoding)
    assert np.array_equal(read_volume(good).data, VOXELS.reshape(8, 8, 8, order="F"))
    bomb = nrrd(tmp_path / "t1.nrrd", pack(zeros), encoding=encoding)
    with little_memory(), rejected(r"t1\.nrrd is cut off or damaged: 512 bytes are needed"):
        read_volume(bomb)


def test_a_nrrd_header_may_skip_a_few_bytes_but_no_more_nor_be_endless_or_hold_too_long_text(tmp_path: Path) -> None:
    content = gzip.compress(b"first" + VOXELS.tobytes())
    for skip in ("-1", "5"):
        path = nrrd(tmp_path / "t1.nrrd", content, encoding="gzip", byte_skip=skip)
        assert np.array_equal(read_volume(path).data, VOXELS.reshape(8, 8, 8, order="F"))
    for wrong in ({"line_skip": "999999999999"}, {"byte_skip": "999999999999"}, {"byte_skip": "-2"}):
        with rejected("asks to skip"):
            read_volume(nrrd(path, bytes(512), **wrong))
    with rejected("longer than the text of its voxels"):
        read_volume(nrrd(path, b"1 " * MEGABYTE, encoding="ascii"))
    path.write_bytes(b"NRRD0005\ncomment: " + b"x" * (3 * MEGABYTE))
    with little_memory(), rejected(r"t1\.nrrd is not a NRRD file"):
        read_header(path)


@pytest.mark.parametrize(
    "sizes",
    [
        "10000 10000 10000",
        "99999999999999999999999 1 1",
        "9223372036854775808 1 1",
        "4294967296 4294967296 1",
        "-1 -1 1",
        "0 8 8",
        "8 8",
        "x",
    ],
)
def test_a_nrrd_header_with_impossible_sizes_is_rejected(tmp_path: Path, sizes: str) -> None:
    path = nrrd(tmp_path / "t1.nrrd", bytes(512), sizes=sizes)
    for read in (read_header, read_volume):
        with little_memory(), rejected(r"t1\.nrrd"):
            read(path)


def test_a_nifti_file_is_not_decompressed_beyond_its_voxels_nor_in_its_extensions(tmp_path: Path, zeros: bytes) -> None:
    head = nifti_header(vox_offset=368) + b"\x01\0\0\0"
    # A negative size of an extension means: to the end of the file.
    extensions = [head + np.array([size, 6], "<i4").tobytes() for size in (-16, 2**31 - 16)]
    for start in (nifti_header(), *extensions):
        path = tmp_path / "t1.nii.gz"
        path.write_bytes(gzip.compress(start + zeros, 1))
        with little_memory():
            assert read_volume(path).data.shape == (8, 8, 8)


def test_headers_that_claim_too_many_voxels_are_rejected_before_reading(tmp_path: Path) -> None:
    nifti = tmp_path / "t1.nii"
    nifti.write_bytes(nifti_header(dim=[3, 10000, 10000, 10000, 1, 1, 1, 1]) + bytes(4))
    many = mha(tmp_path / "t1.mha", size="10000 10000 10000")
    wide = mha(tmp_path / "t2.mha", more="ElementNumberOfChannels = 999999999\n")
    for path in (nifti, many, wide):
        with little_memory(), rejected("too large"):
            read_volume(path)
    assert read_volume(mha(tmp_path / "t1.mha")).data.shape == (8, 8, 8)


@pytest.mark.parametrize(
    "fields",
    [
        {"srow_x": [np.nan, 0, 0, 0], "sform_code": 1},
        {"srow_x": [np.inf, 0, 0, 0], "sform_code": 1},
        {"srow_x": [0, 0, 0, 0], "sform_code": 1},
        {"quatern_b": np.nan, "sform_code": 0, "qform_code": 1},
        {"quatern_b": 7.0, "sform_code": 0, "qform_code": 1},
        {"pixdim": [1, np.inf, 1, 1, 1, 1, 1, 1], "sform_code": 0, "qform_code": 1},
        {"vox_offset": np.nan},
        {"vox_offset": 2.0**40},
        {"vox_offset": -352.0},
        {"scl_slope": 1.0, "scl_inter": np.inf},
        {"dim": [3, -8, 8, 8, 1, 1, 1, 1]},
        {"dim": [9, 8, 8, 8, 1, 1, 1, 1]},
        {"datatype": 9999},
        {"datatype": 128, "bitpix": 24},
        {"magic": b"ni1"},
    ],
    ids=str,
)
def test_a_nifti_header_with_impossible_numbers_is_rejected_by_name(tmp_path: Path, fields: dict[str, object]) -> None:
    path = tmp_path / "t1.nii"
    path.write_bytes(nifti_header(**fields) + bytes(4 + 512))
    affine = {"[nan, 0, 0, 0]": "the affine holds values that are not", "[0, 0, 0, 0]": "the affine is singular"}
    with rejected(rf"t1\.nii.*{affine.get(str(fields.get('srow_x')), '')}"):
        read_volume(path)


@pytest.mark.parametrize(
    "file", ["/etc/passwd", "../x.raw", "LIST", "LIST 2D", "x%03d.raw 1 8 1", "%s%s%n", "..\\x.raw", "C:\\x.raw"]
)
def test_no_header_may_point_to_another_file(tmp_path: Path, file: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "x.raw").write_bytes(bytes(512))
    paths = [mha(tmp_path / "in" / f"t1{ending}", b"/etc/passwd\n" * 8, file=file) for ending in (".mha", ".mhd")]
    paths += [nrrd(tmp_path / "in" / f"t1{ending}", b"", data_file=file) for ending in (".nrrd", ".nhdr")]
    for path in paths:
        with rejected("points to another file"):
            read_volume(path)


@pytest.mark.parametrize("line", ["ElementDataFile: /etc/passwd", "a = b\nElementDataFile=LIST"], ids=repr)
def test_no_metaimage_header_smuggles_another_file_past_the_check(tmp_path: Path, line: str) -> None:
    with rejected(r"t1\.mha points to another file"):
        read_volume(mha(tmp_path / "t1.mha", more=f"{line}\n"))
    (tmp_path / "t1.mha").write_text("NDims = 83\nTransformMatrix = 1 0 0\nElementDataFile = LOCAL\n")
    with rejected("NDims"):
        read_volume(tmp_path / "t1.mha")


@pytest.mark.parametrize("line", ["NDims = 3", "", "ElementDataFile /etc/passwd", "a = b\rc = d", "Foo = ", "a" * 3000])
def test_lines_that_itk_would_misread_change_nothing(tmp_path: Path, line: str) -> None:
    path = mha(tmp_path / "t1.mha", VOXELS.tobytes(), more=f"{line}\n")
    assert np.array_equal(read_volume(path).data, VOXELS.reshape(8, 8, 8, order="F"))


def test_a_metaimage_line_of_a_hundred_thousand_spaces_takes_no_time(tmp_path: Path) -> None:
    path = mha(tmp_path / "t1.mha", VOXELS.tobytes(), more=f"{' ' * 100_000}\nFoo = {' ' * 100_000}x\n")
    started = time.perf_counter()
    assert np.array_equal(read_volume(path).data, VOXELS.reshape(8, 8, 8, order="F"))
    assert time.perf_counter() - started < 5


def test_a_compressed_metaimage_file_is_not_decompressed_beyond_its_voxels(tmp_path: Path, zeros: bytes) -> None:
    for pack in (zlib.compress, gzip.compress):
        bomb = mha(tmp_path / "t1.mha", pack(zeros), more="CompressedData = True\n")
        bomb.write_bytes(bomb.read_bytes().replace(b"CompressedData = False\n", b""))
        with little_memory(), rejected("512 bytes are needed, more are there"):
            read_volume(bomb)


@pytest.mark.parametrize("dims", [[2**62, 2**62, 4], [2**32, 2**32, 1], [-(2**63), -1, 8], [2**31, 2, 1]], ids=str)
def test_sizes_of_a_nifti_2_header_whose_product_overflows_are_rejected(tmp_path: Path, dims: list[int]) -> None:
    header = nibabel.Nifti2Image(np.zeros((8, 8, 8), np.uint8), np.eye(4)).header
    header["magic"], header["vox_offset"], header["dim"] = b"n+2", 544, [3, *dims, 1, 1, 1, 1]
    for name, content in (("t1.nii", header.binaryblock), ("t1.nii.gz", gzip.compress(header.binaryblock))):
        (tmp_path / name).write_bytes(content + bytes(4 + 512))
        for read in (read_header, read_volume):
            with little_memory(), rejected(name):
                read(tmp_path / name)


@pytest.mark.parametrize(("dtype", "value"), [(np.int64, 2**32 + 1), (np.uint32, 2**32 - 1), (np.float64, 2.0**32 + 1)])
def test_a_label_value_beyond_32_bits_does_not_become_another_one(tmp_path: Path, dtype: type, value: float) -> None:
    data: np.ndarray = np.zeros((8, 8, 8), dtype)
    data[4, 4, 4] = value
    nibabel.save(nibabel.Nifti1Image(data, np.eye(4), dtype=dtype), tmp_path / "seg.nii")
    with rejected(f"holds the value {value}"):
        read_labelmap(tmp_path / "seg.nii")


@pytest.mark.parametrize("name", ["t1.nii", "t1.nii.gz", "t1.nrrd", "t1.nhdr", "t1.mha", "t1.mhd"])
@pytest.mark.parametrize("content", [b"", b"hello\n", b"\0" * 400, b"\xff" * 400, b"\x1f\x8b" + b"\0" * 60])
def test_a_meaningless_file_is_rejected_by_name(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    for read in (read_header, read_volume, read_labelmap):
        with rejected(name):
            read(tmp_path / name)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".seg.nrrd", ".mha"])
def test_randomly_damaged_files_are_read_or_rejected_by_name(tmp_path: Path, ending: str) -> None:
    good = tmp_path / f"good{ending}"
    if ending == ".mha":
        sitk.WriteImage(sitk.GetImageFromArray(np.ones((6, 10, 12), np.int16)), str(good))
    else:
        write_labelmap(synthetic.truth(synthetic.oblique_grid((0.9, 1.1, 3.0), (12, 10, 6))), good)
    content = good.read_bytes()
    rng = np.random.default_rng(7)
    path = tmp_path / f"bad{ending}"
    refusals = []
    for _ in range(60):
        damaged = bytearray(content)
        for place in rng.integers(0, min(len(damaged), 600), 4):
            damaged[place] = rng.integers(0, 256)
        path.write_bytes(damaged)
        for read in (read_volume, read_labelmap, read_grid):
            try:
                read(path)
            except InputError as error:
                refusals.append(error.message)
    assert refusals
    assert all(str(path) in message for message in refusals)
