"""Small DICOM series as a scanner writes them, and a DICOM SEG that names nobody."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage, SegmentationStorage, generate_uid

STUDY = "1.2.826.0.1.3680043.8.498.1"
PATIENT = "Müller^Änne"
_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def write_series(
    folder: Path, array_kji: np.ndarray, ijk_to_ras: np.ndarray, number: int, description: str
) -> list[Path]:
    """Write a volume as one file per slice; return the files, in the order of their names, which is no other."""
    folder.mkdir(parents=True, exist_ok=True)
    matrix, series = _TO_LPS @ ijk_to_ras, generate_uid(entropy_srcs=[STUDY, description])
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    files = []
    for k, slice_ in enumerate(np.asarray(array_kji, np.int16)):
        image = _file(MRImageStorage, generate_uid(entropy_srcs=[series, str(k)]))
        image.SpecificCharacterSet, image.PatientName, image.PatientID = "ISO_IR 100", PATIENT, "0815"
        image.StudyDate, image.AccessionNumber, image.InstitutionName = "20260102", "A1", "Hospital"
        image.Modality, image.SeriesInstanceUID, image.FrameOfReferenceUID = "MR", series, f"{STUDY}.9"
        image.SeriesNumber, image.SeriesDescription, image.InstanceNumber = number, description, k + 1
        image.ImageOrientationPatient = [*(matrix[:3, 0] / spacing[0]), *(matrix[:3, 1] / spacing[1])]
        image.ImagePositionPatient = list((matrix @ [0, 0, k, 1])[:3])
        image.PixelSpacing, image.SliceThickness = [spacing[1], spacing[0]], spacing[2]
        image.Rows, image.Columns = slice_.shape
        image.SamplesPerPixel, image.PhotometricInterpretation, image.PixelRepresentation = 1, "MONOCHROME2", 1
        image.BitsAllocated, image.BitsStored, image.HighBit = 16, 16, 15
        image.PixelData = np.ascontiguousarray(slice_).tobytes()
        files.append(folder / f"{(7 * k) % 97:02d}.dcm")
        image.save_as(files[-1])
    return sorted(files)


def write_seg(path: Path, study: str = STUDY) -> bytes:
    """Write what is needed here of a DICOM SEG by a server that was not told who the patient is."""
    seg = _file(SegmentationStorage, generate_uid(entropy_srcs=[study]))
    seg.StudyInstanceUID, seg.PatientName, seg.PatientID, seg.StudyDate = study, "", "", ""
    seg.Modality, seg.ContentLabel, seg.SpecificCharacterSet = "SEG", "TUMORLOOP", "ISO_IR 6"
    seg.save_as(path)
    return path.read_bytes()


def _file(sop_class: UID, uid: UID) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = FileDataset(
        io.BytesIO(), {}, preamble=b"\0" * 128, file_meta=meta, is_implicit_VR=False, is_little_endian=True
    )
    file.SOPClassUID, file.SOPInstanceUID, file.StudyInstanceUID = sop_class, uid, STUDY
    return file
