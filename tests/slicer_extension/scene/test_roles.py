from TumorLoopLib.scene.roles import ROLES, is_derived, recognize, role_of

FOUR = {"a": ["AX T1"], "b": ["AX T1 POST GD"], "c": ["AX T2 FSE"], "d": ["AX T2 FLAIR"]}


def test_four_volumes_find_their_roles_in_the_order_that_the_model_was_trained_with():
    assert ROLES == ("t1", "t1ce", "t2", "flair")
    found = recognize(FOUR)
    assert (found.roles, found.reasons) == (dict(zip(ROLES, "abcd", strict=True)), {})


def test_contrast_is_recognized_in_the_words_of_scanners():
    with_contrast = ["t1_tse_c+", "t1_mprage_c+", "T1 nach KM", "T1 contraste", "T1 Kontrastmittel"]
    words = {"t1ce": with_contrast, "t1": ["T1 ohne KM", "T1 sans gado", "T1 W/O GD"], None: ["T1 w/wo"]}
    for role, names in words.items():
        assert [role_of(name) for name in names] == [role] * len(names)
    assert role_of("t2_spc_da-fl_sag_p2") == "flair"


def test_a_missing_role_says_what_to_do_and_a_duplicate_one_is_given_to_nobody():
    found = recognize({key: FOUR[key] for key in "abd"})
    assert found.reasons == {"t2": 'No volume is recognized as T2. Choose it, or put "t2" into its name.'}
    found = recognize({**FOUR, "e": ["COR T2"]})
    assert set(found.roles) == {"t1", "t1ce", "flair"}
    assert found.reasons == {"t2": '"AX T2 FSE" and "COR T2" both look like T2. Choose the one to use.'}
    found = recognize({"f": ["T2 a"], "g": ["T2 b"], "h": ["T2 c"]})
    assert found.reasons["t2"] == '"T2 a", "T2 b" and "T2 c" all look like T2. Choose the one to use.'


def test_names_of_one_volume_complete_each_other_or_contradict_each_other():
    assert recognize({1: ["Volume_3", "SAG FLAIR 3D"]}).roles == {"flair": 1}
    assert recognize({1: ["FLAIR", "AX T2 FLAIR", "patient_flair.nii.gz"]}).roles == {"flair": 1}
    assert recognize({1: ["T1", "AX T2 FLAIR"], 2: ["T1 native"]}).roles == {"t1": 2}
    found = recognize({1: ["T1", "AX T2 FLAIR"]})
    assert found.roles == {}
    assert found.reasons["flair"].startswith('"T1" may be FLAIR: "AX T2 FLAIR" says so, but "T1" says something else.')
    assert found.reasons["t1"].startswith('"T1" may be T1: "T1" says so, but "AX T2 FLAIR" says something else.')


def test_what_is_made_from_an_image_is_no_image_and_volumes_without_any_name_are_ignored():
    for name in ("t1ce_seg", "flair mask", "T1 subtraction", "t2.seg.nrrd", "Uncertainty of t1ce"):
        assert is_derived(name)
        assert recognize({1: [name, "AX T1"]}).roles == {}
    assert recognize({1: [], 2: ["", ""]}).roles == recognize({}).roles == {}
