"""The cases of the demo: phantoms generated for it, or a folder of real ones that is only read."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from training.cases.case import Case
from training.cases.find import find_cases
from training.errors import InputError

#: Marks a folder as one that the demo made, so that it may empty it.
MARKER = ".tumorloop-demo"
#: What the demo writes into its folder.
FOLDERS = ("studies", "phantoms", "workspace", "results", "pictures")


@dataclass(frozen=True)
class DemoCases:
    """What is served, and what is known about it.

    Attributes:
        folder: The studies folder.
        labeled: The cases whose true label is known, to be corrected.
        unlabeled: Cases that are only segmented.
        notes: Why cases were left out.
    """

    folder: Path
    labeled: list[Case]
    unlabeled: list[Case] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def prepare_folder(out: Path, cases: Path | None) -> None:
    """Create the output folder, or empty the one of an earlier demo.

    Raises:
        InputError: If ``out`` holds something that is not the demo's, or lies inside of ``cases``.
    """
    problem = ""
    if cases is not None and out.resolve().is_relative_to(cases.resolve()):
        problem = f"lies in {cases}, which is only read"
    elif out.exists() and not out.is_dir():
        problem = "is not a folder"
    elif out.is_dir() and any(out.iterdir()) and not (out / MARKER).exists():
        problem = "holds files that are not the demo's"
    if problem:
        raise InputError(f"{out} {problem}. Choose another --out.", field="out")
    out.mkdir(parents=True, exist_ok=True)
    (out / MARKER).touch()
    for name in FOLDERS:
        shutil.rmtree(out / name, ignore_errors=True)


def make_phantoms(out: Path, count: int, seed: int, on_progress: Callable[[int, int], None]) -> DemoCases:
    """Generate phantoms; the served folder gets the images alone, so that the server cannot know the true labels."""
    from training.phantoms.files import write_cases

    write_cases(out / "phantoms", count, seed=seed, on_progress=on_progress)
    cases, _ = find_cases(out / "phantoms")
    for case in cases:
        folder = out / "studies" / case.id
        folder.mkdir(parents=True)
        for source in case.sources.values():
            shutil.copy2(source.path, folder / source.path.name)
    served = {case.id: case for case in find_cases(out / "studies")[0]}
    labeled = [replace(served[case.id], label=case.label) for case in cases if case.label is not None]
    return DemoCases(out / "studies", labeled)


def labeled_cases(folder: Path, out: Path, on_progress: Callable[[int, int], None]) -> DemoCases:
    """Use the cases of a folder where they are; if there are raw studies among them, preprocess all into ``out``.

    Args:
        folder: The folder; only read.
        out: The output folder of the demo.
        on_progress: Called with the number of cases that are preprocessed and the total.

    Raises:
        InputError: If none of them has a label.
    """
    cases, problems = find_cases(folder)
    notes = [f"{problem.path.name}: {problem.message}" for problem in problems]
    if any(map(_is_raw, cases)):
        folder = out / "studies"
        notes += _preprocess(cases, folder, on_progress)
        cases, _ = find_cases(folder)
    labeled = [case for case in cases if case.label is not None]
    if not labeled:
        text = f"No case in {folder} has a label (a file like seg.nii.gz), so there is nothing to correct by."
        raise InputError(text, field="cases")
    return DemoCases(folder, labeled, [case for case in cases if case.label is None], notes)


def _is_raw(case: Case) -> bool:
    """Return whether the files look like series as they were scanned: DICOM, or on several grids."""
    grids = list(case.grids().values())
    return any(source.instances for source in case.sources.values()) or any(
        not grid.matches(grids[0]) for grid in grids
    )


def _preprocess(cases: list[Case], folder: Path, on_progress: Callable[[int, int], None]) -> list[str]:
    """Register and strip cases as far as they need it, and write them into a folder; return why some were left out."""
    from training.preparation.prepare import matching_role
    from training.preprocessing.files import write_preprocessed
    from training.preprocessing.preprocess import preprocess

    notes = []
    for done, case in enumerate(cases):
        on_progress(done, len(cases))
        try:
            volumes, label = case.read_all(), case.read_label() if case.label is not None else None
            reference = matching_role(label.grid, volumes) if label is not None else None
            ready = preprocess(volumes, reference=reference)
        except InputError as error:
            notes.append(f"{case.id}: {error.message}")
            continue
        notes += [f"{case.id}: {warning}" for warning in ready.warnings]
        write_preprocessed(ready, folder / case.id, case.id, label=label)
    return notes
