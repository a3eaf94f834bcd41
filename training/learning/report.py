"""The report of a learning curve: JSON, a picture, and a page in Markdown with the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from training import __version__
from training.atomic import write_json, write_text
from training.clock import now
from training.labels import REGIONS
from training.learning.curve import LearningCurve
from training.learning.editing import SECONDS_PER_ML, SECONDS_PER_REGION, TOLERANCE_MM
from training.learning.picture import draw_curves
from training.learning.robot import JITTER_VOXELS, MAX_JITTER_VOXELS, SPECK_ML
from training.learning.stage import Stage
from training.learning.strategies import STRATEGIES
from training.learning.summary import compare_strategies, summarize

#: The strategy with which the others are compared.
BASELINE = "stratified"

_HEADER = (
    *("corrected", "mean Dice of unseen cases", "WT", "TC", "ET", "gain", "step", "editing time", "other hospitals"),
    *("fixed phantoms", "promoted", "held out", "retraining"),
)


def report_of(
    curve: LearningCurve, stages: Sequence[Stage], learned: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """Return the report as JSON-ready values.

    Args:
        curve: A learning curve.
        stages: Its finished stages.
        learned: From :func:`training.learning.learned.draw_learned`.
    """
    return {
        "created": now(),
        "code_version": __version__,
        "parent": curve.parent.id,
        "settings": curve.settings.model_dump(mode="json"),
        "retraining": curve.config.model_dump(mode="json"),
        "hospitals": {
            hospital.name: {"about": hospital.about, "cases": len(hospital.cases)} for hospital in curve.hospitals
        },
        "lines": summarize(stages),
        "strategies": compare_strategies(stages, BASELINE),
        "learned": list(learned),
        "stages": [stage.model_dump(mode="json") for stage in stages],
    }


def write_curve(report: Mapping[str, Any], page: Path) -> list[Path]:
    """Write the page, the picture beside it in ``images/``, and the numbers; return their paths.

    Args:
        report: From :func:`report_of`.
        page: The Markdown file.
    """
    picture = page.parent / "images" / f"{page.stem}.png"
    numbers = write_json(page.with_suffix(".json"), report)
    drawn = [draw_curves(report, picture)] if report["lines"] else []
    text = markdown(report, picture.relative_to(page.parent).as_posix())
    return [write_text(page, text), *drawn, numbers]


def markdown(report: Mapping[str, Any], picture: str) -> str:
    """Return the page.

    Args:
        report: From :func:`report_of`.
        picture: Path of the picture, relative to the page.
    """
    parts = ["# What corrected cases are worth", _about(report)]
    parts.append(f"![Learning curves]({picture})" if report["lines"] else "No stage is finished yet.")
    for line in report["lines"]:
        about = report["hospitals"][line["hospital"]]
        parts.append(f"## {line['hospital']}, {line['strategy']}\n\n{about['cases']} cases: {about['about']}.")
        parts.append(_table(_HEADER, [_row(row) for row in line["rows"]]))
        parts += [_learned(found, Path(picture).parent) for found in report["learned"] if _is_of(found, line)]
    parts.append(_strategies(report))
    parts.append(_method(report))
    return "\n\n".join(part for part in parts if part) + "\n"


def _about(report: Mapping[str, Any]) -> str:
    settings = report["settings"]
    changed = ", ".join(f"{name} {value}" for name, value in report["retraining"].items())
    return (
        f"Written by `make learning-curve`: TumorLoop {report['code_version']}, {report['created']}, starting from "
        f"{report['parent']}, {settings['orders']} orders. Settings of the retraining: {changed}."
    )


def _row(row: Mapping[str, Any]) -> list[str]:
    change = "" if not row["corrected"] or row["editing_change"] is None else f" ({100 * row['editing_change']:+.0f} %)"
    retrained = row["minutes"] is not None
    return [
        str(row["corrected"]),
        _with_interval(row["dice"], "{:.3f}"),
        *(f"{row['regions'][region]:.3f}" for region in REGIONS),
        _with_interval(row["gain"], "{:+.3f}") if retrained else "",
        f"{row['step']:+.3f}" if "step" in row else "",
        f"{row['editing_seconds'] / 60:.1f} min{change}",
        _with_interval(row["others"], "{:+.3f}") if retrained and row["others"] else "",
        _with_interval(row["phantoms"], "{:+.3f}") if retrained and row["phantoms"] else "",
        f"{row['promoted']} of {row['orders']}" if retrained else "",
        f"{row['validation']:.1f}" if retrained else "",
        f"{row['minutes']:.1f} min" if retrained else "",
    ]


def _is_of(learned: Mapping[str, Any], line: Mapping[str, Any]) -> bool:
    return all(learned[key] == line[key] for key in ("hospital", "strategy"))


def _learned(found: Mapping[str, Any], folder: Path) -> str:
    pictures = " ".join(f"![{found['case']}, {name}]({(folder / name).as_posix()})" for name in found["pictures"])
    return (
        f"Of the {found['unseen']} unseen cases of the first order, the one whose estimated editing time fell most: "
        f"{found['case']}, before any correction and after {found['corrected']} other cases were corrected, in the "
        f"slice where most voxels became right.\n\n{pictures}"
    )


def _strategies(report: Mapping[str, Any]) -> str:
    if not report["strategies"]:
        return ""
    rows = [
        [row["strategy"], STRATEGIES[row["strategy"]].about, _with_interval(row, "{:+.4f}"), str(row["pairs"])]
        for row in report["strategies"]
    ]
    title = f"## The next case\n\nMean Dice of unseen cases over the whole curve, against {BASELINE}: "
    title += f"{STRATEGIES[BASELINE].about}."
    return f"{title}\n\n{_table(('strategy', 'takes', 'difference', 'pairs'), rows)}"


def _method(report: Mapping[str, Any]) -> str:
    settings = report["settings"]
    return (
        "## How it is measured\n\n"
        f"In each order, {settings['unseen']} patients of the hospital stay unseen. Of the others a robot corrects the "
        "answers of the current version, and a retraining as on the server follows, with its split (held out: "
        "corrected cases that only validate) and its decision about the promotion; the version that is current then is "
        "measured. "
        f"Dice is the mean of WT, TC and ET; gain, other hospitals ({settings['others']} cases of each) and fixed "
        f"phantoms ({settings['phantoms']}) are changes against no correction, step is the change against the row "
        "above. In brackets: 95 % intervals by bootstrap over cases. The time of a retraining includes that of "
        "whatever else the machine did.\n\n"
        f"The robot draws the truth with a smooth error of {JITTER_VOXELS:g} voxels (deviation; at most "
        f"{MAX_JITTER_VOXELS:g}) and leaves changed specks below {SPECK_ML:g} mL (`training/learning/robot.py`). The "
        f"editing time is that of the next unseen case: {SECONDS_PER_REGION:g} s for each changed region, "
        f"{SECONDS_PER_ML:g} s for each mL of changed surface, beyond {TOLERANCE_MM:g} mm; "
        "`training/learning/editing.py` says where the numbers come from."
    )


def _with_interval(found: Mapping[str, Any], form: str) -> str:
    mean = form.format(found["mean"])
    return mean if found["low"] is None else f"{mean} ({form.format(found['low'])} to {form.format(found['high'])})"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(cells) + " |" for cells in (header, ["---"] * len(header), *rows)]
    return "\n".join(lines)
