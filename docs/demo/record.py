"""What happened in a demo: filled in by the loop, read by the tables and the report."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.cases.case import Case
from training.evaluation.metrics import region_dice
from training.images.grid import Volume
from training.labels import REGIONS, region_mask


@dataclass
class Segmentation:
    """One segmentation by the server.

    Attributes:
        labelmap: The labelmap that came back.
        version: The model version that made it.
        seconds: From the request to the file on disk.
        params: What the server says about it: its own times, volumes in milliliters, warnings.
        dice: Against the true label, per region; empty where that is not known.
        scored: The regions that the true label holds. A network that finds nothing at all would get a Dice of 1 for the
            others, so they say nothing about it.
    """

    labelmap: Volume
    version: str
    seconds: float
    params: dict[str, Any]
    dice: dict[str, float] = field(default_factory=dict)
    scored: tuple[str, ...] = ()

    def compare(self, truth: Volume) -> None:
        """Compare with the true label: sets ``dice`` and ``scored``."""
        self.dice = region_dice(self.labelmap.data, truth.data)
        self.scored = tuple(name for name in REGIONS if region_mask(truth.data, name).any()) or tuple(REGIONS)

    @property
    def mean_dice(self) -> float:
        """Mean over the regions that the true label holds."""
        return sum(self.dice[name] for name in self.scored) / len(self.scored)


@dataclass
class CaseRecord:
    """One case on its way through the loop."""

    case: Case
    truth: Volume | None
    before: Segmentation
    after: Segmentation | None = None
    label_version: str = ""
    pictures: dict[str, Path] = field(default_factory=dict)

    @property
    def improved(self) -> bool:
        """Whether the segmentation is closer to the true label than it was."""
        return self.after is not None and self.after.mean_dice > self.before.mean_dice


@dataclass
class LoopRecord:
    """One run of the demo.

    Attributes:
        cases: The corrected cases, in the order in which they were given out.
        controls: Cases whose true label is known and was kept from the server.
        unlabeled: Cases that were only segmented.
        steps: What was done and how many seconds it took.
        training: The last live numbers of the training.
        history: One entry per training epoch.
        versions: The server's model versions at the end.
        notes: What was left out, and why.
    """

    cases: list[CaseRecord] = field(default_factory=list)
    controls: list[CaseRecord] = field(default_factory=list)
    unlabeled: list[CaseRecord] = field(default_factory=list)
    steps: list[tuple[str, float]] = field(default_factory=list)
    training: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    versions: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
