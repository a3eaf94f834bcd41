"""Raw phantoms on disk: as DICOM series, as NIfTI files, with what is true beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from training.atomic import make_folder, write_json
from training.dicom.image import MR_IMAGE
from training.errors import InputError
from training.finished import Finished
from training.images.grid import Grid, Volume
from training.images.write import write_volume
from training.modalities import ROLES
from training.parallel import Workers, map_unordered
from training.phantoms.generate import GENERATOR_VERSION
from training.phantoms.raw import RawStudy, raw_study
from training.phantoms.raw_series import Protocol

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pydicom.uid import UID

#: The order in which the series are acquired; contrast agent is given before the last.
_ORDER = ("t2", "flair", "t1", "t1ce")
_RAS_TO_LPS = np.array([-1.0, -1.0, 1.0])
_RESCALE_SLOPE = 1.5


def write_dicom(study: RawStudy, folder: Path, *, one_frame: bool = True) -> Path:
    """Write a raw study as MR Image Storage, ``folder/<series number>_<role>/IM0001.dcm`` and so on.

    The same study gives the same files, UIDs included.

    Args:
        study: The study.
        folder: Created if absent; should be empty.
        one_frame: Whether all series share one frame of reference, although the head moved, as it is when nobody told
            the scanner; otherwise each has its own.

    Returns:
        ``folder``.
    """
    folder = make_folder(folder)
    for position, role in enumerate((role for role in _ORDER if role in study.volumes), start=1):
        number = position + 2
        series = _series(study, role, number, one_frame)
        place = make_folder(folder / f"{number:03d}_{role}")
        slope = _RESCALE_SLOPE if study.protocols[role].description.startswith(("T1W", "T2W", "sT1W")) else 1.0
        for index in range(study.volumes[role].grid.shape[2]):
            name = place / f"IM{index + 1:04d}.dcm"
            _image(series, study.volumes[role], index, slope).save_as(name, write_like_original=False)
    return folder


def _uid(*parts: object) -> UID:
    from pydicom.uid import generate_uid

    return generate_uid(entropy_srcs=["tumorloop-raw", *map(str, parts)])


def _series(study: RawStudy, role: str, number: int, one_frame: bool) -> Dataset:
    """Return what all images of a series have in common."""
    from pydicom.dataset import Dataset

    protocol, volume = study.protocols[role], study.volumes[role]
    # what distinguishes studies of one seed with other options is in their voxels
    key = (study.seed, *(int(one.data.sum(dtype=np.int64)) for one in study.volumes.values()))
    clock = f"10{5 * number:02d}00"
    values: dict[str, Any] = {
        "SpecificCharacterSet": "ISO_IR 100",
        "SOPClassUID": MR_IMAGE,
        "StudyDate": "20260105",
        "SeriesDate": "20260105",
        "AcquisitionDate": "20260105",
        "ContentDate": "20260105",
        "StudyTime": "100000",
        "SeriesTime": clock,
        "AcquisitionTime": clock,
        "ContentTime": clock,
        "AccessionNumber": "",
        "Modality": "MR",
        "Manufacturer": "TumorLoop",
        "ManufacturerModelName": "Raw phantom",
        "ReferringPhysicianName": "",
        "StudyDescription": "Synthetic head, no patient",
        "SeriesDescription": protocol.description,
        "ProtocolName": protocol.description,
        "PatientName": f"Phantom^Raw {study.seed}",
        "PatientID": f"raw-phantom-{study.seed}",
        "PatientBirthDate": "",
        "PatientSex": "O",
        "BodyPartExamined": "HEAD",
        "PatientPosition": "HFS",
        "StudyID": str(study.seed),
        "SeriesNumber": number,
        "StudyInstanceUID": _uid(*key),
        "SeriesInstanceUID": _uid(*key, role),
        "FrameOfReferenceUID": _uid(*key, "frame", "" if one_frame else role),
        "PositionReferenceIndicator": "",
        **_acquisition(protocol),
        **_pixels(volume.grid),
    }
    if protocol.agent:
        values |= {"ContrastBolusAgent": protocol.agent, "ContrastBolusRoute": "IV", "ContrastBolusVolume": 7.5}
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def _acquisition(protocol: Protocol) -> dict[str, Any]:
    inverted = protocol.inversion is not None
    values: dict[str, Any] = {
        "ImageType": ["ORIGINAL", "PRIMARY", "M", "ND"],
        "ScanningSequence": protocol.sequence.split("\\"),
        "SequenceVariant": ["SK", "MP"] if inverted else "SK",
        "ScanOptions": "",
        "MRAcquisitionType": "3D" if protocol.is_3d else "2D",
        "SliceThickness": protocol.thickness,
        "SpacingBetweenSlices": protocol.distance,
        "RepetitionTime": protocol.repetition,
        "EchoTime": protocol.echo,
        "EchoTrainLength": 1 if protocol.echo < 20 else 15,
        "FlipAngle": protocol.flip,
        "MagneticFieldStrength": 3.0 if protocol.is_3d else 1.5,
    }
    return values | ({"InversionTime": protocol.inversion} if inverted else {})


def _pixels(grid: Grid) -> dict[str, Any]:
    directions = grid.affine[:3, :3] / grid.spacing * _RAS_TO_LPS[:, None]
    return {
        "ImageOrientationPatient": [_decimal(value) for value in directions[:, :2].T.ravel()],
        "PixelSpacing": [_decimal(grid.spacing[1]), _decimal(grid.spacing[0])],  # of rows, then of columns
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": grid.shape[1],
        "Columns": grid.shape[0],
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 0,
    }


def _image(series: Dataset, volume: Volume, index: int, slope: float) -> Any:
    """Return one slice as a file."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian

    stored = np.round(volume.data[:, :, index].T / np.float32(slope)).astype("<u2")
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(MR_IMAGE)
    meta.MediaStorageSOPInstanceUID = _uid(series.SeriesInstanceUID, index)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image = FileDataset("", dict(series), file_meta=meta, preamble=b"\0" * 128)
    image.is_little_endian, image.is_implicit_VR = True, False
    image.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    image.InstanceNumber = index + 1
    image.AcquisitionNumber = 1
    corner = (volume.grid.affine @ [0, 0, index, 1])[:3] * _RAS_TO_LPS
    image.ImagePositionPatient = [_decimal(value) for value in corner]
    image.SliceLocation = _decimal(corner @ np.cross(*np.reshape(series.ImageOrientationPatient, (2, 3)).astype(float)))
    image.WindowCenter, image.WindowWidth = _decimal(stored.max() / 3), _decimal(max(1.0, stored.max() / 1.5))
    if slope != 1:
        image.RescaleIntercept, image.RescaleSlope, image.RescaleType = 0, slope, "US"
    image.PixelData = stored.tobytes()
    return image


