"""The report: one HTML file with everything in it, and the same facts as JSON beside it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2

from docs.demo.record import CaseRecord, LoopRecord, Segmentation
from training.atomic import write_json, write_text
from training.images.grid import Volume
from training.labels import LABELS, REGION_NAMES, REGIONS
from training.modalities import ROLES
from training.pictures.case_picture import case_picture, comparison_picture
from training.pictures.flythrough import flythrough_gif


def write_report(record: LoopRecord, out: Path, *, failure: str, seconds: float) -> Path:
    """Draw the pictures and write ``report.html`` and ``report.json`` into ``out``.

    Args:
        record: What happened; may be incomplete when the demo failed.
        out: The demo's folder.
        failure: Why the demo failed; empty when it did not.
        seconds: Duration of the whole demo.

    Returns:
        The path of ``report.html``; it needs no network and no other file.
    """
    for case in (*record.cases, *record.controls, *record.unlabeled):
        _draw(case, out / "pictures")
    write_json(out / "report.json", _facts(record, failure, seconds))
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["embed"] = _embedded
    environment.filters["score"] = lambda value: f"{value:.3f}"
    curves = [_curve("training loss", record.history, "loss"), _curve("validation Dice", record.history, "mean")]
    page = environment.get_template("template.html.j2").render(
        record=record,
        failure=failure,
        seconds=seconds,
        when=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
        regions=REGION_NAMES,
        volumes=_volumes_ml,
        labels=LABELS,
        curves=[curve for curve in curves if curve],
        longest=max((duration for _, duration in record.steps), default=1.0),
    )
    return write_text(out / "report.html", page)


def _draw(record: CaseRecord, folder: Path) -> None:
    """Draw one case's pictures and note where they are."""
    case = record.case
    volumes = {role: case.read(role) for role in ROLES}
    final = record.after or record.before
    title = f"{case.id}, model {final.version}"
    path = folder / f"{case.id}.png"
    if record.truth is None or record.after is None:
        record.pictures["case"] = case_picture(volumes, final.labelmap, record.truth, path, title=title)
        return
    flight = folder / f"{case.id}.gif"
    record.pictures["flight"] = flythrough_gif(
        volumes["t1ce"], final.labelmap, flight, title=title, max_bytes=3_000_000
    )
    labelmaps = {
        f"before ({record.before.version})": record.before.labelmap,
        f"after ({record.after.version})": record.after.labelmap,
        "truth": record.truth,
    }
    record.pictures["case"] = comparison_picture(volumes, labelmaps, path, title=case.id)


def _facts(record: LoopRecord, failure: str, seconds: float) -> dict[str, Any]:
    """Return what happened as plain data."""
    return {
        "ok": not failure,
        "failure": failure,
        "seconds": round(seconds, 1),
        "steps": [{"step": name, "seconds": round(duration, 2)} for name, duration in record.steps],
        "cases": [_case_facts(case) for case in record.cases],
        "controls": [_case_facts(case) for case in record.controls],
        "segmented_only": [_case_facts(case) for case in record.unlabeled],
        "training": record.training,
        "versions": record.versions,
        "notes": record.notes,
    }


def _case_facts(record: CaseRecord) -> dict[str, Any]:
    return {
        "case": record.case.id,
        "label_version": record.label_version,
        "before": _segmentation_facts(record.before),
        "after": _segmentation_facts(record.after) if record.after else None,
        "improved": record.improved,
    }


def _segmentation_facts(segmentation: Segmentation) -> dict[str, Any]:
    return {
        "model_version": segmentation.version,
        "dice": {name: round(segmentation.dice[name], 4) for name in REGIONS if name in segmentation.dice},
        "seconds": round(segmentation.seconds, 2),
        "server_seconds": dict(segmentation.params.get("seconds") or {}),
        "volumes_ml": dict(segmentation.params.get("volumes_ml") or {}),
    }


@dataclass(frozen=True)
class Curve:
    """A line chart, ready for SVG in a 300 by 100 box."""

    name: str
    points: str
    first: str
    last: str


def _curve(name: str, history: Sequence[dict[str, Any]], key: str) -> Curve | None:
    """Return the chart of one number per epoch; None when there are none."""
    values = [float(entry[key]) for entry in history if isinstance(entry.get(key), (int, float))]
    if not values:
        return None
    low, spread = min(values), (max(values) - min(values)) or 1.0
    step = 280 / max(len(values) - 1, 1)
    points = [f"{10 + number * step:.1f},{90 - 80 * (value - low) / spread:.1f}" for number, value in enumerate(values)]
    return Curve(name, " ".join(points), f"{values[0]:.3f}", f"{values[-1]:.3f}")


def _volumes_ml(labelmap: Volume) -> list[float]:
    """Return the volume of each label, then of the whole tumor, in milliliters."""
    counts = [int((labelmap.data == label.value).sum()) for label in LABELS]
    return [count * labelmap.grid.voxel_ml for count in (*counts, sum(counts))]


def _embedded(path: Path) -> str:
    """Return a picture as a ``data:`` address."""
    return f"data:image/{path.suffix[1:]};base64,{base64.b64encode(path.read_bytes()).decode()}"
