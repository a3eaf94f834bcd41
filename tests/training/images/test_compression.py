import gzip
import io
import zlib

import pytest

from training.images.compression import DAMAGED, gzip_reader, gzip_writer, zlib_decompressor

CONTENT = bytes(range(256)) * 4000 + bytes(100_000)


def _written(path, compress=True):
    with open(path, "wb") as file, gzip_writer(file, compress=compress) as stream:
        stream.write(CONTENT[:1000])
        stream.write(memoryview(CONTENT)[1000:])
    return path.read_bytes()


@pytest.mark.parametrize("compress", [True, False])
def test_any_program_reads_what_is_written_and_the_same_content_gives_the_same_file(tmp_path, compress):
    packed = _written(tmp_path / "one.gz", compress)
    assert gzip.decompress(packed) == CONTENT
    assert packed == _written(tmp_path / "other.gz", compress)
    assert (len(packed) < len(CONTENT)) == compress


def test_what_other_programs_have_written_is_read_in_several_parts_as_well(tmp_path):
    parts = gzip.compress(CONTENT, 9) + gzip.compress(b"more", 1)
    (tmp_path / "two.gz").write_bytes(parts)
    assert gzip_reader(tmp_path / "two.gz").read() == gzip_reader(io.BytesIO(parts)).read() == CONTENT + b"more"
    assert zlib_decompressor().decompress(zlib.compress(CONTENT)) == CONTENT
    assert zlib_decompressor().decompress(gzip.compress(CONTENT), 10) == CONTENT[:10]


@pytest.mark.parametrize("place", [50, -6])
@pytest.mark.parametrize("damage", ["cut off", "altered"])
def test_damaged_data_is_an_error_in_the_voxels_and_in_the_checksum(tmp_path, damage, place):
    packed = bytearray(_written(tmp_path / "file.gz"))
    if damage == "cut off":
        del packed[place:]
    else:
        packed[place] ^= 0xFF
    with pytest.raises(DAMAGED):
        gzip_reader(io.BytesIO(bytes(packed))).read()