def _decimal(value: float) -> str:
    """Return a decimal string of at most 16 characters."""
    return f"{value:.10f}"[:16]


def write_nifti(study: RawStudy, folder: Path) -> Path:
    """Write the series as acquired, ``folder/{t1,t1ce,t2,flair}.nii.gz``, int16; returns ``folder``."""
    for role in ROLES:
        if role in study.volumes:
            _save(folder / f"{role}.nii.gz", study.volumes[role], np.int16)
    return folder


def write_truth(study: RawStudy, folder: Path) -> Path:
    """Write the truth: ``label.nii.gz`` and ``brain.nii.gz`` on the grid of T1ce, and ``motion.json``.

    ``motion.json`` holds one 4x4 matrix per series: RAS mm of the frame of T1ce to RAS mm of that of the series.
    """
    _save(folder / "label.nii.gz", study.label, np.uint8)
    _save(folder / "brain.nii.gz", study.brain, np.uint8)
    motion = {role: matrix.tolist() for role, matrix in study.transforms.items()}
    write_json(folder / "motion.json", motion)
    return folder


def _save(path: Path, volume: Volume, dtype: type) -> None:
    write_volume(Volume(volume.data.astype(dtype), volume.grid), path)


def raw_name(number: int) -> str:
    """Return the name of a study of :func:`write_raw_studies`, counted from 0."""
    return f"raw_{number + 1:04d}"


def write_raw_studies(
    root: Path,
    n: int,
    *,
    seed: int = 0,
    dicom: bool = False,
    motion: Mapping[str, float] | None = None,
    workers: Workers = None,
    resume: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Write ``n`` raw studies ``raw_0001`` ... below ``root``, and what is true of them below ``root/truth``.

    Args:
        root: Created if absent.
        n: Number of studies, at least 1.
        seed: The seed of the first; the others follow.
        dicom: As DICOM series instead of NIfTI.
        motion: ``degrees``, ``mm`` and ``tilt`` of :func:`training.phantoms.raw.raw_study`, where they differ.
        workers: Processes, each of which needs 2 GB; ``None`` for one per core; or a cluster.
        resume: Whether to record what is finished (:mod:`training.finished`), and to keep what a record says is.
        on_progress: Called with the number done and ``n`` after each study.

    Returns:
        The folders of the studies, in order.

    Raises:
        InputError: If a number is out of range.
    """
    if n < 1:
        raise InputError(f"The number of raw studies must be at least 1; it is {n}.", field="n")
    jobs = [_RawJob(seed + k, Path(root), raw_name(k), dicom, dict(motion or {}), resume) for k in range(n)]
    for done, _ in enumerate(map_unordered(_write_one, jobs, workers), start=1):
        if on_progress is not None:
            on_progress(done, n)
    return [job.root / job.name for job in jobs]


def own_raw_studies(
    root: Path, n: int, *, seed: int = 0, dicom: bool = False, motion: Mapping[str, float] | None = None
) -> set[str]:
    """Return the names of the studies that a call of :func:`write_raw_studies` with ``resume`` has written or begun."""
    jobs = [_RawJob(seed + k, Path(root), raw_name(k), dicom, dict(motion or {}), True) for k in range(n)]
    return {job.name for job in jobs if Finished(job.root).mine(job.name, job.key)}


@dataclass(frozen=True)
class _RawJob:
    seed: int
    root: Path
    name: str
    dicom: bool
    motion: dict[str, float]
    resume: bool

    @property
    def key(self) -> str:
        """What decides the study."""
        motion = " ".join(f"{name} {value:g}" for name, value in sorted(self.motion.items()))
        return f"raw phantom generator {GENERATOR_VERSION} seed {self.seed} dicom {self.dicom} {motion}"


def _write_one(job: _RawJob) -> None:
    finished = Finished(job.root)
    if job.resume and finished.facts(job.name, job.key) is not None:
        return
    if job.resume:
        finished.begin(job.name, job.key)
    study = raw_study(job.seed, **job.motion)  # type: ignore[arg-type]
    truth = write_truth(study, job.root / "truth" / job.name)
    place = job.root / job.name
    place = write_dicom(study, place) if job.dicom else write_nifti(study, place)
    if job.resume:
        files = [path for folder in (place, truth) for path in sorted(folder.rglob("*")) if path.is_file()]
        finished.note(job.name, job.key, files)
