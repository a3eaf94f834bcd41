"""Reading DICOM SEG as a labelmap: binary, label map, and fractional ones that hold nothing between 0 and 1.

Segments become labels by their names and codes, as those of a ``.seg.nrrd`` (:mod:`training.images.segments`). The
labelmap extends over the slices between the first and the last frame; slices without a frame are background.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from training.dicom.geometry import affine_of
from training.dicom.image import LABEL_MAP_SEGMENTATION, SEGMENTATION
from training.dicom.seg_segments import BACKGROUND_CODE
from training.errors import InputError
from training.images.grid import MAX_VOXELS, Grid, Volume, checked_grid
from training.images.segments import GENERATED_NAME, Segment, merge_segments

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

#: Largest distance of a frame from the slices, as a share of their distance.
_UNEVEN = 0.1


def is_dicom_seg(path: Path | str) -> bool:
    """Return whether a file's name is that of a DICOM file."""
    return Path(path).name.lower().endswith(".dcm")


def read_seg(path: Path | str) -> Volume:
    """Read a DICOM SEG.

    Returns:
        uint8 with the values of :mod:`training.labels`.

    Raises:
        InputError: If it is no DICOM SEG, cannot be read, or a segment is none of the labels; ``field`` is ``"label"``.
    """
    path = Path(path)
    dataset = _dataset(path)
    try:
        frames = _Frames.of(dataset, path)
        segments, data = _stacked(dataset, frames, path)
    except InputError:
        raise
    except Exception as error:  # what a damaged file makes of pydicom and numpy
        raise InputError(f"{path} is damaged, or its pixels are compressed: {error}.", field="label") from error
    return Volume(merge_segments(segments, data, frames.grid.voxel_ml, path), frames.grid)


def _dataset(path: Path) -> Dataset:
    import pydicom

    try:
        meta = pydicom.filereader.read_file_meta_info(path)
        if meta.TransferSyntaxUID == pydicom.uid.DeflatedExplicitVRLittleEndian:
            # a small file may hold more than the memory
            raise InputError(f"{path} is a deflated file. Save the segmentation uncompressed.", field="label")
        dataset = pydicom.dcmread(path)
        kind, modality = str(dataset.get("SOPClassUID", "")), str(dataset.get("Modality", ""))
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{path} cannot be read as DICOM: {error}.", field="label") from error
    if kind not in (SEGMENTATION, LABEL_MAP_SEGMENTATION):
        raise InputError(
            f"{path} is no DICOM SEG; its modality is {modality or 'not stated'}. Give the file of the segmentation.",
            field="label",
        )
    return dataset


@dataclass(frozen=True, eq=False)
class _Frames:
    """Where the frames of a segmentation lie.

    Attributes:
        grid: Of the slices between the first and the last frame.
        slices: By frame, the index of its slice.
        groups: By frame, its functional groups.
    """

    grid: Grid
    slices: list[int]
    groups: list[Dataset]

    @classmethod
    def of(cls, dataset: Dataset, path: Path) -> _Frames:
        groups = list(dataset.PerFrameFunctionalGroupsSequence)
        shared = dataset.SharedFunctionalGroupsSequence[0]
        orientations = [
            np.array(_group(each, shared, "PlaneOrientationSequence").ImageOrientationPatient, np.float64)
            for each in groups
        ]
        positions = np.array(
            [_group(each, shared, "PlanePositionSequence").ImagePositionPatient for each in groups], np.float64
        )
        if not all(np.allclose(orientations[0], each, atol=1e-3) for each in orientations):
            raise InputError(f"{path}: the frames are not parallel, so they are no volume.", field="label")
        measures = _group(groups[0], shared, "PixelMeasuresSequence")
        normal = np.cross(orientations[0][:3], orientations[0][3:])
        heights = positions @ normal
        lowest, highest = int(heights.argmin()), int(heights.argmax())
        distance = _distance(heights, measures)
        places = (heights - heights[lowest]) / distance
        slices = np.round(places).astype(int)
        last = int(slices.max())
        step = (positions[highest] - positions[lowest]) / last if last else normal * distance
        off = np.abs(positions[lowest] + slices[:, None] * step - positions).max()
        if off > _UNEVEN * distance:
            raise InputError(f"{path}: the frames are not evenly spaced, so they are no volume.", field="label")
        shape = (int(dataset.Columns), int(dataset.Rows), last + 1)
        affine = affine_of(orientations[0], measures.PixelSpacing, step, positions[lowest])
        grid = checked_grid(shape, affine, path)
        return cls(grid, slices.tolist(), groups)


