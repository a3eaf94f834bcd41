"""``sheet``: draw phantoms and real cases in one picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from training.cli.cases import labeled_cases
from training.cli.common import out, progress
from training.cli.labels import LabelSchemeOption
from training.cli.outcome import OverwriteOption, refuse_existing


def sheet(
    output: Annotated[Path, typer.Argument(help="Picture to write (.png).", show_default=False)],
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="Number of phantoms.")] = 12,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first candidate phantom.")] = 0,
    cases: Annotated[
        list[Path] | None,
        typer.Option("--cases", "-c", help="Labeled cases to draw below; may be given several times."),
    ] = None,
    credit: Annotated[
        str | None, typer.Option(help="Attribution of the images of the cases; known for TCGA-LGG.", show_default=False)
    ] = None,
    overwrite: OverwriteOption = False,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0 uses all cores.")] = 0,
    label_scheme: LabelSchemeOption = None,
) -> None:
    """Draw a sheet of phantoms and real cases for review by an MRI reader.

    Each head is one strip: T1, T1 with contrast, T2, FLAIR, and the true labels. Phantoms are taken in the order of
    their seeds, without healthy heads; each kind of tumor fills at most a third of the sheet.

    **Examples**

    `python -m training sheet phantoms.png --count 12`

    `python -m training sheet phantoms.png --cases studies --credit "Where the images are from, and their license"`
    """
    from training.errors import InputError
    from training.release.phantom_sheet import phantom_sheet

    if output.suffix.lower() != ".png":
        raise InputError(f"The picture must be a .png file; it is {output.name!r}.", field="output")
    refuse_existing([output], overwrite)
    found = labeled_cases(cases, label_scheme=label_scheme)
    labeled, failures = found.cases, found.failures()
    with progress(steps=True) as bars:
        task = bars.add_task("heads", total=count + len(labeled))
        seeds = phantom_sheet(
            output,
            count=count,
            seed=seed,
            cases=labeled,
            credit=credit,
            workers=workers or None,
            on_progress=lambda done, total: bars.update(task, completed=done, total=total),
            on_failure=lambda case, error: failures.add(case.id, error),
        )
    summary = (
        f"phantoms: {len(seeds)} (seeds {', '.join(map(str, seeds))}); cases: {failures.total - len(failures.entries)}"
    )
    out.print(f"{output}\n{summary}", soft_wrap=True)
    failures.finish(count + len(labeled), "drawn")
