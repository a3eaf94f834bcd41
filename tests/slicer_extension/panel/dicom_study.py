"""Small DICOM series as a scanner writes them, and a DICOM SEG that names nobody."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.uid import SegmentationStorage

from tests.training.dicom.made_series import Study, empty_instance, made_series, write

STUDY = "1.2.826.0.1.3680043.8.498.1"
PATIENT = "Müller^Änne"
_SHARED = Study(patient_id="0815", patient_name=PATIENT, uid=STUDY, frame_of_reference=f"{STUDY}.9", date="20260102")
_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def write_series(
    folder: Path, array_kji: np.ndarray, ijk_to_ras: np.ndarray, number: int, description: str
) -> list[Path]:
    """Write a volume as one file per slice; return the files, in the order of their names, which is no other."""
    matrix = _TO_LPS @ ijk_to_ras
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    slices = made_series(
        study=_SHARED,
        data=np.asarray(array_kji, np.int16),
        number=number,
        orientation=[*(matrix[:3, 0] / spacing[0]), *(matrix[:3, 1] / spacing[1])],
        positions=[(matrix @ [0, 0, k, 1])[:3] for k in range(len(array_kji))],
        spacing=(spacing[1], spacing[0]),
        SliceThickness=spacing[2],
        SeriesDescription=description,
        SpecificCharacterSet="ISO_IR 100",
        AccessionNumber="A1",
        InstitutionName="Hospital",
    )
    return write([*slices[1::2], *slices[::2]], folder)


def write_seg(path: Path, study: str = STUDY) -> bytes:
    """Write what is needed here of a DICOM SEG by a server that was not told who the patient is."""
    seg = empty_instance(SegmentationStorage)
    seg.StudyInstanceUID, seg.PatientName, seg.PatientID, seg.StudyDate = study, "", "", ""
    seg.Modality, seg.ContentLabel, seg.SpecificCharacterSet = "SEG", "TUMORLOOP", "ISO_IR 6"
    seg.save_as(path)
    return path.read_bytes()
