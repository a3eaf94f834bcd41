"""DICOM SEG written: attributes, references, frames, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pydicom_seg
import pytest
from pydicom.dataset import Dataset

from tests.training.dicom.made_headers import COLUMNS, ROWS, SLICES, instance, labelmap, multiframe, series
from training.dicom.headers import SourceHeaders
from training.dicom.seg import Origin, segmentation, write_seg
from training.errors import InputError
from training.images.grid import Grid, Volume
from training.images.lattice import on_grid
from training.images.read import read_labelmap
from training.labels import LABELS

TIME = "2026-11-30T12:00:00+00:00"
AUTOMATIC = Origin("v0001", time=TIME)
ENCODINGS = ("binary", "labelmap")


def written(label: Volume, folder: Path, headers: SourceHeaders | None = None, **options: str) -> Dataset:
    return pydicom.dcmread(write_seg(label, headers or series(), folder / "seg.dcm", origin=AUTOMATIC, **options))


def planes(dataset: Dataset) -> np.ndarray:
    """Return the labelmap as (z, y, x), put together by hand from the frames and the images that they refer to."""
    result = np.zeros((SLICES, ROWS, COLUMNS), np.uint8)
    frames = dataset.pixel_array.reshape(-1, ROWS, COLUMNS)
    for frame, group in zip(frames, dataset.PerFrameFunctionalGroupsSequence, strict=True):
        source = group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        plane = result[int(source.rpartition(".")[2]) - 1]
        if "SegmentIdentificationSequence" in group:
            plane[frame > 0] = group.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        else:
            plane[:] = frame
    return result


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_frames_hold_the_labels_of_the_images_that_they_refer_to(encoding: str, tmp_path: Path) -> None:
    label = labelmap()
    assert np.array_equal(planes(written(label, tmp_path, encoding=encoding)), label.data.transpose(2, 1, 0))


def test_two_readers_give_the_labelmap_back(tmp_path: Path) -> None:
    import highdicom

    label = labelmap()
    path = write_seg(label, series(), tmp_path / "seg.dcm", origin=AUTOMATIC)
    uids = [instance(number).SOPInstanceUID for number in range(SLICES)]
    read = highdicom.seg.segread(path)
    by_source = read.get_pixels_by_source_instance(uids, combine_segments=True, assert_missing_frames_are_empty=True)
    assert np.array_equal(by_source.transpose(2, 1, 0), label.data)
    image = pydicom_seg.MultiClassReader().read(pydicom.dcmread(path)).image
    # it begins with the first slice that holds labels
    start = np.array(image.TransformPhysicalPointToContinuousIndex(label_point(label.grid)))
    assert np.allclose(start, [0, 0, -1], atol=1e-3)
    import SimpleITK

    middle = SimpleITK.GetArrayFromImage(image)
    assert np.array_equal(middle.transpose(2, 1, 0), label.data[..., 1 : 1 + len(middle)])


def label_point(grid: Grid) -> list[float]:
    """Return where the first voxel lies, LPS mm."""
    return [float(value) for value in (-grid.affine[0, 3], -grid.affine[1, 3], grid.affine[2, 3])]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_frame_lies_where_its_image_does_and_counts_along_the_slices(encoding: str) -> None:
    dataset = segmentation(labelmap(), series(), origin=AUTOMATIC, encoding=encoding)
    by_uid = {source.SOPInstanceUID: source for source in series().datasets}
    for group in dataset.PerFrameFunctionalGroupsSequence:
        source = by_uid[group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID]
        assert group.PlanePositionSequence[0].ImagePositionPatient == source.ImagePositionPatient
        rank = group.FrameContentSequence[0].DimensionIndexValues
        rank = rank[-1] if encoding == "binary" else rank
        assert rank == {1: 1, 2: 2, 3: 3, 5: 4}[source.InstanceNumber - 1]
    shared = dataset.SharedFunctionalGroupsSequence[0]
    assert np.allclose(shared.PlaneOrientationSequence[0].ImageOrientationPatient, source.ImageOrientationPatient)
    measures = shared.PixelMeasuresSequence[0]
    assert (measures.SliceThickness, measures.SpacingBetweenSlices) == (5.0, 5.5)


def test_it_refers_to_every_image_of_its_series() -> None:
    dataset = segmentation(labelmap(), series(), origin=AUTOMATIC)
    (reference,) = dataset.ReferencedSeriesSequence
    assert reference.SeriesInstanceUID == "1.2.3.4"
    uids = [item.ReferencedSOPInstanceUID for item in reference.ReferencedInstanceSequence]
    assert uids == [f"1.2.3.4.{number}" for number in range(1, SLICES + 1)]


def test_patient_study_and_frame_of_reference_are_those_of_the_series(tmp_path: Path) -> None:
    dataset, source = written(labelmap(), tmp_path), instance(0)
    names = ["PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge", "PatientWeight", "StudyDate"]
    names += ["StudyInstanceUID", "StudyTime", "StudyID", "StudyDescription", "AccessionNumber", "FrameOfReferenceUID"]
    for name in (*names, "ReferringPhysicianName"):
        assert dataset[name].value == source[name].value, name
    assert dataset.SeriesInstanceUID != source.SeriesInstanceUID
    assert dataset.SeriesDescription == "TumorLoop v0001 (research only)"


def test_a_segment_has_the_codes_and_the_color_of_its_label() -> None:
    dataset = segmentation(labelmap(), series(), origin=AUTOMATIC)
    for segment, label in zip(dataset.SegmentSequence, LABELS, strict=True):
        assert (segment.SegmentNumber, segment.SegmentLabel) == (label.value, label.name)
        kind = segment.SegmentedPropertyTypeCodeSequence[0]
        assert (kind.CodeValue, kind.CodingSchemeDesignator) == (label.type.value, "SCT")
        assert segment.SegmentedPropertyCategoryCodeSequence[0].CodeValue == label.category.value
        assert segment.AnatomicRegionSequence[0].CodeMeaning == "Brain"
        assert np.allclose(rgb(segment.RecommendedDisplayCIELabValue), label.color, atol=1)


def rgb(lab: list[int]) -> np.ndarray:
    from skimage.color import lab2rgb

    lightness, a, b = (value / 0xFFFF for value in lab)
    return np.round(lab2rgb([100 * lightness, 255 * a - 128, 255 * b - 128]) * 255)


@pytest.mark.parametrize(
    ("origin", "kind", "version", "description"),
    [
        (Origin("v0002"), "AUTOMATIC", "v0002", "TumorLoop v0002 (research only)"),
        (Origin("v0002", edited=True), "SEMIAUTOMATIC", "v0002", "TumorLoop v0002, corrected (research only)"),
        (Origin(edited=True), "MANUAL", None, "TumorLoop, drawn by hand (research only)"),
    ],
)
def test_it_says_who_made_it(origin: Origin, kind: str, version: str | None, description: str) -> None:
    dataset = segmentation(labelmap(), series(), origin=origin)
    assert dataset.SeriesDescription == description
    for segment in dataset.SegmentSequence:
        assert segment.SegmentAlgorithmType == kind
        algorithms = segment.get("SegmentationAlgorithmIdentificationSequence", [])
        assert [(each.AlgorithmName, each.AlgorithmVersion) for each in algorithms] == (
            [("TumorLoop", version)] if version else []
        )


def test_the_author_is_the_content_creator() -> None:
    dataset = segmentation(labelmap(), series(), origin=Origin(edited=True, author="Änne Maria Sommer"))
    assert dataset.ContentCreatorName == "Sommer^Änne Maria"
    assert segmentation(labelmap(), series(), origin=AUTOMATIC).ContentCreatorName == "TumorLoop^"


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_same_result_is_the_same_file_also_from_stored_headers(encoding: str, tmp_path: Path) -> None:
    stored = SourceHeaders.from_json(series().to_json())
    files = []
    for number, headers in enumerate((series(), stored)):
        path = tmp_path / f"{number}.dcm"
        write_seg(labelmap(), headers, path, origin=AUTOMATIC, encoding=encoding)
        files.append(path.read_bytes())
    assert files[0] == files[1]


def test_another_result_is_another_instance() -> None:
    later = Origin("v0001", time="2026-11-30T12:00:01+00:00")
    made = [
        segmentation(labelmap(), series(), origin=AUTOMATIC),
        segmentation(labelmap(seed=1), series(), origin=AUTOMATIC),
        segmentation(labelmap(), series(), origin=later),
        segmentation(labelmap(), series(), origin=AUTOMATIC, encoding="labelmap"),
    ]
    assert (
        len({dataset.SOPInstanceUID for dataset in made}) == len({dataset.SeriesInstanceUID for dataset in made}) == 4
    )


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_segment_without_voxels_is_there_and_empty(encoding: str, tmp_path: Path) -> None:
    label = labelmap(without=3)
    dataset = written(label, tmp_path, encoding=encoding)
    assert [segment.SegmentNumber for segment in dataset.SegmentSequence][-3:] == [1, 2, 3]
    assert np.array_equal(planes(dataset), label.data.transpose(2, 1, 0))


@pytest.mark.parametrize(("encoding", "frames"), [("binary", 3), ("labelmap", 1)])
def test_no_tumor_at_all_is_a_segmentation_of_empty_frames(encoding: str, frames: int, tmp_path: Path) -> None:
    nothing = Volume(np.zeros_like(labelmap().data), labelmap().grid)
    dataset = written(nothing, tmp_path, encoding=encoding)
    assert dataset.NumberOfFrames == len(dataset.PerFrameFunctionalGroupsSequence) == frames
    assert not dataset.pixel_array.any()


def test_a_frame_of_a_multi_frame_image_is_referred_to_by_its_number() -> None:
    label = labelmap()
    dataset = segmentation(label, multiframe(), origin=AUTOMATIC, encoding="labelmap")
    (reference,) = dataset.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    assert reference.ReferencedSOPInstanceUID == "1.2.3.4.1"
    frames = [
        group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber
        for group in dataset.PerFrameFunctionalGroupsSequence
    ]
    assert frames == [multiframe().frames[plane] for plane in (1, 2, 3, 5)]
    pixels = np.frombuffer(dataset.PixelData, np.uint8)[: 4 * ROWS * COLUMNS].reshape(4, ROWS, COLUMNS)
    assert np.array_equal(pixels, label.data.transpose(2, 1, 0)[[1, 2, 3, 5]])


def test_a_labelmap_with_other_axes_lies_on_the_same_voxels() -> None:
    label = labelmap()
    turned = label.grid.affine @ np.array(
        [[-1, 0, 0, COLUMNS - 1], [0, 1, 0, 0], [0, 0, -1, SLICES - 1], [0, 0, 0, 1.0]]
    )
    flipped = Volume(label.data[::-1, :, ::-1].copy(), Grid(label.grid.shape, turned))
    assert (
        segmentation(flipped, series(), origin=AUTOMATIC).SOPInstanceUID
        == segmentation(label, series(), origin=AUTOMATIC).SOPInstanceUID
    )


def test_a_labelmap_of_another_grid_is_refused_with_the_difference() -> None:
    label = labelmap()
    shifted = label.grid.affine.copy()
    shifted[:3, 3] += 0.4
    with pytest.raises(InputError, match=r"corner voxels lie up to 0\.69 mm apart.*seg\.nrrd") as caught:
        segmentation(Volume(label.data, Grid(label.grid.shape, shifted)), series(), origin=AUTOMATIC)
    assert caught.value.field == "label"


def test_an_unknown_encoding_and_unknown_values_are_errors_of_the_program() -> None:
    with pytest.raises(ValueError, match="fractional"):
        segmentation(labelmap(), series(), origin=AUTOMATIC, encoding="fractional")
    with pytest.raises(ValueError, match="0 to 3"):
        segmentation(Volume(labelmap().data + 4, labelmap().grid), series(), origin=AUTOMATIC)


@pytest.mark.parametrize("name", ["FrameOfReferenceUID", "StudyInstanceUID", "PixelSpacing", "ImagePositionPatient"])
def test_a_series_without_what_a_segmentation_needs_is_refused_by_name(name: str) -> None:
    with pytest.raises(InputError, match=f"has no {name}") as caught:
        segmentation(labelmap(), series(**{name: None}), origin=AUTOMATIC)
    assert caught.value.field == "dicom"


def test_slices_of_several_series_or_uneven_ones_are_refused() -> None:
    datasets = series().datasets
    other = instance(2, SeriesInstanceUID="1.2.9")
    with pytest.raises(InputError, match="differ in SeriesInstanceUID"):
        segmentation(labelmap(), SourceHeaders((*datasets[:2], other, *datasets[3:])), origin=AUTOMATIC)
    moved = instance(2, ImagePositionPatient=instance(1).ImagePositionPatient)
    with pytest.raises(InputError, match="not evenly spaced"):
        segmentation(labelmap(), SourceHeaders((*datasets[:2], moved, *datasets[3:])), origin=AUTOMATIC)


def test_values_that_break_the_standard_are_left_out(tmp_path: Path) -> None:
    odd = series(PatientBirthDate="XXXX", PatientSex="W", PatientAge="71", StudyTime="noon")
    dataset = written(labelmap(), tmp_path, odd)
    assert (dataset.PatientBirthDate, dataset.PatientSex, dataset.StudyTime) == ("", "", "")
    assert "PatientAge" not in dataset
    assert dataset.PatientID == "P-1"


def test_the_time_is_that_of_the_zone_of_the_series() -> None:
    dataset = segmentation(labelmap(), series(TimezoneOffsetFromUTC="-0530"), origin=AUTOMATIC)
    assert (dataset.ContentDate, dataset.ContentTime, dataset.SeriesTime) == ("20261130", "063000", "063000")
    assert dataset.TimezoneOffsetFromUTC == "-0530"


def program(name: str) -> str:
    """Return the path of a program of the test requirements; skips the test where it is not installed."""
    found = shutil.which(name, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    ("headers", "origin"),
    [(series, AUTOMATIC), (multiframe, Origin("v0001", edited=True)), (series, Origin(edited=True))],
)
def test_the_validator_of_dicom3tools_finds_nothing(headers, origin: Origin, encoding: str, tmp_path: Path) -> None:
    path = write_seg(labelmap(without=1), headers(), tmp_path / "seg.dcm", origin=origin, encoding=encoding)
    told = subprocess.run([program("dciodvfy"), "-new", str(path)], capture_output=True, text=True, check=False)
    assert (told.stdout + told.stderr).strip() == "Segmentation"


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_reader_of_3d_slicer_gives_the_labelmap_its_names_and_its_colors_back(
    encoding: str, tmp_path: Path
) -> None:
    label = labelmap()
    path = write_seg(label, series(), tmp_path / "seg.dcm", origin=AUTOMATIC, encoding=encoding)
    reader = [program("segimage2itkimage"), "--inputDICOM", str(path), "--outputDirectory", str(tmp_path)]
    subprocess.run(
        [*reader, "--outputType", "nrrd", "--mergeSegments", "-p", "slicer"], capture_output=True, check=True
    )
    placed = on_grid(read_labelmap(tmp_path / "slicer-1.nrrd"), label.grid)
    assert placed is not None
    assert np.array_equal(placed.data, label.data)
    described = json.loads((tmp_path / "slicer-meta.json").read_text())["segmentAttributes"]
    told = [one for group in described for one in group]
    assert [(one["SegmentLabel"], tuple(one["recommendedDisplayRGBValue"])) for one in told] == [
        (label.name, label.color) for label in LABELS
    ]
