"""The tables of a benchmark, as printed by the command line and shown in the model card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from training.evaluation.calibration import DEFAULT_BINS, NEAR_MM
from training.evaluation.result import LOW_DICE
from training.evaluation.subjects import KIND_TITLES
from training.labels import REGION_NAMES, REGIONS
from training.modalities import ROLES, TITLES


@dataclass(frozen=True)
class Table:
    """A table of formatted strings.

    Attributes:
        title: Title.
        header: Names of the columns.
        rows: Cells, as many per row as columns.
        notes: Sentences below the table.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def as_markdown(self) -> str:
        """Return the table as Markdown, with numbers aligned right."""
        lines = [_line(self.header), "|" + "|".join(["---", *["---:"] * (len(self.header) - 1)]) + "|"]
        lines += [_line(row) for row in self.rows]
        return "\n".join([*lines, *[f"\n{note}" for note in self.notes]])


def tables(benchmark: Mapping[str, Any]) -> list[Table]:
    """Return the tables of a benchmark; empty parts give none."""
    made: list[Table] = []
    if benchmark["phantoms"]["count"]:
        made += [_regions(benchmark["phantoms"]), _kinds(benchmark["phantoms"])]
    if benchmark["tumor_free"]["count"]:
        made.append(_tumor_free(benchmark))
    if benchmark["phantoms"]["count"]:
        made.append(_calibration(benchmark["phantoms"]))
    if benchmark["cases"]:
        made += [_cases(benchmark["cases"]), _missing(benchmark["cases"], benchmark["missing"])]
    mirrored = _mirrored(benchmark)
    return [*made, mirrored] if mirrored.rows else made


def cross_validation_table(measured: Mapping[str, Any], parent: str) -> Table:
    """Return the table of a cross-validation (:func:`training.retraining.folds.summarize`).

    Args:
        measured: ``cross_validation`` in the metrics of a card.
        parent: Id of the version that every fold started from.
    """

    def pair(before: Mapping[str, float], after: Mapping[str, float]) -> list[str]:
        return [f"{before[region]:.3f} / {after[region]:.3f}" for region in REGIONS]

    rows = [
        (case["case"], str(case["fold"]), *pair(case["parent"]["dice"], case["model"]["dice"]))
        for case in measured["cases"]
    ]
    means = ("**mean**", "", *pair(measured["parent"], measured["model"]))
    title = f"Dice of held-out cases in {measured['folds']}-fold cross-validation: {parent} / after training"
    return Table(title, ("case", "fold", *REGIONS), (*rows, means))


def _regions(measured: Mapping[str, Any]) -> Table:
    count = measured["count"]
    rows = []
    for region, row in measured["regions"].items():
        low = f"{row['low']} ({100 * row['low'] / count:.0f}%)"
        present = "-" if row["mean_present"] is None else f"{row['mean_present']:.3f} ({row['present']})"
        numbers = [f"{row[name]:.3f}" for name in ("mean", "median", "lowest")]
        rows.append((f"{region} ({REGION_NAMES[region]})", *numbers, low, present))
    first, last = measured["seeds"]
    return Table(
        f"Dice on {count} phantoms (seeds {first} to {last})",
        ("region", "mean", "median", "lowest", f"below {LOW_DICE:g}", "mean where present (heads)"),
        tuple(rows),
        (
            "A region absent from both truth and segmentation counts as 1, absent from only one of them as 0; the last "
            "column leaves out heads whose truth does not hold the region.",
        ),
    )


def _kinds(measured: Mapping[str, Any]) -> Table:
    rows = [
        (KIND_TITLES.get(kind, kind), str(row["count"]), *[f"{row[region]:.3f}" for region in REGIONS])
        for kind, row in measured["kinds"].items()
    ]
    return Table("Mean Dice by kind of tumor", ("kind", "phantoms", *REGIONS), tuple(rows))


def _tumor_free(benchmark: Mapping[str, Any]) -> Table:
    rows = []
    for key, name in (("tumor_free", "some"), ("every_distractor", "all")):
        row = benchmark[key]
        if row["count"]:
            seeds = f"{row['seeds'][0]} to {row['seeds'][1]}"
            volumes = [f"{row[part]:.2f}" for part in ("mean_ml", "max_ml")]
            rows.append((name, seeds, str(row["count"]), *volumes, str(row["over_bar"])))
    bar = benchmark["tumor_free"]["bar_ml"]
    header = ("distractors", "seeds", "heads", "mean (mL)", "largest (mL)", f"heads above {bar:g} mL")
    return Table("Tumor found in phantoms without tumor", header, tuple(rows))


def _calibration(measured: Mapping[str, Any]) -> Table:
    names = {"brain": "whole brain", "near_tumor": f"within {NEAR_MM:g} mm of true or predicted tumor"}
    rows = [(names[key], _number(row["ece"], 4)) for key, row in measured["calibration"].items()]
    return Table(
        "Expected calibration error of the probabilities on these phantoms",
        ("voxels", "ECE"),
        tuple(rows),
        (f"Confidence of the most probable class against its accuracy, {DEFAULT_BINS} bins (Guo et al. 2017).",),
    )


def _cases(measured: Sequence[Mapping[str, Any]]) -> Table:
    header = ["case", *[f"Dice {region}" for region in REGIONS]]
    header += [f"{region} true / predicted (mL)" for region in REGIONS]
    rows = []
    for row in measured:
        scores = [f"{row['dice'][region]:.3f}" for region in REGIONS]
        volumes = [f"{row['true_ml'][region]:.1f} / {row['predicted_ml'][region]:.1f}" for region in REGIONS]
        rows.append((row["case"], *scores, *volumes))
    return Table("Labeled cases of patients", tuple(header), tuple(rows))


def _missing(measured: Sequence[Mapping[str, Any]], missing: Sequence[Mapping[str, Any]]) -> Table:
    rows = []
    for case in measured:
        rows.append((case["case"], "none", *_dice(case)))
        for role in ROLES:
            found = (row for row in missing if row["case"] == case["case"] and row["missing"] == role)
            rows += [(case["case"], TITLES[role], *_dice(row)) for row in found]
    return Table("Dice with one modality missing", ("case", "missing", *REGIONS), tuple(rows))


def _mirrored(benchmark: Mapping[str, Any]) -> Table:
    rows = []
    phantoms = benchmark["phantoms"]
    if "mirrored" in phantoms:
        for name, part in (("plain", phantoms["regions"]), ("mirror average", phantoms["mirrored"])):
            rows.append((f"{phantoms['count']} phantoms, mean", name, *[f"{part[r]['mean']:.3f}" for r in REGIONS]))
    for case in benchmark["cases"]:
        if "mirrored" in case:
            rows.append((case["case"], "plain", *_dice(case)))
            rows.append((case["case"], "mirror average", *_dice(case["mirrored"])))
    return Table("Average over the head and its mirror image", ("on", "prediction", *REGIONS), tuple(rows))


def _dice(row: Mapping[str, Any]) -> list[str]:
    return [f"{row['dice'][region]:.3f}" for region in REGIONS]


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
