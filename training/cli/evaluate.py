"""``evaluate``: evaluate a model on labeled cases."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from training.cli.cases import PatientsOption, labeled_cases
from training.cli.common import (
    AsScannedOption,
    ForceOption,
    MirrorOption,
    ModelsOption,
    VersionOption,
    WholeHeadOption,
    chosen_version,
    load_segmenter,
    out,
    progress,
)
from training.cli.labels import LabelSchemeOption
from training.cli.outcome import OverwriteOption, refuse_existing
from training.cli.ray import RayOption, cluster, segmenting_gigabytes
from training.errors import InputError
from training.finished import Finished
from training.labels import REGION_NAMES

if TYPE_CHECKING:
    from training.evaluation.elsewhere import EvaluationJob
    from training.evaluation.result import CaseResult, EvaluationReport
    from training.evaluation.subjects import Subject
    from training.images.grid import Volume
    from training.prediction.segmenter import Segmentation


def evaluate(
    cases: Annotated[
        list[Path] | None,
        typer.Option("--cases", "-c", help="Folder of labeled cases; may be given several times.", show_default=False),
    ] = None,
    phantoms: Annotated[
        int,
        typer.Option(min=0, max=100, help="Number of the 100 evaluation phantoms, which are never used in training."),
    ] = 0,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the reports.")] = Path("evaluation"),
    limit: Annotated[int, typer.Option(min=0, help="Evaluate only this many cases; 0 for all.")] = 0,
    pictures: Annotated[bool, typer.Option(help="Draw the best, the worst, and all poorly segmented cases.")] = True,
    allow_whole_head: WholeHeadOption = False,
    as_scanned: AsScannedOption = None,
    force: ForceOption = False,
    mirror: MirrorOption = False,
    workers: Annotated[
        int, typer.Option(min=0, help="Processes that generate phantoms, or jobs at once with --ray; 0 uses all cores.")
    ] = 0,
    patients: PatientsOption = None,
    overwrite: OverwriteOption = False,
    models: ModelsOption = None,
    version: VersionOption = None,
    label_scheme: LabelSchemeOption = None,
    ray: RayOption = None,
) -> None:
    """Segment labeled cases or phantoms, compare with their labels, and print the results tables.

    Computed for the whole tumor, the tumor core and the enhancing tumor: Dice and HD95; Dice and HD95 lesion by lesion
    with the numbers of missed and false lesions, as in BraTS 2023; surface Dice at a tolerance of 1 mm; and the volume
    error.

    The uncertainty that the model gave each case is correlated with its Dice.

    Writes `report.html`, `cases.csv` (one row per case), `report.json` (everything), and pictures of the best case, the
    worst case, and all cases with a whole-tumor Dice below 0.6. A case that cannot be used does not stop the others: it
    is listed at the end, and the exit code is 1.

    **Examples**

    `python -m training evaluate --cases BraTS2020/validation --output evaluation`

    `python -m training evaluate --phantoms 100`
    """
    from training.evaluation.elsewhere import EvaluationJob, draw_elsewhere, evaluated_elsewhere
    from training.evaluation.evaluate import evaluate_cases
    from training.evaluation.report import report_files
    from training.phantoms.fixed_seeds import FIXED_SEEDS
    from training.phantoms.generate import phantom_id
    from training.prediction.engine import chosen_engine
    from training.prediction.lazy import LazySegmenter

    found = labeled_cases(cases, patients=patients, split=True, label_scheme=label_scheme)
    found.cases = labeled = found.cases[:limit] if limit else found.cases
    if not labeled and not phantoms:
        raise InputError("Nothing to evaluate: give --cases or --phantoms.", field="cases")
    jobs = None
    if ray is not None:
        output = output.absolute()
        chosen = chosen_version(models, version)
        chosen.load_weights()
        lazy = LazySegmenter.of(chosen, mirror=mirror)
        model = f"{chosen.weights_sha256()} {chosen_engine()} {mirror}"
        jobs = [
            EvaluationJob(
                source,
                lazy,
                output,
                pictures,
                model,
                allow_whole_head,
                as_scanned,
                force,
            )
            for source in (*labeled, *FIXED_SEEDS[:phantoms])
        ]
    own = {job.name for job in jobs or [] if Finished(output).mine(job.name, job.key)}
    names = [*(case.id for case in labeled), *map(phantom_id, FIXED_SEEDS[:phantoms])]
    extreme = [output / f"{kind}.png" for kind in ("best", "worst")]
    drawn = [name for name in names if name not in own] if pictures else []
    refuse_existing(report_files(output, drawn) + (extreme if pictures else []), overwrite)
    failures = found.failures()
    failures.total += phantoms
    extremes = BestAndWorst()
    with (
        cluster(ray, workers, gigabytes=segmenting_gigabytes(), shared=output) as connected,
        progress(steps=True, over_seconds=300) as bars,
    ):
        segmenter = load_segmenter(models, version, mirror) if jobs is None else jobs[0].segmenter
        task = bars.add_task("", total=len(labeled) + phantoms)

        def report_progress(done: int, _: int, case: str) -> None:
            bars.update(task, completed=done, description=case or "done")

        report = evaluate_cases(
            labeled,
            segmenter,
            output,
            report_progress,
            phantoms=FIXED_SEEDS[:phantoms],
            pictures=pictures,
            workers=workers or None,
            allow_whole_head=allow_whole_head,
            as_scanned=as_scanned,
            force=force,
            on_result=extremes.add if pictures else None,
            answers=None if jobs is None else evaluated_elsewhere(jobs, connected),
        )
        pictured = {}
        if pictures and jobs is not None:
            pictured = draw_elsewhere(_extremes(jobs, report.cases), connected)
        elif pictures:
            pictured = extremes.draw(output)
    for name, message in report.failures.items():
        failures.add(name, InputError(message))
    _print(report)
    for kind, path in (report.files | pictured).items():
        out.print(f"{kind}: {path}", soft_wrap=True)
    failures.finish(len(report.cases), "evaluated", stopped=report.stopped)


class BestAndWorst:
    """Keeps the best and the worst result so far, and draws them at the end."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Subject, Volume, CaseResult]] = {}

    def add(self, subject: Subject, segmentation: Segmentation, result: CaseResult) -> None:
        """Consider one result."""
        for kind, wins in (("best", operator.gt), ("worst", operator.lt)):
            if kind not in self._kept or wins(result.mean_dice, self._kept[kind][2].mean_dice):
                self._kept[kind] = (subject, segmentation.labelmap, result)

    def draw(self, folder: Path) -> dict[str, Path]:
        """Write ``best.png`` and ``worst.png``; return their paths."""
        from training.evaluation.elsewhere import draw_extreme

        return {f"{kind} case": draw_extreme(kind, *kept, folder) for kind, kept in self._kept.items()}


