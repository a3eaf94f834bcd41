"""DICOM files of the reference series: what a server needs of them to write a DICOM SEG, and what it does not get.

A DICOM SEG refers to every image of its series by UID and repeats who the patient is. The server gets the UIDs and the
positions only, in images that are blank; pixels and everything that names the patient, the physicians or the hospital
stay on this machine, and :func:`complete` adds the patient to the finished SEG here. ``pydicom`` comes with 3D Slicer
and is imported when it is needed.
"""

from __future__ import annotations

import importlib.util
import io
import threading
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from TumorLoopLib.client.errors import Cancelled, LocalFileError
from TumorLoopLib.i18n import _

#: What is sent of each image.
_SENT = (
    *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"),
    *("Modality", "ImageType", "SeriesNumber", "InstanceNumber", "NumberOfFrames", "MRAcquisitionType"),
    *("ImageOrientationPatient", "ImagePositionPatient", "PixelSpacing", "SliceThickness", "SpacingBetweenSlices"),
    *("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored", "HighBit"),
    *("PixelRepresentation", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
)
#: What every image has, but is sent empty.
_EMPTY = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID"),
    *("AccessionNumber", "ReferringPhysicianName"),
)
#: What a SEG has in common with the images of its study.
_PATIENT_AND_STUDY = (
    *_EMPTY,
    *("IssuerOfPatientID", "OtherPatientIDs", "StudyDescription", "PatientAge", "PatientSize", "PatientWeight"),
)
_UTF8 = "ISO_IR 192"
#: Bytes before the magic number of a DICOM file.
_PREAMBLE = b"\0" * 128


def write_headers(files: Sequence[Path], target: Path, cancel: threading.Event | None = None) -> Path | None:
    """Write a ZIP with DICOM files that are blank and name no patient; it takes some hundred bytes per image.

    Args:
        files: Of one series.
        target: The ZIP.
        cancel: Ends the work if set.

    Returns:
        ``target``; ``None`` if there are no files, or this Python has no pydicom.

    Raises:
        LocalFileError: If a file cannot be read as DICOM.
        Cancelled: If ``cancel`` was set.
    """
    if not files or not can_read():
        return None
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, path in enumerate(files):
            if cancel is not None and cancel.is_set():
                raise Cancelled()
            archive.writestr(f"{number:04d}.dcm", _header_of(path))
    return target


def can_read() -> bool:
    """Return whether this Python has pydicom."""
    return importlib.util.find_spec("pydicom") is not None


def complete(seg: Path, image: Path) -> str:
    """Add the patient and the study to a DICOM SEG.

    Args:
        seg: The SEG, a temporary file that is written again; what it says of the patient already stays.
        image: An image that the SEG refers to.

    Returns:
        The UID of the SEG.

    Raises:
        LocalFileError: If a file cannot be read or written, or they are of two studies.
    """
    from pydicom.valuerep import PersonName

    result, source = _read(seg), _read(image, stop_before_pixels=True)
    if result.get("StudyInstanceUID") != source.get("StudyInstanceUID"):
        raise LocalFileError(_("This DICOM SEG belongs to another study than the images in the scene."))
    for name in _PATIENT_AND_STUDY:
        value = source.get(name)
        if value not in (None, "") and result.get(name) in (None, ""):
            # Written anew as text: the image may use another character set.
            setattr(result, name, str(value) if isinstance(value, (str, PersonName)) else value)
    result.SpecificCharacterSet = _UTF8
    try:
        result.save_as(seg)
    except OSError as error:
        text = _("{name} cannot be written: {reason}.").format(name=seg.name, reason=error.strerror or error)
        raise LocalFileError(text) from error
    return str(result.SOPInstanceUID)


def _header_of(path: Path) -> bytes:
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    source = _read(path, stop_before_pixels=True)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = source.SOPClassUID, source.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = io.BytesIO()
    header = FileDataset(
        buffer, {}, preamble=_PREAMBLE, file_meta=meta, is_implicit_VR=False, is_little_endian=True
    )  # fmt: skip
    for name in _SENT:
        if name in source:
            setattr(header, name, source.get(name))
    for name in _EMPTY:
        setattr(header, name, "")
    # An image without any pixels would look cut off to the server; zeros take no space in the ZIP.
    bits = int(header.Rows) * int(header.Columns) * int(header.get("NumberOfFrames") or 1) * int(header.BitsAllocated)
    header.PixelData = bytes((bits * int(header.get("SamplesPerPixel") or 1) + 15) // 16 * 2)
    header["PixelData"].VR = "OW" if int(header.BitsAllocated) > 8 else "OB"
    header.save_as(buffer)
    return buffer.getvalue()


def _read(path: Path, *, stop_before_pixels: bool = False) -> Any:
    import pydicom
    from pydicom.errors import InvalidDicomError

    try:
        return pydicom.dcmread(path, stop_before_pixels=stop_before_pixels)
    except (OSError, InvalidDicomError, AttributeError, ValueError) as error:
        raise LocalFileError(_("{path} cannot be read as DICOM ({reason}).").format(path=path, reason=error)) from error
