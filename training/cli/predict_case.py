"""``predict``, one case: the job that runs in this process or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from training.cases.case import Case
from training.cli.common import err, tell_steps, warn
from training.cli.label_format import LabelFormat
from training.dicom.seg import Origin
from training.finished import Finished
from training.labels import LABELS
from training.modalities import REFERENCE_ORDER

if TYPE_CHECKING:
    from training.prediction.lazy import LazySegmenter
    from training.prediction.segmenter import Segmentation, Segmenter
    from training.preprocessing.preprocess import Preprocessed


@dataclass(frozen=True)
class PredictJob:
    """One case to segment, and the options of the command.

    Attributes:
        case: The case.
        segmenter: The model.
        output: Folder of the results.
        targets: The files to write: ``label``, and the maps by their names.
        format: Of the label.
        reference: The modality whose grid the result uses, or ``None``.
        brats_values: Whether enhancing tumor is written as 4.
        options: More options of :meth:`training.prediction.segmenter.Segmenter.segment`.
        key: What decides the result, for its record (:mod:`training.finished`); empty for no record.
    """

    case: Case
    segmenter: Segmenter | LazySegmenter
    output: Path
    targets: dict[str, Path]
    format: LabelFormat
    reference: str | None
    brats_values: bool
    options: dict[str, Any]
    key: str = ""

    @property
    def name(self) -> str:
        """The case's id."""
        return self.case.id


class Listener(Protocol):
    """Is told what happens to a case."""

    def progress(self, share: float, stage: str) -> None:
        """Take the fraction done, 0 to 1, and the stage."""

    def steps(self, preprocessed: Preprocessed) -> None:
        """Take what registering and stripping did."""

    def warnings(self, sentences: Iterable[str]) -> None:
        """Take warnings about the case; some come more than once."""


@dataclass
class Predicted:
    """A segmented case, as it is sent back.

    Attributes:
        row: Its row of the table.
        written: Its files.
        notes: What was done to it, and what to know about it; the second says whether it is a warning.
    """

    row: list[str]
    written: list[Path]
    notes: list[tuple[str, bool]] = field(default_factory=list)

    def tell(self, name: str) -> None:
        """Print the notes."""
        for sentence, is_warning in self.notes:
            (warn if is_warning else _say)(f"{name}: {sentence}")


class Console:
    """Prints what it is told at once.

    Args:
        name: The case's id.
        report: Called with the fraction done and the stage.
    """

    def __init__(self, name: str, report: Callable[[float, str], None]) -> None:
        self._name = name
        self._told: set[str] = set()
        self.progress = report

    def steps(self, preprocessed: Preprocessed) -> None:
        """Print what registering and stripping did."""
        tell_steps(self._name, preprocessed)

    def warnings(self, sentences: Iterable[str]) -> None:
        """Print the warnings that were not printed yet."""
        for sentence in sentences:
            if sentence not in self._told:
                self._told.add(sentence)
                warn(f"{self._name}: {sentence}")


class _Notes:
    """Keeps what it is told, for the machine where the command runs."""

    def __init__(self) -> None:
        self.kept: list[tuple[str, bool]] = []

    def progress(self, share: float, stage: str) -> None:
        """Nobody watches a single case of a cluster."""

    def steps(self, preprocessed: Preprocessed) -> None:
        """Keep the sentences of :func:`training.cli.common.tell_steps`."""
        if preprocessed.steps and preprocessed.brain is not None:
            self.kept += [(step, False) for step in preprocessed.steps]
            self.warnings(preprocessed.warnings)

    def warnings(self, sentences: Iterable[str]) -> None:
        """Keep each sentence once."""
        self.kept += [(sentence, True) for sentence in dict.fromkeys(sentences) if (sentence, True) not in self.kept]


def predict_elsewhere(job: PredictJob) -> Predicted:
    """Segment a case in a worker, unless its results are there; the worker writes them and their record.

    Raises:
        InputError: As :func:`predict_case`.
    """
    finished = Finished(job.output)
    facts = finished.facts(job.name, job.key)
    if facts is not None:
        there = [(f"already there: {job.targets['label'].name}", False)]
        return Predicted(facts["row"], list(job.targets.values()), there)
    finished.begin(job.name, job.key)
    notes = _Notes()
    done = predict_case(job, notes)
    finished.note(job.name, job.key, done.written, {"row": done.row})
    done.notes = notes.kept
    return done


def predict_case(job: PredictJob, listener: Listener) -> Predicted:
    """Segment a case and write the results.

    Raises:
        InputError: As :meth:`training.prediction.segmenter.Segmenter.segment`.
    """
    from training.cases.dicom_source import series_headers
    from training.images.write import write_volume

    case = job.case
    headers = series_headers(case, _reference(case, job.reference)) if job.format.encoding else None
    with case.naming_files():
        segmentation = job.segmenter.segment(
            case.read_all(),
            reference=job.reference,
            on_progress=listener.progress,
            on_preprocessed=listener.steps,
            on_prepared=lambda prepared: listener.warnings(prepared.warnings),
            **job.options,
        )
    origin = Origin(segmentation.model_version)
    label = job.format.write(
        segmentation.labelmap, job.targets["label"], headers, origin, brats_values=job.brats_values
    )
    maps = [write_volume(volume, job.targets[name]) for name, volume in segmentation.maps.items()]
    listener.warnings(segmentation.warnings)
    return Predicted(_row(case, segmentation), [label, *maps])


def _reference(case: Case, asked: str | None) -> str:
    return asked if asked and asked in case.sources else next(role for role in REFERENCE_ORDER if role in case.sources)


def _row(case: Case, segmentation: Segmentation) -> list[str]:
    volumes = [f"{segmentation.volumes_ml[label.name]:.1f}" for label in LABELS]
    return [case.id, *volumes, f"{sum(segmentation.seconds.values()):.1f}"]


def _say(message: str) -> None:
    err.print(message, markup=False, soft_wrap=True)
