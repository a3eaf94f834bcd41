"""The tables of all outcomes in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from docs.raw.measure import MAX_ERROR_MM, MAX_LOSS, MIN_BRAIN_DICE, MIN_TUMOR_INSIDE, Outcome
from training.labels import REGIONS
from training.modalities import TITLES

#: Around the tables in ``docs/raw.md``.
BEGIN, END = "<!-- written by make raw -->", "<!-- end of what make raw writes -->"
#: Stages in their order, as they are told.
_STAGES = {
    "reading": "finding and reading the DICOM series",
    "checking": "finding out which steps are needed",
    "stripping": "brain extraction",
    "registering": "registering three series, resampling",
    "preparing": "preparing",
    "computing": "network",
    "restoring": "restoring the native grid",
}


def markdown(outcomes: Mapping[int, Outcome], about: str) -> str:
    """Return the tables, without markers.

    Args:
        outcomes: By seed.
        about: How it was measured.
    """
    done = [one for one in outcomes.values() if not one.fault]
    lines = [about, "", *_summary(done, len(outcomes)), "", *_heads(outcomes), "", *_stages(done), ""]
    lines += [f"- Phantom {seed}: {one.fault}" for seed, one in outcomes.items() if one.fault]
    warned = [f"- Phantom {seed}: {text}" for seed, one in outcomes.items() for text in one.warnings]
    lines += ["Warnings of preprocessing:", "", *warned] if warned else []
    return "\n".join(lines).rstrip() + "\n"


def put(document: str, tables: str) -> str:
    """Return a document with its tables replaced; they are added at the end if it has none."""
    block = f"{BEGIN}\n\n{tables}\n{END}"
    if BEGIN not in document or END not in document:
        return f"{document.rstrip()}\n\n{block}\n"
    before, rest = document.split(BEGIN, 1)
    return before + block + rest.split(END, 1)[1]


def _summary(done: Sequence[Outcome], count: int) -> list[str]:
    computed = [one for one in done if not one.stopped]
    errors = [max(one.error.values()) for one in computed if one.error]
    good = sum(error < MAX_ERROR_MM for error in errors)
    series = [value for one in done for role, value in one.error.items() if role not in one.refused]
    lines = [
        "| | bar | measured |",
        "|---|---|---|",
        f"| heads whose three series lie within {MAX_ERROR_MM:g} mm (mean over the brain) | 39 of 40, the rest refused "
        f"| {good} of {count}; refused {sum(bool(one.stopped) for one in done)}, failed {count - len(done)} |",
        f"| error of a series, median / 95 % / largest | | {_errors(series)} |",
        f"| Dice of the brain mask to all inside the pial surface, mean / smallest | {MIN_BRAIN_DICE:g} "
        f"| {_lowest([one.brain_dice for one in done])} |",
    ]
    dura = [one.intracranial_dice for one in done]
    lines.append(f"| the same, to all inside the dura: brain and the fluid around it | | {_lowest(dura)} |")
    inside = [one.tumor_inside for one in done if one.tumor_inside is not None]
    lines.append(f"| tumor inside the brain mask, mean / smallest | {MIN_TUMOR_INSIDE:g} | {_lowest(inside)} |")
    tumors = [one for one in computed if one.has_tumor]
    for region in REGIONS:
        raw = np.array([one.dice[region] for one in tumors])
        aligned = np.array([one.aligned_dice[region] for one in tumors])
        if len(raw):
            lines.append(
                f"| {region}: mean Dice from raw / stripped and aligned with the truth | at most {MAX_LOSS:g} apart "
                f"| {raw.mean():.3f} / {aligned.mean():.3f}; difference {raw.mean() - aligned.mean():+.3f}, "
                f"worst {np.min(raw - aligned):+.3f} |"
            )
    return lines


def _heads(outcomes: Mapping[int, Outcome]) -> list[str]:
    lines = [
        "| phantom | tumor | true motion T1 / T2 / FLAIR | error in mm | brain Dice | tumor inside | Dice from raw "
        "(WT / TC / ET) | aligned | |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for seed, one in outcomes.items():
        if one.fault:
            lines.append(f"| {seed} | | | | | | | | failed |")
            continue
        motion = ", ".join(f"{degrees:.0f}° {mm:.0f} mm" for degrees, mm in one.motion.values())
        error = " / ".join(_bold(f"{value:.2f}", value < MAX_ERROR_MM) for value in one.error.values())
        brain = _bold(f"{one.brain_dice:.3f}", one.brain_dice >= MIN_BRAIN_DICE)
        tumor = one.tumor_inside
        inside = "" if tumor is None else _bold(f"{tumor:.4f}", tumor >= MIN_TUMOR_INSIDE)
        told = f"refused: {', '.join(TITLES.get(name, name) for name in one.stopped)}" if one.stopped else ""
        raw, aligned = _regions(one, one.dice), _regions(one, one.aligned_dice)
        lines.append(f"| {seed} | {one.kind} | {motion} | {error} | {brain} | {inside} | {raw} | {aligned} | {told} |")
    return lines


def _stages(done: Sequence[Outcome]) -> list[str]:
    lines = ["| stage | seconds | processor seconds | memory of a fresh process, MiB |", "|---|---|---|---|"]
    for stage, title in _STAGES.items():
        seconds, cpu, memory = (
            [values[stage] for one in done if stage in (values := getattr(one, name))]
            for name in ("seconds", "cpu", "memory")
        )
        if seconds:
            most = f"{min(memory):.0f}" if memory else ""
            lines.append(f"| {title} | {np.median(seconds):.1f} | {np.median(cpu):.1f} | {most} |")
    total = [[sum(values.values()) for values in (one.seconds, one.cpu)] for one in done]
    if total:
        largest = min((max(one.memory.values()) for one in done if one.memory), default=0)
        lines.append(f"| all | {np.median(total, axis=0)[0]:.1f} | {np.median(total, axis=0)[1]:.1f} | {largest:.0f} |")
    return lines


def _errors(values: Sequence[float]) -> str:
    if not values:
        return ""
    return f"{np.median(values):.2f} / {np.percentile(values, 95):.2f} / {max(values):.2f} mm"


def _lowest(values: Sequence[float]) -> str:
    return f"{np.mean(values):.4f} / {min(values):.4f}" if values else ""


def _regions(one: Outcome, dice: Mapping[str, float]) -> str:
    return " / ".join(f"{dice[region]:.3f}" for region in REGIONS) if one.has_tumor else ""


def _bold(text: str, good: bool) -> str:
    return text if good else f"**{text}**"
