"""The report: one HTML file with everything in it, and the same facts as JSON beside it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2

from tests.end_to_end.demo.record import Answer, CaseRecord, LoopRecord
from training.atomic import write_json, write_text
from training.images.grid import Volume
from training.labels import LABELS, REGION_NAMES, REGIONS
from training.modalities import ROLES
from training.pictures import case_picture as render


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
    for case in (*record.cases, *record.controls, *record.others):
        draw(case, out / "pictures")
    write_json(out / "report.json", facts(record, failure, seconds))
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["embed"] = embed
    environment.filters["score"] = lambda value: f"{value:.3f}"
    page = environment.get_template("template.html.j2").render(
        record=record,
        failure=failure,
        seconds=seconds,
        when=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
        regions=REGION_NAMES,
        volumes=volumes_ml,
        labels=LABELS,
        curves=[
            curve
            for curve in (
                draw_curve("training loss", record.history, "loss"),
                draw_curve("validation Dice", record.history, "mean"),
            )
            if curve
        ],
        versions=[describe_version(version) for version in record.versions],
        longest=max((duration for _, duration in record.steps), default=1.0),
    )
    return write_text(out / "report.html", page)


def draw(record: CaseRecord, folder: Path) -> None:
    """Draw one case's pictures and note where they are."""
    case = record.case
    volumes = {role: case.read(role) for role in ROLES}
    final = record.after or record.before
    title = f"{case.id}, model {final.version}"
    if record.truth is None or record.after is None:
        path = folder / f"{case.id}.png"
        record.pictures["case"] = render.case_picture(volumes, final.labelmap, record.truth, path, title=title)
        return
    flight = folder / f"{case.id}.gif"
    record.pictures["flight"] = render.flythrough_gif(
        volumes["t1ce"], final.labelmap, flight, title=title, max_bytes=3_000_000
    )
    answers = {
        f"before ({record.before.version})": record.before.labelmap,
        f"after ({record.after.version})": record.after.labelmap,
        "truth": record.truth,
    }
    record.pictures["case"] = render.comparison_picture(volumes, answers, folder / f"{case.id}.png", title=case.id)


def facts(record: LoopRecord, failure: str, seconds: float) -> dict[str, Any]:
    """Return what happened as plain data."""
    return {
        "ok": not failure,
        "failure": failure,
        "seconds": round(seconds, 1),
        "steps": [{"step": name, "seconds": round(duration, 2)} for name, duration in record.steps],
        "cases": [_case_facts(case) for case in record.cases],
        "controls": [_case_facts(case) for case in record.controls],
        "segmented_only": [_case_facts(case) for case in record.others],
        "training": record.training,
        "versions": record.versions,
        "notes": record.notes,
    }


def describe_version(version: dict[str, Any]) -> dict[str, str]:
    """Pick what the table of model versions shows; the card may lie beside or inside of the entry."""
    card = version.get("card")
    known = {**card, **version} if isinstance(card, dict) else version
    return {
        "id": str(known.get("id") or known.get("version") or ""),
        "current": "current" if known.get("current") else "",
        "parent": str(known.get("parent") or "–"),
        "created": str(known.get("created") or "")[:16].replace("T", " "),
        "about": str(known.get("verdict") or known.get("description") or ""),
    }


@dataclass(frozen=True)
class Curve:
    """A line chart, ready for SVG in a 300 by 100 box."""

    name: str
    points: str
    first: str
    last: str


def draw_curve(name: str, history: Sequence[dict[str, Any]], key: str) -> Curve | None:
    """Return the chart of one number per epoch; None when there are none."""
    values = [float(entry[key]) for entry in history if isinstance(entry.get(key), (int, float))]
    if not values:
        return None
    low, high = min(values), max(values)
    spread = (high - low) or 1.0
    step = 280 / max(len(values) - 1, 1)
    places = [(10 + number * step, 90 - 80 * (value - low) / spread) for number, value in enumerate(values)]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return Curve(name, points, f"{values[0]:.3f}", f"{values[-1]:.3f}")


def volumes_ml(labelmap: Volume) -> list[float]:
    """Return the volume of each label, then of the whole tumor, in milliliters."""
    counts = [int((labelmap.data == label.value).sum()) for label in LABELS]
    return [count * labelmap.grid.voxel_ml for count in (*counts, sum(counts))]


def embed(path: Path) -> str:
    """Return a picture as a ``data:`` address."""
    kind = "gif" if path.suffix == ".gif" else "png"
    return f"data:image/{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _case_facts(record: CaseRecord) -> dict[str, Any]:
    return {
        "case": record.case.id,
        "label_version": record.label_version,
        "before": _answer_facts(record.before),
        "after": _answer_facts(record.after) if record.after else None,
        "improved": record.improved,
    }


def _answer_facts(answer: Answer) -> dict[str, Any]:
    return {
        "model_version": answer.version,
        "dice": {name: round(answer.dice[name], 4) for name in REGIONS if name in answer.dice},
        "seconds": round(answer.seconds, 2),
        "server_seconds": answer.server_seconds,
        "volumes_ml": answer.volumes_ml,
    }
