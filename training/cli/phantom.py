"""``phantom``: generate synthetic cases."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from training.cli.common import out, progress
from training.cli.outcome import OverwriteOption, refuse_existing
from training.cli.ray import RayOption, cluster


def phantom(
    output: Annotated[Path, typer.Argument(help="Folder for the cases; created if absent.", show_default=False)],
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="Number of cases.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same cases.")] = 0,
    raw: Annotated[
        bool,
        typer.Option("--raw", help="Raw studies: skull and face, a grid for each series, the head moved between them."),
    ] = False,
    dicom: Annotated[bool, typer.Option("--dicom", help="Raw studies as DICOM series instead of NIfTI.")] = False,
    degrees: Annotated[float, typer.Option(min=0, help="Raw studies: largest rotation between series.")] = 12.0,
    mm: Annotated[float, typer.Option(min=0, help="Raw studies: largest displacement between series, in mm.")] = 15.0,
    overwrite: OverwriteOption = False,
    workers: Annotated[int, typer.Option(min=0, help="Processes, or jobs at once with --ray; 0 uses all cores.")] = 0,
    ray: RayOption = None,
) -> None:
    """Generate synthetic gliomas in the BraTS layout: four modalities and a label per case.

    They contain no patient data: anatomy comes from the ICBM152 tissue maps, tumors and appearance from a generator.

    With `--raw`, a case is what a scanner delivers; the true label, brain and motion are in the folder `truth`.

    **Example**

    `python -m training phantom cases --count 8 --seed 1`
    """
    from training.phantoms.files import case_name, own_cases, write_cases
    from training.phantoms.raw_files import own_raw_studies, raw_name, write_raw_studies

    raw = raw or dicom
    motion = {"degrees": degrees, "mm": mm}
    names = [raw_name(number) if raw else case_name(number) for number in range(count)]
    own: set[str] = set()
    if ray is not None:
        own = (
            own_raw_studies(output, count, seed=seed, dicom=dicom, motion=motion)
            if raw
            else own_cases(output, count, seed)
        )
    refuse_existing([output / name for name in names if name not in own], overwrite)
    with cluster(ray, workers, gigabytes=2.0 if raw else 1.0, shared=output) as connected, progress(steps=True) as bars:
        cores = connected or workers or os.cpu_count() or 1
        task = bars.add_task("phantoms", total=count)

        def report(done: int, total: int) -> None:
            bars.update(task, completed=done, total=total)

        resume = connected is not None
        if raw:
            write_raw_studies(
                output,
                count,
                seed=seed,
                dicom=dicom,
                motion=motion,
                workers=cores,
                resume=resume,
                on_progress=report,
            )
        else:
            write_cases(output, count, seed=seed, workers=cores, on_progress=report, resume=resume)
    what = "raw study" if raw else "case"
    many = "raw studies" if raw else "cases"
    out.print(f"{count} {what if count == 1 else many} in {output}", soft_wrap=True)
    if raw:
        out.print(f"What is true of them is in {output / 'truth'}: give other commands {output}/raw_*.", soft_wrap=True)
