"""What a server gets of DICOM files, and how the patient comes into a DICOM SEG."""

import io
import threading
import zipfile

import pydicom
import pytest
from TumorLoopLib.client.errors import Cancelled, LocalFileError
from TumorLoopLib.files.dicom_headers import complete, write_headers

from tests.slicer_extension.panel.dicom_study import PATIENT, STUDY, write_seg, write_series
from tests.slicer_extension.scene.nodes import image, oblique

PERSONAL = ("Müller", "0815", "A1", "20260102", "Hospital", "AX T1")


@pytest.fixture
def series(tmp_path):
    return write_series(tmp_path / "series", image((5, 6, 7)), oblique(), 3, "AX T1 POST of Müller")


def test_only_identifiers_and_positions_leave_this_machine(series, tmp_path):
    path = tmp_path / "dicom.zip"
    assert write_headers(series, path) == path
    with zipfile.ZipFile(path) as archive:
        headers = [pydicom.dcmread(io.BytesIO(archive.read(name))) for name in archive.namelist()]
        assert not any(word in name for word in PERSONAL for name in archive.namelist())
    sources = [pydicom.dcmread(file) for file in series]
    assert len(headers) == len(sources) == 5
    for header, source in zip(headers, sources, strict=True):
        assert len(header.PixelData) == len(source.PixelData)
        assert not any(header.PixelData)
        # the random digits of an identifier may be those of the patient's
        values = [str(element) for element in header if element.VR != "UI"]
        assert not any(word in value for word in PERSONAL for value in values)
        assert header.PatientName == header.PatientID == header.StudyDate == ""
        for name in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID", "Rows"):
            assert header.get(name) == source.get(name), name
        for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
            assert list(header.get(name)) == list(source.get(name)), name


def test_without_files_nothing_is_written_and_damaged_ones_are_named(series, tmp_path):
    assert write_headers([], tmp_path / "dicom.zip") is None
    assert not (tmp_path / "dicom.zip").exists()
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(Cancelled):
        write_headers(series, tmp_path / "dicom.zip", cancelled)
    series[2].write_bytes(b"no DICOM")
    with pytest.raises(LocalFileError, match=series[2].name):
        write_headers(series, tmp_path / "dicom.zip")


def test_the_patient_is_added_to_a_seg_of_the_study_in_any_character_set(series, tmp_path):
    path = tmp_path / "seg.dcm"
    write_seg(path)
    uid = complete(path, series[0])
    seg = pydicom.dcmread(path)
    assert (str(seg.PatientName), seg.PatientID, seg.StudyDate, seg.AccessionNumber) == (
        PATIENT,
        "0815",
        "20260102",
        "A1",
    )
    assert (seg.SOPInstanceUID, seg.StudyInstanceUID, seg.Modality) == (uid, STUDY, "SEG")
    seg.PatientID = "set by the server"
    seg.save_as(path)
    complete(path, series[0])
    assert pydicom.dcmread(path).PatientID == "set by the server"
    before = write_seg(path, "1.2.3")
    with pytest.raises(LocalFileError, match="another study"):
        complete(path, series[0])
    assert path.read_bytes() == before
