"""Writing DICOM SEG: a labelmap as a segmentation of the images of a DICOM series.

Two encodings: ``binary``, a bit plane per segment and slice, which every reader knows; and ``labelmap``, one plane per
slice with the segments' numbers (Label Map Segmentation Storage, Supplement 243 of 2024), which few readers know yet.
highdicom 0.22 writes the first one only, so it makes the attributes that both share, and the frames are written here.

Slices without any label are left out. A segment without a voxel has one empty frame: the standard asks for at least one
frame in all, and so a result without any tumor is nothing special.
"""

from __future__ import annotations

import hashlib
import io
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from training import __version__
from training.atomic import write_with
from training.clock import now
from training.dicom.image import LABEL_MAP_SEGMENTATION
from training.dicom.seg_segments import NAME, background_description, description
from training.dicom.seg_source import INSTEAD, SourceImages, source_images
from training.errors import InputError
from training.images.grid import Volume
from training.images.lattice import on_grid
from training.labels import BACKGROUND, LABELS, Label, check_labelmap

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from training.dicom.headers import SourceHeaders

#: Name of the format to encoding: how a user asks for a DICOM SEG.
SEG_FORMATS: dict[str, str] = {"dicom_seg": "binary", "dicom_seg_labelmap": "labelmap"}
#: Number of the series within the study; it needs not be unique.
SERIES_NUMBER = 900

_SEGMENT_NUMBER_TAG = 0x0062000B
_PLACEHOLDER_UID = "2.25.1"
#: Namespace of the UIDs, which are made of the content.
_NAMESPACE = uuid.UUID("c2b0a7a4-7d0e-4a4b-9a36-2f2f6a1d7a5e")
#: Maximum length of the value representations LO and PN (of one group).
_LONGEST = 64


@dataclass(frozen=True)
class Origin:
    """Who made a labelmap, and when.

    Attributes:
        model_version: The model version that made it, or whose result was corrected; ``None`` if none was involved.
        edited: Whether a person has drawn or corrected it.
        author: That person, or who asked for it; may be empty.
        time: ISO 8601 with time zone.
    """

    model_version: str | None = None
    edited: bool = False
    author: str = ""
    time: str = ""

    @property
    def algorithm_type(self) -> str:
        """``AUTOMATIC``, ``SEMIAUTOMATIC`` or ``MANUAL``."""
        if not self.edited:
            return "AUTOMATIC"
        return "MANUAL" if self.model_version is None else "SEMIAUTOMATIC"


def write_seg(
    labelmap: Volume, headers: SourceHeaders, path: Path | str, *, origin: Origin, encoding: str = "binary"
) -> Path:
    """Write a labelmap as DICOM SEG; return the path.

    The same content gives the same file: the UIDs are made of it. Each file is a series of its own.

    Args:
        labelmap: ``(x, y, z)`` with the values of :mod:`training.labels`, on the grid of the series or a part of it.
        headers: Of the series that it refers to.
        path: File to write.
        origin: Who made the labelmap.
        encoding: ``binary`` or ``labelmap``.

    Raises:
        InputError: If the labelmap does not lie on the voxels of the series (``field`` is ``"label"``), or the headers
            are not sufficient (``"dicom"``).
        ValueError: If the labelmap holds other values, or there is no such encoding.
    """
    content = seg_bytes(labelmap, headers, origin=origin, encoding=encoding)
    return write_with(Path(path), lambda temporary: temporary.write_bytes(content))


def seg_bytes(labelmap: Volume, headers: SourceHeaders, *, origin: Origin, encoding: str = "binary") -> bytes:
    """Return a labelmap as the content of a DICOM SEG file; see :func:`write_seg`."""
    return _file_content(segmentation(labelmap, headers, origin=origin, encoding=encoding))


def _file_content(dataset: Dataset) -> bytes:
    content = io.BytesIO()
    dataset.save_as(content, write_like_original=False)
    return content.getvalue()


