"""Cross-validation of the retraining: what a version gains from labeled cases, on patients it has not seen.

Each fold trains from the same parent as a retraining does, on the patients of all other folds, and is evaluated on its
own, by the same prediction as in use. No case takes part in a decision about the training of its fold: there is neither
a choice among epochs nor the comparison on phantoms by which a retraining is promoted. A last training, on all cases,
gives the version; what it achieves on cases it has seen says nothing, so its card holds the scores of the folds.

Layout of the work folder, from which the same call resumes::

    begun.json                           everything that decides the outcome
    prepared/, phantoms/                 prepared cases
    fold-1/{checkpoint.npz, model/}      while it is unfinished
    fold-1/fold.json                     written last
    final/{checkpoint.npz, model/}       the training on all cases
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from training.atomic import write_json
from training.errors import InputError
from training.evaluation.evaluate import evaluate_subject
from training.evaluation.result import CaseResult
from training.evaluation.subjects import subject_of_case
from training.fitting.memory import release_memory
from training.models.store import ModelCard, ModelVersion, read_version, write_version
from training.phantoms.generate import GENERATOR_VERSION
from training.retraining.config import RetrainConfig
from training.retraining.corrections import REPLAY_SEED, Correction, RetrainCases
from training.retraining.fine_tune import fine_tune
from training.retraining.folds import FinishedFold, HeldOutCase, score_of, split_patients, summarize, volumes_of
from training.retraining.resumable import WorkProgress, begin, read_json

#: Settings that do not change what is trained.
_NOT_COMPARED = {
    *("workers", "judge_phantoms", "enough_validation", "tolerance", "drift", "cross_validate", "compare_unseen"),
    *("early_stop_patience", "validate_every"),
}


class CrossValidation:
    """A cross-validation in one work folder. Its folds may run in any order, each in one process at a time.

    Args:
        parent: The version to train from.
        corrections: Labeled cases; their split is ignored.
        folds: Number of folds; see :func:`training.retraining.folds.split_patients`.
        config: Settings of each training.
        work_dir: The work folder.
        on_progress: Called after every step.

    Raises:
        InputError: If there are too few patients, or the work folder belongs to another cross-validation.
    """

    def __init__(
        self,
        parent: ModelVersion,
        corrections: Sequence[Correction],
        *,
        folds: int,
        config: RetrainConfig,
        work_dir: Path,
        on_progress: Callable[[WorkProgress], None] = lambda progress: None,
    ) -> None:
        self.parent = parent
        self.corrections = [correction.with_split("train") for correction in corrections]
        self.folds = split_patients([correction.case.patient for correction in corrections], folds)
        self.config = config
        self.work_dir = Path(work_dir)
        self._on_progress = on_progress
        self._mixture = replace(config.mixture(parent.card.network.stride), judge_phantoms=0)
        self._begin()

    def prepare(self) -> RetrainCases:
        """Prepare all cases and phantoms that are not prepared yet.

        Raises:
            InputError: If a case cannot be used; names all of them.
        """
        base = self._done()
        cases = self._mixture.prepare(self.corrections, self.work_dir, lambda message: self._report(base, message))
        if cases.skipped:
            raise InputError(
                f"Not usable: {'; '.join(cases.skipped.values())} Repair these cases or leave them out.", field="cases"
            )
        return cases

    def tell(self, message: str) -> None:
        """Report a message, with what is finished in the work folder."""
        self._report(self._done(), message)

    def finished(self) -> list[FinishedFold]:
        """Return the finished folds.

        Raises:
            InputError: If the file of one is damaged.
        """
        return [fold for number in range(1, len(self.folds) + 1) if (fold := self._read(number)) is not None]

    def run_fold(self, number: int) -> FinishedFold:
        """Train fold ``number`` (from 1) and evaluate its model and the parent on its patients, unless it is finished.

        Raises:
            InputError: If a case cannot be used; see also :func:`training.retraining.fine_tune.fine_tune`.
        """
        finished = self._read(number)
        if finished is not None:
            return finished
        patients = self.folds[number - 1]
        held_out = [correction for correction in self.corrections if correction.case.patient in patients]
        rest = [correction for correction in self.corrections if correction.case.patient not in patients]
        name = f"fold {number} of {len(self.folds)}"
        model = self._train(self._fold_folder(number), rest, name)
        base = self._done()
        before = self._evaluate(self.parent, held_out, f"{name}, evaluating {self.parent.id}", base)
        after = self._evaluate(model, held_out, f"{name}, evaluating its model", base + len(held_out))
        cases = [
            HeldOutCase(
                case=correction.case.id,
                patient=correction.case.patient,
                fold=number,
                true_ml=volumes_of(old.true_ml),
                parent=score_of(old),
                model=score_of(new),
            )
            for correction, old, new in zip(held_out, before, after, strict=True)
        ]
        finished = FinishedFold(
            fold=number,
            trained_on=len(rest),
            weights_sha256=model.weights_sha256(),
            epochs=model.card.training["epochs"],
            batch_size=model.card.training["batch_size"],
            cases=cases,
        )
        write_json(self._fold_folder(number) / "fold.json", finished.model_dump(mode="json"))
        return finished

    def run_final(self) -> ModelVersion:
        """Train on all cases, unless that is finished; return the version in the work folder.

        Raises:
            InputError: If a case cannot be used; see also :func:`training.retraining.fine_tune.fine_tune`.
        """
        return self._train(self.work_dir / "final", self.corrections, "all cases")

    def card(self, final: ModelVersion, *, description: str = "", attribution: str = "") -> ModelCard:
        """Return the card of the version trained on all cases.

        Args:
            final: From :meth:`run_final`.
            description: One sentence.
            attribution: Credit and license of the cases, if they are public; that of the parent is kept.

        Raises:
            InputError: If a fold is not finished.
        """
        finished = self.finished()
        missing = sorted(set(range(1, len(self.folds) + 1)) - {fold.fold for fold in finished})
        if missing:
            numbers = ", ".join(map(str, missing))
            raise InputError(f"Not finished in {self.work_dir}: fold {numbers}. Run them first.", field="folds")
        summary = summarize(finished)
        count, patients = len(self.corrections), summary["patients"]
        before, after = summary["parent"]["mean"], summary["model"]["mean"]
        credits = [text for text in (self.parent.card.attribution, attribution) if text]
        return ModelCard(
            parent=self.parent.id,
            description=description or f"Trained from {self.parent.id} on {count} labeled cases of {patients} patients",
            network=final.card.network,
            data=final.card.data,
            training=final.card.training,
            metrics={"cross_validation": {**summary, "parent_weights_sha256": self.parent.weights_sha256()}},
            verdict=f"Mean Dice of held-out cases in {len(self.folds)}-fold cross-validation: {after:.4f}, that of "
            f"{self.parent.id}: {before:.4f}.",
            attribution="\n".join(dict.fromkeys(credits)),
        )

    def _train(self, folder: Path, corrections: Sequence[Correction], name: str) -> ModelVersion:
        """Train on these cases, and keep the model in ``folder``."""
        if (folder / "model").is_dir():
            return read_version(folder / "model")
        base, config = self._done(), self.config
        cases = self._mixture.prepare(corrections, self.work_dir, lambda message: self._report(base, message))
        result = fine_tune(
            self.parent,
            cases,
            config=config,
            work_dir=folder,
            on_event=lambda message, note: self._report(base, f"{name}, {message}", note),
            on_progress=lambda at: self._report(
                base + at.epoch * at.steps + min(at.step, at.steps - 1), f"{name}, training, loss {at.loss:.3f}"
            ),
        )
        card = ModelCard(
            version=folder.name,
            parent=self.parent.id,
            network=self.parent.card.network,
            data=[correction.seen() for correction in corrections],
            training={
                "config": config.model_dump(mode="json", exclude=_NOT_COMPARED),
                "replay_seeds": list(range(REPLAY_SEED, REPLAY_SEED + config.replay)),
                "generator": GENERATOR_VERSION,
                "epochs": result.epochs,
                "batch_size": result.batch_size,
                "losses": [record["loss"] for record in result.history],
            },
        )
        version = write_version(folder / "model", result.weights, card)
        (folder / "checkpoint.npz").unlink(missing_ok=True)
        release_memory()
        return version

    def _evaluate(
        self, version: ModelVersion, held_out: Sequence[Correction], message: str, base: int
    ) -> list[CaseResult]:
        from training.prediction.segmenter import Segmenter

        segmenter = Segmenter(version)
        results = []
        for number, correction in enumerate(held_out):
            self._report(base + number, f"{message}: {correction.case.id}")
            results.append(evaluate_subject(subject_of_case(correction.labeled_case()), segmenter)[1])
        return results

    def _begin(self) -> None:
        """Note what decides the outcome, or compare it with what the work folder was begun with."""
        wanted = {
            "parent": [self.parent.id, self.parent.weights_sha256()],
            "folds": len(self.folds),
            "settings": self.config.model_dump(mode="json", exclude=_NOT_COMPARED),
            "generator": GENERATOR_VERSION if self.config.replay else None,
            "cases": [
                [correction.case.id, correction.case.patient, correction.case.fingerprint(), correction.digest()]
                for correction in self.corrections
            ],
        }
        begin(self.work_dir, wanted, what="a cross-validation", settings="settings")

    def _read(self, number: int) -> FinishedFold | None:
        path = self._fold_folder(number) / "fold.json"
        if not path.exists():
            return None
        try:
            return FinishedFold(**read_json(path))
        except ValidationError as error:
            raise InputError(f"{path} is damaged: {error}. Delete it to repeat the fold.", field="work") from error

    def _fold_folder(self, number: int) -> Path:
        return self.work_dir / f"fold-{number}"

    def _done(self) -> int:
        """Return the steps and evaluations of finished trainings and folds."""
        folders = [*(self._fold_folder(number) for number in range(1, len(self.folds) + 1)), self.work_dir / "final"]
        trained = sum((folder / "model").is_dir() for folder in folders)
        return trained * self._steps + sum(2 * len(fold.cases) for fold in self.finished())

    @property
    def _steps(self) -> int:
        """Training steps of one training."""
        return self.config.max_epochs * self.config.steps_per_epoch

    def _report(self, done: int, message: str, note: str = "") -> None:
        total = (len(self.folds) + 1) * self._steps + 2 * len(self.corrections)
        self._on_progress(WorkProgress(done, total, message, note))
