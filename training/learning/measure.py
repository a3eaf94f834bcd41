"""Measuring versions on prepared cases of hospitals and on fixed phantoms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from training.errors import InputError
from training.fitting.memory import release_memory
from training.learning.answers import Answer, CaseScore, answer_of, score_of
from training.learning.hospital import Hospital
from training.models.store import ModelVersion
from training.phantoms.fixed_seeds import FIXED_SEEDS
from training.phantoms.generate import GENERATOR_VERSION, generate, phantom_id
from training.preparation.prepare_cases import prepare_case
from training.preparation.store import PreparedCase, PreparedStore, prepare_phantom

if TYPE_CHECKING:
    from training.prediction.segmenter import Segmenter

#: Stands for a hospital where the fixed phantoms are meant.
PHANTOMS = "phantoms"


class Measurer:
    """Prepared cases with their true labels, and the scores of versions on them.

    Args:
        folder: Folder of the prepared cases.
        stride: Stride of the network.
        seed: Seed of the robot corrector, whose label the editing time leads to.
    """

    def __init__(self, folder: Path, *, stride: int, seed: int) -> None:
        self._folder = folder
        self._stride = stride
        self._seed = seed
        self._prepared: dict[tuple[str, str], PreparedCase] = {}
        self._scores: dict[tuple[str, str, str], CaseScore] = {}
        self._segmenter: Segmenter | None = None
        self._loaded = ""

    def prepare(self, hospitals: Sequence[Hospital], phantoms: int, report: Callable[[str], None]) -> None:
        """Prepare all cases that are not prepared yet.

        Raises:
            InputError: If a case cannot be used; names all of them.
        """
        problems = []
        for hospital in hospitals:
            store = PreparedStore(self._folder / hospital.name)
            for case in hospital.cases:
                report(f"preparing {case.id}")
                try:
                    self._prepared[hospital.name, case.id] = prepare_case(case, store, stride=self._stride)
                except InputError as error:
                    problems.append(error.message)
        if problems:
            raise InputError(f"Not usable: {'; '.join(problems)} Repair these cases or leave them out.", field="cases")
        store = PreparedStore(self._folder / PHANTOMS)
        for seed in FIXED_SEEDS[:phantoms]:
            name, key = phantom_id(seed), f"phantom generator {GENERATOR_VERSION} seed {seed} stride {self._stride}"
            report(f"preparing {name}")
            if not store.has(name, key):
                image, label, _ = prepare_phantom(generate(seed), stride=self._stride)
                store.put(name, image, label, key=key)
            self._prepared[PHANTOMS, name] = store.get(name)

    def case(self, hospital: str, case: str) -> PreparedCase:
        """Return a prepared case."""
        return self._prepared[hospital, case]

    def answer(self, version: ModelVersion, hospital: str, case: str) -> Answer:
        """Return the answer of a version for a prepared case."""
        return answer_of(self.segmenter(version), self._prepared[hospital, case])

    def score(self, version: ModelVersion, hospital: str, case: str) -> CaseScore:
        """Return the score of a version's answer for a prepared case; that of the same weights is computed once."""
        key = (version.weights_sha256(), hospital, case)
        if key not in self._scores:
            truth = np.asarray(self._prepared[hospital, case].label())
            self._scores[key] = score_of(self.answer(version, hospital, case).labels, truth, case, self._seed)
        return self._scores[key]

    def segmenter(self, version: ModelVersion) -> Segmenter:
        """Return the segmenter of a version; only the last one is kept."""
        from training.prediction.segmenter import Segmenter

        weights = version.weights_sha256()
        if self._segmenter is None or self._loaded != weights:
            self.forget()
            self._segmenter, self._loaded = Segmenter(version), weights
        return self._segmenter

    def forget(self) -> None:
        """Free the memory of the segmenter."""
        self._segmenter = None
        release_memory()
