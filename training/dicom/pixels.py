"""The pixels of DICOM files: stored values, decompressed.

pydicom reads what is not compressed. Compressed images are decoded by ITK's GDCM (JPEG, JPEG lossless, JPEG-LS,
JPEG 2000, RLE), for which each is wrapped alone: read from its own file, ITK would apply a rescale of its own.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from training.errors import InputError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def stored_frames(path: Path, frames: Sequence[int | None]) -> list[np.ndarray]:
    """Return the stored values of frames, ``(rows, columns)`` each.

    Args:
        path: The file.
        frames: Their numbers, from 1; ``[None]`` for the only one of a single-frame instance.

    Raises:
        InputError: If the file is cut off, damaged, or compressed in a way that nothing here decodes.
    """
    import pydicom

    try:
        dataset = pydicom.dcmread(path, force=True)
        if "TransferSyntaxUID" not in dataset.file_meta:
            dataset.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
        places = [0 if frame is None else frame - 1 for frame in frames]
        if dataset.file_meta.TransferSyntaxUID.is_compressed and not dataset.file_meta.TransferSyntaxUID.is_deflated:
            return _decompressed(dataset, places)
        pixels = dataset.pixel_array
    except InputError as error:
        raise InputError(f"{path}: {error.message}") from error
    except Exception as error:  # pydicom raises all kinds of errors on damaged files
        raise InputError(f"{path} is cut off or damaged: {error}") from error
    pixels = pixels.reshape(-1, *pixels.shape[-2:])
    return [_used_bits(pixels[place], dataset) for place in places]


def _used_bits(values: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Return values without the bits above those that are used: old files hold overlays there."""
    unused = int(dataset.BitsAllocated) - int(dataset.get("BitsStored") or dataset.BitsAllocated)
    if values.dtype.kind not in "iu" or not unused or int(dataset.get("HighBit", 0)) != int(dataset.BitsStored) - 1:
        return values
    return (values << unused) >> unused  # of signed values the sign is extended


def _decompressed(dataset: Dataset, places: Sequence[int]) -> list[np.ndarray]:
    from pydicom.encaps import generate_pixel_data_frame

    count = int(dataset.get("NumberOfFrames") or 1)
    frames = list(generate_pixel_data_frame(dataset.PixelData, count))
    if len(frames) <= max(places):
        raise InputError(f"it says that it holds {count} images, and holds {len(frames)}. Copy it again.")
    with tempfile.TemporaryDirectory(prefix="tumorloop-dicom-") as folder:
        return [_decoded(dataset, frames[place], Path(folder) / "frame.dcm") for place in places]


def _decoded(dataset: Dataset, frame: bytes, path: Path) -> np.ndarray:
    """Decode one compressed frame by way of a file."""
    import SimpleITK as sitk

    _wrapped(dataset, frame).save_as(path, write_like_original=False)
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    try:
        values = sitk.GetArrayFromImage(reader.Execute())
    except RuntimeError as error:
        name = dataset.file_meta.TransferSyntaxUID.name
        raise InputError(
            f"it is damaged, or compressed in a way that cannot be read here ({name}). Export the series uncompressed, "
            "or decompress it with 'gdcmconv --raw' or 'dcmdjpeg'."
        ) from error
    if values.shape[-2:] != (dataset.Rows, dataset.Columns) or values.size != dataset.Rows * dataset.Columns:
        raise InputError(f"its pixels have the shape {values.shape}, its header says otherwise. Copy it again.")
    return values.reshape(values.shape[-2:])


def _wrapped(dataset: Dataset, frame: bytes) -> Dataset:
    """Return a secondary capture without rescale, to be decoded."""
    import pydicom
    from pydicom.dataset import FileDataset, FileMetaDataset

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = pydicom.uid.UID(_SECONDARY_CAPTURE)
    meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    single = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    single.SOPClassUID, single.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    single.Modality, single.PhotometricInterpretation, single.SamplesPerPixel = "OT", "MONOCHROME2", 1
    for name in ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"):
        setattr(single, name, dataset[name].value)
    single.PixelData = pydicom.encaps.encapsulate([frame])
    single["PixelData"].is_undefined_length = True
    single.is_little_endian, single.is_implicit_VR = True, False
    return single