def segmentation(labelmap: Volume, headers: SourceHeaders, *, origin: Origin, encoding: str = "binary") -> Dataset:
    """Return a labelmap as the data set of a DICOM SEG; see :func:`write_seg`."""
    if encoding not in SEG_FORMATS.values():
        raise ValueError(f"a DICOM SEG cannot be encoded as {encoding!r}")
    check_labelmap(labelmap.data)
    sources = source_images(headers)
    planes = _planes(labelmap, sources)
    frames = _labelmap_frames(planes) if encoding == "labelmap" else _binary_frames(planes)
    dataset = _without_frames(sources, sorted({plane for _, plane in frames}), origin)
    if encoding == "labelmap":
        _make_label_map(dataset, origin.algorithm_type)
        pixels = planes[[plane for _, plane in frames]].tobytes()
    else:
        bits = np.stack([planes[plane] == label.value for label, plane in frames if label is not None])
        pixels = np.packbits(bits.ravel(), bitorder="little").tobytes()
    _set_frames(dataset, frames, sources)
    dataset.PixelData = pixels + b"\0" * (len(pixels) % 2)
    _set_uids(dataset)
    return dataset


def _planes(labelmap: Volume, sources: SourceImages) -> np.ndarray:
    """Return the labels as ``(slice, row, column)`` of the series, uint8."""
    placed = on_grid(labelmap, sources.grid)
    if placed is None:
        raise InputError(
            f"The labelmap does not lie on the voxels of the DICOM series: {labelmap.grid.difference(sources.grid)}. "
            f"A DICOM SEG has the slices of its series. {INSTEAD}",
            field="label",
        )
    return np.ascontiguousarray(placed.data.astype(np.uint8, copy=False).transpose(2, 1, 0))


#: A frame: its segment, ``None`` if it holds all of them, and the index of its slice.
_Frame = tuple["Label | None", int]


