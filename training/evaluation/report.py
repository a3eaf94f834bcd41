"""The files of an evaluation: CSV and JSON, an HTML report, and a picture of each poorly segmented case."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from training.atomic import write_json, write_text
from training.evaluation.quality import RankCorrelation, quality_section, rank_correlation
from training.evaluation.result import CONVENTIONS, LOW_DICE, CaseResult, EvaluationReport
from training.evaluation.subjects import Subject
from training.images.grid import Volume
from training.labels import REGION_NAMES, REGIONS
from training.pictures.case_picture import case_picture

_PICTURES = "poor"

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Evaluation of {{ report.model_version }}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; color: #16191d }
table { border-collapse: collapse; margin: 1rem 0 } td, th { padding: .25rem .75rem; border-bottom: 1px solid #d5d9de }
td { text-align: right; font-variant-numeric: tabular-nums } td:first-child, th:first-child { text-align: left }
img { max-width: 100% } .quiet { color: #5a626b } .low { background: #fff1cc }
</style></head><body>
<h1>Model {{ report.model_version }} on {{ report.cases|length }} case{{ "" if report.cases|length == 1 else "s" }}</h1>
<p class="quiet">Research use only. {{ conventions }}</p>
<table><tr><th>region</th><th>mean Dice</th><th>median Dice</th><th>below {{ low }}</th><th>mean HD95 (mm)</th>
<th>absent from the truth</th></tr>
{% for row in report.summary() -%}
<tr><td>{{ row.region }} ({{ names[row.region] }})</td><td>{{ "%.3f"|format(row.mean_dice) }}</td>
<td>{{ "%.3f"|format(row.median_dice) }}</td>
<td>{{ row.low }} ({{ "%.0f"|format(100 * row.low / report.cases|length) }}%)</td>
<td>{{ "undefined" if row.mean_hd95 is none else "%.1f"|format(row.mean_hd95) }}</td><td>{{ row.absent }}</td></tr>
{% endfor %}</table>
<table><tr><th>region</th><th>lesion-wise Dice</th><th>lesion-wise HD95 (mm)</th><th>lesions found</th><th>missed</th>
<th>false</th><th>surface Dice</th><th>volume error, mean (mL)</th><th>without its sign (mL)</th>
<th>median (%)</th></tr>
{% for row in report.summary() -%}
<tr><td>{{ row.region }} ({{ names[row.region] }})</td><td>{{ "%.3f"|format(row.mean_lesion_dice) }}</td>
<td>{{ "%.1f"|format(row.mean_lesion_hd95) }}</td><td>{{ row.found_lesions }}</td><td>{{ row.missed_lesions }}</td>
<td>{{ row.false_lesions }}</td><td>{{ "%.3f"|format(row.mean_surface_dice) }}</td>
<td>{{ "%+.1f"|format(row.mean_volume_error_ml) }}</td><td>{{ "%.1f"|format(row.mean_absolute_volume_error_ml) }}</td>
<td>{{ percent(row.median_volume_error_percent) }}</td></tr>
{% endfor %}</table>
{% for case in report.cases if case.why %}{% if loop.first %}<h2>Whole tumor below {{ low }}</h2>{% endif %}
<h3>{{ case.case }}{{ " (" ~ case.kind ~ ")" if case.kind }}: WT {{ "%.2f"|format(case.dice.WT) }}</h3>
<p>{{ case.why }}</p>
{% if case.case in pictures %}<p><img src="{{ pictures[case.case]|urlencode }}" alt="{{ case.case }}"></p>{% endif %}
{% endfor %}
<h2>All cases</h2>
<table><tr><th>case</th><th>kind</th>{% for region in names %}<th>{{ region }}</th>{% endfor %}
{% for region in names %}<th>{{ region }} mL, true</th><th>found</th>{% endfor %}</tr>
{% for case in report.cases -%}
<tr{{ ' class="low"'|safe if case.why }}><td>{{ case.case }}</td><td>{{ case.kind }}</td>
{%- for region in names %}<td>{{ "%.3f"|format(case.dice[region]) }}</td>{% endfor %}
{%- for region in names %}<td>{{ "%.1f"|format(case.true_ml[region]) }}</td>
<td>{{ "%.1f"|format(case.predicted_ml[region]) }}</td>{% endfor %}</tr>
{% endfor %}</table>
<h2>Lesions, surfaces and volumes of all cases</h2>
<table><tr><th>case</th><th>region</th><th>lesion-wise Dice</th><th>lesion-wise HD95 (mm)</th><th>lesions found</th>
<th>missed</th><th>false</th><th>surface Dice</th><th>volume error (mL)</th><th>(%)</th></tr>
{% for case in report.cases -%}{% for region in names -%}
<tr{{ ' class="low"'|safe if case.why }}><td>{{ case.case if loop.first }}</td><td>{{ region }}</td>
{%- with scores = case.lesions[region] %}<td>{{ "%.3f"|format(scores.dice) }}</td>
<td>{{ "%.1f"|format(scores.hd95_mm) }}</td>
<td>{{ scores.found }}</td><td>{{ scores.missed }}</td><td>{{ scores.false }}</td>{% endwith %}
<td>{{ "%.3f"|format(case.surface_dice[region]) }}</td><td>{{ "%+.1f"|format(case.volume_error_ml[region]) }}</td>
<td>{{ percent(case.volume_error_percent[region]) }}</td></tr>
{% endfor %}{% endfor %}</table>
{{ quality }}
{% for name, message in report.failures.items() %}<p><b>{{ name }}</b> was not evaluated: {{ message }}</p>{% endfor %}
</body></html>
"""

