"""Files made to harm whoever reads them: refused, by name, without the memory they ask for."""

from __future__ import annotations

import bz2
import gzip
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import nibabel
import numpy as np
import pytest

from training.cases.find import find_cases
from training.errors import InputError
from training.images.read import read_header, read_labelmap, read_volume
from training.modalities import ROLES

MEGABYTE = 2**20
NRRD = """NRRD0005
type: {type}
dimension: 3
space: left-posterior-superior
sizes: {sizes}
space directions: (1,0,0) (0,1,0) (0,0,1)
endian: little
encoding: {encoding}
space origin: (0,0,0)
{more}
"""
MHA = """ObjectType = Image
NDims = 3
BinaryData = True
BinaryDataByteOrderMSB = False
CompressedData = False
TransformMatrix = 1 0 0 0 1 0 0 0 1
Offset = 0 0 0
ElementSpacing = 1 1 1
DimSize = {size}
{more}ElementType = MET_UCHAR
ElementDataFile = {file}
"""


def nrrd(path: Path, content: bytes, sizes: str = "8 8 8", encoding: str = "raw", **fields: str) -> Path:
    more = "".join(f"{name.replace('_', ' ')}: {value}\n" for name, value in fields.items() if name != "type")
    header = NRRD.format(sizes=sizes, encoding=encoding, type=fields.get("type", "uint8"), more=more)
    path.write_bytes(header.encode() + content)
    return path


def mha(path: Path, content: bytes = bytes(512), size: str = "8 8 8", file: str = "LOCAL", more: str = "") -> Path:
    path.write_bytes(MHA.format(size=size, file=file, more=more).encode() + content)
    return path


def nifti_header(**fields: object) -> nibabel.Nifti1Header:
    header = nibabel.Nifti1Image(np.zeros((8, 8, 8), np.uint8), np.eye(4)).header
    header["magic"], header["vox_offset"] = b"n+1", 352
    for name, value in fields.items():
        header[name] = value
    return header


@contextmanager
def little_memory(most: int = 40 * MEGABYTE) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("pack", "encoding"), [(gzip.compress, "gzip"), (bz2.compress, "bzip2")])
def test_a_compressed_nrrd_file_is_not_unpacked_beyond_its_voxels(
    tmp_path: Path, pack: Callable[[bytes], bytes], encoding: str
) -> None:
    bomb = nrrd(tmp_path / "t1.nrrd", pack(bytes(150 * MEGABYTE)), encoding=encoding)
    with little_memory(), pytest.raises(InputError, match=r"t1\.nrrd is cut off or damaged: 512 bytes are needed"):
        read_volume(bomb)


def test_compressed_nrrd_files_are_still_read(tmp_path: Path) -> None:
    voxels = np.arange(512, dtype=np.uint8)
    for encoding, pack in (("gzip", gzip.compress), ("bzip2", bz2.compress)):
        path = nrrd(tmp_path / "t1.nrrd", pack(voxels.tobytes()), encoding=encoding)
        assert np.array_equal(read_volume(path).data, voxels.reshape(8, 8, 8, order="F"))
    end = nrrd(tmp_path / "t2.nrrd", gzip.compress(b"first" + voxels.tobytes()), encoding="gzip", byte_skip="-1")
    assert np.array_equal(read_volume(end).data, voxels.reshape(8, 8, 8, order="F"))
    later = nrrd(tmp_path / "t2.nrrd", gzip.compress(b"first" + voxels.tobytes()), encoding="gzip", byte_skip="5")
    assert np.array_equal(read_volume(later).data, voxels.reshape(8, 8, 8, order="F"))


@pytest.mark.parametrize("skip", [{"line_skip": "999999999999"}, {"byte_skip": "999999999999"}, {"byte_skip": "-2"}])
def test_a_nrrd_header_that_passes_over_too_much_is_refused(tmp_path: Path, skip: dict[str, str]) -> None:
    with pytest.raises(InputError, match="asks to pass over"):
        read_volume(nrrd(tmp_path / "t1.nrrd", bytes(512), **skip))


def test_a_nrrd_header_without_an_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t1.nrrd"
    path.write_bytes(b"NRRD0005\ncomment: " + b"x" * (3 * MEGABYTE))
    with little_memory(), pytest.raises(InputError, match=r"t1\.nrrd is not a NRRD file"):
        read_header(path)


def test_a_nrrd_file_with_text_for_more_than_its_voxels_is_refused(tmp_path: Path) -> None:
    path = nrrd(tmp_path / "t1.nrrd", b"1 " * MEGABYTE, encoding="ascii")
    with pytest.raises(InputError, match="longer than the text of its voxels"):
        read_volume(path)


@pytest.mark.parametrize("sizes", ["10000 10000 10000", "99999999999999999999999 1 1", "-1 -1 1", "0 8 8", "8 8", "x"])
def test_a_nrrd_header_with_impossible_sizes_is_refused(tmp_path: Path, sizes: str) -> None:
    path = nrrd(tmp_path / "t1.nrrd", bytes(512), sizes=sizes)
    for read in (read_header, read_volume):
        with little_memory(), pytest.raises(InputError, match=r"t1\.nrrd"):
            read(path)


def test_an_extension_of_a_nifti_header_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "t1.nii.gz"
    head = nifti_header(vox_offset=368).binaryblock + b"\x01\0\0\0"
    for size in (-16, 2**31 - 16):  # a negative one means: to the end of the file
        extension = np.array([size, 6], "<i4").tobytes()
        path.write_bytes(gzip.compress(head + extension + bytes(150 * MEGABYTE)))
        with little_memory():
            assert read_volume(path).data.shape == (8, 8, 8)


