"""The cases of a retraining: corrected cases, heads derived from them, and the phantoms they are mixed with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from training.cases.case import Case
from training.cases.label_files import OWN, LabelContext
from training.errors import InputError
from training.hashes import file_sha256
from training.models.store import SeenCase
from training.preparation.prepare_cases import prepare_case
from training.preparation.store import PreparedCase, PreparedStore, prepare_phantoms
from training.retraining.derived import derivations, prepare_derived

#: First seed of the replayed phantoms, far from the seeds used elsewhere.
REPLAY_SEED = 500_000_000
#: Every n-th of them is a healthy head with everything that resembles a tumor: all corrected cases hold one.
_HEALTHY_EVERY = 4
#: Phantoms used to compare models, never in training. Each holds plenty of all three labels: where a region is absent,
#: Dice is 0 or 1, and a single voxel would decide which model is promoted.
_EVALUATION_PHANTOMS = (3, 10, 11, 6, 7, 16, 4, 23, 30, 27, 19, 25, 21, 32, 1, 31)
EVALUATION_SEEDS = tuple(700_000_000 + number for number in _EVALUATION_PHANTOMS)

#: Folder of the heads derived from corrected cases, in the work folder of a retraining.
DERIVED = "derived"


@dataclass(frozen=True)
class Correction:
    """A labeled case for training or validation.

    Attributes:
        case: The images.
        label: A labelmap on the grid of one of the images: with TumorLoop's values, or the one that came with the case.
        split: ``train`` or ``validation``.
        label_sha256: Hash that identifies the label; default is that of the file.
    """

    case: Case
    label: Path
    split: str = "train"
    label_sha256: str = ""

    def digest(self) -> str:
        """Return the hash that identifies the label."""
        return self.label_sha256 or file_sha256(self.label)

    def labeled_case(self) -> Case:
        """Return the case with this label."""
        if self.label == self.case.label:
            return self.case  # in whatever scheme it came
        return replace(self.case, label=self.label, label_context=LabelContext(scheme=OWN))

    def seen(self) -> SeenCase:
        """Return its entry in a model card."""
        return SeenCase(case=self.case.id, patient=self.case.patient, label_sha256=self.digest(), split=self.split)

    def with_split(self, split: str) -> Correction:
        """Return the same correction in another split."""
        return replace(self, split=split)


def check_corrections(corrections: Sequence[Correction]) -> None:
    """Check that there is a correction to train on.

    Raises:
        InputError: If no correction is for training.
    """
    if any(correction.split == "train" for correction in corrections):
        return
    if corrections:
        raise InputError(
            f"All {len(corrections)} labeled cases belong to patients held out for validation, so there is nothing to "
            "train on. Submit a corrected label of another patient.",
            field="label",
        )
    raise InputError(
        "There is nothing to train on: no case has a final label. Submit a corrected label first.", field="label"
    )


@dataclass(frozen=True)
class RetrainCases:
    """The prepared cases of one retraining.

    Attributes:
        train: Corrected cases, then heads derived from them, then phantoms.
        sampling: Sampling weight of each of them.
        evaluation: Cases on which parent and candidate are compared: labeled validation cases, then phantoms.
        corrected: Number of corrected cases in ``train``.
        skipped: Id and error message of corrected cases that could not be read.
        held_out: Number of labeled validation cases in ``evaluation``.
    """

    train: list[PreparedCase]
    sampling: list[float]
    evaluation: list[PreparedCase]
    corrected: int
    skipped: dict[str, str] = field(default_factory=dict)
    held_out: int = 0


@dataclass(frozen=True)
class Mixture:
    """How corrections and phantoms are mixed.

    Attributes:
        replay: Number of phantoms to train on.
        replay_share: Fraction of patches taken from them.
        derived: Number of heads derived from each corrected case.
        derived_share: Fraction of the other patches that is taken from those.
        judge_phantoms: Number of phantoms to compare models on.
        stride: The sides of a prepared case are multiples of this.
    """

    replay: int
    replay_share: float
    derived: int
    derived_share: float
    judge_phantoms: int
    stride: int

    def prepare(self, corrections: Sequence[Correction], work_dir: Path, report: Callable[[str], None]) -> RetrainCases:
        """Prepare all cases that are not prepared yet, and call ``report`` with a message for each step.

        A case that cannot be read is skipped: one damaged file must not block the others.

        Raises:
            InputError: If no case is left to train on; names the skipped ones.
        """
        phantoms = PreparedStore(work_dir / "phantoms")
        parts, skipped = self._prepare_corrected(corrections, PreparedStore(work_dir / "prepared"), report)
        replayed = list(range(REPLAY_SEED, REPLAY_SEED + self.replay))
        held_out = list(EVALUATION_SEEDS[: self.judge_phantoms])
        report("generating phantoms")
        healthy = replayed[_HEALTHY_EVERY - 1 :: _HEALTHY_EVERY]
        made = prepare_phantoms(
            phantoms,
            [*(seed for seed in replayed if seed not in healthy), *held_out],
            on_progress=lambda done, total: report(f"generated phantom {done} of {total}"),
        )
        spared = prepare_phantoms(phantoms, healthy, tumor=False, distractors="all")
        count = len(made) - len(held_out)
        replay, evaluation = [*made[:count], *spared], made[count:]
        train, validation = parts["train"], parts["validation"]
        derived = prepare_derived(
            PreparedStore(work_dir / DERIVED),
            derivations(train, self.derived),
            on_progress=lambda done, total: report(f"derived head {done} of {total} from the corrected cases"),
        )
        replay_share = self.replay_share if replay else 0.0
        derived_share = (1.0 - replay_share) * (self.derived_share if derived else 0.0)
        shares = ((train, 1.0 - replay_share - derived_share), (derived, derived_share), (replay, replay_share))
        sampling = [share / len(part) for part, share in shares for _ in part]
        return RetrainCases(
            train=[*train, *derived, *replay],
            sampling=sampling,
            evaluation=[*validation, *evaluation],
            corrected=len(train),
            skipped=skipped,
            held_out=len(validation),
        )

    def _prepare_corrected(
        self, corrections: Sequence[Correction], store: PreparedStore, report: Callable[[str], None]
    ) -> tuple[dict[str, list[PreparedCase]], dict[str, str]]:
        """Return the prepared cases by split, and the skipped ones with the reason."""
        parts: dict[str, list[PreparedCase]] = {"train": [], "validation": []}
        skipped: dict[str, str] = {}
        for number, correction in enumerate(corrections, start=1):
            report(f"reading corrected case {number} of {len(corrections)}")
            case = correction.labeled_case()
            try:
                parts[correction.split].append(prepare_case(case, store, stride=self.stride))
            except InputError as error:
                skipped[case.id] = error.message
                report(f"skipped {case.id}: {error.message}")
        if not parts["train"]:
            reasons = "; ".join(skipped.values()) or "none is in the training split"
            raise InputError(
                f"No labeled case can be trained on: {reasons}. Repair or replace the files.", field="label"
            )
        return parts, skipped
