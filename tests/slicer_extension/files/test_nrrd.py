import contextlib
import gzip
import resource
import threading

import numpy as np
import pytest
from TumorLoopLib.client.errors import Cancelled, LocalFileError
from TumorLoopLib.files.nrrd import read_nrrd, write_nrrd

from tests.slicer_extension.scene.nodes import SHAPE, image, oblique

TYPES = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"]
PLAIN = (
    "NRRD0004\n# a note\ntype: short\ndimension: 3\nspace: left-posterior-superior\nsizes: 2 3 4\n"
    "space directions: (1,0,0) (0,2,0) (0,0,3)\nkinds: domain domain domain\nendian: little\nencoding: raw\n"
    "space origin: (10,20,30)\nmade by:=hand\n\n"
)
VOXELS = np.arange(24, dtype="<i2").reshape(4, 3, 2)


def write_plain(path, header=PLAIN, voxels=VOXELS.tobytes()):
    path.write_bytes(header.encode() + voxels)
    return path


@pytest.mark.parametrize("dtype", TYPES)
def test_voxels_and_place_come_back_as_they_were(tmp_path, dtype):
    array = image().astype(dtype)
    write_nrrd(tmp_path / "a.nrrd", array, oblique())
    back, ijk_to_ras = read_nrrd(tmp_path / "a.nrrd")
    assert back.dtype == array.dtype
    assert np.array_equal(back, array)
    assert np.array_equal(ijk_to_ras, oblique())
    assert back.flags.writeable
    assert back.flags.c_contiguous


def test_booleans_are_written_as_bytes(tmp_path):
    write_nrrd(tmp_path / "a.nrrd", image() > 300, np.eye(4))
    assert np.array_equal(read_nrrd(tmp_path / "a.nrrd")[0], (image() > 300).astype(np.uint8))


def test_any_memory_layout_and_byte_order_is_written_right(tmp_path):
    array = image().astype(">i2").transpose(2, 0, 1)[::-1]
    write_nrrd(tmp_path / "a.nrrd", array, np.eye(4))
    assert np.array_equal(read_nrrd(tmp_path / "a.nrrd")[0], array)


def test_the_same_volume_gives_the_same_bytes(tmp_path):
    for name in ("a.nrrd", "b.nrrd"):
        write_nrrd(tmp_path / name, image(), oblique())
    assert (tmp_path / "a.nrrd").read_bytes() == (tmp_path / "b.nrrd").read_bytes()


def test_a_plain_file_is_read(tmp_path):
    array, ijk_to_ras = read_nrrd(write_plain(tmp_path / "a.nrrd"))
    assert np.array_equal(array, VOXELS)
    assert np.array_equal(ijk_to_ras, [[-1, 0, 0, -10], [0, -2, 0, -20], [0, 0, 3, 30], [0, 0, 0, 1]])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("space: left-posterior-superior", "space: LPS"),
        ("type: short", "type: int16"),
        ("\n", "\r\n"),
        ("(1,0,0) (0,2,0) (0,0,3)", "(1, 0, 0)  (0, 2.0, 0) (0,0,3e0)"),
    ],
)
def test_spellings_that_mean_the_same_are_read_the_same(tmp_path, old, new):
    array, ijk_to_ras = read_nrrd(write_plain(tmp_path / "a.nrrd", PLAIN.replace(old, new)))
    assert np.array_equal(array, VOXELS)
    assert ijk_to_ras[1, 1] == -2


@pytest.mark.parametrize(("space", "signs"), [("right-anterior-superior", (1, 1, 1)), ("LAS", (-1, 1, 1))])
def test_other_spaces_are_turned_to_ras(tmp_path, space, signs):
    _array, ijk_to_ras = read_nrrd(write_plain(tmp_path / "a.nrrd", PLAIN.replace("left-posterior-superior", space)))
    assert np.array_equal(np.diag(ijk_to_ras)[:3], np.array(signs) * (1, 2, 3))


