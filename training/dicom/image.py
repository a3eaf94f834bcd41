"""One image of a DICOM study: what its header says, in plain types."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

#: SOP classes (DICOM PS3.4, B.5).
MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"
ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"
LEGACY_ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.4"
MULTI_FRAME_MR = (ENHANCED_MR, LEGACY_ENHANCED_MR)
MR_CLASSES = (MR_IMAGE, *MULTI_FRAME_MR)
SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
LABEL_MAP_SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.7"


@dataclass(frozen=True)
class Image:
    """A single-frame instance, or one frame of a multi-frame instance.

    Texts are empty and numbers ``None`` where the header does not say. Times are in milliseconds, lengths in
    millimeters, positions and directions in DICOM's coordinates (LPS).

    Attributes:
        path: The file.
        frame: Number of the frame, from 1; ``None`` in a single-frame instance.
        acquired: Date and time of the acquisition, as text that sorts by time.
        orientation: Directions in which the columns and the rows are counted: ImageOrientationPatient.
        position: Of the center of the first pixel: ImagePositionPatient.
        pixel_spacing: Between rows, and between columns: PixelSpacing.
        image_type: In upper case.
        agent: The contrast agent; empty also where the header says that there was none.
        contrast: AcquisitionContrast of enhanced MR ("T1", "FLUID_ATTENUATED" ...).
        padding: The stored value outside the image: PixelPaddingValue.
        declared_images: ImagesInAcquisition.
        damage: Why its pixels cannot be read; empty if nothing is known.
    """

    path: Path
    frame: int | None = None
    sop_class: str = ""
    sop_instance: str = ""
    study_uid: str = ""
    series_uid: str = ""
    frame_of_reference: str = ""
    transfer_syntax: str = ""
    modality: str = ""
    patient_id: str = ""
    patient_name: str = ""
    study_date: str = ""
    series_number: int | None = None
    instance_number: int | None = None
    description: str = ""
    protocol: str = ""
    body_part: str = ""
    manufacturer: str = ""
    image_type: tuple[str, ...] = ()
    scanning_sequence: tuple[str, ...] = ()
    scan_options: tuple[str, ...] = ()
    agent: str = ""
    contrast: str = ""
    angiography: bool = False
    mosaic: bool = False
    acquired: str = ""
    echo_time: float | None = None
    repetition_time: float | None = None
    inversion_time: float | None = None
    b_value: float | None = None
    echo_number: int | None = None
    acquisition_number: int | None = None
    temporal_position: int | None = None
    stack: str = ""
    declared_images: int | None = None
    rows: int = 0
    columns: int = 0
    samples: int = 1
    photometric: str = ""
    orientation: tuple[float, ...] | None = None
    position: tuple[float, ...] | None = None
    pixel_spacing: tuple[float, ...] | None = None
    padding: int | None = None
    slope: float = 1.0
    intercept: float = 0.0
    damage: str = ""
