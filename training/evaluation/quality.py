"""Whether the uncertainty of a segmentation tells its Dice: a rank correlation over evaluated cases, and a plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from training.evaluation.result import CaseResult
from training.labels import REGIONS

if TYPE_CHECKING:
    from markupsafe import Markup

#: Fewer cases have no correlation worth a number.
MIN_CASES = 5
_RESAMPLES = 2000
_SIZE, _MARGIN = 420, 50  # of the plot, in CSS pixels

_SECTION = """<h2>Uncertainty and Dice</h2>
<p>{{ sentence }}</p>
<svg viewBox="0 0 {{ size }} {{ size }}" width="{{ size }}" role="img" aria-label="mean Dice against uncertainty"
 font-size="12" font-family="system-ui, sans-serif" fill="#16191d">
{% for value, at in ticks -%}
<path d="M{{ margin }} {{ size - at }}H{{ size - 10 }}M{{ at }} {{ size - margin }}V10" stroke="#d5d9de"/>
<text x="{{ margin - 6 }}" y="{{ size - at + 4 }}" text-anchor="end">{{ value }}</text>
<text x="{{ at }}" y="{{ size - margin + 16 }}" text-anchor="middle">{{ value }}</text>
{% endfor -%}
<path d="M{{ ticks[0][1] }} {{ size - ticks[-1][1] }}L{{ ticks[-1][1] }} {{ size - ticks[0][1] }}" stroke="#9aa3ad"
 stroke-dasharray="4 4"/>
<text x="{{ size / 2 }}" y="{{ size - 8 }}" text-anchor="middle">uncertainty (1 minus the mean expected Dice)</text>
<text transform="translate(14 {{ size / 2 }}) rotate(-90)" text-anchor="middle">mean Dice of WT, TC, ET</text>
{% for case, x, y in points -%}
<circle cx="{{ "%.1f"|format(x) }}" cy="{{ "%.1f"|format(y) }}" r="5" fill="#1f6feb" fill-opacity=".7"
><title>{{ case.case }}: uncertainty {{ "%.2f"|format(case.uncertainty) -}}
, mean Dice {{ "%.2f"|format(case.mean_dice) }}</title></circle>
{% endfor -%}
</svg>
<table><tr><th>case</th><th>uncertainty</th><th>mean Dice</th>{% for region in regions %}<th>{{ region }} expected</th>
<th>Dice</th>{% endfor %}</tr>
{% for case, _, _ in points -%}
<tr><td>{{ case.case }}</td><td>{{ "%.2f"|format(case.uncertainty) }}</td><td>{{ "%.2f"|format(case.mean_dice) }}</td>
{%- for region in regions %}<td>{{ "%.2f"|format(case.expected_dice[region]) }}</td>
<td>{{ "%.2f"|format(case.dice[region]) }}</td>{% endfor %}</tr>
{% endfor %}</table>
"""


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's rank correlation of the uncertainty with the mean Dice; -1 if it puts all cases in their true order.

    Attributes:
        spearman: -1 to 1.
        low: Lower end of its 95% interval (percentiles over cases drawn with replacement).
        high: Upper end.
        without_one: The value nearest to 0 when one of the cases is left out.
        cases: Number of cases.
    """

    spearman: float
    low: float
    high: float
    without_one: float
    cases: int

    def __str__(self) -> str:
        return (
            f"Rank correlation (Spearman) of the uncertainty with the mean Dice: {self.spearman:.2f} over {self.cases} "
            f"cases with a tumor (95% interval {self.low:.2f} to {self.high:.2f}; without any one case at worst "
            f"{self.without_one:.2f})."
        )

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON-ready values."""
        return asdict(self)


def rank_correlation(results: Sequence[CaseResult]) -> RankCorrelation | None:
    """Correlate the uncertainty with the mean Dice.

    Cases without a tumor are left out: the uncertainty is that of a study of gliomas.

    Returns:
        ``None`` with fewer than :data:`MIN_CASES` cases, or if all have the same Dice or the same uncertainty.
    """
    cases = _with_tumor(results)
    if len(cases) < MIN_CASES:
        return None
    count = len(cases)
    unsure = np.array([case.uncertainty for case in cases], np.float64)
    dice = np.array([case.mean_dice for case in cases])
    whole = float(_spearman(unsure, dice))
    if np.isnan(whole):
        return None
    drawn = np.random.default_rng(0).integers(count, size=(_RESAMPLES, count))
    low, high = np.nanpercentile(_spearman(unsure[drawn], dice[drawn]), [2.5, 97.5])
    others = np.array([np.delete(np.arange(count), number) for number in range(count)])
    left_out = _spearman(unsure[others], dice[others])
    nearest = float(np.nanmax(left_out) if whole < 0 else np.nanmin(left_out))
    return RankCorrelation(whole, float(low), float(high), nearest, count)


def quality_section(results: Sequence[CaseResult], correlation: RankCorrelation | None) -> Markup:
    """Return the section of the HTML report: the correlation, a scatter plot (SVG) and a table, least certain first.

    It is empty if no case has an uncertainty and a tumor.

    Args:
        results: The evaluated cases.
        correlation: Their :func:`rank_correlation`.
    """
    from jinja2 import Environment
    from markupsafe import Markup

    cases = sorted(_with_tumor(results), key=lambda case: -(case.uncertainty or 0.0))
    if not cases:
        return Markup("")
    page = Environment(autoescape=True).from_string(_SECTION)
    none = f"There is no rank correlation: it needs {MIN_CASES} cases with a tumor that differ."
    return Markup(
        page.render(
            sentence=correlation or none,
            size=_SIZE,
            margin=_MARGIN,
            ticks=[(f"{value:.1f}", _at(value)) for value in np.linspace(0, 1, 6)],
            points=[(case, _at(case.uncertainty or 0.0), _SIZE - _at(case.mean_dice)) for case in cases],
            regions=list(REGIONS),
        )
    )


def _with_tumor(results: Sequence[CaseResult]) -> list[CaseResult]:
    return [case for case in results if case.uncertainty is not None and case.true_ml["WT"] > 0]


def _spearman(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the correlations along the last axis; ``nan`` where one of the two is constant."""
    from scipy.stats import rankdata

    ranks = [rankdata(values, axis=-1) for values in (one, other)]
    first, second = (rank - rank.mean(axis=-1, keepdims=True) for rank in ranks)
    with np.errstate(invalid="ignore"):
        return np.asarray((first * second).sum(-1) / np.sqrt((first**2).sum(-1) * (second**2).sum(-1)))


def _at(value: float) -> float:
    """Return the distance of a value (0-1) from the left or the lower edge of the plot."""
    return round(_MARGIN + value * (_SIZE - _MARGIN - 20), 1)