def test_big_endian_voxels_are_read(tmp_path):
    path = write_plain(tmp_path / "a.nrrd", PLAIN.replace("little", "big"), VOXELS.astype(">i2").tobytes())
    assert np.array_equal(read_nrrd(path)[0], VOXELS)
    assert read_nrrd(path)[0].dtype.isnative


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("NRRD0004", "NOPE0004", "is not a NRRD file"),
        ("dimension: 3", "dimension: 4", "it has 4 axes"),
        ("type: short", "type: block", "'type: block'"),
        ("type: short\n", "", "no 'type'"),
        ("sizes: 2 3 4", "sizes: 2 3", "'sizes: 2 3'"),
        ("sizes: 2 3 4", "sizes: 2 -3 4", "'sizes: 2 -3 4'"),
        ("sizes: 2 3 4", "sizes: 2 three 4", "'sizes: 2 three 4'"),
        ("sizes: 2 3 4", "sizes: 2000000 3000000 4000000", "cannot hold"),
        ("sizes: 2 3 4", f"sizes: 1 1 {10**400}", "'sizes"),
        ("sizes: 2 3 4", "sizes: 2 3 5", "cannot hold"),
        ("sizes: 2 3 4", "sizes: 2 3 3", "more voxels than its header says"),
        ("endian: little\n", "", "no 'endian'"),
        ("endian: little", "endian: middle", "'endian: middle'"),
        ("encoding: raw", "encoding: bzip2", "'encoding: bzip2'"),
        ("space: left", "space: scanner-left", "'space: scanner-left"),
        ("space origin: (10,20,30)", "space origin: (10,20)", "'space origin: "),
        ("space origin: (10,20,30)", "space origin: (10,nan,30)", "'space origin: "),
        ("(0,0,3)", "none", "'space directions: "),
        ("(0,0,3)", "(0,0,0)", "'space directions: "),
        ("(0,0,3)", "(0,1,0)", "'space directions: "),
        ("made by:=hand", "data file: a.raw", "another file"),
        ("made by:=hand", "byte skip: -1", "'byte skip: -1'"),
        ("hand\n\n", "hand\n", "header does not end"),
    ],
)
def test_a_header_that_cannot_be_used_is_named_with_its_field(tmp_path, old, new, message):
    path = write_plain(tmp_path / "sent.nrrd", PLAIN.replace(old, new), b"" if new == "hand\n" else VOXELS.tobytes())
    with pytest.raises(LocalFileError, match=message.replace("(", r"\(")) as caught:
        read_nrrd(path)
    assert "sent.nrrd" in caught.value.message


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9, 0.999])
def test_a_cut_file_is_an_error_wherever_it_was_cut(tmp_path, kept):
    path = tmp_path / "a.nrrd"
    write_nrrd(path, image(), oblique())
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(LocalFileError, match=r"a\.nrrd is (cut off|damaged)"):
        read_nrrd(path)


@pytest.mark.parametrize("missing", [1, 4, 8, 9])
def test_a_file_without_its_check_sum_is_cut_off(tmp_path, missing):
    path = tmp_path / "a.nrrd"
    write_nrrd(path, image(), oblique())
    path.write_bytes(path.read_bytes()[:-missing])
    with pytest.raises(LocalFileError, match="cut off"):
        read_nrrd(path)


def test_a_flipped_bit_in_the_voxels_is_found(tmp_path):
    path = tmp_path / "a.nrrd"
    write_nrrd(path, image(), oblique())
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    with pytest.raises(LocalFileError, match=r"damaged|cut off"):
        read_nrrd(path)


def test_a_file_that_unpacks_to_more_than_it_says_is_refused_before_it_fills_the_memory(tmp_path):
    bomb = gzip.compress(b"\0" * 50_000_000)
    path = write_plain(tmp_path / "a.nrrd", PLAIN.replace("encoding: raw", "encoding: gzip"), bomb)
    with pytest.raises(LocalFileError, match="more voxels"):
        read_nrrd(path)


def test_an_absent_file_says_so(tmp_path):
    with pytest.raises(LocalFileError, match=r"gone\.nrrd cannot be read: No such file"):
        read_nrrd(tmp_path / "gone.nrrd")


def test_a_place_that_cannot_be_written_says_so(tmp_path):
    with pytest.raises(LocalFileError, match=r"cannot be written"):
        write_nrrd(tmp_path / "no such folder" / "a.nrrd", image(), np.eye(4))


@contextlib.contextmanager
def full_disk():
    """Files of this process end at 20 kB, as on a disk that is full; pytest's own output may be a file too."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_fills_up_leaves_no_half_file(tmp_path):
    with full_disk(), pytest.raises(LocalFileError, match=r"cannot be written: File too large\. Is the disk full\?"):
        write_nrrd(tmp_path / "a.nrrd", image((64, 64, 64)), np.eye(4))
    assert list(tmp_path.iterdir()) == []


def test_cancel_ends_the_writing_and_removes_the_file(tmp_path):
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        write_nrrd(tmp_path / "a.nrrd", image(), np.eye(4), cancel=cancel)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("array", [np.zeros((3, 3)), np.zeros((2, 2, 2), complex), np.zeros((2, 2, 2), np.float16)])
def test_what_is_no_volume_is_not_written(tmp_path, array):
    with pytest.raises(ValueError, match="a volume has three axes"):
        write_nrrd(tmp_path / "a.nrrd", array, np.eye(4))


def test_an_affine_that_is_none_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="4x4 finite"):
        write_nrrd(tmp_path / "a.nrrd", np.zeros(SHAPE), np.full((4, 4), np.nan))
