"""The tables of ``docs/performance.md``, between markers; all other text of that page is written by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.catalog import Benchmark
from benchmarks.outcome import Curve, Figure, Outcome
from training.errors import InputError

#: Around what is generated; one pair for the summary of a run, and one for each benchmark.
BEGIN, END = "<!-- make bench: {key} -->", "<!-- end of make bench: {key} -->"
SUMMARY = "summary"


def put(document: str, key: str, text: str) -> str:
    """Return a document with one generated part replaced.

    Raises:
        InputError: If it has no markers for that part.
    """
    begin, end = BEGIN.format(key=key), END.format(key=key)
    if document.count(begin) != 1 or document.count(end) != 1:
        raise InputError(f"The page needs one line {begin} and one line {end}.", field="output")
    before, rest = document.split(begin)
    return f"{before}{begin}\n\n{text.strip()}\n\n{end}{rest.split(end)[1]}"


def summary(
    about: Mapping[str, Any], load: float, benchmarks: Sequence[Benchmark], outcomes: Mapping[str, Outcome]
) -> str:
    """Return how and where a run was made, and all figures with a bar."""
    libraries = ", ".join(f"{name} {number}" for name, number in about["libraries"].items())
    limit = f", CPU limited to {about['cpu_limit']}" if about["cpu_limit"] else ""
    lines = [
        f"Written by `make bench` on {about['date']}: TumorLoop {about['version']} {about['commit']}; "
        f"{about['machine']}{limit}, bfloat16: {'yes' if about['bfloat16'] else 'no'}; {libraries}. Load average at "
        f"the beginning {load:.1f}.",
        "",
        "| what | bar | measured | peer or limit | ratio | |",
        "|---|---|---|---|---|---|",
    ]
    for benchmark in benchmarks:
        for one in outcomes[benchmark.key].figures if benchmark.key in outcomes else ():
            if one.bar:
                lines.append(
                    f"| {one.name} | {one.bar} | {_value(one.value, one.unit)} | {_peer(one)} | {_ratio(one)} "
                    f"| {_verdict(one)} |"
                )
    return "\n".join(lines)


def table(outcome: Outcome, plots: Mapping[str, str]) -> str:
    """Return the table of one benchmark, its plots and remarks.

    Args:
        outcome: What it found.
        plots: By name of a curve, the address of its picture.
    """
    lines = ["| what | measured | range | processor time | peer or limit | ratio |", "|---|---|---|---|---|---|"]
    lines += [_row(one) for one in outcome.figures]
    for curve in outcome.curves:
        lines += ["", *_curve(curve, plots.get(curve.name))]
    return "\n".join([*lines, "", *outcome.remarks])


def _row(one: Figure) -> str:
    spread = "" if one.low is None or one.high is None or one.runs < 2 else f"{one.low:.3g} to {one.high:.3g}"
    count = f" ({one.runs})" if spread else ""
    cpu = "" if one.cpu is None else f"{one.cpu:.3g} s"
    return f"| {one.name} | {_value(one.value, one.unit)} | {spread}{count} | {cpu} | {_peer(one)} | {_ratio(one)} |"


def _curve(curve: Curve, plot: str | None) -> list[str]:
    lines = [f"![{curve.name}]({plot})", ""] if plot else []
    sizes = sorted({x for points in curve.lines.values() for x, _ in points})
    lines += [f"| {curve.x} | " + " | ".join(f"{size:,g}" for size in sizes) + " |", "|---" * (len(sizes) + 1) + "|"]
    for name, points in curve.lines.items():
        found = dict(points)
        cells = [f"{found[size]:.3g}" if size in found else "" for size in sizes]
        lines.append(f"| {name}: {curve.y} | {' | '.join(cells)} |")
    return lines


def _value(value: float, unit: str) -> str:
    text = f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
    return f"{text} {unit}"


def _peer(one: Figure) -> str:
    return one.peer if one.peer_value is None else f"{one.peer}: {_value(one.peer_value, one.unit)}"


def _ratio(one: Figure) -> str:
    return "" if one.ratio is None else f"{one.ratio:.2f}"


def _verdict(one: Figure) -> str:
    return "" if one.kept is None else "kept" if one.kept else "**missed**"
