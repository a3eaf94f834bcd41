import numpy as np
import pytest

from training.evaluation.difficulty import contrasts, difficulty_of
from training.evaluation.subjects import Subject, subject_of_case, subject_of_phantom
from training.images.grid import Volume
from training.phantoms.generate import Phantom


def test_missed_tumor_and_false_findings_are_described_by_size_and_contrast(written_cases):
    head = subject_of_case(written_cases[0])
    told = difficulty_of(head, Volume(np.zeros_like(head.truth.data), head.truth.grid))
    assert f"measures {np.count_nonzero(head.truth.data) / 1000:.1f} mL. Nothing was found." in told
    assert "FLAIR +" in told
    assert "no enhancing" not in told
    found = np.zeros_like(head.truth.data)
    found[5:15, 5:15, 5:15] = 2
    told = difficulty_of(head, Volume(found, head.truth.grid))
    assert "0% of it was found, and 1.0 mL outside it" in told
    assert "(1.0 mL in separate lesions)" in told
    healthy = Subject(head.id, head.patient, head.volumes, Volume(np.zeros_like(head.truth.data), head.truth.grid))
    assert difficulty_of(healthy, head.truth).startswith("There is no tumor, but")
    assert contrasts(healthy) == {}


def test_contrast_counts_standard_deviations_of_the_surrounding_brain():
    rng = np.random.default_rng(0)
    image = np.zeros((60, 60, 60, 4), np.float32)
    image[8:52, 8:52, 8:52] = rng.normal(1000, 20, (44, 44, 44, 4))
    label = np.zeros((60, 60, 60), np.uint8)
    label[25:35, 25:35, 25:35] = 2
    bright = image + np.where(label[..., None] > 0, [0, 0, 0, 60], 0)  # FLAIR alone: three standard deviations
    subjects = [
        subject_of_phantom(Phantom(data, label, image[..., 0] > 0, np.eye(4), 1, "low")) for data in (bright, image)
    ]
    found = contrasts(subjects[0])
    assert found["flair"] == pytest.approx(3.0, abs=0.2)
    assert abs(found["t1"]) < 0.2
    told = difficulty_of(subjects[1], Volume(np.zeros_like(label), subjects[1].truth.grid))
    assert "The tumor is small, 1.0 mL: 49% of its voxels lie at its border." in told
    assert "It has no enhancing tumor. It hardly stands out" in told
