"""``export``: convert labelmaps to other formats."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from training.cli.common import err, out
from training.cli.labels import LabelSchemeOption
from training.cli.outcome import OverwriteOption, refuse_existing
from training.errors import InputError


def export(
    labelmap: Annotated[
        Path, typer.Argument(help="Labelmap in any label scheme: .nii, .nii.gz, .nrrd, .seg.nrrd, .mha ...")
    ],
    output: Annotated[
        Path, typer.Argument(help="Output file; its ending selects the format: .nii, .nii.gz, .nrrd, .seg.nrrd.")
    ],
    overwrite: OverwriteOption = False,
    brats_values: Annotated[bool, typer.Option(help="Write enhancing tumor as 4, as in BraTS 2017-2021.")] = False,
    reference: Annotated[
        Path | None,
        typer.Option(
            help="Image on whose grid to write: for a segmentation that 3D Slicer has cropped to its extent.",
            show_default=False,
        ),
    ] = None,
    label_scheme: LabelSchemeOption = None,
) -> None:
    """Convert a labelmap, keeping its position in space.

    A `.seg.nrrd` opens in 3D Slicer with segment names, colors and terminology codes.

    **Examples**

    `python -m training export results/case_seg.nii.gz case.seg.nrrd`

    `python -m training export case.seg.nrrd submission.nii.gz --brats-values --reference t1ce.nii.gz`
    """
    from training.cases.label_files import LabelContext, read_label
    from training.images.lattice import on_grid
    from training.images.read import read_grid
    from training.images.write import export_ending, write_labelmap

    export_ending(output)
    refuse_existing([output], overwrite)
    labels, reading = read_label(labelmap, LabelContext(scheme=label_scheme))
    err.print(f"{labelmap} is read as {reading}.", markup=False, soft_wrap=True)
    if reference is not None:
        grid = read_grid(reference)
        placed = on_grid(labels, grid)
        if placed is None:
            message = f"{labelmap} does not lie on the voxels of {reference}: {labels.grid.difference(grid)}."
            raise InputError(message, field="reference")
        labels = placed
    out.print(str(write_labelmap(labels, output, brats_values=brats_values)), soft_wrap=True)
