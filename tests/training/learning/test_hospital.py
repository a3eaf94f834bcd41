from dataclasses import replace
from pathlib import Path

import pytest

from tests.training import rejected
from training.cases.case import Case, Source
from training.learning.hospital import Hospital, check_names, draw_cases, others_of
from training.modalities import ROLES


def hospital(name: str = "north", patients: int = 6, visits: int = 2) -> Hospital:
    cases = []
    for patient in range(patients):
        for visit in range(visits):
            case_id = f"p{patient}-v{visit}"
            sources = {role: Source(Path(f"{case_id}_{role}.nii.gz")) for role in ROLES}
            cases.append(Case(case_id, sources, Path("label.nii.gz"), patient=f"p{patient}"))
    return Hospital(name, tuple(cases), "labeled cases")


def test_no_patient_is_both_unseen_and_to_correct_and_each_order_has_its_own_draw():
    north = hospital()
    draws = [draw_cases(north, order, unseen=2, corrected=8) for order in range(6)]
    for draw in draws:
        assert sorted((*draw.pool, *draw.unseen)) == sorted(case.id for case in north.cases)
        assert not {case[:2] for case in draw.pool} & {case[:2] for case in draw.unseen}
        assert len(draw.unseen) == 4
    assert len({draw.unseen for draw in draws}) > 1
    assert draws[0] == draw_cases(replace(north, cases=north.cases[::-1]), 0, unseen=2, corrected=8) or set(
        draws[0].unseen
    ) == set(draw_cases(replace(north, cases=north.cases[::-1]), 0, unseen=2, corrected=8).unseen)


def test_too_few_cases_bad_names_and_repeated_names_are_refused_with_the_way_out():
    with rejected("needs? more|need more.*lower --counts", field="cases"):
        draw_cases(hospital(), 0, unseen=2, corrected=9)
    with rejected("need more", field="cases"):
        draw_cases(hospital(), 0, unseen=7, corrected=0)
    for name in ("", "a/b", "..", "-x", "x" * 41):
        with rejected("NAME=FOLDER", field="cases"):
            hospital(name)
    with rejected("named north", field="cases"):
        check_names([hospital(), hospital("south"), hospital()])


def test_the_others_are_the_first_cases_of_each_other_hospital():
    north, south, west = hospital(), hospital("south"), hospital("west", patients=1, visits=1)
    found = others_of([north, south, west], north, 2)
    assert found == [("south", "p0-v0"), ("south", "p0-v1"), ("west", "p0-v0")]
    assert others_of([north], north, 2) == []


@pytest.mark.parametrize("order", [0, 1])
def test_the_draw_does_not_depend_on_the_other_hospitals(order):
    assert draw_cases(hospital(), order, unseen=1, corrected=1) == draw_cases(hospital(), order, unseen=1, corrected=8)