#: Columns of ``cases.csv``, of which there is one per region, and their values.
_BY_REGION: dict[str, Callable[[CaseResult, str], str]] = {
    "lesion_dice": lambda result, region: f"{result.lesions[region].dice:.4f}",
    "lesion_hd95_mm": lambda result, region: f"{result.lesions[region].hd95_mm:.2f}",
    "lesions_found": lambda result, region: str(result.lesions[region].found),
    "lesions_missed": lambda result, region: str(result.lesions[region].missed),
    "lesions_false": lambda result, region: str(result.lesions[region].false),
    "surface_dice": lambda result, region: f"{result.surface_dice[region]:.4f}",
    "volume_error_ml": lambda result, region: f"{result.volume_error_ml[region]:.3f}",
    "volume_error_percent": lambda result, region: _number(result.volume_error_percent[region]),
    "expected_dice": lambda result, region: _number(result.expected_dice.get(region)),
}


def draw_poor(subject: Subject, labelmap: Volume, result: CaseResult, folder: Path) -> Path:
    """Draw a poorly segmented case into ``folder/poor``; return the path of the picture."""
    scores = ", ".join(f"{region} {value:.2f}" for region, value in result.dice.items())
    kind = f", {result.kind}" if result.kind else ""
    path = folder / _PICTURES / f"{subject.id}.png"
    return case_picture(
        subject.volumes, labelmap, subject.truth, path, title=f"{subject.id}{kind}: Dice {scores}", caption=result.why
    )


def report_files(folder: Path, cases: Sequence[str]) -> list[Path]:
    """Return the files that an evaluation of cases may write into a folder.

    Args:
        folder: The folder.
        cases: Ids of the cases.
    """
    fixed = ["cases.csv", "report.json", "report.html"]
    return [folder / name for name in fixed] + [folder / _PICTURES / f"{case}.png" for case in cases]


def write_report(report: EvaluationReport, folder: Path) -> EvaluationReport:
    """Write ``cases.csv``, ``report.json`` and ``report.html``; return the report with their paths."""
    files = {"csv": folder / "cases.csv", "json": folder / "report.json", "report": folder / "report.html"}
    complete = replace(report, files=files | report.files)
    write_text(files["csv"], as_csv(complete))
    correlation = rank_correlation(report.cases)
    quality = correlation.as_json() if correlation is not None else None
    write_json(files["json"], {**complete.as_json(), "uncertainty_against_dice": quality})
    write_text(files["report"], as_html(complete, correlation))
    return complete


def as_html(report: EvaluationReport, correlation: RankCorrelation | None) -> str:
    """Return the report as HTML, with links to the pictures in ``report.files``."""
    from jinja2 import Environment

    drawn = {path.stem: f"{_PICTURES}/{path.name}" for path in report.files.values() if path.parent.name == _PICTURES}
    page = Environment(autoescape=True).from_string(_PAGE)
    return page.render(
        report=report,
        names=REGION_NAMES,
        low=LOW_DICE,
        pictures=drawn,
        percent=percent,
        conventions=CONVENTIONS,
        quality=quality_section(report.cases, correlation),
    )


def percent(value: float | None) -> str:
    """Return a volume error in percent as text, with its sign."""
    return "undefined" if value is None else f"{value:+.0f}"


def as_csv(report: EvaluationReport) -> str:
    """Return one row per case; failed cases come last."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    header = ["case", "patient", "kind"]
    header += [f"dice_{region}" for region in REGIONS] + [f"hd95_mm_{region}" for region in REGIONS]
    header += [f"dice_label_{key}" for key in report.cases[0].label_dice]
    header += [f"true_ml_{region}" for region in REGIONS] + [f"predicted_ml_{region}" for region in REGIONS]
    header += [f"{column}_{region}" for column in _BY_REGION for region in REGIONS]
    writer.writerow([*header, "uncertainty", "seconds", "model_version", "warnings", "why", "label_scheme"])
    for result in report.cases:
        row: list[Any] = [result.case, result.patient, result.kind]
        row += [f"{result.dice[region]:.4f}" for region in REGIONS]
        row += [_number(result.hd95[region]) for region in REGIONS]
        row += [f"{value:.4f}" for value in result.label_dice.values()]
        row += [f"{volumes[region]:.3f}" for volumes in (result.true_ml, result.predicted_ml) for region in REGIONS]
        row += [write(result, region) for write in _BY_REGION.values() for region in REGIONS]
        row += [_number(result.uncertainty)]
        row += [f"{result.seconds:.2f}", report.model_version, " | ".join(result.warnings), result.why, result.labels]
        writer.writerow(row)
    for case, message in report.failures.items():
        writer.writerow([case] + [""] * (len(header) + 2) + [f"NOT EVALUATED: {message}", "", ""])
    return text.getvalue()


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