def test_a_nifti_file_is_not_unpacked_beyond_its_voxels(tmp_path: Path) -> None:
    path = tmp_path / "t1.nii.gz"
    path.write_bytes(gzip.compress(nifti_header().binaryblock + bytes(150 * MEGABYTE)))
    with little_memory():
        assert read_volume(path).data.shape == (8, 8, 8)


def test_a_nifti_header_that_claims_too_many_voxels_is_refused_before_reading(tmp_path: Path) -> None:
    path = tmp_path / "t1.nii"
    path.write_bytes(nifti_header(dim=[3, 10000, 10000, 10000, 1, 1, 1, 1]).binaryblock + bytes(4))
    with little_memory(), pytest.raises(InputError, match="too large: 10000 x 10000 x 10000 voxels"):
        read_volume(path)


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
def test_a_nifti_header_with_impossible_numbers_is_refused_by_name(tmp_path: Path, fields: dict[str, object]) -> None:
    path = tmp_path / "t1.nii"
    path.write_bytes(nifti_header(**fields).binaryblock + bytes(4 + 512))
    with pytest.raises(InputError, match=r"t1\.nii"):
        read_volume(path)


def test_a_meta_image_that_claims_too_many_voxels_is_refused_before_reading(tmp_path: Path) -> None:
    many = mha(tmp_path / "t1.mha", size="10000 10000 10000")
    wide = mha(tmp_path / "t2.mha", more="ElementNumberOfChannels = 999999999\n")
    for path in (many, wide):
        with little_memory(), pytest.raises(InputError, match="too large"):
            read_volume(path)
    assert read_volume(mha(tmp_path / "t1.mha")).data.shape == (8, 8, 8)


@pytest.mark.parametrize(
    "file", ["/etc/passwd", "../x.raw", "LIST", "LIST 2D", "x%03d.raw 1 8 1", "%s%s%n", "..\\x.raw", "C:\\x.raw"]
)
@pytest.mark.parametrize("ending", [".mha", ".mhd"])
def test_a_meta_image_names_no_other_files(tmp_path: Path, file: str, ending: str) -> None:
    path = mha(tmp_path / f"t1{ending}", b"/etc/passwd\n" * 8, file=file)
    with pytest.raises(InputError, match="points to another file"):
        read_volume(path)


@pytest.mark.parametrize(
    "line", ["ElementDataFile: /etc/passwd", "NDims = 3", "", "ElementDataFile /etc/passwd", "a = b\rc = d"], ids=repr
)
def test_a_meta_image_header_that_can_be_read_in_two_ways_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(InputError, match=r"t1\.mha is not a readable image"):
        read_volume(mha(tmp_path / "t1.mha", more=f"{line}\n"))


def test_a_label_value_beyond_32_bits_does_not_become_another_one(tmp_path: Path) -> None:
    for dtype, value in ((np.int64, 2**32 + 1), (np.uint32, 2**32 - 1), (np.float64, 2.0**32 + 1)):
        data = np.zeros((8, 8, 8), dtype)
        data[4, 4, 4] = value
        nibabel.save(nibabel.Nifti1Image(data, np.eye(4), dtype=dtype), tmp_path / "seg.nii")
        with pytest.raises(InputError, match=f"holds the value {value}"):
            read_labelmap(tmp_path / "seg.nii")


@pytest.mark.parametrize("name", ["t1.nii", "t1.nii.gz", "t1.nrrd", "t1.nhdr", "t1.mha", "t1.mhd"])
@pytest.mark.parametrize("content", [b"", b"\0" * 400, b"\xff" * 400, b"\x1f\x8b" + b"\0" * 60])
def test_a_file_without_any_sense_is_refused_by_name(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    for read in (read_header, read_volume, read_labelmap):
        with pytest.raises(InputError, match=name):
            read(tmp_path / name)


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """A studies folder with an honest case, and links to one and to files of one that lie elsewhere."""
    for folder in (tmp_path / "elsewhere" / "private", tmp_path / "studies" / "honest", tmp_path / "studies" / "files"):
        folder.mkdir(parents=True)
    image = nibabel.Nifti1Image(np.arange(512, dtype=np.int16).reshape(8, 8, 8), np.eye(4))
    for role in ROLES:
        nibabel.save(image, tmp_path / "elsewhere" / "private" / f"{role}.nii")
        nibabel.save(image, tmp_path / "studies" / "honest" / f"{role}.nii")
        (tmp_path / "studies" / "files" / f"{role}.nii").symlink_to(tmp_path / "elsewhere" / "private" / f"{role}.nii")
    (tmp_path / "studies" / "folder").symlink_to(tmp_path / "elsewhere" / "private", target_is_directory=True)
    (tmp_path / "studies" / "inside").symlink_to(tmp_path / "studies" / "honest", target_is_directory=True)
    return tmp_path / "studies"


def test_links_out_of_the_folder_are_not_followed_if_so_wished(linked: Path) -> None:
    cases, problems = find_cases(linked, follow_out=False)
    assert [case.id for case in cases] == ["honest"]
    assert {problem.path.name for problem in problems} == {"folder", *(f"{role}.nii" for role in ROLES)}
    assert all("follow_links" in problem.message for problem in problems)
    assert not any("elsewhere" in problem.message for problem in problems)


def test_links_out_of_the_folder_are_followed_unless_told_otherwise(linked: Path) -> None:
    cases, problems = find_cases(linked)
    assert [case.id for case in cases] == ["files", "honest", "private"]
    assert problems == []


def test_the_folder_itself_may_be_a_link(linked: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(linked, target_is_directory=True)
    cases, _ = find_cases(tmp_path / "link", follow_out=False)
    assert [case.id for case in cases] == ["honest"]
