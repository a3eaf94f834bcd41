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


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.nrrd"


@pytest.fixture
def written(path):
    """A file as the panel writes it."""
    write_nrrd(path, image(), oblique())
    return path


def read_plain(path, header=PLAIN, voxels=VOXELS.tobytes()):
    path.write_bytes(header.encode() + voxels)
    return read_nrrd(path)


def damaged(path, content, words="cut off"):
    path.write_bytes(content)
    with pytest.raises(LocalFileError, match=words):
        read_nrrd(path)


@pytest.mark.parametrize("dtype", TYPES)
def test_voxels_and_geometry_come_back_as_they_were(path, dtype):
    array = image().astype(dtype)
    write_nrrd(path, array, oblique())
    content = path.read_bytes()
    back, ijk_to_ras = read_nrrd(path)
    assert (back.dtype, back.flags.writeable, back.flags.c_contiguous) == (array.dtype, True, True)
    assert np.array_equal(back, array)
    assert np.array_equal(ijk_to_ras, oblique())
    write_nrrd(path, array, oblique())
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("old", "new", "signs"),
    [
        ("", "", (-1, -1, 1)),
        ("space: left-posterior-superior", "space: LPS", (-1, -1, 1)),
        ("left-posterior-superior", "right-anterior-superior", (1, 1, 1)),
        ("left-posterior-superior", "LAS", (-1, 1, 1)),
        ("type: short", "type: int16", (-1, -1, 1)),
        ("\n", "\r\n", (-1, -1, 1)),
        ("(1,0,0) (0,2,0) (0,0,3)", "(1, 0, 0)  (0, 2.0, 0) (0,0,3e0)", (-1, -1, 1)),
    ],
)
def test_plain_files_are_read_in_all_spellings_and_turned_to_ras(path, old, new, signs):
    array, ijk_to_ras = read_plain(path, PLAIN.replace(old, new) if old else PLAIN)
    assert np.array_equal(array, VOXELS)
    i, j, k = signs
    assert np.array_equal(ijk_to_ras, [[i, 0, 0, 10 * i], [0, 2 * j, 0, 20 * j], [0, 0, 3 * k, 30 * k], [0, 0, 0, 1]])


def test_booleans_and_any_memory_layout_and_byte_order_are_written_and_read_right(path):
    write_nrrd(path, image() > 300, np.eye(4))
    assert np.array_equal(read_nrrd(path)[0], (image() > 300).astype(np.uint8))
    array = image().astype(">i2").transpose(2, 0, 1)[::-1]
    write_nrrd(path, array, np.eye(4))
    assert np.array_equal(read_nrrd(path)[0], array)
    array = read_plain(path, PLAIN.replace("little", "big"), VOXELS.astype(">i2").tobytes())[0]
    assert np.array_equal(array, VOXELS)
    assert array.dtype.isnative


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
def test_a_header_that_cannot_be_used_is_named_with_its_field(path, old, new, message):
    with pytest.raises(LocalFileError, match=message.replace("(", r"\(")) as caught:
        read_plain(path, PLAIN.replace(old, new), b"" if new == "hand\n" else VOXELS.tobytes())
    assert "a.nrrd" in caught.value.message


def test_a_file_that_is_cut_anywhere_or_has_a_flipped_bit_or_unpacks_to_more_than_it_says_is_refused(written):
    content = written.read_bytes()
    for kept in (0.3, 0.6, 0.9, 0.999):
        damaged(written, content[: int(len(content) * kept)], r"a\.nrrd is (cut off|damaged)")
    for missing in (1, 4, 8, 9):  # all voxels, but not the whole check sum
        damaged(written, content[:-missing])
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 4
    damaged(written, flipped, "damaged|cut off")
    bomb = PLAIN.replace("encoding: raw", "encoding: gzip").encode() + gzip.compress(b"\0" * 50_000_000)
    damaged(written, bomb, "more voxels")  # before it fills the memory


@contextlib.contextmanager
def full_disk():
    """Files of this process end at 20 kB, as on a disk that is full; pytest's own output may be a file too."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_cannot_be_read_or_written_says_so_and_a_full_disk_or_cancel_leave_no_half_file(path):
    with pytest.raises(LocalFileError, match=r"a\.nrrd cannot be read: No such file"):
        read_nrrd(path)
    with pytest.raises(LocalFileError, match=r"cannot be written"):
        write_nrrd(path / "a.nrrd", image(), np.eye(4))
    with full_disk(), pytest.raises(LocalFileError, match=r"cannot be written: File too large\. Is the disk full\?"):
        write_nrrd(path, image((64, 64, 64)), np.eye(4))
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        write_nrrd(path, image(), np.eye(4), cancel=cancel)
    for array in (np.zeros((3, 3)), np.zeros((2, 2, 2), complex), np.zeros((2, 2, 2), np.float16)):
        with pytest.raises(ValueError, match="a volume has three axes"):
            write_nrrd(path, array, np.eye(4))
    with pytest.raises(ValueError, match="4x4 finite"):
        write_nrrd(path, np.zeros(SHAPE), np.full((4, 4), np.nan))
    assert list(path.parent.iterdir()) == []
