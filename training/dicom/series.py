"""The series of a folder: found, split into volumes, checked and recognized."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from training.dicom.geometry import Geometry, geometry_of
from training.dicom.image import MR_CLASSES, Image
from training.dicom.pixels import stored_frames
from training.dicom.recognize import Verdict, in_study, recognize
from training.dicom.scan import dicom_files, read_images
from training.dicom.split import places_of, split
from training.errors import InputError

_REMEDY = (
    "Copy or export the series again, complete; or convert it (with dcm2niix or 3D Slicer) and give the NIfTI file."
)
#: What the images of other modalities than MR are.
_KINDS = {"SEG": "a segmentation", "PR": "a presentation state", "SR": "a report", "KO": "a list of key images"}
_KINDS |= {"RTSTRUCT": "a set of contours", "REG": "a registration", "CT": "a CT", "PT": "a PET", "DOC": "a document"}
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_LOSSY = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.81", "1.2.840.10008.1.2.4.91")


@dataclass(frozen=True)
class Series:
    """One volume of a study: a series, or one of the volumes that a series holds.

    Attributes:
        uid: SeriesInstanceUID.
        number: SeriesNumber, if there is one.
        description: SeriesDescription, or else ProtocolName.
        instances: The files, in the order of the slices.
        role: Its modality; ``None`` if it is none of the four, or that is not certain.
        reason: Why, as a sentence.
        problem: Why it cannot be read, and what to do; empty if it can.
        notes: What was repaired or is unusual, as sentences.
        maybe: The modalities that it may be if that is not certain.
        study_uid: StudyInstanceUID.
        patient_id: PatientID.
        frame_of_reference: FrameOfReferenceUID.
        part: Index of the volume in multi-frame files that hold several; ``None`` in any other series.
        key: How it is named in messages and chosen: the number ("7"), with the volume if the series holds several
            ("7.2").
        image: Its first image.
        slices: Number of images.
        spacing: Of columns, rows and slices, in millimeters.
        extent: The height of the stack of slices in millimeters.
        named: Whether its name told the modality.
    """

    uid: str
    number: int | None
    description: str
    instances: tuple[Path, ...]
    role: str | None = None
    reason: str = ""
    problem: str = ""
    notes: tuple[str, ...] = ()
    maybe: tuple[str, ...] = ()
    study_uid: str = ""
    patient_id: str = ""
    frame_of_reference: str = ""
    part: int | None = None
    key: str = ""
    image: Image = field(default=Image(Path()), repr=False)
    slices: int = 0
    spacing: tuple[float, float, float] = (0.0, 0.0, 0.0)
    extent: float = 0.0
    named: bool = True

    @property
    def title(self) -> str:
        """The series in a sentence: ``series 7 'AX T1 POST'``."""
        return _titled(self.key, self.description)


def _titled(key: str, description: str) -> str:
    return f"series {key} {description!r}" if description else f"series {key}"


def find_series(folder: Path | str) -> list[Series]:
    """Find the series of a folder.

    Args:
        folder: At any depth, with any file names; other files are ignored.

    Returns:
        One entry for each volume, by study and series number. What is none of the four modalities is among them, with
        the reason.

    Raises:
        InputError: If it is no folder, or holds too many files.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder.", field="image")
    return series_of(*read_images(dicom_files(folder)))


def series_of(images: Iterable[Image], unread: Mapping[Path, str] | None = None) -> list[Series]:
    """Return the series that images make up.

    Args:
        images: In any order.
        unread: Files that look like DICOM and could not be read, and why.
    """
    by_study: dict[str, dict[str, list[Image]]] = defaultdict(lambda: defaultdict(list))
    for image in images:
        by_study[image.study_uid][image.series_uid].append(image)
    return [one for study in sorted(by_study) for one in _of_study(by_study[study], unread or {})]


def _of_study(by_uid: Mapping[str, list[Image]], unread: Mapping[Path, str]) -> list[Series]:
    names = _series_names(by_uid)
    volumes = [volume for uid, images in by_uid.items() for volume in _volumes(images, names[uid])]
    counts = [volume.siblings for volume in volumes]
    firsts = [volume.images[0] for volume in volumes]
    verdicts = [
        recognize(image, count) if _is_mr(image) else Verdict(None, _not_mr(image))
        for image, count in zip(firsts, counts, strict=True)
    ]
    found = [
        _series(volume, verdict, unread) for volume, verdict in zip(volumes, in_study(verdicts, firsts), strict=True)
    ]
    return sorted(found, key=lambda one: (one.number is None, one.number or 0, one.uid))


def _series_names(by_uid: Mapping[str, list[Image]]) -> dict[str, str]:
    """Return a name for each series of a study: its number; with a letter if others have it, too: "7a", "7b"."""
    uids: dict[str, list[str]] = defaultdict(list)
    for uid, images in sorted(by_uid.items()):
        number = images[0].series_number
        uids[str(number) if number is not None else "unnumbered"].append(uid)
    names = {}
    for number_text, same in uids.items():
        for place, uid in enumerate(same):
            letter = _LETTERS[place] if place < len(_LETTERS) else f"-{place}"
            names[uid] = f"{number_text}{letter}" if len(same) > 1 else number_text
    return names


@dataclass(frozen=True)
class _Volume:
    """The images of one volume.

    Attributes:
        images: Without copies.
        key: As of :class:`Series`.
        part: As of :class:`Series`.
        siblings: The number of volumes at the same positions in its series.
        notes: What was left out.
    """

    images: list[Image]
    key: str
    part: int | None
    siblings: int
    notes: tuple[str, ...]


