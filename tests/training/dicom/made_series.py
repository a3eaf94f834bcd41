"""DICOM series made for tests: small heads of a few slices, with whatever oddity a test asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"
ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"
#: Times of a spin echo of each modality: TE, TR, TI in milliseconds.
TIMES: dict[str, tuple[float, float, float | None]] = {
    "t1": (12.0, 500.0, None),
    "t1ce": (12.0, 500.0, None),
    "t2": (95.0, 4500.0, None),
    "flair": (120.0, 9000.0, 2500.0),
}
NAMES = {"t1": "AX T1 PRE", "t1ce": "AX T1 POST", "t2": "AX T2", "flair": "AX FLAIR"}
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


@dataclass
class Study:
    """What the series of one study share."""

    patient_id: str = "P-0815"
    patient_name: str = "Doe^Jane"
    uid: str = field(default_factory=generate_uid)
    frame_of_reference: str = field(default_factory=generate_uid)
    date: str = "20240131"


def voxels(shape: tuple[int, int, int] = (12, 10, 8), seed: int = 0) -> np.ndarray:
    """Return ``(slices, rows, columns)`` uint16 from 0 to 4095; ``shape`` is (columns, rows, slices)."""
    generator = np.random.default_rng(seed)
    return generator.integers(0, 4096, shape[::-1], dtype=np.uint16)


def made_series(
    role: str | None = None,
    *,
    study: Study | None = None,
    data: np.ndarray | None = None,
    number: int | None = 1,
    orientation: Sequence[float] = AXIAL,
    origin: Sequence[float] = (-30.0, -25.0, -40.0),
    spacing: tuple[float, float] = (0.9, 0.8),
    step: float = 5.0,
    positions: Sequence[Sequence[float]] | None = None,
    **attributes: Any,
) -> list[FileDataset]:
    """Make the instances of one MR series, in the order of the slices.

    Args:
        role: Modality, which sets the description and the times.
        study: What it shares with other series; a new one by default.
        data: ``(slices, rows, columns)``; by default :func:`voxels`.
        number: SeriesNumber.
        orientation: ImageOrientationPatient.
        origin: Position of the first slice (LPS).
        spacing: Between rows, and between columns.
        step: Between slices, along the normal.
        positions: Of the slices, instead of ``origin`` and ``step``.
        attributes: Any attribute by its DICOM keyword; ``None`` removes it.
    """
    study = study or Study()
    data = voxels() if data is None else data
    uid = generate_uid()
    normal = np.cross(orientation[:3], orientation[3:])
    places = (
        positions if positions is not None else [np.array(origin) + place * step * normal for place in range(len(data))]
    )
    return [
        _instance(study, role, uid, number, plane, place, list(orientation), spacing, index + 1, attributes)
        for index, (plane, place) in enumerate(zip(data, places, strict=True))
    ]


def _instance(
    study: Study,
    role: str | None,
    series_uid: str,
    series_number: int | None,
    plane: np.ndarray,
    position: Sequence[float],
    orientation: list[float],
    spacing: tuple[float, float],
    instance_number: int,
    attributes: Mapping[str, Any],
) -> FileDataset:
    made = empty_instance(MR_IMAGE)
    made.PatientID, made.PatientName, made.StudyInstanceUID = study.patient_id, study.patient_name, study.uid
    made.PatientBirthDate, made.PatientSex, made.StudyID, made.AccessionNumber = "19700101", "F", "1", "42"
    made.StudyDate, made.StudyTime, made.ReferringPhysicianName = study.date, "101500", ""
    made.FrameOfReferenceUID, made.PositionReferenceIndicator = study.frame_of_reference, ""
    made.SeriesInstanceUID, made.InstanceNumber, made.Modality = series_uid, instance_number, "MR"
    made.Manufacturer, made.ManufacturerModelName = "Made for tests", "1"
    made.ImageType, made.ScanningSequence, made.SequenceVariant = ["ORIGINAL", "PRIMARY", "M"], "SE", "SK"
    made.ScanOptions, made.MRAcquisitionType, made.PatientPosition = "", "2D", "HFS"
    if series_number is not None:
        made.SeriesNumber = series_number
    if role is not None:
        made.SeriesDescription = NAMES[role]
        made.EchoTime, made.RepetitionTime, inversion = TIMES[role]
        if inversion is not None:
            made.InversionTime = inversion
        if role == "t1ce":
            made.ContrastBolusAgent = "Gadobutrol"
    made.ImageOrientationPatient = [_text(value) for value in orientation]
    made.ImagePositionPatient = [_text(value) for value in position]
    made.PixelSpacing, made.SliceThickness = list(spacing), "5"
    set_pixels(made, plane)
    for keyword, value in attributes.items():
        if value is None:
            if keyword in made:
                delattr(made, keyword)
        else:
            setattr(made, keyword, value)
    return made


def _text(value: float) -> str:
    """Return a number as a decimal string, which has at most 16 characters."""
    return f"{value:.10f}"[:16]


def empty_instance(sop_class: str) -> FileDataset:
    """Return an instance with its identifiers alone."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID(sop_class), generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    made.is_little_endian, made.is_implicit_VR = True, False
    made.SpecificCharacterSet = "ISO_IR 192"
    made.SOPClassUID, made.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    return made


