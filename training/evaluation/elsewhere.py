"""Evaluation of cases and phantoms on a cluster: results are sent back, pictures are written by the workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from training.cases.case import Case
from training.evaluation.evaluate import Evaluated, conclude, evaluate_case
from training.evaluation.result import CaseResult
from training.evaluation.subjects import Subject, subject_of_case, subject_of_phantom
from training.finished import Finished
from training.images.grid import Volume
from training.parallel import Workers, completed
from training.phantoms.generate import GENERATOR_VERSION, generate, phantom_id
from training.pictures.case_picture import case_picture
from training.prediction.lazy import LazySegmenter


@dataclass(frozen=True)
class EvaluationJob:
    """One case or phantom to evaluate.

    Attributes:
        source: The case, or the seed of the phantom.
        segmenter: The model.
        output: Folder of the evaluation, absolute.
        pictures: Whether to draw the case if it is poorly segmented.
        model: What decides the answers of the model.
        allow_whole_head: As for :func:`training.evaluation.evaluate.evaluate_cases`.
        as_scanned: The same.
        force: The same.
    """

    source: Case | int
    segmenter: LazySegmenter
    output: Path
    pictures: bool
    model: str
    allow_whole_head: bool = False
    as_scanned: bool | None = None
    force: bool = False

    @property
    def name(self) -> str:
        """The id of the case."""
        return phantom_id(self.source) if isinstance(self.source, int) else self.source.id

    @property
    def key(self) -> str:
        """What decides the result."""
        source, model = self.source, f"{self.model} pictures {self.pictures}"
        if isinstance(source, int):
            return f"phantom generator {GENERATOR_VERSION} seed {source} {model}"
        options = f"{self.allow_whole_head} {self.as_scanned} {self.force} {source.patient} {source.label_context}"
        return f"{source.fingerprint()} {model} {options}"

    def subject(self) -> Subject:
        """Read the case, or generate the phantom."""
        if isinstance(self.source, int):
            return subject_of_phantom(generate(self.source))
        as_scanned = False if self.allow_whole_head and self.as_scanned is None else self.as_scanned
        return subject_of_case(self.source, as_scanned=as_scanned, force=self.force)


def evaluated_elsewhere(
    jobs: Sequence[EvaluationJob], workers: Workers
) -> Iterator[tuple[str, Callable[[], Evaluated]]]:
    """Yield the id of each case with a function that returns its result or raises its error, as they are finished."""
    for job, answer in completed(_evaluate, jobs, workers):
        yield job.name, answer.result


def draw_elsewhere(chosen: dict[str, EvaluationJob], workers: Workers) -> dict[str, Path]:
    """Segment the best and the worst case once more and draw them; return the paths by kind.

    Args:
        chosen: The cases by kind, ``best`` and ``worst``.
        workers: Where to do it.
    """
    drawn = dict(answer.result() for _, answer in completed(_draw, list(chosen.items()), workers))
    return {f"{kind} case": drawn[kind] for kind in chosen}


def draw_extreme(kind: str, subject: Subject, labelmap: Volume, result: CaseResult, folder: Path) -> Path:
    """Write ``best.png`` or ``worst.png``; return its path."""
    scores = ", ".join(f"{region} {value:.2f}" for region, value in result.dice.items())
    return case_picture(
        subject.volumes,
        labelmap,
        subject.truth,
        folder / f"{kind}.png",
        title=f"{kind.capitalize()} case: {subject.id}",
        caption=f"Dice {scores}",
    )


def _evaluate(job: EvaluationJob) -> Evaluated:
    """Evaluate a case in a worker, unless its result is there."""
    finished, key = Finished(job.output), job.key
    facts = finished.facts(job.name, key)
    if facts is not None:
        picture = job.output / facts["picture"] if facts["picture"] else None
        return Evaluated(CaseResult.from_json(facts["result"]), facts["version"], picture)
    finished.begin(job.name, key)
    evaluate = partial(evaluate_case, job.subject, job.segmenter, job.allow_whole_head)
    done = conclude(evaluate, job.output if job.pictures else None)
    picture_file = "" if done.picture is None else done.picture.relative_to(job.output).as_posix()
    about = {"result": asdict(done.result), "version": done.version, "picture": picture_file}
    finished.note(job.name, key, [] if done.picture is None else [done.picture], about)
    return done


def _draw(chosen: tuple[str, EvaluationJob]) -> tuple[str, Path]:
    kind, job = chosen
    subject, segmentation, result = evaluate_case(job.subject, job.segmenter, job.allow_whole_head)
    return kind, draw_extreme(kind, subject, segmentation.labelmap, result, job.output)
