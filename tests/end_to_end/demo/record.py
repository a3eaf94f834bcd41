"""What happened in a demo: filled in by the loop, read by the table and the report."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.cases.case import Case
from training.evaluation.metrics import region_dice
from training.images.grid import Volume
from training.labels import REGIONS, region_mask


@dataclass
class Answer:
    """One segmentation by the server.

    Attributes:
        path: The labelmap that came back.
        labelmap: The same, read.
        version: The model version that answered.
        seconds: From the request to the file on disk.
        server_seconds: The server's own account of it.
        volumes_ml: Its volumes per label and region.
        warnings: What the server says a reader should know.
        dice: Against the truth, per region; empty where none is known.
        judged: The regions that the truth holds. A network that answers nothing at all would get a Dice of 1 for
            the others, so they say nothing about it.
    """

    path: Path
    labelmap: Volume
    version: str
    seconds: float
    server_seconds: dict[str, float]
    volumes_ml: dict[str, float]
    warnings: list[str] = field(default_factory=list)
    dice: dict[str, float] = field(default_factory=dict)
    judged: tuple[str, ...] = ()

    def compare(self, truth: Volume) -> None:
        """Compare with the truth: sets ``dice`` and ``judged``."""
        self.dice = region_dice(self.labelmap.data, truth.data)
        self.judged = tuple(name for name in REGIONS if region_mask(truth.data, name).any()) or tuple(REGIONS)

    @property
    def mean_dice(self) -> float:
        """Mean over the regions that the truth holds."""
        return sum(self.dice[name] for name in self.judged) / len(self.judged)


@dataclass
class CaseRecord:
    """One case on its way through the loop."""

    case: Case
    truth: Volume | None
    before: Answer
    after: Answer | None = None
    label_version: str = ""
    pictures: dict[str, Path] = field(default_factory=dict)

    @property
    def improved(self) -> bool:
        """Whether the answer is closer to the truth than it was."""
        return self.after is not None and self.after.mean_dice > self.before.mean_dice


@dataclass
class LoopRecord:
    """One run of the demo.

    Attributes:
        cases: The corrected cases, in the order they were given out.
        controls: Cases whose truth is known and was kept from the server.
        others: Cases that were only segmented.
        steps: What was done and how many seconds it took.
        training: The last live numbers of the training.
        history: One entry per training epoch.
        versions: The server's model versions at the end.
        notes: Words about what was left out.
        server: The server's description of itself.
    """

    cases: list[CaseRecord] = field(default_factory=list)
    controls: list[CaseRecord] = field(default_factory=list)
    others: list[CaseRecord] = field(default_factory=list)
    steps: list[tuple[str, float]] = field(default_factory=list)
    training: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    versions: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    server: dict[str, Any] = field(default_factory=dict)
