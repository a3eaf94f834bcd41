"""How good the model's segmentations were, judged by the labels that were submitted, and what correcting them took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from TumorLoopLib.jobs.judgment import number_of


@dataclass(frozen=True)
class CorrectedCase:
    """The first final label of a case against the model's segmentation of it.

    Attributes:
        version: The model version that segmented it.
        dice: Mean of the Dice of WT, TC and ET.
        minutes: From the segmentation to the submission; ``None`` if not known.
        active_minutes: Spent editing, without pauses; ``None`` if not known.
    """

    version: str
    dice: float
    minutes: float | None = None
    active_minutes: float | None = None


@dataclass(frozen=True)
class VersionSummary:
    """The cases of one model version: their number, the mean of their Dice, and the medians of their times."""

    version: str
    cases: int
    dice: float
    minutes: float | None = None
    active_minutes: float | None = None


@dataclass(frozen=True)
class Corrections:
    """The cases in the order of their submission, and the versions in the order of their first case."""

    cases: tuple[CorrectedCase, ...] = ()
    versions: tuple[VersionSummary, ...] = ()

    @property
    def editing(self) -> bool:
        """Whether the time of editing is known of any case; otherwise that until the submission is all there is."""
        return any(case.active_minutes is not None for case in self.cases)


def corrections_of(reply: Mapping[str, Any]) -> Corrections:
    """Read the server's list, without what cannot be compared and cases from which the model had learned before."""
    cases, versions = [], []
    for entry in reply.get("cases") or ():
        dice = number_of((entry.get("dice") or {}).get("mean"))
        if dice is not None and entry.get("seen") is False:
            times = number_of(entry.get("minutes")), number_of(entry.get("active_minutes"))
            cases.append(CorrectedCase(str(entry.get("version")), dice, *times))
    for entry in reply.get("versions") or ():
        dice, count = number_of((entry.get("dice") or {}).get("mean")), number_of(entry.get("cases"))
        if dice is not None and count:
            times = number_of(entry.get("median_minutes")), number_of(entry.get("median_active_minutes"))
            versions.append(VersionSummary(str(entry.get("version")), int(count), dice, *times))
    return Corrections(tuple(cases), tuple(versions))