def set_pixels(instance: Dataset, pixels: np.ndarray) -> None:
    """Store 8- or 16-bit pixels ``(rows, columns)``, or ``(frames, rows, columns)``, uncompressed."""
    instance.Rows, instance.Columns = pixels.shape[-2:]
    instance.SamplesPerPixel, instance.PhotometricInterpretation = 1, "MONOCHROME2"
    instance.BitsAllocated = instance.BitsStored = pixels.dtype.itemsize * 8
    instance.HighBit, instance.PixelRepresentation = instance.BitsStored - 1, int(pixels.dtype.kind == "i")
    instance.PixelData = pixels.tobytes()
    instance["PixelData"].VR = "OW"


def made_multi_frame(
    role: str, data: np.ndarray, *, study: Study | None = None, number: int = 1, step: float = 5.0
) -> FileDataset:
    """Make one Enhanced MR instance.

    Args:
        role: Modality.
        data: ``(frames, rows, columns)``.
        study: What it shares with other series.
        number: SeriesNumber.
        step: Between the slices, along z.
    """
    plain = made_series(role, study=study, data=data, number=number, step=step)
    made = empty_instance(ENHANCED_MR)
    moved = {
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "PixelSpacing",
        "EchoTime",
        "RepetitionTime",
        "InversionTime",
    }
    for element in plain[0]:
        if element.keyword not in moved | {"SOPClassUID", "SOPInstanceUID", "PixelData", "SliceThickness"}:
            made.add(element)
    set_pixels(made, data)
    made.NumberOfFrames = len(data)
    echo, timing, modifier, orientation, measures = Dataset(), Dataset(), Dataset(), Dataset(), Dataset()
    echo.EffectiveEchoTime, timing.RepetitionTime = float(plain[0].EchoTime), float(plain[0].RepetitionTime)
    if "InversionTime" in plain[0]:
        modifier.InversionTimes = float(plain[0].InversionTime)
    orientation.ImageOrientationPatient = plain[0].ImageOrientationPatient
    measures.PixelSpacing, measures.SliceThickness = plain[0].PixelSpacing, "5"
    shared = Dataset()
    shared.MREchoSequence, shared.MRTimingAndRelatedParametersSequence = Items([echo]), Items([timing])
    shared.MRModifierSequence, shared.PixelMeasuresSequence = Items([modifier]), Items([measures])
    shared.PlaneOrientationSequence = Items([orientation])
    made.SharedFunctionalGroupsSequence = Items([shared])
    made.PerFrameFunctionalGroupsSequence = Items([_frame_group(one, place) for place, one in enumerate(plain)])
    return made


def _frame_group(plain: Dataset, place: int) -> Dataset:
    group, position, content = Dataset(), Dataset(), Dataset()
    position.ImagePositionPatient = plain.ImagePositionPatient
    content.StackID, content.InStackPositionNumber, content.DimensionIndexValues = "1", place + 1, [1, place + 1]
    group.PlanePositionSequence, group.FrameContentSequence = Items([position]), Items([content])
    return group


def made_study(study: Study | None = None, **attributes: Any) -> dict[str, list[FileDataset]]:
    """Make a series of each modality, numbered from 1 in the order T1, T1ce, T2, FLAIR."""
    study = study or Study()
    return {
        role: made_series(role, study=study, number=place + 1, data=voxels(seed=place), **attributes)
        for place, role in enumerate(NAMES)
    }


def write(instances: Sequence[Dataset], folder: Path, name: str = "{:03d}.dcm") -> list[Path]:
    """Write instances into a folder (made if needed), numbered from 1; return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / name.format(place + 1) for place in range(len(instances))]
    for instance, path in zip(instances, paths, strict=True):
        pydicom.dcmwrite(path, instance, write_like_original=False)
    return paths


def write_study(series: Mapping[str, Sequence[Dataset]], folder: Path) -> Path:
    """Write each series into a folder of its own; return the folder of the study."""
    for name, instances in series.items():
        write(instances, folder / name)
    return folder
