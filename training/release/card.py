"""The model card: intended use, measured performance, and limitations of a version.

The numbers are stored in ``card.json`` of the version; the document is rendered from it
(:mod:`training.release.card_text`), and the server returns a summary. The sections follow Mitchell et al. 2019, "Model
Cards for Model Reporting", doi:10.1145/3287560.3287596.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from training.atomic import write_json, write_text
from training.errors import InputError
from training.labels import REGIONS
from training.models.store import ModelVersion, read_version
from training.release.card_text import FOR_SYNTHETIC, FOR_TRAINED_ON_CASES, INTENDED_USE, LIMITS, NOT_FOR, TITLE, render

#: Key of the benchmark in :attr:`ModelCard.metrics`.
BENCHMARK = "benchmark"
_STORED = re.compile(r"v\d{4,}")


def summary(version: ModelVersion) -> dict[str, Any]:
    """Return what a client shows of a version, JSON-ready, without history and per-case numbers.

    Returns:
        ``version``, ``parent``, ``created``, ``description``, ``research_only`` (always true), ``intended_use``,
        ``not_for``, ``limits`` (sentences), ``cases_seen`` (labeled cases in this version's training), ``attribution``
        and ``metrics``. The latter holds mean Dice by region under ``phantoms`` (the fixed ones, with ``count``), under
        ``cross_validation`` (of ``parent`` and ``model``, with ``folds`` and ``patients``), or under ``judge`` for a
        retrained version; each only where the card has it.
    """
    card = version.card
    synthetic = not card.data and card.parent is None
    return {
        "version": version.id,
        "parent": card.parent,
        "created": card.created,
        "description": card.description,
        "research_only": True,
        "intended_use": INTENDED_USE,
        "not_for": NOT_FOR,
        "limits": [FOR_SYNTHETIC if synthetic else FOR_TRAINED_ON_CASES, *LIMITS],
        "cases_seen": sum(seen.split == "train" for seen in card.data),
        "attribution": card.attribution,
        "metrics": _metrics(card.metrics),
    }


def record(folder: Path, benchmark: dict[str, Any]) -> ModelVersion:
    """Write a benchmark into the card of a version that is to be released; the rest of the card is kept.

    Args:
        folder: Folder of the version, such as ``training/models/bundled/v0000``.
        benchmark: Result of :func:`training.release.benchmark.run_benchmark`.

    Raises:
        InputError: If the folder holds no version, lies in a store (whose cards never change), or the benchmark
            belongs to other weights.
    """
    version = read_version(folder)
    if _STORED.fullmatch(folder.resolve().name) and (folder.resolve().parent / "current.json").exists():
        raise InputError(f"{folder} lies in a model store, whose cards never change.", field="model")
    if benchmark["weights_sha256"] != version.weights_sha256():
        raise InputError(f"The weights in {folder} are not those that were measured.", field="model")
    card = version.card.model_copy(update={"metrics": {**version.card.metrics, BENCHMARK: benchmark}})
    write_json(folder / "card.json", card.model_dump(mode="json"))
    return ModelVersion(version.id, folder, card)


def is_generated(document: Path) -> bool:
    """Return whether a file is a document of :func:`write_document`, which may be replaced without asking."""
    try:
        return document.read_text(encoding="utf-8", errors="replace").startswith(TITLE)
    except OSError:
        return False


def write_document(folder: Path, document: Path) -> Path:
    """Render the document of a version from its card.

    Raises:
        InputError: If the folder holds no version.
    """
    return write_text(document, render(read_version(folder)))


def inconsistencies(folder: Path, document: Path) -> list[str]:
    """Compare card, weights and document of a version without running the model.

    Returns:
        One sentence per inconsistency.

    Raises:
        InputError: If the folder holds no version.
    """
    version = read_version(folder)
    found = []
    try:
        if document.read_text(encoding="utf-8") != render(version):
            found.append(f"{document} does not match {folder / 'card.json'}.")
    except FileNotFoundError:
        found.append(f"{document} does not exist.")
    benchmark = version.card.metrics.get(BENCHMARK)
    if benchmark is not None and benchmark["weights_sha256"] != version.weights_sha256():
        found.append(f"The numbers in {folder / 'card.json'} were measured with other weights than {folder} holds.")
    return found


def _metrics(metrics: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    benchmark = metrics.get(BENCHMARK)
    if benchmark is not None and benchmark["phantoms"]["count"]:
        phantoms = benchmark["phantoms"]
        result["phantoms"] = {
            "count": phantoms["count"],
            "mean_dice": {region: phantoms["regions"][region]["mean"] for region in REGIONS},
            "median_dice": {region: phantoms["regions"][region]["median"] for region in REGIONS},
        }
    if benchmark is not None and benchmark["tumor_free"]["count"]:
        result["largest_ml_without_tumor"] = max(
            benchmark[part]["max_ml"] for part in ("tumor_free", "every_distractor") if benchmark[part]["count"]
        )
    if "cross_validation" in metrics:
        measured = metrics["cross_validation"]
        result["cross_validation"] = {name: measured[name] for name in ("folds", "patients", "parent", "model")}
    if "candidate" in metrics:
        result["judge"] = {"mean_dice": metrics["candidate"], "parent": metrics.get("parent")}
    return result