def _group(own: Dataset, shared: Dataset, name: str) -> Dataset:
    """Return the item of a functional group of a frame, or of all frames."""
    return (own if name in own else shared)[name].value[0]


def _distance(heights: np.ndarray, measures: Dataset) -> float:
    """Return the distance of the slices in mm: of neighboring frames, since headers often state another one."""
    levels = np.unique(heights)
    steps = np.diff(levels)
    stated = float(measures.get("SpacingBetweenSlices") or measures.get("SliceThickness") or 1.0)
    steps = steps[steps > _UNEVEN * stated]  # frames of one slice differ by rounding
    if not steps.size:
        return stated
    # frames are left out where a segment is empty: the neighbors may be several slices apart
    smallest = float(steps.min())
    return smallest if smallest < 1.5 * stated else smallest / round(smallest / stated)


def _stacked(dataset: Dataset, frames: _Frames, path: Path) -> tuple[list[Segment], np.ndarray]:
    """Return the segments and the voxels ``(x, y, z, volume)``: a volume per segment, or one for all of a label map."""
    label_map = dataset.SegmentationType == "LABELMAP"
    described = [item for item in dataset.SegmentSequence if not (label_map and _is_background(item, dataset))]
    shape = (*frames.grid.shape, 1 if label_map else len(described))
    stored = int(dataset.Rows) * int(dataset.Columns) * int(dataset.NumberOfFrames)
    if max(stored, int(np.prod(shape, dtype=np.int64))) > MAX_VOXELS:
        raise InputError(f"{path} has {shape[3]} segments of {shape[:3]} voxels; that is too much.", field="label")
    pixels = dataset.pixel_array.reshape(-1, int(dataset.Rows), int(dataset.Columns))
    if len(pixels) != len(frames.slices):
        raise InputError(f"{path} holds {len(pixels)} frames and describes {len(frames.slices)}.", field="label")
    if dataset.SegmentationType == "FRACTIONAL":
        pixels = _whole(pixels, int(dataset.MaximumFractionalValue), path)
    numbers = [int(item.SegmentNumber) for item in described]
    background = int(dataset.get("PixelPaddingValue", 0)) if label_map else 0
    if background != 0 and 0 in numbers:
        raise InputError(f"{path}: the number of a segment is 0, which is the background elsewhere.", field="label")
    data = np.full(shape, background, pixels.dtype)
    shared = dataset.SharedFunctionalGroupsSequence[0]
    for frame, plane, group in zip(pixels, frames.slices, frames.groups, strict=True):
        volume = 0
        if not label_map:
            of_frame = _group(group, shared, "SegmentIdentificationSequence")
            volume = numbers.index(int(of_frame.ReferencedSegmentNumber))
        data[:, :, plane, volume] = frame.T
    if background:
        data[data == background] = 0
    return [_segment(item, 0 if label_map else place, label_map) for place, item in enumerate(described)], data


def _is_background(item: Dataset, dataset: Dataset) -> bool:
    kind = item.SegmentedPropertyTypeCodeSequence[0]
    coded = (str(kind.get("CodeValue")), str(kind.get("CodingSchemeDesignator")))
    if coded == (BACKGROUND_CODE.value, BACKGROUND_CODE.scheme):
        return True
    return int(item.SegmentNumber) == int(dataset.get("PixelPaddingValue", 0))


def _segment(item: Dataset, volume: int, label_map: bool) -> Segment:
    """Return a segment in the form of 3D Slicer's."""
    name = str(item.get("SegmentLabel", "")).strip()
    codes = [
        "^".join(str(code.get(part, "")) for part in ("CodingSchemeDesignator", "CodeValue", "CodeMeaning"))
        for code in (item.SegmentedPropertyCategoryCodeSequence[0], item.SegmentedPropertyTypeCodeSequence[0])
    ]
    tags = f"TerminologyEntry:DICOM~{codes[0]}~{codes[1]}~"
    generated = not name or GENERATED_NAME.fullmatch(name) is not None
    return Segment(name, volume, int(item.SegmentNumber) if label_map else None, tags, generated)


def _whole(pixels: np.ndarray, most: int, path: Path) -> np.ndarray[Any, Any]:
    """Return fractional pixels as 0 and 1."""
    if not np.isin(pixels, (0, most)).all():
        raise InputError(
            f"{path} holds probabilities or fractions, not labels. Convert it to a binary segmentation first.",
            field="label",
        )
    return (pixels == most).astype(np.uint8)
