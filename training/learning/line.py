"""One line of a learning curve: a hospital, a strategy and an order, with its model store, labels and stages."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from training.learning.hospital import Draw, Hospital
from training.learning.stage import Stage, read_stage
from training.models.store import ModelStore, ModelVersion
from training.retraining.corrections import Correction
from training.retraining.split import part_of


@dataclass
class Line:
    """One hospital, strategy and order.

    Attributes:
        hospital: The hospital.
        strategy: Name of the strategy.
        order: Number of the order, from 0.
        draw: Which cases may be corrected, and which stay unseen.
        folder: Its folder: ``models/``, ``labels/``, ``stage-0.json`` ...
        stages: The finished stages.
    """

    hospital: Hospital
    strategy: str
    order: int
    draw: Draw
    folder: Path
    stages: list[Stage] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.hospital.name}, {self.strategy}, order {self.order + 1}"

    @property
    def corrected(self) -> list[str]:
        """The ids of the corrected cases, in order."""
        return [score.case for stage in self.stages for score in stage.new]

    def stage_file(self, count: int) -> Path:
        """Return the file of a stage."""
        return self.folder / f"stage-{count}.json"

    def label_file(self, case: str) -> Path:
        """Return the file of a submitted label."""
        return self.folder / "labels" / f"{case}.nii.gz"

    def read(self, counts: Sequence[int]) -> list[Stage]:
        """Read the stages that earlier runs finished.

        Raises:
            InputError: If the file of one is damaged.
        """
        self.stages = []
        for count in counts:
            stage = read_stage(self.stage_file(count))
            if stage is None:
                break
            self.stages.append(stage)
        return self.stages

    def restored_store(self, parent: ModelVersion) -> ModelStore:
        """Return the model store as the last finished stage left it, without what an interrupted one added."""
        root = self.folder / "models"
        if not self.stages:
            shutil.rmtree(root, ignore_errors=True)
            return ModelStore(root, parent.folder)
        store, last = ModelStore(root, parent.folder), self.stages[-1]
        while store.current().id != last.version:
            store.rollback()
        for version in set(store.ids()) - set(last.versions):
            shutil.rmtree(root / version)
        return store

    def corrections(self, cases: Sequence[str]) -> list[Correction]:
        """Return corrected cases, in the order of their correction, in the parts in which the server would put them."""
        parts: dict[str, str] = {}
        found = []
        for case_id in cases:
            case = self.hospital.case(case_id)
            part = parts.setdefault(case.patient, part_of(case.patient, len(parts)))
            found.append(Correction(case, self.label_file(case_id), split=part))
        return found
