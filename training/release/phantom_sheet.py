"""A sheet of phantoms and real cases for review by an MRI reader.

Each head is shown at the slice with the most tumor: the four modalities, and the true labels over FLAIR.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training import atomic
from training.cases.case import Case
from training.errors import InputError
from training.evaluation.subjects import KIND_TITLES, Subject, subject_of_case, subject_of_phantom
from training.labels import region_mask
from training.modalities import ROLES, TITLES
from training.parallel import map_unordered
from training.phantoms.generate import generate
from training.pictures.canvas import MUTED, Canvas, gray, overlay
from training.pictures.case_picture import best_slice
from training.pictures.planes import AxialView, window

#: Sites of The Cancer Genome Atlas whose gliomas are in the collection TCGA-LGG.
_TCGA_LGG_SITES = ("CS", "DU", "EZ", "FG", "HT")
_TCGA_LGG_CREDIT = (
    "{cases}: TCGA-LGG, The Cancer Imaging Archive, CC BY 3.0 (Pedano et al. 2016, "
    "doi:10.7937/K9/TCIA.2016.L4LTD3TK); skull-stripped and resampled to 1 mm."
)
_CONVENTION = (
    "Axial, radiological convention: the patient's right is on the left. Each head at the slice with the most tumor; "
    "labels over FLAIR are the truth."
)
_PANEL = (184, 220)
_GAP, _MARGIN, _HEAD, _BETWEEN = 4, 20, 62, 28
#: Largest share of the sheet that one kind of tumor may fill, so that rare kinds are shown as well.
_MOST_OF_A_KIND = 1 / 3
#: Seeds tried per requested phantom before this limit is dropped.
_SEEDS_PER_PHANTOM = 4


@dataclass(frozen=True, eq=False)
class Strip:
    """One head of the sheet: a caption, and its panels ``(height, width, 3)`` uint8 from left to right."""

    caption: str
    panels: tuple[np.ndarray, ...]
    kind: str = ""
    seed: int = -1


def phantom_sheet(
    path: Path,
    *,
    count: int = 12,
    seed: int = 0,
    cases: Sequence[Case] = (),
    credit: str | None = None,
    workers: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    on_failure: Callable[[Case, InputError], None] | None = None,
) -> list[int]:
    """Draw phantoms, and labeled cases below them.

    Phantoms are taken in the order of their seeds. Heads without tumor are left out, and so are further phantoms of a
    kind of tumor that already fills a third of the sheet. There is no other selection.

    Args:
        path: A ``.png`` file to write.
        count: Number of phantoms, at least 1.
        seed: First seed.
        cases: Labeled cases.
        credit: Attribution of the images of the cases; ``None`` knows TCGA-LGG alone.
        workers: Processes; ``None`` for one per core.
        on_progress: Called with the number of heads drawn and the total.
        on_failure: Called with a case that cannot be read, which is left out; ``None`` to raise the error.

    Returns:
        The seeds of the phantoms drawn.

    Raises:
        InputError: If a case cannot be read or has no label.
    """
    total = count + len(cases)
    report = on_progress or (lambda done, total: None)
    strips: list[Strip] = []
    for strip in _limited_per_kind(_strips_from(seed, workers), count):
        strips.append(strip)
        report(len(strips), total)
    drawn: list[Case] = []
    for case in cases:
        try:
            strips.append(draw_strip(subject_of_case(case), f"{case.id}, a patient"))
        except InputError as error:
            if on_failure is None:
                raise
            on_failure(case, error)
            continue
        drawn.append(case)
        report(len(strips), total)
    seeds = [strip.seed for strip in strips if strip.seed >= 0]
    patients = f", and {len(drawn)} patient{'s' if len(drawn) != 1 else ''}" if drawn else ""
    heads = "1 synthetic head" if count == 1 else f"{count} synthetic heads, seeds {seeds[0]} to {seeds[-1]}"
    title = f"{heads}{patients}"
    canvas = _page(strips, title, _credit(drawn) if credit is None else credit)
    atomic.write_with(path, lambda temporary: canvas.image.save(temporary, "PNG", optimize=True))
    return seeds


def draw_strip(subject: Subject, caption: str, seed: int = -1) -> Strip:
    """Draw the panels of one head."""
    width, height = _PANEL
    view = AxialView.around(subject.volumes["t1ce"], subject.truth.grid, width=width, height=height)
    index = best_slice(view, subject.truth)
    planes = {role: gray(view.plane(subject.volumes[role], index), *window(subject.volumes[role])) for role in ROLES}
    panels = [overlay(planes[role], None) for role in ROLES]
    panels.append(overlay(planes["flair"], view.labels(subject.truth, index)))
    whole = float(np.count_nonzero(region_mask(subject.truth.data, "WT"))) * subject.truth.grid.voxel_ml
    return Strip(f"{caption}, {whole:.0f} mL", tuple(panels), subject.kind, seed)


def _draw_phantom(seed: int) -> Strip:
    subject = subject_of_phantom(generate(seed))
    return draw_strip(subject, f"phantom {seed}: {KIND_TITLES.get(subject.kind, subject.kind)}", seed)


def _strips_from(seed: int, workers: int | None) -> Iterator[Strip]:
    """Yield strips in the order of seeds without end; only a few are drawn ahead."""
    early: dict[int, Strip] = {}
    for strip in map_unordered(_draw_phantom, itertools.count(seed), workers):
        early[strip.seed] = strip
        while seed in early:
            yield early.pop(seed)
            seed += 1


def _limited_per_kind(strips: Iterator[Strip], wanted: int) -> Iterator[Strip]:
    most = max(1, round(wanted * _MOST_OF_A_KIND))
    drawn: Counter[str] = Counter()
    for examined, strip in enumerate(strips):
        if strip.kind == "healthy" or (drawn[strip.kind] >= most and examined < _SEEDS_PER_PHANTOM * wanted):
            continue
        drawn[strip.kind] += 1
        yield strip
        if drawn.total() == wanted:
            return


def _credit(cases: Sequence[Case]) -> str:
    known = [case.id for case in cases if case.id.upper().startswith(tuple(f"TCGA-{s}-" for s in _TCGA_LGG_SITES))]
    return _TCGA_LGG_CREDIT.format(cases=", ".join(known)) if known else ""


def _page(strips: Sequence[Strip], title: str, credit: str) -> Canvas:
    """Put the strips into two columns, phantoms first."""
    width, height = _PANEL
    columns = 2 if len(strips) > 3 else 1
    rows = -(-len(strips) // columns)
    strip_width = len(strips[0].panels) * (width + _GAP) - _GAP
    page_width = 2 * _MARGIN + columns * (strip_width + _BETWEEN) - _BETWEEN
    foot = _HEAD + rows * (height + 24)
    canvas = Canvas(page_width, foot + (78 if credit else 56))
    canvas.text(title, _MARGIN, 10, size=24)
    names = [*(TITLES[role] for role in ROLES), "labels"]
    for column in range(columns):
        left = _MARGIN + column * (strip_width + _BETWEEN)
        for number, name in enumerate(names):
            canvas.text(name, left + number * (width + _GAP) + width / 2, _HEAD - 10, color=MUTED, anchor="mm")
    for number, strip in enumerate(strips):
        left = _MARGIN + (number % columns) * (strip_width + _BETWEEN)
        top = _HEAD + (number // columns) * (height + 24)
        canvas.text(strip.caption, left, top + 11, size=15, anchor="lm")
        for place, panel in enumerate(strip.panels):
            canvas.panel(panel, left + place * (width + _GAP), top + 22)
    end = canvas.legend(_MARGIN, foot + 18)
    canvas.text(_CONVENTION, end, foot + 18, size=14, color=MUTED, anchor="lm")
    canvas.text("Research use only.", page_width - _MARGIN, foot + 18, size=14, color=MUTED, anchor="rm")
    if credit:
        canvas.text(canvas.fits(credit, 14, page_width - 2 * _MARGIN), _MARGIN, foot + 44, size=14, anchor="lm")
    return canvas
