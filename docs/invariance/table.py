"""The table of all outcomes in Markdown."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from docs.invariance.alteration import Alteration
from docs.invariance.measure import BAR, Outcome
from training.labels import REGIONS

#: By case and by key of the alteration.
Results = Mapping[str, Mapping[str, Outcome]]


def verdict(results: Results) -> str:
    """Say in a sentence how many answers changed."""
    outcomes = [outcome for row in results.values() for outcome in row.values()]
    refused = sum(bool(outcome.refusal) for outcome in outcomes)
    same = sum(outcome.good and not outcome.refusal for outcome in outcomes)
    bad = sum(not outcome.good for outcome in outcomes)
    return (
        f"{len(outcomes)} altered heads: {same} with the answer of the unaltered head (each Dice at least {BAR}), "
        f"{refused} refused, {bad} with another answer or a fault."
    )


def markdown(
    results: Results, alterations: Sequence[Alteration], phantoms: Sequence[str], notes: Sequence[str], about: str
) -> str:
    """Return the document.

    Args:
        results: All outcomes.
        alterations: The rows.
        phantoms: Names of the cases that are phantoms; the others are patients.
        notes: Sentences about cases that were left out.
        about: How it was measured: command, version, date, machine.
    """
    patients = [case for case in results if case not in phantoms]
    lines = ["# Invariance: the same head in other files", "", verdict(results), "", about, *notes, ""]
    lines += [_EXPLANATION, ""]
    lines += [f"Phantoms: {', '.join(phantoms) or 'none'}. Patients: {', '.join(patients) or 'none'}."]
    for group in dict.fromkeys(alteration.group for alteration in alterations):
        lines += ["", f"## {group}", "", "| Alteration | Phantoms | Patients | Worst | |", "|---|---|---|---|---|"]
        members = [alteration for alteration in alterations if alteration.group == group]
        lines += [_row(alteration, results, phantoms, patients) for alteration in members]
    return "\n".join([*lines, *_sentences(results, alterations), ""])


_EXPLANATION = (
    "Each alteration is written to files and goes the way of any case: found, read, prepared, segmented, written. The "
    "labelmap must lie on the altered T1ce, with its qform and sform; mapped back voxel to voxel, its Dice to the "
    f"answer for the unaltered files must be at least {BAR}, or the files are refused with a sentence. The columns "
    "show the lowest Dice over the cases, of WT / TC / ET. A star: the network saw, bit for bit, what it sees of the "
    "unaltered head, in all cases."
)


def machine() -> str:
    """Describe this machine: processor, cores, memory, system."""
    name = platform.processor() or platform.machine()
    try:
        facts = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="ignore").splitlines()
        name = next((line.split(":", 1)[1].strip() for line in facts if line.startswith("model name")), name)
        memory = f", {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    except (OSError, ValueError, AttributeError):
        memory = ""
    return f"{name}, {os.cpu_count()} cores{memory}, Python {platform.python_version()}"


def commit(root: Path) -> str:
    """Name the commit of a checkout; says so if files differ from it, and is empty if this is no checkout."""
    command = ["git", "-C", str(root), "describe", "--always", "--abbrev=7", "--exclude=*", "--dirty= with changes"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _row(alteration: Alteration, results: Results, phantoms: Sequence[str], patients: Sequence[str]) -> str:
    of = {case: row[alteration.key] for case, row in results.items() if alteration.key in row}
    worst = min((min(outcome.dice.values()) for outcome in of.values() if outcome.dice), default=None)
    cells = [_worst_of([of[case] for case in cases if case in of]) for cases in (phantoms, patients)]
    remark = "" if all(outcome.good for outcome in of.values()) else "**changed**"
    if any(outcome.fault for outcome in of.values()):
        remark = "**fault**"
    star = "\\*" if of and all(outcome.same_input for outcome in of.values()) else ""
    return (
        f"| {alteration.title}{star} | {cells[0]} | {cells[1]} | {'' if worst is None else _shown(worst)} | {remark} |"
    )


def _worst_of(outcomes: Sequence[Outcome]) -> str:
    answered = [outcome for outcome in outcomes if outcome.dice]
    parts = []
    if answered:
        parts.append(" / ".join(_shown(min(outcome.dice[region] for outcome in answered)) for region in REGIONS))
    for kind in ("refusal", "fault"):
        count = sum(bool(getattr(outcome, kind)) for outcome in outcomes)
        parts += [f"{'refused' if kind == 'refusal' else 'fault'}: {count} of {len(outcomes)}"] if count else []
    return ", ".join(parts)


def _shown(dice: float) -> str:
    """Round down, so that 0.97999 does not look like 0.98."""
    text = f"{int(dice * 10_000 + 1e-6) / 10_000:.4f}"
    return f"**{text}**" if dice < BAR else text


def _sentences(results: Results, alterations: Sequence[Alteration]) -> list[str]:
    """List refusals, faults and new warnings (without their numbers), each sentence once per alteration."""
    lines: list[str] = []
    for title, kind in (
        ("Refusals", "refusal"),
        ("Faults", "fault"),
        ("Warnings that the unaltered head does not give", ""),
    ):
        found = []
        for alteration in alterations:
            said: Counter[str] = Counter()
            for row in results.values():
                outcome = row.get(alteration.key, Outcome())
                without_numbers = {re.sub(r"\b\d+", "…", one) for one in outcome.warnings}
                said.update([getattr(outcome, kind)] if kind else without_numbers)
            found += [f"- {alteration.title} ({n}): {_plain(text)}" for text, n in said.items() if text]
        lines += ["", f"## {title}", "", *found] if found else []
    return lines


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("<", "&lt;")