def _volumes(images: Sequence[Image], name: str) -> list[_Volume]:
    """Split the images of one series.

    Args:
        images: Of the series.
        name: Of the series, for the keys.
    """
    unique: dict[tuple[str, int | None], Image] = {}
    for image in images:
        unique.setdefault((image.sop_instance, image.frame), image)
    distinct = list(unique.values())
    copies = len(images) - len(distinct)
    parts = split(distinct)
    planes = [part[0].orientation for part in parts]
    found = []
    for place, part in enumerate(parts):
        kept, equal = _without_equal(part)
        notes = []
        if copies or equal:
            notes.append(f"Left out as copies of others: {copies + equal} of its images.")
        if len(parts) > 1:
            notes.append(f"The series holds {len(parts)} volumes; this is number {place + 1}.")
        key = f"{name}.{place + 1}" if len(parts) > 1 else name
        siblings = planes.count(part[0].orientation)
        found.append(_Volume(kept, key, _part(kept, distinct), siblings, tuple(notes)))
    return found


def _without_equal(images: list[Image]) -> tuple[list[Image], int]:
    """Leave out images that lie where another one does and hold the same pixels; also return their number."""
    by_place: dict[int, list[Image]] = defaultdict(list)
    if any(image.orientation is None or image.position is None for image in images):
        return images, 0
    for image, place in zip(images, places_of(images), strict=True):
        by_place[place].append(image)
    doubled = [group for group in by_place.values() if len(group) > 1]
    if not doubled or not all(map(_are_equal, doubled)):
        return images, 0
    return [group[0] for group in by_place.values()], len(images) - len(by_place)


def _are_equal(images: Sequence[Image]) -> bool:
    """Return whether images at one position have the same direction and the same pixels."""
    directions = np.array([image.orientation for image in images])
    if np.ptp(directions, axis=0).max() > 1e-3:
        return False
    try:
        pixels = [stored_frames(image.path, [image.frame])[0] for image in images]
    except InputError:
        return False
    return all(np.array_equal(pixels[0], other) for other in pixels[1:])


def _part(volume: Sequence[Image], series: Sequence[Image]) -> int | None:
    """Return the index of a volume among those of its multi-frame files; ``None`` if they hold no other."""
    if volume[0].frame is None:
        return None
    paths = {image.path for image in volume}
    parts = split([image for image in series if image.path in paths])
    if len(parts) == 1:
        return None
    return next((place for place, part in enumerate(parts) if set(part) >= set(volume)), None)


def _series(volume: _Volume, verdict: Verdict, unread: Mapping[Path, str]) -> Series:
    image = volume.images[0]
    geometry = geometry_of(volume.images)
    description = image.description or image.protocol
    title = _titled(volume.key, description).replace("series", "Series", 1)
    problem = _problem(volume.images, geometry)
    return Series(
        uid=image.series_uid,
        number=image.series_number,
        description=description,
        instances=tuple(dict.fromkeys(one.path for one in geometry.order)),
        role=verdict.role,
        reason=f"{title}: {verdict.reason}.",
        problem=f"{title} cannot be used: {problem}" if problem else "",
        notes=(*volume.notes, *_notes(volume.images, geometry, unread)),
        maybe=verdict.maybe,
        study_uid=image.study_uid,
        patient_id=image.patient_id,
        frame_of_reference=image.frame_of_reference,
        part=volume.part,
        key=volume.key,
        image=image,
        slices=len(geometry.order),
        spacing=geometry.spacing,
        extent=geometry.extent,
        named=verdict.named,
    )


def _problem(images: Sequence[Image], geometry: Geometry) -> str:
    """Return why a volume cannot be used and what to do, as clauses; empty if it can."""
    first = images[0]
    if not _is_mr(first):
        return f"{_not_mr(first)}. Give an MR series."
    if first.mosaic:
        return "it is a mosaic (Siemens), whose slices lie beside each other in one image. Convert it with dcm2niix."
    if first.samples != 1:
        return "it holds colors, not intensities. Give the original series."
    damaged = next((image for image in images if image.damage), None)
    if damaged is not None:
        return f"of {damaged.path.name}, {damaged.damage}. {_REMEDY}"
    return f"{geometry.problem}. {_REMEDY}" if geometry.problem else ""


def _notes(images: Sequence[Image], geometry: Geometry, unread: Mapping[Path, str]) -> list[str]:
    first = images[0]
    notes = [f"{note[0].upper()}{note[1:]}." for note in geometry.notes]
    folders = {image.path.parent for image in images}
    lost = [path for path, why in unread.items() if path.parent in folders and "DICOMDIR" not in why]
    if lost:
        notes.append(f"Files beside it could not be read ({len(lost)}), such as {lost[0].name}: {unread[lost[0]]}.")
    declared = first.declared_images
    if declared and len(images) < declared and first.frame is None:
        notes.append(f"It says that {declared} images were made; {len(images)} are here.")
    if first.photometric == "MONOCHROME1":
        notes.append("It is stored inverted (MONOCHROME1), and is inverted back.")
    if len({(image.slope, image.intercept) for image in images}) > 1:
        notes.append("The rescale differs between its slices, and is applied to each.")
    if first.transfer_syntax in _LOSSY:
        notes.append("It was compressed with loss.")
    return notes


def _is_mr(image: Image) -> bool:
    return image.sop_class in MR_CLASSES or (not image.sop_class and image.modality == "MR")


def _not_mr(image: Image) -> str:
    """Return what an instance is that is no MR image."""
    if image.modality in ("MR", "OT", "SC") or image.sop_class.startswith("1.2.840.10008.5.1.4.1.1.7"):
        if image.modality == "MR" and not image.rows:
            return "it holds no image, but data of a scan (spectroscopy, raw data)"
        return "it is a picture (secondary capture), not the image of a scanner"
    return f"it is {_KINDS.get(image.modality, f'of the kind {image.modality or image.sop_class}')}, not MR"
