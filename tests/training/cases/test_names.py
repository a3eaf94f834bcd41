from training.cases.names import patient_of, slug


def test_the_patient_is_read_from_case_ids_and_slugs_are_safe_short_and_distinct():
    patients = {
        "BraTS20_Training_001": "BraTS20_Training_001",
        "BraTS-GLI-00001-001": "BraTS-GLI-00001",
        "TCGA-FG-6692_native": "TCGA-FG-6692",
        "TCGA-FG-6692": "TCGA-FG-6692",
        "UPENN-GBM-00012_11": "UPENN-GBM-00012",
        "sub-03_ses-2": "sub-03",
        "phantom_0001": "phantom_0001",
    }
    assert {case_id: patient_of(case_id) for case_id in patients} == patients
    assert slug("W39_1998.09.19 Müller/T1") == "W39_1998-09-19-Muller-T1"
    assert slug("../../etc/passwd") == "etc-passwd"
    assert slug("日本") != slug("中国")
    assert slug("日本").startswith("case-")
    long = [slug("x" * 100), slug("x" * 101)]
    assert long[0] != long[1]
    assert all(len(name) <= 64 for name in long)
