"""``phantom``: generate synthetic cases."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from training.cli.common import out, progress
from training.cli.outcome import OverwriteOption, refuse_existing


def phantom(
    output: Annotated[Path, typer.Argument(help="Folder for the cases; created if absent.", show_default=False)],
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="Number of cases.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same cases.")] = 0,
    overwrite: OverwriteOption = False,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0 uses all cores.")] = 0,
) -> None:
    """Generate synthetic gliomas in the BraTS layout: four modalities and a label per case.

    They contain no patient data: anatomy comes from the ICBM152 tissue maps, tumors and appearance from a generator.

    **Example**

    `python -m training phantom cases --count 8 --seed 1`
    """
    from training.phantoms.files import case_name, write_cases

    refuse_existing([output / case_name(number) for number in range(count)], overwrite)
    with progress(steps=True) as bars:
        task = bars.add_task("phantoms", total=count)
        write_cases(
            output,
            count,
            seed=seed,
            workers=workers or os.cpu_count() or 1,
            on_progress=lambda done, total: bars.update(task, completed=done, total=total),
        )
    out.print(f"{count} {'case' if count == 1 else 'cases'} in {output}", soft_wrap=True)
