"""DICOM SEG read as a labelmap: by the names and codes of its segments, or refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from tests.training.dicom.made_headers import SLICES, labelmap, series
from training.cases.label_files import read_label
from training.dicom.seg import Origin, write_seg
from training.dicom.seg_read import read_seg
from training.errors import InputError
from training.images.lattice import on_grid


def changed(folder: Path, change: Callable[[Dataset], None], encoding: str = "binary") -> Path:
    """Return a DICOM SEG in which something was changed."""
    path = write_seg(labelmap(), series(), folder / "seg.dcm", origin=Origin("v0001"), encoding=encoding)
    dataset = pydicom.dcmread(path)
    change(dataset)
    dataset.save_as(path)
    return path


@pytest.mark.parametrize("encoding", ["binary", "labelmap"])
def test_what_was_written_is_read_on_the_slices_from_the_first_to_the_last_frame(encoding: str, tmp_path: Path) -> None:
    label = labelmap()
    path = write_seg(label, series(), tmp_path / "seg.dcm", origin=Origin("v0001"), encoding=encoding)
    found, reading = read_label(path)
    assert found.grid.shape[2] == SLICES - 1  # the first slice holds nothing
    placed = on_grid(found, label.grid)
    assert placed is not None
    assert np.array_equal(placed.data, label.data)
    assert str(reading) == "segment names (by its segments)"


def test_the_code_decides_where_the_name_says_nothing(tmp_path: Path) -> None:
    def unnamed(dataset: Dataset) -> None:
        for number, segment in enumerate(dataset.SegmentSequence):
            segment.SegmentLabel = f"Segment_{number}"

    found = read_seg(changed(tmp_path, unnamed))
    assert np.array_equal(found.data, labelmap().data[..., 1:])


def test_segments_in_another_order_are_told_by_their_names(tmp_path: Path) -> None:
    def swapped(dataset: Dataset) -> None:
        first, second = dataset.SegmentSequence[0], dataset.SegmentSequence[1]
        first.SegmentNumber, second.SegmentNumber = 2, 1
        dataset.SegmentSequence = [second, first, dataset.SegmentSequence[2]]

    expected = labelmap().data[..., 1:]
    found = read_seg(changed(tmp_path, swapped))
    assert np.array_equal(found.data, np.array([0, 2, 1, 3], np.uint8)[expected])


@pytest.mark.parametrize("encoding", ["binary", "labelmap"])
def test_a_segment_that_is_none_of_the_labels_is_refused_by_name(encoding: str, tmp_path: Path) -> None:
    def renamed(dataset: Dataset) -> None:
        dataset.SegmentSequence[-1].SegmentLabel = "Glioma"

    with pytest.raises(InputError, match=r"the segment 'Glioma' \(.* mL\) is none of the labels") as caught:
        read_label(changed(tmp_path, renamed, encoding))
    assert caught.value.field == "label"


def as_fractions(dataset: Dataset, most: int) -> None:
    pixels = dataset.pixel_array.astype(np.uint8)
    dataset.SegmentationType, dataset.MaximumFractionalValue = "FRACTIONAL", 200
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    data = (pixels * most).tobytes()
    dataset.PixelData = data + b"\0" * (len(data) % 2)


def test_fractions_of_nothing_and_all_are_labels_and_others_are_refused(tmp_path: Path) -> None:
    found = read_seg(changed(tmp_path, lambda dataset: as_fractions(dataset, 200)))
    assert np.array_equal(found.data, labelmap().data[..., 1:])
    with pytest.raises(InputError, match="holds probabilities or fractions"):
        read_seg(changed(tmp_path, lambda dataset: as_fractions(dataset, 150)))


def test_a_background_of_another_number_is_no_segment(tmp_path: Path) -> None:
    def padded(dataset: Dataset) -> None:
        pixels = dataset.pixel_array.copy()
        pixels[pixels == 0] = 255
        dataset.PixelPaddingValue = dataset.SegmentSequence[0].SegmentNumber = 255
        dataset.PixelData = pixels.tobytes()

    found = read_seg(changed(tmp_path, padded, "labelmap"))
    assert np.array_equal(found.data, labelmap().data[..., 1:])


def test_an_image_and_a_file_that_is_no_dicom_are_refused(tmp_path: Path) -> None:
    def image(dataset: Dataset) -> None:
        dataset.SOPClassUID, dataset.Modality = "1.2.840.10008.5.1.4.1.1.4", "MR"

    with pytest.raises(InputError, match="is no DICOM SEG; its modality is MR"):
        read_seg(changed(tmp_path, image))
    other = tmp_path / "other.dcm"
    other.write_bytes(b"nothing")
    with pytest.raises(InputError, match="cannot be read as DICOM"):
        read_seg(other)


def test_a_deflated_file_which_may_hold_more_than_the_memory_is_refused(tmp_path: Path) -> None:
    path = changed(tmp_path, lambda dataset: None)
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    dataset.save_as(path, write_like_original=False)
    with pytest.raises(InputError, match="deflated"):
        read_seg(path)


@pytest.mark.parametrize(
    "name",
    ["SegmentSequence", "PixelData", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "Rows"],
)
def test_a_file_without_what_a_segmentation_must_have_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="damaged") as caught:
        read_seg(changed(tmp_path, lambda dataset: delattr(dataset, name)))
    assert caught.value.field == "label"


def test_a_file_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    path = changed(tmp_path, lambda dataset: None)
    content = path.read_bytes()
    for length in (len(content) - 20, len(content) // 2, 400, 140):
        path.write_bytes(content[:length])
        with pytest.raises(InputError):
            read_seg(path)


def test_frames_that_are_no_volume_are_refused(tmp_path: Path) -> None:
    def moved(dataset: Dataset) -> None:
        position = dataset.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0]
        position.ImagePositionPatient = [
            float(position.ImagePositionPatient[0]) + 40,
            *position.ImagePositionPatient[1:],
        ]

    with pytest.raises(InputError, match="not evenly spaced"):
        read_seg(changed(tmp_path, moved))
