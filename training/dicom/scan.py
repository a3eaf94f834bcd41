"""Finding the DICOM files of a folder and reading their headers, without pixels.

Files are recognized by their content: exports name them in any way, often without an ending.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from training.dicom.image import MULTI_FRAME_MR, Image
from training.dicom.multiframe import frames_of
from training.dicom.values import integer, number, numbers, text, texts
from training.errors import InputError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

#: More files than any study has, and a limit for a folder that was given by mistake.
MAX_FILES = 200_000
#: Endings of files that lie beside DICOM files and need not be opened.
_OTHER_ENDINGS = (
    *(".nii", ".gz", ".nrrd", ".nhdr", ".mha", ".mhd", ".hdr", ".json", ".csv", ".tsv", ".txt", ".md", ".xml", ".htm"),
    *(".html", ".css", ".js", ".pdf", ".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".zip", ".tar", ".exe"),
    *(".dll", ".inf", ".ini", ".log", ".py", ".npy", ".npz", ".mat", ".bval", ".bvec", ".mrb", ".mrml", ".db", ".sql"),
)
_MEDIA_DIRECTORY = "1.2.840.10008.1.3.10"  # DICOMDIR
#: The first element of a file without the preamble: the group length, or one of group 8; either byte order.
_BARE_STARTS = (b"\x08\x00\x00\x00", b"\x08\x00\x05\x00", b"\x08\x00\x08\x00", b"\x08\x00\x16\x00", b"\x02\x00\x00\x00")
_TAGS = (
    *("SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality"),
    *("FrameOfReferenceUID", "PatientID", "PatientName", "StudyDate", "SeriesNumber", "InstanceNumber", "ImageType"),
    *("SeriesDescription", "ProtocolName", "BodyPartExamined", "Manufacturer", "ScanningSequence", "ScanOptions"),
    *("ContrastBolusAgent", "ContrastBolusAgentSequence", "ContrastBolusVolume", "AcquisitionContrast", "AngioFlag"),
    *("AcquisitionDate", "AcquisitionTime", "AcquisitionDateTime", "EchoTime", "RepetitionTime", "InversionTime"),
    *("EchoNumbers", "AcquisitionNumber", "TemporalPositionIdentifier", "ImagesInAcquisition", "DiffusionBValue"),
    *("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "NumberOfFrames"),
    *("ImageOrientationPatient", "ImagePositionPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "StudyDescription", "PixelPaddingValue"),
)
_MOSAIC_COUNT = (0x0019, 0x100A)  # Siemens: NumberOfImagesInMosaic
_NO_AGENT = {"", "NONE", "NO", "N", "NO CONTRAST", "WITHOUT", "W/O", "0", "NA", "N/A", "OFF", "KEIN", "OHNE", "NATIV"}
_DEFLATED = b"1.2.840.10008.1.2.1.99"
#: The meta information lies within these first bytes.
_META_BYTES = 1024
_UNCOMPRESSED = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")


def dicom_files(folder: Path | str) -> Iterator[Path]:
    """Yield the DICOM files at any depth, sorted by folder and name; hidden ones and those behind cycles are left out.

    Args:
        folder: Links are followed.

    Raises:
        InputError: If there are more than :data:`MAX_FILES` files.
    """
    seen: set[str] = set()
    count = 0
    for current, names, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(current)
        if real in seen:
            names.clear()
            continue
        seen.add(real)
        names[:] = sorted(name for name in names if not name.startswith("."))
        count += len(files)
        if count > MAX_FILES:
            raise InputError(f"{folder} holds more than {MAX_FILES:,} files. Name the folder of one study.")
        yield from dicom_in(Path(current), files)


def dicom_in(
    folder: Path, names: Iterable[str] | None = None, outside: Callable[[Path], bool] = lambda path: False
) -> list[Path]:
    """Return the DICOM files directly in a folder, sorted, without hidden ones.

    Args:
        folder: The folder.
        names: Of the files in it, if they are known.
        outside: Whether a link must not be followed.
    """
    try:
        listed = sorted(os.listdir(folder) if names is None else names)
    except OSError:
        return []
    paths = [folder / name for name in listed if not name.startswith(".")]
    return [path for path in paths if is_dicom(path) and not outside(path)]


def holds_dicom(folder: Path) -> bool:
    """Return whether there is a DICOM file in a folder, at any depth."""
    return next(dicom_files(folder), None) is not None


def is_dicom(path: Path) -> bool:
    """Return whether a file looks like DICOM: by its first bytes, and not by its name."""
    name = path.name.lower()
    if name.endswith(_OTHER_ENDINGS) or name == "dicomdir":
        return False
    try:
        if not path.is_file():  # a device or a pipe must not be opened
            return False
        with open(path, "rb") as handle:
            start = handle.read(132)
    except OSError:
        return False
    return start[128:132] == b"DICM" or start[:4] in _BARE_STARTS


def read_images(paths: Iterable[Path]) -> tuple[list[Image], dict[Path, str]]:
    """Read the headers of files.

    Returns:
        The images (the frames of multi-frame MR each), and the reason for each file that is none.
    """
    images: list[Image] = []
    unread: dict[Path, str] = {}
    for path in paths:
        try:
            stat = path.stat()
            images += _images(path, stat.st_size, stat.st_mtime_ns)
        except OSError as error:
            unread[path] = f"it cannot be read: {error.strerror}"
        except ValueError as error:
            unread[path] = str(error)
    return images, unread


@lru_cache(maxsize=20_000)  # a server looks for cases again and again
def _images(path: Path, size: int, changed: int) -> tuple[Image, ...]:
    import pydicom

    with open(path, "rb") as handle:
        if _DEFLATED in handle.read(_META_BYTES):
            # pydicom would inflate it all at once, whatever its size
            raise ValueError("it is stored deflated; decompress it with 'gdcmconv --raw'")
        handle.seek(0)
        try:
            header = pydicom.dcmread(handle, stop_before_pixels=True, force=True, specific_tags=_tags())
            return _parsed(header, path, max(0, size - handle.tell()))
        except ValueError:
            raise
        except Exception as error:  # pydicom raises all kinds of errors on damaged headers
            raise ValueError(f"its header is damaged: {error}") from error


def _parsed(header: Dataset, path: Path, left: int) -> tuple[Image, ...]:
    """Return the images of a file.

    Args:
        header: Of the file.
        path: The file.
        left: Number of bytes behind the header.
    """
    uid = text(header, "SOPClassUID")
    if uid == _MEDIA_DIRECTORY or str(getattr(header.file_meta, "MediaStorageSOPClassUID", "")) == _MEDIA_DIRECTORY:
        raise ValueError("it is a directory of files (DICOMDIR)")
    if not text(header, "SeriesInstanceUID") or not text(header, "SOPInstanceUID"):
        raise ValueError("it says neither which image nor which series it is")
    base = _base(header, path, left)
    return tuple(frames_of(header, base)) if uid in MULTI_FRAME_MR else (base,)


@lru_cache(maxsize=1)
def _tags() -> list[BaseTag]:
    from pydicom.tag import Tag

    return [Tag(one) for one in (*_TAGS, _MOSAIC_COUNT)]


def _base(header: Dataset, path: Path, left: int) -> Image:
    """Return what the top level of a header says."""
    syntax = str(getattr(header.file_meta, "TransferSyntaxUID", "")) or "1.2.840.10008.1.2"
    image_type = texts(header, "ImageType")
    return Image(
        path=path,
        sop_class=text(header, "SOPClassUID"),
        sop_instance=text(header, "SOPInstanceUID"),
        study_uid=text(header, "StudyInstanceUID"),
        series_uid=text(header, "SeriesInstanceUID"),
        frame_of_reference=text(header, "FrameOfReferenceUID"),
        transfer_syntax=syntax,
        modality=text(header, "Modality").upper(),
        patient_id=text(header, "PatientID"),
        patient_name=text(header, "PatientName"),
        study_date=text(header, "StudyDate"),
        series_number=integer(header, "SeriesNumber"),
        instance_number=integer(header, "InstanceNumber"),
        description=text(header, "SeriesDescription"),
        protocol=text(header, "ProtocolName"),
        body_part=text(header, "BodyPartExamined").upper(),
        manufacturer=text(header, "Manufacturer"),
        image_type=image_type,
        scanning_sequence=texts(header, "ScanningSequence"),
        scan_options=texts(header, "ScanOptions"),
        agent=_agent(header),
        contrast=text(header, "AcquisitionContrast").upper(),
        angiography=text(header, "AngioFlag").upper() == "Y",
        mosaic="MOSAIC" in image_type or _MOSAIC_COUNT in header,
        acquired=_acquired(header),
        echo_time=number(header, "EchoTime"),
        repetition_time=number(header, "RepetitionTime"),
        inversion_time=number(header, "InversionTime"),
        b_value=number(header, "DiffusionBValue"),
        echo_number=integer(header, "EchoNumbers"),
        acquisition_number=integer(header, "AcquisitionNumber"),
        temporal_position=integer(header, "TemporalPositionIdentifier"),
        declared_images=integer(header, "ImagesInAcquisition"),
        rows=integer(header, "Rows") or 0,
        columns=integer(header, "Columns") or 0,
        samples=integer(header, "SamplesPerPixel") or 1,
        photometric=text(header, "PhotometricInterpretation").upper(),
        orientation=numbers(header, "ImageOrientationPatient", 6),
        position=numbers(header, "ImagePositionPatient", 3),
        pixel_spacing=numbers(header, "PixelSpacing", 2),
        padding=integer(header, "PixelPaddingValue"),
        slope=1.0 if (slope := number(header, "RescaleSlope")) is None else slope,
        intercept=number(header, "RescaleIntercept") or 0.0,
        damage=_damage(header, syntax, left),
    )


def _damage(header: Dataset, syntax: str, left: int) -> str:
    """Return whether the file is too short for its pixels.

    Args:
        header: Of the file.
        syntax: Its transfer syntax.
        left: Number of bytes behind the header.
    """
    if syntax not in _UNCOMPRESSED:
        return "" if left else "it holds no pixels"
    sides = [integer(header, name) or 0 for name in ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated")]
    sides[2] = sides[2] or 1
    needed = sides[0] * sides[1] * sides[2] * sides[3] // 8 * (integer(header, "NumberOfFrames") or 1)
    left -= 8 if syntax == _UNCOMPRESSED[0] else 12  # tag and length of the pixels
    if left >= needed:
        return ""
    return f"it is cut off: {needed:,} bytes of pixels are needed, {left:,} are there"


def _acquired(header: Dataset) -> str:
    together = text(header, "AcquisitionDateTime")
    if together:
        return together
    time = text(header, "AcquisitionTime")
    return (text(header, "AcquisitionDate") or text(header, "StudyDate")) + time if time else ""


def _agent(header: Dataset) -> str:
    """Return the name of the contrast agent; empty where the header says that there was none, or nothing."""
    name = text(header, "ContrastBolusAgent")
    if not name and "ContrastBolusAgentSequence" in header:
        items = header.ContrastBolusAgentSequence
        name = text(items[0], "CodeMeaning") or "contrast agent" if items else ""
    if number(header, "ContrastBolusVolume") == 0.0 and not name:
        return ""
    return "" if name.upper() in _NO_AGENT else name
