"""The images that a DICOM SEG refers to: one per slice of a series, made of its headers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from training.dicom.geometry import affine_of
from training.errors import InputError
from training.images.grid import Grid

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from training.dicom.headers import SourceHeaders

#: What to do instead, for series that no segmentation can refer to.
INSTEAD = "Write the labelmap as .seg.nrrd or .nii.gz instead."
#: A segmentation has these in common with its series: the groups of the patient and of a clinical trial ...
_PATIENT_GROUPS = (0x0010, 0x0012)
#: ... and attributes of the study, and of the series.
_STUDY: tuple[str, ...] = ("StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "StudyDescription")
_STUDY += ("AccessionNumber", "ReferringPhysicianName", "ProcedureCodeSequence")
_OTHERS = ("PositionReferenceIndicator", "TimezoneOffsetFromUTC", "LongitudinalTemporalInformationModified")
#: Present in every segmentation, perhaps empty.
_TYPE_2: tuple[str, ...] = ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID")
_TYPE_2 += ("StudyDate", "StudyTime", "ReferringPhysicianName")
_FORMS = {"DA": r"(\d{8})?", "TM": r"(\d{2,6}(\.\d{1,6})?)?", "AS": r"(\d{3}[DWMY])?"}
#: Largest distance of a slice from its place in an evenly spaced series, as a share of the slice spacing.
_UNEVEN = 0.1


@dataclass(frozen=True, eq=False)
class SourceImages:
    """The images of a series, one per slice.

    Attributes:
        images: In the order of the slices, as highdicom expects source images, but without the patient. The frames of a
            multi-frame instance are images of the same SOP Instance UID.
        frames: Of a multi-frame instance, the number of each slice's frame, from 1; else empty.
        grid: Of the volume that the slices make: x along a row, y along a column, z along the slices.
        shared: What the segmentation says about patient and study, as the series does.
    """

    images: tuple[Dataset, ...]
    frames: tuple[int, ...]
    grid: Grid
    shared: Dataset


def source_images(headers: SourceHeaders) -> SourceImages:
    """Return the images of a series.

    Raises:
        InputError: If the headers lack what a segmentation needs, or the slices are not parallel, of one size and
            evenly spaced; ``field`` is ``"dicom"``.
    """
    if headers.frames:
        slices = [_frame(headers.datasets[0], number) for number in headers.frames]
    else:
        slices = [_slice(dataset) for dataset in headers.datasets]
    if not slices:
        raise InputError(f"The series has no slices. {INSTEAD}", field="dicom")
    first = slices[0]
    for image in slices:
        _require_same(first, image)
    grid, distance = _grid(slices)
    # MR has no thickness where it is unknown; the distance of the slices is measured, not what the header says of it
    first.SliceThickness = first.get("SliceThickness") or _decimal(round(distance, 6))
    first.SpacingBetweenSlices = _decimal(round(distance, 6))
    for name in _TYPE_2:
        setattr(first, name, "")
    return SourceImages(tuple(slices), headers.frames, grid, _shared(headers.datasets[0]))


def _slice(dataset: Dataset, functional: Sequence[Dataset] = ()) -> Dataset:
    """Return what a segmentation needs of one slice.

    Args:
        dataset: The headers of its instance.
        functional: Where else its position may be: functional groups of a multi-frame instance.
    """
    from pydicom.dataset import Dataset

    image = Dataset()
    for name in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        setattr(image, name, _needed(name, dataset))
    for name in ("Rows", "Columns"):
        setattr(image, name, int(_needed(name, dataset)))
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        setattr(image, name, [_decimal(value) for value in _needed(name, *functional, dataset)])
    thickness = next(
        (each.get("SliceThickness") for each in (*functional, dataset) if each.get("SliceThickness")), None
    )
    if thickness:
        image.SliceThickness = _decimal(thickness)
    return image


def _frame(dataset: Dataset, number: int) -> Dataset:
    """Return what a segmentation needs of one frame of a multi-frame instance; ``number`` from 1."""
    groups = [*dataset.get("SharedFunctionalGroupsSequence", ())]
    own = dataset.get("PerFrameFunctionalGroupsSequence", ())
    if not 1 <= number <= len(own):
        raise InputError(f"The headers of frame {number} are missing. {INSTEAD}", field="dicom")
    functional = [
        item
        for group in (own[number - 1], *groups)
        for name in ("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence")
        for item in group.get(name, ())
    ]
    return _slice(dataset, functional)


def _needed(name: str, *datasets: Dataset) -> Any:
    for dataset in datasets:
        value = dataset.get(name)
        if value not in (None, "", []):
            return value
    raise InputError(f"The DICOM series has no {name}, which a DICOM SEG needs. {INSTEAD}", field="dicom")


def _require_same(first: Dataset, image: Dataset) -> None:
    names = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "Rows", "Columns")
    differing = [name for name in names if first[name].value != image[name].value]
    near = np.allclose(first.ImageOrientationPatient, image.ImageOrientationPatient, atol=1e-3)
    if differing or not near:
        what = differing[0] if differing else "ImageOrientationPatient"
        raise InputError(f"The slices of the DICOM series differ in {what}. {INSTEAD}", field="dicom")


def _grid(slices: Sequence[Dataset]) -> tuple[Grid, float]:
    """Return the grid of the slices, and their distance along the normal in mm."""
    first = slices[0]
    positions = np.array([image.ImagePositionPatient for image in slices], np.float64)
    orientation = np.array(first.ImageOrientationPatient, np.float64)
    normal = np.cross(orientation[:3], orientation[3:])
    if len(slices) > 1:
        step = (positions[-1] - positions[0]) / (len(slices) - 1)
    else:
        step = normal * float(first.get("SliceThickness") or 1.0)
    distance = abs(float(step @ normal))
    even = positions[0] + np.arange(len(slices))[:, None] * step
    if distance == 0.0 or np.abs(positions - even).max() > _UNEVEN * distance:
        raise InputError(f"The slices of the DICOM series are not evenly spaced. {INSTEAD}", field="dicom")
    affine = affine_of(orientation, first.PixelSpacing, step, positions[0])
    return Grid((int(first.Columns), int(first.Rows), len(slices)), affine), distance


def _shared(dataset: Dataset) -> Dataset:
    """Return the attributes that the segmentation takes over.

    Values that break the standard are left out: an anonymized date of birth must not prevent the export.
    """
    from pydicom.dataset import Dataset

    kept = Dataset()
    for element in dataset:
        if element.tag.group not in _PATIENT_GROUPS and element.keyword not in (*_STUDY, *_OTHERS):
            continue
        form = _FORMS.get(element.VR)
        if form is None or re.fullmatch(form, str(element.value or "").strip()):
            kept.add(element)
    # Decoded, since the segmentation has another character set; and the same however the headers were stored.
    kept = Dataset.from_json(kept.to_json_dict(suppress_invalid_tags=True))
    for element in kept:
        if element.VR == "DS" and element.VM == 1:
            element.value = _decimal(element.value)
    if kept.get("PatientSex") not in ("M", "F", "O"):
        kept.PatientSex = ""
    for name in _TYPE_2:
        if kept.get(name) is None:
            setattr(kept, name, "")
    return kept


def _decimal(value: float) -> Any:
    """Return a number as a decimal string of at most 16 characters, however it was written."""
    from pydicom.valuerep import DS

    return DS(float(value), auto_format=True)
