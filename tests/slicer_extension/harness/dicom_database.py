"""Slicer's DICOM database over real files, and volumes as the DICOM module loads them, with Slicer's own reader."""

import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import slicer
import vtk

from tests.slicer_extension.harness import failures


class DicomDatabase:
    """``ctkDICOMDatabase`` as far as the extension uses it; the folder is its own."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._files = folder, dict[str, Path]()
        self.isOpen = True

    def insert(self, path: str, storeFile: bool = True, generateThumbnail: bool = True) -> None:
        self._check_thread()
        uid = str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._files[uid] = Path(shutil.copy(path, self._folder / f"{len(self._files):06d}.dcm"))

    def fileForInstance(self, uid: str) -> str:
        self._check_thread()
        return str(self._files.get(uid, ""))

    def instanceValue(self, uid: str, tag: str) -> str:
        self._check_thread()
        group, element = (int(half, 16) for half in tag.split(","))
        found = pydicom.dcmread(self._files[uid], stop_before_pixels=True).get((group, element))
        return "" if found is None else str(found.value)

    def instances(self) -> list[str]:
        return list(self._files)

    def _check_thread(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            failures.record("the DICOM database was used on a worker thread, where its SQL connection is not valid")


@contextmanager
def running(folder: Path) -> Iterator[DicomDatabase]:
    """``slicer.dicomDatabase`` for the time of the block."""
    slicer.dicomDatabase = DicomDatabase(folder)
    try:
        yield slicer.dicomDatabase
    finally:
        del slicer.dicomDatabase


def import_and_load(files: Sequence[Path]) -> Any:
    """Import the files of one series and load it as ``DICOMScalarVolumePlugin`` does; return the volume."""
    database, headers = slicer.dicomDatabase, {}
    for path in files:
        database.insert(str(path))
        header = pydicom.dcmread(path, stop_before_pixels=True)
        headers[str(header.SOPInstanceUID)] = header
    first = next(iter(headers.values()))
    normal = np.cross(first.ImageOrientationPatient[:3], first.ImageOrientationPatient[3:])
    ordered = sorted(headers, key=lambda uid: float(np.dot(normal, headers[uid].ImagePositionPatient)))
    names = vtk.vtkStringArray()
    for uid in ordered:
        names.InsertNextValue(database.fileForInstance(uid))
    title = f"{first.SeriesNumber}: {first.SeriesDescription}"
    name = slicer.mrmlScene.GenerateUniqueName(title)
    vtk.vtkObject.GlobalWarningDisplayOff()  # readers for other kinds of files are tried first, and complain
    node = slicer.modules.volumes.logic().AddArchetypeVolume(names.GetValue(0), name, 0, names)
    vtk.vtkObject.GlobalWarningDisplayOn()
    node.SetAttribute("DICOM.instanceUIDs", " ".join(ordered))
    node.SetAndObserveStorageNodeID(None)  # the module takes the storage node away: the files are the database's
    return node
