import nibabel
import nrrd
import numpy as np
import pytest
import SimpleITK as sitk

from tests import synthetic
from tests.training import rejected
from training.images.grid import Grid, Volume
from training.images.read import read_labelmap, read_volume
from training.images.write import EXPORT_ENDINGS, terminology_entry, write_labelmap, write_volume
from training.labels import LABELS

OBLIQUE = synthetic.oblique_grid((0.9, 1.1, 5.5), (60, 50, 12), degrees=(14.0, -9.0, 25.0), center=(3.0, 4.0, 5.0))
TRUTH = synthetic.truth(OBLIQUE)


@pytest.mark.parametrize("ending", EXPORT_ENDINGS)
def test_a_labelmap_keeps_values_and_position_also_as_itk_reads_it(tmp_path, ending):
    path = write_labelmap(TRUTH, tmp_path / f"seg{ending}")
    back = read_labelmap(path)
    assert np.array_equal(back.data, TRUTH.data)
    assert back.data.dtype == np.uint8
    assert back.grid.matches(OBLIQUE, tolerance_mm=1e-4)
    image = sitk.ReadImage(str(path))
    for index in [(0, 0, 0), (59, 0, 0), (0, 49, 0), (0, 0, 11), (20, 30, 5)]:
        point = np.array(image.TransformIndexToPhysicalPoint(index)) * [-1, -1, 1]
        assert np.allclose(point, OBLIQUE.affine[:3, :3] @ index + OBLIQUE.affine[:3, 3], atol=1e-3)
    write_labelmap(TRUTH, path, brats_values=True)
    raw = nibabel.Nifti1Image.from_filename(path).dataobj if "nii" in ending else nrrd.read(str(path))[0]
    assert set(np.unique(raw)) == {0, 1, 2, 4}
    if ending == ".seg.nrrd":
        assert np.array_equal(read_labelmap(path).data, TRUTH.data)  # by the segments' names


@pytest.mark.parametrize("data", [TRUTH.data, np.zeros_like(TRUTH.data)], ids=["labels", "empty"])
def test_a_seg_nrrd_carries_the_fields_slicer_reads(tmp_path, data):
    header = nrrd.read_header(str(write_labelmap(Volume(data, OBLIQUE), tmp_path / "case.seg.nrrd")))
    assert header["space"] == "left-posterior-superior"
    assert header["Segmentation_MasterRepresentation"] == "Binary labelmap"
    assert header["Segmentation_ContainedRepresentationNames"] == "Binary labelmap|"
    for number, label in enumerate(LABELS):
        prefix = f"Segment{number}_"
        assert header[prefix + "Name"] == label.name
        assert header[prefix + "LabelValue"] == str(label.value) == str(number + 1)
        assert (header[prefix + "Layer"], header[prefix + "Extent"]) == ("0", "0 59 0 49 0 11")
        assert [float(part) for part in header[prefix + "Color"].split()] == [part / 255 for part in label.color]
        assert header[prefix + "Tags"] == f"TerminologyEntry:{terminology_entry(label)}|"
        parts = terminology_entry(label).split("~")  # the seven parts Slicer expects
        assert ([part.count("^") for part in parts], parts[5]) == ([0, 2, 2, 2, 0, 2, 2], "SCT^12738006^Brain")
    assert len({header[f"Segment{number}_ID"] for number in range(3)}) == 3
    assert "Segment3_ID" not in header


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd"])
def test_a_float_map_is_written_without_loss_and_a_failed_write_keeps_it(tmp_path, ending, monkeypatch):
    data = np.random.default_rng(0).random(OBLIQUE.shape).astype(np.float32)
    path = write_volume(Volume(data, OBLIQUE), tmp_path / f"map{ending}")
    monkeypatch.setattr("training.atomic.os.replace", None)
    with pytest.raises(TypeError):
        write_volume(Volume(data + 1, OBLIQUE), path)
    back = read_volume(path)
    assert np.array_equal(back.data, data)
    assert back.grid.matches(OBLIQUE, tolerance_mm=1e-4)
    assert list(tmp_path.iterdir()) == [path]


def test_unknown_endings_and_values_are_rejected_and_a_sheared_affine_is_kept_without_a_false_qform(tmp_path):
    floats = Volume(np.zeros(OBLIQUE.shape, np.float32), OBLIQUE)
    with rejected("is for labels"):
        write_volume(floats, tmp_path / "map.seg.nrrd")
    with rejected(r"choose one of \.nii\.gz"):
        write_labelmap(TRUTH, tmp_path / "seg.png")
    for wrong in (Volume(np.full(OBLIQUE.shape, 4, np.uint8), OBLIQUE), floats):
        with pytest.raises(ValueError, match="integers from 0 to 3"):
            write_labelmap(wrong, tmp_path / "seg.nii")
    assert list(tmp_path.iterdir()) == []
    affine = OBLIQUE.affine.copy()
    affine[:3, 1] += 0.3 * affine[:3, 0]
    volume = Volume(np.zeros(OBLIQUE.shape, np.uint8), Grid(OBLIQUE.shape, affine))
    path = write_labelmap(volume, tmp_path / "seg.nii")
    assert read_labelmap(path).grid.matches(volume.grid)
    assert int(nibabel.Nifti1Image.from_filename(path).header["qform_code"]) == 0
