"""The learning curve: a hospital's cases are corrected one after the other, with a retraining after some of them.

For each hospital, strategy and order there is a model store of its own, which begins with the same version. In each
stage the robot corrects the answers of the current version for the new cases; then the same retraining runs as on the
server, on all corrected cases so far, with its decision about the promotion; then the current version is measured. The
split is the server's as well, so a part of the corrected cases is held out for validation. Unseen cases take no part in
any of this.

Layout of the work folder, from which the same command resumes::

    begun.json                                what decides the outcome of a stage
    evaluation/{HOSPITAL, phantoms}/          prepared cases with their true labels
    retraining/                               prepared corrected cases, replayed phantoms, checkpoint
    curves/HOSPITAL/STRATEGY/order-0/         models/, labels/, and stage-0.json, stage-1.json ...
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from training.atomic import write_json
from training.errors import InputError
from training.fitting.memory import release_memory
from training.images.grid import Volume
from training.images.write import write_labelmap
from training.learning.answers import CaseScore
from training.learning.hospital import Hospital, check_names, draw_cases, others_of, seeded
from training.learning.line import Line
from training.learning.measure import PHANTOMS, Measurer
from training.learning.robot import submitted_label
from training.learning.settings import CurveSettings
from training.learning.stage import Stage
from training.learning.strategies import STRATEGIES, Turn
from training.models.store import ModelStore, ModelVersion
from training.phantoms.fixed_seeds import FIXED_SEEDS
from training.phantoms.generate import GENERATOR_VERSION, phantom_id
from training.preparation.prepare import matching_role
from training.preparation.store import PreparedCase
from training.retraining.config import RetrainConfig
from training.retraining.corrections import Correction
from training.retraining.resumable import WorkProgress, begin
from training.retraining.retrain import RetrainProgress, RetrainResult, retrain

#: Settings that do not change what is trained.
_NOT_COMPARED = {"workers"}
#: Settings that can be raised in a run.
_EXTENDABLE = {"orders", "strategies"}


class LearningCurve:
    """A learning curve in one work folder.

    Args:
        parent: The version that every line begins with.
        hospitals: The hospitals.
        settings: What is measured.
        config: Settings of each retraining.
        work_dir: The work folder.
        only: Names of the hospitals whose cases are corrected; the others are measured alone. Default: all.
        on_progress: Called after every step.

    Raises:
        InputError: If a setting or a hospital does not fit, the version has seen a patient of a hospital, or the work
            folder belongs to another learning curve.
    """

    def __init__(
        self,
        parent: ModelVersion,
        hospitals: Sequence[Hospital],
        *,
        settings: CurveSettings,
        config: RetrainConfig,
        work_dir: Path,
        only: Sequence[str] = (),
        on_progress: Callable[[WorkProgress], None] = lambda progress: None,
    ) -> None:
        check_names(hospitals)
        check_settings(settings)
        check_not_seen(parent, hospitals)
        self.parent = parent
        self.hospitals = list(hospitals)
        self.settings = settings
        self.config = config
        self.work_dir = Path(work_dir)
        self._on_progress = on_progress
        self._done = 0
        self._retraining = self.work_dir / "retraining"
        self._measurer = Measurer(self.work_dir / "evaluation", stride=parent.card.network.stride, seed=settings.seed)
        corrected = self._corrected_hospitals(only)
        self.lines = [
            self._line(hospital, strategy, order)
            for order in range(settings.orders)
            for hospital in corrected
            for strategy in settings.strategies
        ]
        self._total = sum(self._work(line, count) for line in self.lines for count in settings.counts)
        self._begin()

    def run(self) -> list[Stage]:
        """Run all stages that are not finished, and return all.

        Raises:
            InputError: If a case cannot be used; see also :func:`training.retraining.retrain.retrain`.
        """
        self.prepare()
        for line in self.lines:
            self.run_line(line)
        self._report("done")
        return [stage for line in self.lines for stage in line.stages]

    def prepare(self) -> None:
        """Read the finished stages and, unless all are finished, prepare what the others are measured on.

        Raises:
            InputError: If a case cannot be used, or the file of a stage is damaged.
        """
        finished = self.stages()
        self._done = sum(self._work(line, stage.corrected) for line in self.lines for stage in line.stages)
        if len(finished) < len(self.lines) * len(self.settings.counts):
            self._measurer.prepare(self.hospitals, self.settings.phantoms, self._report)

    def run_line(self, line: Line, retraining: Path | None = None) -> None:
        """Run the stages of a line that are not finished; call :meth:`prepare` before.

        Args:
            line: One of :attr:`lines`.
            retraining: Work folder of its retrainings, if others run at the same time.
        """
        self._retraining = retraining or self.work_dir / "retraining"
        for count in self.settings.counts[len(line.stages) :]:
            before = self._done
            stage = self._stage(line, count)
            write_json(line.stage_file(count), stage.model_dump(mode="json"))
            line.stages.append(stage)
            self._done = before + self._work(line, count)

    def stages(self) -> list[Stage]:
        """Return the finished stages.

        Raises:
            InputError: If the file of one is damaged.
        """
        return [stage for line in self.lines for stage in line.read(self.settings.counts)]

    def first_and_last(self, line: Line, case: str) -> tuple[PreparedCase, tuple[np.ndarray, np.ndarray]]:
        """Return a prepared case, and the labels of the versions that were current in a line's first and last stage.

        Raises:
            InputError: If a case of the hospital cannot be used.
        """
        self._measurer.prepare([line.hospital], 0, self._report)
        versions = self.parent, line.restored_store(self.parent).current()
        before, after = (self._measurer.answer(version, line.hospital.name, case).labels for version in versions)
        return self._measurer.case(line.hospital.name, case), (before, after)

    def tell_line(self, done: int, total: int, name: str) -> None:
        """Report a line that was finished elsewhere, with what is finished in the work folder."""
        self.stages()
        self._done = sum(self._work(line, stage.corrected) for line in self.lines for stage in line.stages)
        self._report(f"{name}: finished, {done} of {total} lines")

    def _corrected_hospitals(self, only: Sequence[str]) -> list[Hospital]:
        names = [hospital.name for hospital in self.hospitals]
        unknown = [name for name in only if name not in names]
        if unknown:
            raise InputError(f"There is no hospital {unknown[0]!r}; given are {', '.join(names)}.", field="only")
        return [hospital for hospital in self.hospitals if not only or hospital.name in only]

    def _line(self, hospital: Hospital, strategy: str, order: int) -> Line:
        draw = draw_cases(hospital, order, unseen=self.settings.unseen, corrected=self.settings.counts[-1])
        folder = self.work_dir / "curves" / hospital.name / strategy / f"order-{order}"
        return Line(hospital, strategy, order, draw, folder)

    def _stage(self, line: Line, count: int) -> Stage:
        """Correct the new cases of a stage, retrain, and measure."""
        store = line.restored_store(self.parent)
        new: list[CaseScore] = []
        corrections: list[Correction] = []
        result, seconds = None, None
        if count:
            new = self._correct(line, store.current(), count - len(line.corrected))
            corrections = line.corrections([*line.corrected, *(score.case for score in new)])
            started = time.perf_counter()
            result = self._retrain(f"{line}, {count} corrected", store, corrections)
            seconds = round(time.perf_counter() - started, 1)
        current, message = store.current(), f"{line}, {count} corrected"
        return Stage(
            hospital=line.hospital.name,
            strategy=line.strategy,
            order=line.order,
            corrected=count,
            new=new,
            training=sum(correction.split == "train" for correction in corrections),
            validation=sum(correction.split == "validation" for correction in corrections),
            version=current.id,
            weights_sha256=current.weights_sha256(),
            versions=store.ids(),
            promoted=None if result is None else result.promoted,
            outcome="" if result is None else result.outcome,
            verdict="" if result is None else result.verdict,
            skipped={} if result is None else result.skipped,
            seconds=seconds,
            unseen=[self._score(current, line.hospital.name, case, message) for case in line.draw.unseen],
            others=[self._score(current, *other, message) for other in self._others(line)],
            phantoms=[self._score(current, PHANTOMS, case, message) for case in self._phantoms()],
        )

    def _correct(self, line: Line, current: ModelVersion, count: int) -> list[CaseScore]:
        """Choose cases, and write the labels that the robot submits for them."""
        scores = []
        for case_id in self._chosen(line, current, count):
            self._report(f"{line}, correcting {case_id}")
            case = line.hospital.case(case_id)
            volumes, truth = case.read_all(), case.read_label()
            reference = matching_role(truth.grid, volumes)
            answer = self._measurer.segmenter(current).segment(volumes, reference=reference).labelmap
            spacing = truth.grid.spacing
            label = submitted_label(answer.data, truth.data, spacing, seed=self.settings.seed, case=case_id)
            write_labelmap(Volume(label, truth.grid), line.label_file(case_id))
            self._done += 1
            scores.append(self._score(current, line.hospital.name, case_id, f"{line}, correcting"))
        return scores

    def _chosen(self, line: Line, current: ModelVersion, count: int) -> list[str]:
        """Return the cases that the strategy chooses by the current version's answers."""
        strategy, corrected = STRATEGIES[line.strategy], line.corrected
        measures = {case: np.zeros(0) for case in line.draw.pool if case not in corrected}
        if strategy.measure is not None:
            for case in measures:
                self._report(f"{line}, choosing: {case}")
                measures[case] = strategy.measure(self._measurer.answer(current, line.hospital.name, case))
                self._done += 1
        rng = seeded(line.hospital.name, line.order, len(corrected))
        return strategy.choose(measures, Turn(count, len(corrected), line.order, rng))

    def _retrain(self, name: str, store: ModelStore, corrections: Sequence[Correction]) -> RetrainResult:
        self._measurer.forget()
        base = self._done

        def report(at: RetrainProgress) -> None:
            if at.fit is not None:
                self._done = base + min(at.fit.epoch * at.fit.steps + at.fit.step, self._steps)
            self._report(f"{name}, {at.message}", at.note)

        result = retrain(store, corrections, config=self.config, work_dir=self._retraining, on_progress=report)
        self._done = base + self._steps
        release_memory()
        return result

    def _score(self, version: ModelVersion, hospital: str, case: str, message: str) -> CaseScore:
        self._report(f"{message}, measuring {case}")
        score = self._measurer.score(version, hospital, case)
        self._done += 1
        return score

    def _others(self, line: Line) -> list[tuple[str, str]]:
        return others_of(self.hospitals, line.hospital, self.settings.others)

    def _phantoms(self) -> list[str]:
        return [phantom_id(seed) for seed in FIXED_SEEDS[: self.settings.phantoms]]

    def _begin(self) -> None:
        """Note what decides the outcome, or compare it with what the work folder was begun with."""
        wanted = {
            "parent": [self.parent.id, self.parent.weights_sha256()],
            "generator": GENERATOR_VERSION,
            **self.settings.model_dump(mode="json", exclude=_EXTENDABLE),
            "retraining": self.config.model_dump(mode="json", exclude=_NOT_COMPARED),
            "cases": {
                hospital.name: [[case.id, case.patient, case.fingerprint()] for case in hospital.cases]
                for hospital in self.hospitals
            },
        }
        hint = " Orders and strategies can be added to it."
        begin(self.work_dir, wanted, what="a learning curve", settings="retraining", hint=hint)

    @property
    def _steps(self) -> int:
        """Training steps of one retraining."""
        return self.config.max_epochs * self.config.steps_per_epoch

    def _work(self, line: Line, count: int) -> int:
        """Return the training steps and answers of one stage."""
        measured = len(line.draw.unseen) + len(self._others(line)) + self.settings.phantoms
        if not count:
            return measured
        before = max(earlier for earlier in self.settings.counts if earlier < count)
        looked_at = 0 if STRATEGIES[line.strategy].measure is None else len(line.draw.pool) - before
        return measured + self._steps + 2 * (count - before) + looked_at

    def _report(self, message: str, note: str = "") -> None:
        self._on_progress(WorkProgress(min(self._done, self._total), self._total, message, note))


def check_not_seen(parent: ModelVersion, hospitals: Sequence[Hospital]) -> None:
    """Refuse cases whose patients the version was made with: what it achieves on them says nothing.

    Raises:
        InputError: Names the cases.
    """
    patients = {seen.patient for seen in parent.card.data}
    cases = [case.id for hospital in hospitals for case in hospital.cases if case.patient in patients]
    if cases:
        raise InputError(
            f"{parent.id} was made with {', '.join(cases)}. Start from a version that has not seen them, for instance "
            "with --model v0000, or leave them out.",
            field="model",
        )


def check_settings(settings: CurveSettings) -> None:
    """Refuse counts that do not rise from 0, and unknown strategies.

    Raises:
        InputError: Names the setting.
    """
    counts = settings.counts
    if counts[:1] != (0,) or any(later <= earlier for earlier, later in itertools.pairwise(counts)):
        raise InputError(
            f"The counts of corrected cases rise from 0, as in 0,1,2,4,8; they are {','.join(map(str, counts))}.",
            field="counts",
        )
    for strategy in settings.strategies:
        if strategy not in STRATEGIES:
            raise InputError(f"There is no strategy {strategy!r}; known are {', '.join(STRATEGIES)}.", field="strategy")
