"""What the values of a file mean in the known schemes, and what the values alone decide."""

import numpy as np
import pytest

from tests.training import rejected
from training.label_schemes import (
    SCHEMES,
    decided_by_values,
    parse_scheme,
    scheme_of_names,
    stated_scheme,
    statement,
    value_counts,
)


@pytest.mark.parametrize(
    ("name", "stored", "read"),
    [
        ("tumorloop", [0, 1, 2, 3], [0, 1, 2, 3]),
        ("brats-2013", [0, 1, 2, 3, 4], [0, 1, 2, 1, 3]),
        ("brats-2017", [0, 1, 2, 4], [0, 1, 2, 3]),
        ("brats-2023", [0, 1, 2, 3], [0, 1, 2, 3]),
        ("brats-2024-post", [0, 1, 2, 3, 4], [0, 1, 2, 3, 0]),
        ("brats-ped", [0, 1, 2, 3, 4], [0, 3, 1, 1, 2]),
        ("decathlon", [0, 1, 2, 3], [0, 2, 1, 3]),
        ("1=edema, 2=NETC,7=enhancing tumour", [0, 1, 2, 7], [0, 2, 1, 3]),
    ],
)
def test_every_scheme_is_read(name, stored, read):
    scheme = parse_scheme(name)
    labels = scheme.apply(np.array(stored, np.int32))
    assert (labels.tolist(), labels.dtype) == (read, np.uint8)
    assert scheme.fits(stored)
    assert not scheme.fits([*stored, 9])


def test_all_schemes_are_known_and_say_where_they_are_defined():
    assert len(SCHEMES) == 7
    assert all(scheme.source for scheme in SCHEMES.values())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("brats", "no label scheme 'brats'.*decathlon"),
        ("1=liver", "'liver' is none of the labels"),
        ("1=edema,1=necrosis", "none of the labels"),
        ("edema=1", "no label scheme"),
    ],
)
def test_an_unknown_scheme_is_refused_with_the_known_ones(text, message):
    with rejected(message, "label_scheme"):
        parse_scheme(text)


REGIONS = {"whole tumor": (1, 2, 3), "tumor core": (2, 3), "enhancing tumor": (3,)}


@pytest.mark.parametrize(
    ("labels", "regions", "values", "unknown"),
    [
        ({0: "background"}, REGIONS, {1: 2, 2: 1, 3: 3}, {}),
        ({0: "background", 4: "RC"}, {"WT": (1, 2, 3), "TC": (1, 3), "ET": (3,)}, {1: 1, 2: 2, 3: 3, 4: 0}, {}),
        ({}, {**REGIONS, "netc": (2,)}, {1: 2, 2: 1, 3: 3}, {}),
        ({0: "background", 1: "whole tumor"}, {}, {}, {1: "whole tumor"}),
        ({}, {"whole tumor": (1, 2), "tumor core": (2,)}, {}, {1: "whole tumor", 2: "tumor core"}),
        ({1: "edema", 9: "ignore"}, {}, {1: 2}, {9: "ignore"}),
    ],
)
def test_names_and_regions_give_a_value_its_meaning_and_what_they_do_not_say_stays_unknown(
    labels, regions, values, unknown
):
    scheme = scheme_of_names(labels, regions, name="dataset.json")
    assert (dict(scheme.values), dict(scheme.unknown)) == (values, unknown)


def test_a_value_with_two_meanings_is_refused():
    with rejected(r"dataset\.json calls the value 2 both", "label"):
        scheme_of_names({2: "edema"}, REGIONS, name="dataset.json")


@pytest.mark.parametrize(
    ("present", "others", "decided"),
    [
        ({1, 2, 4}, [], True),
        ({4}, [{1, 2, 4}], True),
        ({1, 2, 4}, [{1, 2, 3}], True),
        ({1, 2, 4}, [{1, 2, 3, 4}], False),  # 4 is then a cavity or edema
        ({1, 2, 3, 4}, [], False),
        ({1, 2}, [{1, 2, 4}], True),
        ({1, 2}, [{1, 2, 4}, {1, 3}], False),
        ({1, 2}, [{1, 2}], False),
        ({1, 2, 3}, [{1, 2, 4}], False),
        ({1, 9}, [{4}], False),
    ],
)
def test_a_4_without_a_3_is_brats_2017_and_decides_for_labels_without_enhancing_tumor(present, others, decided):
    found = decided_by_values(present, others)
    assert (found is SCHEMES["brats-2017"]) is decided


def test_a_statement_holds_for_the_labelmap_it_was_written_with_in_any_orientation_and_for_no_other():
    labelmap = np.random.default_rng(0).integers(0, 4, (4, 5, 6)).astype(np.uint8)
    words = statement(labelmap, "tumorloop")
    assert len(statement(np.repeat(np.arange(5, dtype=np.uint8), 10), "brats-2024-post")) < 80  # NIfTI's field
    assert stated_scheme(words, value_counts(labelmap[::-1].T.astype(np.int32))) is SCHEMES["tumorloop"]
    exchanged = np.array([0, 2, 1, 3], np.uint8)[labelmap]
    for text, array in ((words, exchanged), (words.replace("tumorloop", "x"), labelmap), ("FSL 6.0", labelmap)):
        assert stated_scheme(text, value_counts(array)) is None
