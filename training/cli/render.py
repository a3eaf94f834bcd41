"""``render``: pictures and a fly-through of the brain."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from training.cli.cases import collect_cases
from training.cli.common import ModelsOption, VersionOption, err, load_segmenter, out, progress, tell_steps
from training.cli.labels import LabelSchemeOption, tell_label_schemes
from training.cli.outcome import OverwriteOption, refuse_existing
from training.errors import InputError
from training.modalities import REFERENCE_ORDER

if TYPE_CHECKING:
    from training.cases.case import Case
    from training.images.grid import Volume


def render(
    cases: Annotated[list[Path], typer.Argument(help="Case folders, or folders of case folders.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the pictures.")] = Path("pictures"),
    labelmap: Annotated[
        Path | None, typer.Option(help="Labelmap to draw (for a single case), on any of its grids.", show_default=False)
    ] = None,
    label: Annotated[
        bool, typer.Option("--label", help="Draw the label of the case instead of segmenting it.")
    ] = False,
    gif: Annotated[bool, typer.Option(help="Also write the fly-through GIF.")] = True,
    volume: Annotated[str, typer.Option(help="The modality shown in the GIF.")] = "t1ce",
    overwrite: OverwriteOption = False,
    models: ModelsOption = None,
    version: VersionOption = None,
    label_scheme: LabelSchemeOption = None,
) -> None:
    """Draw cases: a PNG of the slice with the most tumor, and a fly-through GIF of the brain.

    Shows the segmentation by the model, unless `--labelmap` or `--label` is given, and beside it the label of the case,
    if it has one.

    **Examples**

    `python -m training render cases/phantom_0001 --output pictures`

    `python -m training render cases/phantom_0001 --labelmap results/phantom_0001_seg.nii.gz`
    """
    from training.cases.label_files import LabelContext, read_label, says_its_scheme
    from training.modalities import ROLES
    from training.pictures.case_picture import case_picture
    from training.pictures.flythrough import flythrough_gif

    if volume not in ROLES:
        raise InputError(f"There is no modality {volume!r}; known are {', '.join(ROLES)}.", field="volume")
    found = collect_cases(cases, label_scheme=label_scheme)
    if labelmap is not None and (label or len(found.cases) > 1):
        raise InputError("--labelmap requires a single case and excludes --label.", field="labelmap")
    endings = ("png", "gif") if gif else ("png",)
    refuse_existing([output / f"{case.id}.{ending}" for case in found.cases for ending in endings], overwrite)
    failures = found.failures()
    given = None
    if labelmap is not None:  # a result of TumorLoop knows its scheme; --label-scheme is then that of the case's label
        own = says_its_scheme(labelmap)
        given, reading = read_label(labelmap, LabelContext(scheme=None if own else label_scheme))
        err.print(f"{labelmap} is read as {reading}.", markup=False, soft_wrap=True)
    tell_label_schemes(found.cases)
    segmenter = None if labelmap or label else load_segmenter(models, version)
    with progress(steps=True) as bars:
        task = bars.add_task("", total=len(found.cases))

        def draw(number: int, case: Case) -> None:
            bars.update(task, completed=number, description=case.id)
            truth = case.read_label() if label or case.label is not None else None
            drawn = truth if given is None else case.on_own_grid(given)
            volumes = _preprocessed(case, drawn)
            if segmenter is not None:
                drawn = segmenter.segment(volumes).labelmap
            assert drawn is not None
            beside = None if label else truth
            paths = [case_picture(volumes, drawn, beside, output / f"{case.id}.png", title=case.id)]
            if gif:
                paths.append(flythrough_gif(volumes[volume], drawn, output / f"{case.id}.gif", title=case.id))
            for path in paths:
                out.print(str(path), soft_wrap=True)

        done, stopped = failures.each(found.cases, draw)
    failures.finish(done, "drawn", stopped=stopped)


def _preprocessed(case: Case, label: Volume | None) -> dict[str, Volume]:
    """Return the volumes of a case, registered and stripped, in the frame of the one on whose grid ``label`` lies."""
    from training.images.grid import matching_name
    from training.preprocessing.preprocess import preprocess

    volumes = case.read_all()
    grids = {role: volumes[role].grid for role in REFERENCE_ORDER if role in volumes}
    with case.naming_files():
        ready = preprocess(volumes, reference=matching_name(label.grid, grids) if label is not None else None)
    tell_steps(case.id, ready)
    return ready.volumes
