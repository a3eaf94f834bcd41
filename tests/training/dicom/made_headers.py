"""Headers of small series, made in memory."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset

from training.dicom.headers import SourceHeaders
from training.images.grid import Grid, Volume

COLUMNS, ROWS, SLICES = 5, 4, 6
#: An oblique series: along a row, and along a column.
ORIENTATION = np.array([[0.96, 0.28, 0.0], [-0.28, 0.96, 0.0]])
TILT = np.array([[1.0, 0.0, 0.0], [0.0, 0.8, 0.6], [0.0, -0.6, 0.8]])
ROW, COLUMN = ORIENTATION @ TILT.T
STEP = 5.5 * np.cross(ROW, COLUMN)
FIRST = np.array([-20.25, 31.5, -12.125])
#: Distance between rows, and between columns.
SPACING = (0.9, 0.8)


def instance(number: int, **attributes: object) -> Dataset:
    """Return the header of the slice of a number, from 0, with some attributes replaced."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    dataset.SOPInstanceUID = f"1.2.3.4.{number + 1}"
    dataset.StudyInstanceUID = "1.2.3"
    dataset.SeriesInstanceUID = "1.2.3.4"
    dataset.FrameOfReferenceUID = "1.2.3.5"
    dataset.Modality = "MR"
    dataset.PatientName = "Sommer^Änne"
    dataset.PatientID = "P-1"
    dataset.PatientBirthDate = "19500203"
    dataset.PatientSex = "F"
    dataset.PatientAge = "071Y"
    dataset.PatientWeight = "61.5"
    dataset.StudyDate = "20210304"
    dataset.StudyTime = "101112"
    dataset.StudyID = "7"
    dataset.StudyDescription = "Brain"
    dataset.AccessionNumber = "A-9"
    dataset.ReferringPhysicianName = "Winter^Otto"
    dataset.Rows, dataset.Columns = ROWS, COLUMNS
    dataset.ImagePositionPatient = [float(value) for value in np.round(FIRST + number * STEP, 6)]
    dataset.ImageOrientationPatient = [float(value) for value in (*ROW, *COLUMN)]
    dataset.PixelSpacing = list(SPACING)
    dataset.SliceThickness = "5.0"
    dataset.InstanceNumber = number + 1
    for name, value in attributes.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    return dataset


def series(**attributes: object) -> SourceHeaders:
    """Return the headers of a series of single slices, with some attributes of all replaced."""
    return SourceHeaders(tuple(instance(number, **attributes) for number in range(SLICES)))


def multiframe() -> SourceHeaders:
    """Return the headers of one multi-frame instance, whose frames run against the slices, every other one of them."""
    dataset = instance(0, ImagePositionPatient=None, ImageOrientationPatient=None, PixelSpacing=None)
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4.1"
    dataset.NumberOfFrames = 2 * SLICES
    shared, measures, orientation = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = list(SPACING), "5.0"
    orientation.ImageOrientationPatient = [float(value) for value in (*ROW, *COLUMN)]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    dataset.SharedFunctionalGroupsSequence = [shared]
    groups = []
    for frame in range(2 * SLICES):
        group, position = Dataset(), Dataset()
        place = FIRST + (SLICES - 1 - frame // 2) * STEP
        position.ImagePositionPatient = [float(value) for value in np.round(place, 6)]
        group.PlanePositionSequence = [position]
        groups.append(group)
    dataset.PerFrameFunctionalGroupsSequence = groups
    return SourceHeaders((dataset,), tuple(range(2 * SLICES - 1, 0, -2)))


def grid() -> Grid:
    """Return the grid of these series."""
    affine = np.eye(4)
    affine[:3] = np.column_stack([ROW * SPACING[1], COLUMN * SPACING[0], STEP, FIRST])
    return Grid((COLUMNS, ROWS, SLICES), np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine)


def labelmap(*, without: int | None = None, seed: int = 0) -> Volume:
    """Return a labelmap on that grid, with each value in some of the slices."""
    data = np.random.default_rng(seed).integers(0, 4, (COLUMNS, ROWS, SLICES)).astype(np.uint8)
    data[..., 0] = data[..., 4] = 0
    if without is not None:
        data[data == without] = 0
    return Volume(data, grid())
