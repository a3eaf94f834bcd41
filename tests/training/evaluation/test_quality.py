import pytest

from training.evaluation.quality import quality_section, rank_correlation
from training.evaluation.result import CaseResult
from training.labels import REGIONS


def case(name: str, uncertainty: float | None, dice: float, true_ml: float = 30.0) -> CaseResult:
    expected = dict.fromkeys(REGIONS, 1 - uncertainty) if uncertainty is not None else {}
    return CaseResult(
        case=name,
        patient=name,
        dice=dict.fromkeys(REGIONS, dice),
        label_dice={},
        hd95={},
        lesions={},
        surface_dice={},
        predicted_ml={},
        true_ml=dict.fromkeys(REGIONS, true_ml),
        volume_error_ml={},
        volume_error_percent={},
        seconds=1.0,
        reference="t1ce",
        expected_dice=expected,
        uncertainty=uncertainty,
    )


ORDERED = [case(f"case-{number}", number / 10, 0.95 - number / 20) for number in range(8)]


def test_an_uncertainty_in_the_true_order_has_correlation_minus_1_and_in_the_reverse_order_plus_1():
    found = rank_correlation(ORDERED)
    assert found is not None
    assert (found.spearman, found.without_one, found.cases) == (pytest.approx(-1), pytest.approx(-1), 8)
    assert (found.low, found.high) == (pytest.approx(-1), pytest.approx(-1))
    assert "-1.00 over 8 cases" in str(found)
    reverse = rank_correlation([case(one.case, 1 - (one.uncertainty or 0), one.mean_dice) for one in ORDERED])
    assert reverse is not None
    assert reverse.spearman == pytest.approx(1)


def test_one_case_in_the_wrong_place_widens_the_interval_and_its_weight_is_told():
    exchanged = [*ORDERED[:-1], case("case-7", 0.0, 0.1), case("case-8", 0.9, 0.05)]
    found = rank_correlation(exchanged)
    assert found is not None
    assert -1 < found.spearman < found.without_one < 0
    assert found.low < found.spearman < found.high


def test_cases_without_a_tumor_or_an_uncertainty_do_not_count_and_too_few_or_equal_ones_have_no_correlation():
    assert rank_correlation([*ORDERED, case("healthy", 1.0, 1.0, true_ml=0), case("old", None, 1.0)]) == (
        rank_correlation(ORDERED)
    )
    assert rank_correlation(ORDERED[:4]) is None
    assert rank_correlation([case(str(number), 0.2, number / 9) for number in range(9)]) is None


def test_the_plot_has_a_named_point_per_case_the_most_uncertain_first_in_the_table():
    cases = [*ORDERED, case("<b>", 0.75, 0.4), case("healthy", 1.0, 1.0, true_ml=0)]
    html = quality_section(cases, rank_correlation(cases))
    assert html.count("<circle") == 9
    assert "&lt;b&gt;: uncertainty 0.75, mean Dice 0.40" in html
    assert "<b>" not in html
    assert "healthy" not in html
    rows = html[html.index("<table>") :]
    assert rows.index("&lt;b&gt;") < rows.index("case-7") < rows.index("case-0")
    assert "There is no rank correlation" in quality_section(ORDERED[:2], None)
    assert quality_section([], None) == ""