def _binary_frames(planes: np.ndarray) -> list[_Frame]:
    shown = {label: np.flatnonzero((planes == label.value).any(axis=(1, 2))) for label in LABELS}
    anywhere = min((int(found[0]) for found in shown.values() if found.size), default=len(planes) // 2)
    return [(label, int(plane)) for label, found in shown.items() for plane in (found if found.size else [anywhere])]


def _labelmap_frames(planes: np.ndarray) -> list[_Frame]:
    found = np.flatnonzero(planes.any(axis=(1, 2)))
    return [(None, int(plane)) for plane in (found if found.size else [len(planes) // 2])]


def _without_frames(sources: SourceImages, used: list[int], origin: Origin) -> Dataset:
    """Return the data set of a binary segmentation; it has one frame for each used slice, whose pixels mean nothing."""
    import highdicom as hd

    first = sources.images[0]
    mask = np.zeros((len(sources.images), int(first.Rows), int(first.Columns)), np.uint8)
    mask[used] = 1
    version = origin.model_version or __version__
    try:
        dataset = hd.seg.Segmentation(
            source_images=list(sources.images),
            pixel_array=mask,
            segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=[description(label, origin.algorithm_type, version) for label in LABELS],
            series_instance_uid=_PLACEHOLDER_UID,
            series_number=SERIES_NUMBER,
            sop_instance_uid=_PLACEHOLDER_UID,
            instance_number=1,
            manufacturer=NAME,
            manufacturer_model_name=NAME,
            software_versions=__version__,
            device_serial_number=version,
            content_label="GLIOMA",
            content_description=f"Glioma: {', '.join(label.name for label in LABELS)}",
            series_description=_series_description(origin),
        )
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise InputError(f"No DICOM SEG can refer to this series: {error}. {INSTEAD}", field="dicom") from error
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.ContentCreatorName = _person(origin.author or NAME)
    for element in sources.shared:
        dataset.add(element)
    _set_times(dataset, origin.time or now())
    return dataset


def _series_description(origin: Origin) -> str:
    name = f"{NAME} {origin.model_version}" if origin.model_version else NAME
    kind = {"AUTOMATIC": "", "SEMIAUTOMATIC": ", corrected", "MANUAL": ", drawn by hand"}[origin.algorithm_type]
    return f"{name}{kind} (research only)"


def _make_label_map(dataset: Dataset, algorithm_type: str) -> None:
    """Turn the data set of a binary segmentation into that of a Label Map Segmentation, but for its frames."""
    from pydicom.uid import UID

    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = UID(LABEL_MAP_SEGMENTATION)
    dataset.SegmentationType = "LABELMAP"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.PixelPaddingValue = BACKGROUND
    dataset.SegmentSequence = [background_description(algorithm_type), *dataset.SegmentSequence]
    dataset.DimensionIndexSequence = [
        item for item in dataset.DimensionIndexSequence if item.DimensionIndexPointer != _SEGMENT_NUMBER_TAG
    ]


def _set_frames(dataset: Dataset, frames: list[_Frame], sources: SourceImages) -> None:
    """Describe the frames: segment, position, and the image that each lies on."""
    from pydicom.dataset import Dataset

    by_position = {
        tuple(item.PlanePositionSequence[0].ImagePositionPatient): item
        for item in dataset.PerFrameFunctionalGroupsSequence
    }
    ranks = {plane: rank for rank, plane in enumerate(sorted({plane for _, plane in frames}), start=1)}
    items = []
    for label, plane in frames:
        of_plane = by_position[tuple(sources.images[plane].ImagePositionPatient)]
        item, content = Dataset(), Dataset()
        content.DimensionIndexValues = [ranks[plane]] if label is None else [label.value, ranks[plane]]
        item.FrameContentSequence = [content]
        item.PlanePositionSequence = of_plane.PlanePositionSequence
        item.DerivationImageSequence = of_plane.DerivationImageSequence
        if sources.frames:
            item.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber = sources.frames[plane]
        if label is not None:
            segment = Dataset()
            segment.ReferencedSegmentNumber = label.value
            item.SegmentIdentificationSequence = [segment]
        items.append(item)
    dataset.PerFrameFunctionalGroupsSequence = items
    dataset.NumberOfFrames = len(items)
    for holder, name in (
        (dataset, "SourceImageSequence"),
        (dataset.ReferencedSeriesSequence[0], "ReferencedInstanceSequence"),
    ):
        once = {reference.ReferencedSOPInstanceUID: reference for reference in holder[name].value}
        setattr(holder, name, list(once.values()))  # the frames of a multi-frame image are one instance


def _set_times(dataset: Dataset, time: str) -> None:
    """Set date and time of series and content, in the time zone of the source, or else of this machine."""
    at = datetime.fromisoformat(time)
    offset = str(dataset.get("TimezoneOffsetFromUTC") or "")
    if len(offset) == 5 and offset[0] in "+-" and offset[1:].isdigit():
        minutes = int(offset[1:3]) * 60 + int(offset[3:])
        at = at.astimezone(timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes)))
    else:
        at = at.astimezone()
    for name in ("Series", "Content"):
        setattr(dataset, f"{name}Date", at.strftime("%Y%m%d"))
        setattr(dataset, f"{name}Time", at.strftime("%H%M%S"))


def _set_uids(dataset: Dataset) -> None:
    """Make the UIDs of the content: the same content is the same SOP instance, and no other content is."""
    from pydicom.uid import UID

    organization = dataset.DimensionOrganizationSequence[0]

    def use(series: str, instance: str, dimensions: str) -> None:
        dataset.SeriesInstanceUID = series
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(instance)
        for item in (organization, *dataset.DimensionIndexSequence):
            item.DimensionOrganizationUID = dimensions

    use(_PLACEHOLDER_UID, _PLACEHOLDER_UID, _PLACEHOLDER_UID)
    digest = hashlib.sha256(_file_content(dataset)).hexdigest()
    series, instance, dimensions = (
        f"2.25.{uuid.uuid5(_NAMESPACE, f'{level} {digest}').int}" for level in ("series", "instance", "dimensions")
    )
    use(series, instance, dimensions)


def _person(name: str) -> str:
    """Return a user's name as a DICOM person name: the last word is the family name.

    Examples:
        >>> _person("Anna Maria Sommer")
        'Sommer^Anna Maria'
    """
    printable = "".join(character for character in name if character.isprintable() and character not in "\\^=")
    given, _, family = printable.strip()[: _LONGEST - 1].rpartition(" ")
    return f"{family}^{given.strip()}" if family else ""
