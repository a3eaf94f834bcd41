import nrrd
import numpy as np
import pytest
import SimpleITK as sitk

from tests import synthetic
from training.errors import InputError
from training.images.read import count_channels, read_grid, read_labelmap, read_volume

GRID = synthetic.oblique_grid((0.9, 1.1, 3.0), (12, 10, 6), degrees=(12.0, -8.0, 20.0))


def lps(grid):
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ grid.affine


def write_nrrd(path, data, grid, *, space="left-posterior-superior", list_axis=None, **fields):
    affine = lps(grid) if space.startswith("left-post") else grid.affine
    directions = affine[:3, :3].T
    kinds = ["domain"] * 3
    if list_axis is not None:
        directions = np.insert(directions, list_axis, np.nan, axis=0)
        kinds.insert(list_axis, "list")
    header = {"space": space, "space directions": directions, "space origin": affine[:3, 3], "kinds": kinds}
    nrrd.write(str(path), data, {**header, **fields})
    return path


def test_a_nrrd_lies_where_itk_puts_it(tmp_path):
    data = np.arange(12 * 10 * 6, dtype=np.int16).reshape(12, 10, 6)
    path = write_nrrd(tmp_path / "t1.nrrd", data, GRID)
    volume = read_volume(path)
    assert np.array_equal(volume.data, data)
    assert volume.grid.matches(GRID)
    point = (3, 7, 2)
    by_itk = np.array(sitk.ReadImage(str(path)).TransformIndexToPhysicalPoint(point)) * [-1, -1, 1]
    assert np.allclose(volume.grid.affine[:3, :3] @ point + volume.grid.affine[:3, 3], by_itk, atol=1e-4)


def test_a_nrrd_in_ras_lies_at_the_same_place(tmp_path):
    data = np.zeros((12, 10, 6), np.int16)
    path = write_nrrd(tmp_path / "t1.nrrd", data, GRID, space="right-anterior-superior")
    assert read_grid(path).matches(GRID)


@pytest.mark.parametrize("axis", [0, 3])
def test_a_list_axis_counts_volumes_wherever_it_stands(tmp_path, axis):
    data = np.arange(12 * 10 * 6 * 4, dtype=np.int16).reshape(12, 10, 6, 4)
    path = write_nrrd(tmp_path / "four.nrrd", np.moveaxis(data, 3, axis), GRID, list_axis=axis)
    assert count_channels(path) == 4
    volume = read_volume(path, channel=2)
    assert np.array_equal(volume.data, data[..., 2])
    assert volume.grid.matches(GRID)


@pytest.mark.parametrize("field", ["space", "space directions", "space origin"])
def test_a_nrrd_without_a_position_is_refused_by_name_and_field(tmp_path, field):
    path = write_nrrd(tmp_path / "t1.nrrd", np.zeros((12, 10, 6), np.int16), GRID)
    kept = [line for line in path.read_bytes().split(b"\n") if not line.startswith(field.encode() + b":")]
    path.write_bytes(b"\n".join(kept))
    with pytest.raises(InputError, match=rf"t1\.nrrd.*{field}"):
        read_volume(path)


def test_text_and_cut_off_nrrd_files_are_refused_by_name(tmp_path):
    (tmp_path / "t1.nrrd").write_text("hello\n")
    with pytest.raises(InputError, match=r"t1\.nrrd is not a NRRD file"):
        read_volume(tmp_path / "t1.nrrd")
    data = np.random.default_rng(0).integers(0, 1000, (12, 10, 6)).astype(np.int16)
    path = write_nrrd(tmp_path / "t2.nrrd", data, GRID)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"t2\.nrrd is cut off or damaged"):
        read_volume(path)


def segments(*rows):
    fields: dict[str, str] = {}
    for number, (name, layer, value) in enumerate(rows):
        prefix = f"Segment{number}_"
        fields |= {prefix + "ID": f"Segment_{number}", prefix + "Name": name}
        fields |= {prefix + "Layer": str(layer), prefix + "LabelValue": str(value)}
    return fields


def test_segments_of_slicer_get_their_values_by_name_not_by_position(tmp_path):
    data = np.zeros((12, 10, 6), np.uint8)
    data[:4], data[4:8] = 1, 2
    names = segments(("enhancing tumor", 0, 1), ("Peritumoral Edema", 0, 2))
    path = write_nrrd(tmp_path / "x.seg.nrrd", data, GRID, **names)
    labelmap = read_labelmap(path)
    assert set(np.unique(labelmap.data[:4])) == {3}
    assert set(np.unique(labelmap.data[4:8])) == {2}


