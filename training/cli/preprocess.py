"""``preprocess``: from series as they were scanned to ordinary cases in folders."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from training.cli.cases import OrderOption, collect_cases
from training.cli.common import AsScannedOption, ForceOption, err, out, progress, tell_steps
from training.cli.labels import LabelSchemeOption, tell_label_schemes
from training.cli.outcome import OverwriteOption
from training.errors import InputError

if TYPE_CHECKING:
    from training.cases.case import Case
    from training.images.grid import Volume


def preprocess(
    cases: Annotated[
        list[Path],
        typer.Argument(help="DICOM folders or ZIPs, case folders, folders of them, or 4D files.", show_default=False),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the cases.")] = Path("preprocessed"),
    reference: Annotated[
        str | None,
        typer.Option(
            help="The modality in whose frame the others are moved. Default: that of the label, or t1ce, or the first "
            "present of t1, t2, flair.",
            show_default=False,
        ),
    ] = None,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Also preprocess cases with missing modalities.")
    ] = False,
    as_scanned: AsScannedOption = None,
    force: ForceOption = False,
    order: OrderOption = None,
    overwrite: OverwriteOption = False,
    label_scheme: LabelSchemeOption = None,
) -> None:
    """Register and strip series as they were scanned, and write each study as an ordinary case.

    A folder per case: the reference stripped on its own grid, the others on a 1 mm grid in its frame, each interpolated
    once; the brain mask; the transform of each series that was moved (`.tfm`, for 3D Slicer); what was done
    (`preprocessing.json`); and the label, if the case has one. `predict`, `evaluate`, `fit` and the server use such a
    folder as it is. The same command goes on where it was stopped: cases that are there already are kept.

    **Examples**

    `python -m training preprocess studies/patient_1 --output cases`

    `python -m training preprocess study --allow-missing --as-scanned`
    """
    from training.preprocessing.files import write_preprocessed
    from training.preprocessing.preprocess import preprocess as run

    found = collect_cases(cases, order, allow_missing=allow_missing, label_scheme=label_scheme)
    tell_label_schemes(found.cases)
    options = f"reference {reference} as scanned {as_scanned} force {force}"
    keys = {case.id: f"{case.fingerprint()} {options}" for case in found.cases}
    done_before = _finished(output, keys, overwrite)
    failures = found.failures()
    with progress() as bars:
        task = bars.add_task("", total=len(found.cases))

        def work(number: int, case: Case) -> None:
            if case.id in done_before:
                err.print(f"{case.id}: already there", markup=False)
                return

            def report(share: float, stage: str) -> None:
                bars.update(task, completed=number + share, description=f"{case.id}: {stage}")

            report(0.0, "reading")
            volumes = case.read_all()
            label = case.read_label() if case.label is not None else None
            frame = _frame(volumes, label, reference)
            with case.naming_files():
                ready = run(volumes, reference=frame, as_scanned=as_scanned, force=force, on_progress=report)
            tell_steps(case.id, ready)
            folder = output / case.id
            write_preprocessed(ready, folder, case.id, key=keys[case.id], label=label, overwrite=overwrite)
            out.print(str(folder), soft_wrap=True)

        done, stopped = failures.each(found.cases, work)
    failures.finish(done, "preprocessed", stopped=stopped)


def _finished(output: Path, keys: Mapping[str, str], overwrite: bool) -> set[str]:
    """Return the cases whose folders are there already, made from the same files with the same options.

    Raises:
        InputError: If another folder is in the way, and may not be replaced or holds something else.
    """
    from training.preprocessing.files import SUMMARY, written_key

    finished = {case for case, key in keys.items() if written_key(output / case) == key}
    for folder in (output / case for case in keys if case not in finished):
        if not folder.exists() or (overwrite and (folder / SUMMARY).is_file()):
            continue
        way_out = "it was made from other files or with other options: add --overwrite to replace it, or"
        if not (folder / SUMMARY).is_file():
            way_out = "it holds something else:"
        raise InputError(f"{folder} is there already; {way_out} choose another place.", field="output")
    return finished


def _frame(volumes: Mapping[str, Volume], label: Volume | None, reference: str | None) -> str | None:
    """Return the role in whose frame the result lies: the label stays on its grid."""
    from training.modalities import TITLES
    from training.preparation.prepare import matching_role

    if label is None:
        return reference
    role = matching_role(label.grid, volumes)
    if reference not in (None, role):
        raise InputError(
            f"The label lies on {TITLES[role]}, so that must be the reference, not {reference}.", field="reference"
        )
    return role
