"""``export``: convert labelmaps to other formats."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from training.cli.common import err, out
from training.cli.labels import LabelSchemeOption
from training.cli.outcome import OverwriteOption, refuse_existing
from training.errors import InputError

if TYPE_CHECKING:
    from training.images.grid import Volume


def export(
    labelmap: Annotated[
        Path, typer.Argument(help="Labelmap in any label scheme: .nii, .nii.gz, .nrrd, .seg.nrrd, .mha ...")
    ],
    output: Annotated[
        Path, typer.Argument(help="Output file; its ending selects the format: .nii, .nii.gz, .nrrd, .seg.nrrd, .dcm.")
    ],
    overwrite: OverwriteOption = False,
    brats_values: Annotated[bool, typer.Option(help="Write enhancing tumor as 4, as in BraTS 2017-2021.")] = False,
    reference: Annotated[
        Path | None,
        typer.Option(
            help="Image on whose grid to write: for a segmentation that 3D Slicer has cropped to its extent. For .dcm "
            "the folder of the DICOM series that was segmented.",
            show_default=False,
        ),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            help="dicom_seg_labelmap writes a .dcm as a label map, which few viewers read. Default: by the ending.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", help="For .dcm: the model version that made or proposed the labelmap.", show_default=False
        ),
    ] = None,
    author: Annotated[
        str | None,
        typer.Option(help="For .dcm: who drew or corrected the labelmap.", show_default=False),
    ] = None,
    label_scheme: LabelSchemeOption = None,
) -> None:
    """Convert a labelmap, keeping its position in space.

    A `.seg.nrrd` opens in 3D Slicer with segment names, colors and terminology codes. A `.dcm` is a DICOM SEG: with
    `--model` alone it says that the model made it, with `--author` alone that it was drawn by hand, with both that the
    model's segmentation was corrected.

    **Examples**

    `python -m training export results/case_seg.nii.gz case.seg.nrrd`

    `python -m training export case.seg.nrrd submission.nii.gz --brats-values --reference t1ce.nii.gz`

    `python -m training export case.seg.nrrd case.dcm --reference study/T1_POST --model v0001 --author "Anna Sommer"`
    """
    from training.cases.label_files import LabelContext, read_label
    from training.cli.label_format import format_of
    from training.dicom.seg import Origin

    chosen = format_of(output, format, brats_values=brats_values)
    if chosen.encoding:
        _check_dicom(reference, model, author)
    refuse_existing([output], overwrite)
    labels, reading = read_label(labelmap, LabelContext(scheme=label_scheme))
    err.print(f"{labelmap} is read as {reading}.", markup=False, soft_wrap=True)
    headers = None
    if chosen.encoding and reference is not None:
        from training.dicom.match import headers_of_volume

        headers = headers_of_volume(reference, labels.grid)
    elif reference is not None:
        labels = _on_grid_of(reference, labels, labelmap)
    origin = Origin(model, edited=author is not None, author=author or "")
    out.print(str(chosen.write(labels, output, headers, origin, brats_values=brats_values)), soft_wrap=True)


def _check_dicom(reference: Path | None, model: str | None, author: str | None) -> None:
    """Refuse a DICOM SEG of which it is not said what it refers to, or who made it."""
    if reference is None or not reference.is_dir():
        raise InputError(
            "A DICOM SEG refers to the images of a DICOM series. Give the folder of the series that was segmented: "
            "--reference FOLDER.",
            field="reference",
        )
    if model is None and author is None:
        raise InputError(
            "A DICOM SEG says who made it. Add --model VERSION if a model did, --author NAME if somebody drew it, and "
            "both if somebody corrected the model's segmentation.",
            field="author",
        )


def _on_grid_of(reference: Path, labels: Volume, labelmap: Path) -> Volume:
    from training.images.lattice import on_grid
    from training.images.read import read_grid

    grid = read_grid(reference)
    placed = on_grid(labels, grid)
    if placed is None:
        message = f"{labelmap} does not lie on the voxels of {reference}: {labels.grid.difference(grid)}."
        raise InputError(message, field="reference")
    return placed
