"""The label scheme of the cases of a command: the option for it, and the line that tells it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from training.cli.common import err
from training.errors import InputError

if TYPE_CHECKING:
    from training.cases.case import Case

LabelSchemeOption = Annotated[
    str | None,
    typer.Option(
        "--label-scheme",
        help="What the values of the labels mean: tumorloop, brats-2013, brats-2017, brats-2023, brats-2024-post, "
        "brats-ped, decathlon, or pairs such as 1=edema,2=necrosis,3=enhancing. Default: recognized by a file beside "
        "the label, dataset.json, names, and values.",
        show_default=False,
    ),
]
#: Labels that are listed one by one with their scheme.
_SHOWN = 3


def tell_label_schemes(cases: Iterable[Case]) -> None:
    """Print in which schemes the labels of cases are read, as far as it is not TumorLoop's own."""
    found: dict[str, list[str]] = {}
    for case in cases:
        try:
            reading = case.label_reading() if case.label is not None else None
        except InputError:
            continue  # it is told where the label is used
        if reading is not None and not reading.own:
            found.setdefault(reading.scheme, []).append(f"{case.id} by {reading.why}")
    for scheme, which in found.items():
        shown = "; ".join(which[:_SHOWN]) + (f"; and {len(which) - _SHOWN} more" if len(which) > _SHOWN else "")
        err.print(f"Labels read as {scheme}: {shown}", markup=False, soft_wrap=True)
