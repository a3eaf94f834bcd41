"""``export``: convert labelmaps to other formats."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from training.cli.common import err, out
from training.cli.outcome import OverwriteOption, refuse_existing


def export(
    labelmap: Annotated[
        Path, typer.Argument(help="Labelmap in any BraTS label scheme: .nii, .nii.gz, .nrrd, .seg.nrrd, .mha ...")
    ],
    output: Annotated[
        Path, typer.Argument(help="Output file; its ending selects the format: .nii, .nii.gz, .nrrd, .seg.nrrd.")
    ],
    overwrite: OverwriteOption = False,
    brats_values: Annotated[bool, typer.Option(help="Write enhancing tumor as 4, as in BraTS 2017-2021.")] = False,
) -> None:
    """Convert a labelmap, keeping its position in space.

    A `.seg.nrrd` opens in 3D Slicer with segment names, colors and terminology codes.

    **Examples**

    `python -m training export results/case_seg.nii.gz case.seg.nrrd`

    `python -m training export case.seg.nrrd submission.nii.gz --brats-values`
    """
    from training.cases.case import read_brats_labels
    from training.images.write import export_ending, write_labelmap

    export_ending(output)
    refuse_existing([output], overwrite)
    labels, scheme = read_brats_labels(labelmap)
    err.print(f"{labelmap} has {scheme} values.", soft_wrap=True)
    out.print(str(write_labelmap(labels, output, brats_values=brats_values)), soft_wrap=True)
