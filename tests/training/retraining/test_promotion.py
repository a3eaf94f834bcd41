"""The decision alone: what patients and phantoms say, and what follows."""

from collections.abc import Sequence

import numpy as np
import pytest
from scipy.stats import ttest_rel

from training.retraining.promotion import (
    CLEAR_LOSS,
    Comparison,
    Guard,
    PatientScore,
    check_guard,
    compare,
    decide,
    paired_interval,
)

KEPT = Guard(0.0, 0.02, {"phantom-1": 0.0})
FORGOT = Guard(0.03, 0.02, {"phantom-1": -0.03})


def patients(changes: Sequence[float], surfaces: Sequence[float] | None = None) -> list[PatientScore]:
    """Patients whose Dice and surface Dice change by so much from 0.5; surface Dice as Dice unless given."""
    return [
        PatientScore(f"patient-{number}", (0.5, 0.5 + dice), (0.5, 0.5 + surface))
        for number, (dice, surface) in enumerate(zip(changes, surfaces or changes, strict=True))
    ]


def decided(comparison: Comparison, guard: Guard = KEPT, current: str = "v0001") -> tuple[bool, str]:
    decision = decide(comparison, guard, parent="v0001", replaced="v0001", current=current)
    return decision.promoted, decision.verdict


def on_phantoms(*changes: float) -> Guard:
    before = [{"WT": 0.8, "TC": 0.7, "ET": 0.6} for _ in changes]
    after = [{region: value + change for region, value in before[0].items()} for change in changes]
    return check_guard([f"phantom-{number}" for number in range(len(changes))], before, after, 0.02)


def test_the_interval_is_that_of_the_paired_t_test():
    rng = np.random.default_rng(1)
    before, after = rng.random(7), rng.random(7)
    expected = ttest_rel(after, before).confidence_interval(0.95)
    interval = paired_interval(list(after - before))
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))
    assert paired_interval([0.3]).to_json() == {"mean": 0.3, "low": None, "high": None}


@pytest.mark.parametrize(
    ("changes", "surfaces", "outcome", "promoted"),
    [
        pytest.param([0.02, 0.03, 0.025], None, "better", True, id="every patient gains"),
        pytest.param([-0.02, -0.03, -0.025], None, "worse", False, id="every patient loses"),
        pytest.param([0.05, -0.01, 0.02], None, "equal", True, id="a gain within the uncertainty"),
        pytest.param([-0.05, 0.01, 0.02], None, "equal", False, id="a loss within the uncertainty"),
        pytest.param([-0.001, 0.0, 0.0], None, "equal", False, id="the smallest loss"),
        pytest.param([0.0, 0.0, 0.0], None, "equal", True, id="nothing changed"),
        pytest.param([0.02, 0.03, 0.025], [-0.02, -0.03, -0.025], "worse", False, id="surfaces are clearly worse"),
        pytest.param([0.02, 0.03, 0.025], [-0.05, 0.03, -0.02], "better", True, id="surfaces are not clearly worse"),
        pytest.param([0.2, 0.0, 0.0, 0.0], None, "equal", True, id="one patient gains much"),
        pytest.param([0.4, -0.05, -0.05, -0.05], None, "equal", True, id="one gains what three lose"),
    ],
)
def test_three_patients_decide_and_no_loss_is_tolerated(changes, surfaces, outcome, promoted):
    comparison = compare(patients(changes, surfaces), needed=3)
    assert comparison.outcome == outcome
    assert decided(comparison)[0] is promoted


def test_fewer_patients_than_needed_decide_nothing_unless_they_lose_far_too_much():
    for changes, missing in (
        ([], "3 more validation patients are needed"),
        ([-0.05], "2 more validation patients are needed"),
        ([-0.05, -0.06], "one more validation patient is needed"),
    ):
        comparison = compare(patients(changes), needed=3)
        assert comparison.outcome == "not judged"
        promoted, verdict = decided(comparison)
        assert promoted
        assert verdict.startswith("Promoted: not judged on patients yet")
        assert missing in verdict
    promoted, verdict = decided(compare(patients([-CLEAR_LOSS - 0.01]), needed=3))
    assert (promoted, verdict.startswith("Not promoted: not judged")) == (False, True)
    assert "So far on 1 validation patient mean Dice -0.110" in verdict


def test_phantoms_refuse_only_a_loss_of_most_of_them():
    assert on_phantoms(-0.1, 0.0, 0.01, 0.0).passed  # one phantom drops while patients gain
    assert on_phantoms(-0.019, -0.019, -0.019, -0.018).passed
    assert not on_phantoms(-0.03, -0.03, -0.03, 0.05).passed
    assert on_phantoms(-0.03, -0.03, 0.0, 0.0).loss == pytest.approx(0.015)
    better = compare(patients([0.02, 0.03, 0.025]), needed=3)
    promoted, verdict = decided(better, on_phantoms(-0.1, 0.0, 0.01, 0.0))
    assert promoted
    assert verdict.startswith("Promoted: better than v0001: on 3 validation patients mean Dice +0.025 (95% interval")
    promoted, verdict = decided(better, FORGOT)
    assert not promoted
    assert "too much was forgotten" in verdict
    assert "lost 0.030 mean Dice in the median, of 0.02 that may be lost" in verdict


def test_a_loss_is_told_from_a_tie_and_from_being_worse():
    lower = decided(compare(patients([-0.05, 0.01, 0.02]), needed=3))[1]
    assert "not clearly worse than v0001, but lower: on 3 validation patients mean Dice -0.007" in lower
    assert "equal to v0001" in decided(compare(patients([0.0, 0.0, 0.0]), needed=3))[1]
    assert decided(compare(patients([-0.02, -0.03, -0.025]), needed=3))[1].startswith("Not promoted: worse than v0001")


def test_nothing_is_promoted_over_a_version_that_became_current_meanwhile():
    promoted, verdict = decided(compare(patients([0.02, 0.03, 0.025]), needed=3), current="v0007")
    assert not promoted
    assert verdict.startswith("Not promoted: v0007 became the current model while this one was trained. Better than")


def test_the_card_has_the_numbers_of_every_patient_and_phantom():
    about = compare(patients([0.02, 0.04], [0.1, 0.1]), needed=3).to_json()
    assert (about["outcome"], about["needed"]) == ("not judged", 3)
    assert about["dice"]["mean"] == pytest.approx(0.03)
    assert about["dice"]["low"] < 0 < about["dice"]["high"]
    assert about["each"]["patient-1"]["surface_dice"] == {"parent": 0.5, "candidate": 0.6}
    guard = on_phantoms(-0.1, 0.0).to_json()
    assert (guard["passed"], guard["loss"], guard["limit"]) == (False, 0.05, 0.02)
    assert guard["differences"] == {"phantom-0": -0.1, "phantom-1": 0.0}
