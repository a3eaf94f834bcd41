"""The history of all runs: one line of JSON each."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.outcome import Outcome
from docs.invariance.table import commit, machine
from training import __version__
from training.clock import now
from training.hardware import cpu_supports_bfloat16

#: The libraries whose versions change the numbers.
_LIBRARIES = ("tensorflow", "tensorflow-cpu", "keras", "openvino", "numpy", "torch", "monai", "monailabel", "ray")
_ROOT = Path(__file__).resolve().parents[1]


def provenance() -> dict[str, Any]:
    """Describe this machine and this code."""
    versions = {}
    for name in _LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "date": now(),
        "commit": commit(_ROOT),
        "version": __version__,
        "machine": machine(),
        "cpu_limit": os.environ.get("ONEDNN_MAX_CPU_ISA", ""),
        "bfloat16": cpu_supports_bfloat16(),
        "libraries": versions,
    }


def record_of(about: Mapping[str, Any], outcomes: Mapping[str, Outcome], load: float) -> dict[str, Any]:
    """Return the line of a run.

    Args:
        about: From :func:`provenance`.
        outcomes: By key of the benchmark.
        load: How many processes wanted to run, on average, when it began: others disturb the numbers.
    """
    figures: dict[str, list[float | None]] = {}
    for key, outcome in outcomes.items():
        for one in outcome.figures:
            name = f"{one.name} | {one.peer}" if one.peer else one.name
            figures[f"{key}: {name}"] = [one.value, one.peer_value]
    curves = {one.name: one.lines for outcome in outcomes.values() for one in outcome.curves}
    return {**about, "load": round(load, 1), "figures": figures, "curves": curves}


def append(history: Path, record: Mapping[str, Any]) -> None:
    """Add a line to the history."""
    history.parent.mkdir(parents=True, exist_ok=True)
    with open(history, "a", encoding="utf-8") as handle:
        handle.write(json.dumps(record, separators=(",", ":")) + "\n")


def read(history: Path) -> list[dict[str, Any]]:
    """Return all runs, the oldest first."""
    if not history.is_file():
        return []
    return [json.loads(line) for line in history.read_text(encoding="utf-8").splitlines() if line.strip()]
