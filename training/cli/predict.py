"""``predict``: segment cases."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress, TaskID
from rich.table import Table

from training.cli.cases import Collected, OrderOption, collect_cases
from training.cli.common import (
    AsScannedOption,
    ForceOption,
    MirrorOption,
    ModelsOption,
    VersionOption,
    WholeHeadOption,
    chosen_version,
    out,
    progress,
    segmenter_of,
)
from training.cli.outcome import OverwriteOption, refuse_existing
from training.cli.ray import RayOption, RayWorkersOption, cluster, segmenting_gigabytes
from training.cluster.connection import LOCAL
from training.errors import InputError
from training.finished import Finished
from training.labels import LABELS
from training.modalities import REFERENCE_ORDER, ROLES
from training.parallel import completed

if TYPE_CHECKING:
    from training.cases.case import Case
    from training.cli.label_format import LabelFormat
    from training.cli.predict_case import Predicted, PredictJob
    from training.models.store import ModelVersion
    from training.prediction.segmenter import ProgressCallback


def predict(
    cases: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Case folders, DICOM folders, folders of them, ZIP archives of studies, or 4D files.",
            show_default=False,
        ),
    ] = None,
    t1: Annotated[
        Path | None,
        typer.Option(
            help="T1: a file or the folder of a DICOM series, instead of CASES; or the number of a series in CASES.",
            show_default=False,
        ),
    ] = None,
    t1ce: Annotated[Path | None, typer.Option(help="T1 volume with contrast.", show_default=False)] = None,
    t2: Annotated[Path | None, typer.Option(help="T2 volume.", show_default=False)] = None,
    flair: Annotated[Path | None, typer.Option(help="FLAIR volume.", show_default=False)] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the labelmaps.")] = Path("results"),
    format: Annotated[
        str,
        typer.Option(
            help=".nii.gz, .nii, .nrrd, .seg.nrrd (3D Slicer); for DICOM series also .dcm (DICOM SEG) or "
            "dicom_seg_labelmap (DICOM SEG as a label map, which few viewers read)."
        ),
    ] = ".nii.gz",
    reference: Annotated[
        str | None,
        typer.Option(
            help="The modality whose grid the labelmap uses. Default: t1ce, or the first present of t1, t2, flair.",
            show_default=False,
        ),
    ] = None,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Also segment cases with missing modalities.")
    ] = False,
    allow_whole_head: WholeHeadOption = False,
    as_scanned: AsScannedOption = None,
    force: ForceOption = False,
    maps: Annotated[
        bool,
        typer.Option("--maps", help="Also write region probabilities and entropy (CASE_probability_wt.nii.gz ...)."),
    ] = False,
    mirror: MirrorOption = False,
    brats_values: Annotated[bool, typer.Option(help="Write enhancing tumor as 4, as in BraTS 2017-2021.")] = False,
    order: OrderOption = None,
    overwrite: OverwriteOption = False,
    models: ModelsOption = None,
    version: VersionOption = None,
    ray: RayOption = None,
    ray_workers: RayWorkersOption = 0,
) -> None:
    """Segment cases: four volumes in, one labelmap on the grid of the reference volume out.

    Volumes as they were scanned are registered and stripped first, as far as the images need it; what ran is printed.

    Values: 0 background, 1 necrotic core, 2 peritumoral edema, 3 enhancing tumor. A case that cannot be used does not
    stop the others: it is listed at the end, and the exit code is 1.

    **Examples**

    `python -m training predict cases/BraTS20_Training_001`

    `python -m training predict study`, a DICOM folder or ZIP from the scanner

    `python -m training predict --t1 a.nii.gz --t1ce b.nii.gz --t2 c.nii.gz --flair d.nii.gz --format .seg.nrrd`

    `python -m training predict --t1ce b.nii.gz --flair d.nii.gz --allow-missing --maps`

    `python -m training predict STUDY --format .dcm`

    `python -m training predict studies --ray`, several cases at once
    """
    from training.cli.label_format import label_format
    from training.cli.predict_case import Console, PredictJob, predict_case, predict_elsewhere
    from training.prediction.engine import chosen_engine
    from training.prediction.lazy import LazySegmenter

    chosen = label_format(format, brats_values=brats_values)
    found = _requested_cases(cases, {"t1": t1, "t1ce": t1ce, "t2": t2, "flair": flair}, order, allow_missing)
    output = output if ray is None else _shared(output, cases or [], ray)
    options = {
        "allow_missing": allow_missing,
        "allow_whole_head": allow_whole_head,
        "as_scanned": as_scanned,
        "force": force,
        "maps": maps,
    }
    model = chosen_version(models, version)
    key = (
        ""
        if ray is None
        else f"{_hash(model)} {chosen_engine()} {mirror} {format} {reference} {brats_values} {options}"
    )
    lazy = LazySegmenter.of(model, mirror=mirror)
    jobs = [
        PredictJob(
            case,
            lazy,
            output,
            _targets(case, output, chosen, maps),
            chosen,
            reference,
            brats_values,
            options,
            f"{case.fingerprint()} {key}" if key else "",
        )
        for case in found.cases
    ]
    others = [job for job in jobs if not job.key or not Finished(output).mine(job.name, job.key)]
    refuse_existing([path for job in others for path in job.targets.values()], overwrite)
    segmenter = segmenter_of(model, mirror) if ray is None else lazy
    table = Table(title=f"Model {model.id} ({segmenter.engine})")
    for column in ("case", *(f"{label.name} (mL)" for label in LABELS), "seconds"):
        table.add_column(column, overflow="fold")
    written: list[Path] = []
    failures = found.failures()
    with cluster(ray, ray_workers, gigabytes=segmenting_gigabytes(), shared=output) as connected, progress() as bars:
        task = bars.add_task("", total=len(jobs))
        numbers = {job.name: number for number, job in enumerate(jobs)}

        def here(job: PredictJob) -> Predicted:
            watched = Console(job.name, _progress_callback(bars, task, job.case, numbers[job.name]))
            return predict_case(replace(job, segmenter=segmenter), watched)

        def take(job: PredictJob, answer: Future[Predicted]) -> None:
            if connected is not None:
                bars.update(task, advance=1, description=job.name)
            predicted = answer.result()
            predicted.tell(job.name)
            written.extend(predicted.written)
            table.add_row(*predicted.row)

        answers = completed(here if connected is None else predict_elsewhere, jobs, connected or 1)
        done, stopped = failures.take((job.case, partial(take, job, answer)) for job, answer in answers)
    if done:
        out.print(table)
    for path in written:
        out.print(str(path), soft_wrap=True)
    failures.finish(done, "segmented", stopped=stopped)


def _hash(model: ModelVersion) -> str:
    """Return the hash of the weights, after they could be read."""
    model.load_weights()
    return model.weights_sha256()


def _shared(output: Path, cases: list[Path], ray: str) -> Path:
    """Return the output folder as other processes find it.

    Raises:
        InputError: If a case is an archive, which is unpacked on this machine only.
    """
    archives = [path for path in cases if path.suffix.lower() == ".zip"]
    if archives and ray != LOCAL:
        raise InputError(
            f"{archives[0].name} would be unpacked on this machine only. Unpack it where the cluster sees it.",
            field="cases",
        )
    return output.absolute()


def _targets(case: Case, output: Path, format: LabelFormat, maps: bool) -> dict[str, Path]:
    """Return the files that are written for a case."""
    from training.prediction.segmenter import MAP_NAMES

    label = output / format.file_name(case.id)
    return {"label": label} | {name: output / f"{case.id}_{name}.nii.gz" for name in (MAP_NAMES if maps else ())}


def _requested_cases(
    paths: list[Path] | None, roles: dict[str, Path | None], order: str | None, allow_missing: bool
) -> Collected:
    """Return the cases given as folders and files, or the one given by single volumes."""
    from training.images.read import image_ending

    given = {role: path for role, path in roles.items() if path is not None}
    if given and paths:
        if any(path.exists() or image_ending(path) for path in given.values()):
            raise InputError("Give either CASES or the four volumes, not both.", field="cases")
        series = {role: str(path) for role, path in given.items()}
        return collect_cases(paths, order, allow_missing=allow_missing, series=series)
    if not given:
        return collect_cases(paths or [], order, allow_missing=allow_missing)
    from training.cases.case import case_from_roles
    from training.cases.files import id_of_files

    missing = [f"--{role}" for role in ROLES if role not in given]
    if missing and not allow_missing:
        raise InputError(
            f"All four volumes are needed; missing: {', '.join(missing)}. To segment without, add --allow-missing.",
            field=missing[0][2:],
        )
    first = next(given[role] for role in REFERENCE_ORDER if role in given)
    return Collected([case_from_roles(given, id=id_of_files(first), allow_missing=allow_missing)])


def _progress_callback(bars: Progress, task: TaskID, case: Case, number: int) -> ProgressCallback:
    def report(share: float, stage: str) -> None:
        bars.update(task, completed=number + share, description=f"{case.id}: {stage}")

    return report