def _extremes(jobs: Sequence[EvaluationJob], results: Sequence[CaseResult]) -> dict[str, EvaluationJob]:
    """Return the jobs of the best and the worst case, by kind."""
    by_name = {job.name: job for job in jobs}
    best, worst = (choose(results, key=lambda result: result.mean_dice) for choose in (max, min))
    return {"best": by_name[best.case], "worst": by_name[worst.case]}


def _print(report: EvaluationReport) -> None:
    from training.evaluation.lesions import MISSED_MM
    from training.evaluation.metrics import TOLERANCE_MM
    from training.evaluation.quality import rank_correlation
    from training.evaluation.result import LOW_DICE, REFERENCE_CAVEAT, REFERENCE_DICE

    count = len(report.cases)
    title = f"Model {report.model_version} on {count} case{'s' if count != 1 else ''}"
    table = Table(title=title)
    for column in ("region", "mean Dice", "median Dice", f"below {LOW_DICE:g}", "best Dice", "best case"):
        table.add_column(column, overflow="fold")
    table.add_column("mean HD95 (mm)")
    table.add_column("reference Dice", overflow="fold")
    notes = []
    for row in report.summary():
        distance = "undefined" if row.mean_hd95 is None else f"{row.mean_hd95:.1f}"
        name = f"{row.region} ({REGION_NAMES[row.region]})"
        reference = f"{REFERENCE_DICE[row.region]:.2f}"
        low = f"{row.low} ({100 * row.low / count:.0f}%)"
        scores = [f"{row.mean_dice:.3f}", f"{row.median_dice:.3f}", low, f"{row.best_dice:.3f}"]
        table.add_row(name, *scores, row.best_case, distance, reference)
        if row.absent:
            notes.append(
                f"{row.region} is absent from the truth of {row.absent} of {count} cases: Dice 1 where none was found, "
                "else 0."
            )
        if row.undefined_hd95:
            notes.append(
                f"HD95 of {row.region} is undefined in {row.undefined_hd95} of {count} cases, where only truth or "
                "answer is empty; the mean leaves them out."
            )
    out.print(table)
    for note in notes:
        out.print(note, soft_wrap=True)
    out.print(_lesions_surfaces_volumes(report))
    out.print(
        f"Lesion-wise as in BraTS 2023: a missed or false lesion has Dice 0 and HD95 {MISSED_MM:g} mm. Surface Dice: "
        f"tolerance {TOLERANCE_MM:g} mm. Volume error: predicted minus true, mean in mL and median in percent.",
        soft_wrap=True,
    )
    correlation = rank_correlation(report.cases)
    if correlation is not None:
        out.print(str(correlation), soft_wrap=True)
    out.print(f"Reference Dice: {REFERENCE_CAVEAT}.", soft_wrap=True)
    for result in report.cases:
        if result.why:
            out.print(f"{result.case}: WT {result.dice['WT']:.2f}. {result.why}", soft_wrap=True)


def _lesions_surfaces_volumes(report: EvaluationReport) -> Table:
    from training.evaluation.report import percent

    # Fits in 80 columns if only the headers are wrapped, between words.
    table = Table("region", title="Lesions, surfaces and volumes")
    lesions = ("lesion Dice", "lesion HD95 (mm)", "found", "missed", "false")
    for column in (*lesions, "surface Dice", "volume error (mL)", "(%)"):
        table.add_column(column, justify="right", min_width=max(map(len, column.split())))
    for row in report.summary():
        table.add_row(
            row.region,
            f"{row.mean_lesion_dice:.3f}",
            f"{row.mean_lesion_hd95:.1f}",
            str(row.found_lesions),
            str(row.missed_lesions),
            str(row.false_lesions),
            f"{row.mean_surface_dice:.3f}",
            f"{row.mean_volume_error_ml:+.1f}",
            percent(row.median_volume_error_percent),
        )
    return table
