from training.retraining.split import is_validation


def test_about_the_requested_share_of_patients_is_held_out():
    patients = [f"patient-{number}" for number in range(2000)]
    held_out = [patient for patient in patients if is_validation(patient, 0.2)]
    assert 0.17 < len(held_out) / len(patients) < 0.23
    assert not any(is_validation(patient, 0.0) for patient in patients)
    assert [is_validation(patient) for patient in patients[:8]] == [patient in held_out for patient in patients[:8]]
