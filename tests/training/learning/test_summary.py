import pytest

from training.learning.answers import CaseScore
from training.learning.stage import Stage
from training.learning.summary import compare_strategies, interval, summarize


def score(case: str, dice: float, seconds: float = 60.0) -> CaseScore:
    return CaseScore(case=case, dice={"WT": dice + 0.1, "TC": dice, "ET": dice - 0.1}, editing_seconds=seconds)


def stage(order: int, corrected: int, unseen: dict[str, float], **given: object) -> Stage:
    facts = {
        "hospital": "north",
        "strategy": "random",
        "version": "v0000",
        "weights_sha256": "",
        "versions": [],
        "others": [score("o", 0.8)],
        "phantoms": [],
        "seconds": 120.0 if corrected else None,
        "promoted": True if corrected else None,
        **given,
    }
    seconds = facts.pop("editing", 60.0)
    scores = [score(case, dice, seconds) for case, dice in unseen.items()]  # type: ignore[arg-type]
    return Stage(order=order, corrected=corrected, unseen=scores, **facts)


def test_means_gains_and_steps_are_against_the_same_orders_and_cases():
    stages = [
        stage(0, 0, {"a": 0.5, "b": 0.7}),
        stage(1, 0, {"b": 0.7, "c": 0.3}),
        stage(0, 2, {"a": 0.6, "b": 0.7}, editing=30.0, others=[score("o", 0.79)], seconds=300.0, validation=1),
        stage(1, 2, {"b": 0.8, "c": 0.5}, editing=30.0, others=[score("o", 0.77)], promoted=False),
        stage(0, 4, {"a": 0.9, "b": 0.9}),
    ]
    (line,) = summarize(stages)
    assert (line["hospital"], line["strategy"]) == ("north", "random")
    none, two, four = line["rows"]
    assert (none["corrected"], none["orders"], none["dice"]["mean"]) == (0, 2, pytest.approx(0.55))
    assert none["minutes"] is None
    assert two["dice"]["mean"] == pytest.approx(0.65)
    assert two["regions"] == pytest.approx({"WT": 0.75, "TC": 0.65, "ET": 0.55})
    assert two["by_order"] == {"0": pytest.approx(0.65), "1": pytest.approx(0.65)}
    assert two["gain"]["mean"] == pytest.approx(0.1)
    assert two["gain"]["low"] < 0.1 < two["gain"]["high"]
    assert two["step"] == pytest.approx(0.1)
    assert (two["editing_seconds"], two["editing_change"]) == (30.0, -0.5)
    assert two["others"]["mean"] == pytest.approx(-0.02)
    assert two["phantoms"] is None
    assert (two["promoted"], two["minutes"], two["validation"]) == (1, 3.5, 0.5)
    # only the first order has four corrected cases: against its own start and its own step before
    assert (four["orders"], four["gain"]["mean"], four["step"]) == (1, pytest.approx(0.3), pytest.approx(0.25))


def test_an_interval_counts_a_case_once_however_often_it_is_unseen():
    many = interval({"a": [0.1] * 50, "b": [0.3] * 50})
    assert (many["mean"], many["low"], many["high"]) == (pytest.approx(0.2), pytest.approx(0.1), pytest.approx(0.3))
    assert interval({"a": [0.1, 0.2]}) == {"mean": pytest.approx(0.15), "low": None, "high": None}


def test_strategies_are_compared_over_the_whole_curve_in_orders_that_both_finished():
    stages = []
    for order, gain in ((0, 0.1), (1, 0.3)):
        for strategy, more in (("stratified", 0.0), ("random", gain)):
            for count, dice in ((0, 0.2), (1, 0.4), (2, 0.5)):
                added = more if count == 2 else 0.0
                stages.append(stage(order, count, {"a": dice + added}, strategy=strategy))
    stages.append(stage(2, 0, {"a": 0.9}))
    stages.append(stage(3, 0, {"a": 0.9}, strategy="least-sure"))
    (row,) = compare_strategies(stages, "stratified")
    assert (row["strategy"], row["baseline"], row["pairs"]) == ("random", "stratified", 2)
    assert row["mean"] == pytest.approx(0.1)  # the mean of 0.1 / 2 and 0.3 / 2
    assert (row["low"], row["high"]) == (pytest.approx(0.05), pytest.approx(0.15))
    assert compare_strategies(stages[:3], "stratified") == []