def test_overlapping_layers_of_slicer_are_merged_later_segments_on_top(tmp_path):
    data = np.zeros((12, 10, 6, 2), np.uint8)
    data[:8, ..., 0] = 1
    data[4:, ..., 1] = 1
    names = segments(("peritumoral edema", 0, 1), ("necrotic core", 1, 1))
    path = write_nrrd(tmp_path / "x.seg.nrrd", np.moveaxis(data, 3, 0), GRID, list_axis=0, **names)
    labelmap = read_labelmap(path)
    assert set(np.unique(labelmap.data[:4])) == {2}
    assert set(np.unique(labelmap.data[4:])) == {1}


def test_segments_with_foreign_names_keep_the_values_of_the_file(tmp_path):
    data = np.zeros((12, 10, 6), np.uint8)
    data[:4] = 3
    path = write_nrrd(tmp_path / "x.seg.nrrd", data, GRID, **segments(("Segment_1", 0, 3)))
    assert set(np.unique(read_labelmap(path).data)) == {0, 3}


@pytest.mark.parametrize("ending", [".mha", ".mhd", ".nii.gz", ".nrrd"])
def test_what_itk_writes_is_read_with_the_same_place(tmp_path, ending):
    data = np.arange(12 * 10 * 6, dtype=np.int16).reshape(12, 10, 6)
    image = sitk.GetImageFromArray(np.ascontiguousarray(data.T))
    affine = lps(GRID)
    image.SetSpacing(GRID.spacing)
    image.SetDirection((affine[:3, :3] / np.array(GRID.spacing)).ravel().tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    sitk.WriteImage(image, str(tmp_path / f"t1{ending}"))
    volume = read_volume(tmp_path / f"t1{ending}")
    assert np.array_equal(volume.data, data)
    assert volume.grid.matches(GRID)


def test_junk_in_another_format_is_refused_by_name(tmp_path):
    (tmp_path / "t1.mha").write_text("hello\n")
    with pytest.raises(InputError, match=r"t1\.mha is not a readable image"):
        read_volume(tmp_path / "t1.mha")


def test_an_uploaded_header_cannot_have_another_file_read_as_voxels(tmp_path):
    (tmp_path / "secret.bin").write_bytes(bytes(range(256)) * 4)
    (tmp_path / "in").mkdir()
    lines = ["NRRD0005", "type: uint8", "dimension: 3", "space: RAS", "sizes: 8 8 8", "encoding: raw"]
    lines += ["space directions: (1,0,0) (0,1,0) (0,0,1)", "space origin: (0,0,0)", "data file: ../secret.bin", "", ""]
    for ending in (".nrrd", ".nhdr"):
        (tmp_path / "in" / f"t1{ending}").write_text("\n".join(lines))
        with pytest.raises(InputError, match="points to another file"):
            read_volume(tmp_path / "in" / f"t1{ending}")
    meta = "NDims = 3\nDimSize = 8 8 8\nElementType = MET_UCHAR\nElementDataFile = ../secret.bin\n"
    for ending in (".mha", ".mhd"):
        (tmp_path / "in" / f"t1{ending}").write_text(meta)
        with pytest.raises(InputError, match="points to another file"):
            read_volume(tmp_path / "in" / f"t1{ending}")


def test_a_header_that_would_crash_itk_is_refused_before_it_gets_there(tmp_path):
    (tmp_path / "t1.mha").write_text("NDims = 83\nTransformMatrix = 1 0 0\nElementDataFile = LOCAL\n")
    with pytest.raises(InputError, match="NDims"):
        read_volume(tmp_path / "t1.mha")


@pytest.mark.parametrize("format", [".nii", ".nii.gz", ".nrrd", ".seg.nrrd", ".mha"])
def test_files_damaged_at_random_are_read_or_refused_by_name(tmp_path, format):
    from training.images.write import write_labelmap

    good = tmp_path / f"good{format}"
    if format == ".mha":
        sitk.WriteImage(sitk.GetImageFromArray(np.ones((6, 10, 12), np.int16)), str(good))
    else:
        write_labelmap(synthetic.truth(GRID), good)
    content = good.read_bytes()
    rng = np.random.default_rng(7)
    path = tmp_path / f"bad{format}"
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
