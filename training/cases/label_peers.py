"""The labels of one data set, which tell the label scheme of each other (:mod:`training.cases.label_files`)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from training.cases.case import Case


def with_peers(cases: Iterable[Case], *, root: Path | None = None, label_scheme: str | None = None) -> list[Case]:
    """Return cases whose labels know each other: those of one folder, or of the case folders in one folder.

    Args:
        cases: Found together.
        root: Folder above which nothing may tell the scheme of a label; ``None`` for no limit.
        label_scheme: The scheme that was chosen for all of them, or ``None``.
    """
    cases = list(cases)
    crowded = Counter(case.label.parent for case in cases if case.label is not None)
    together: dict[Path, list[Path]] = defaultdict(list)
    for case in cases:
        if case.label is not None:
            together[_data_set(case.label, crowded)].append(case.label)
    peers = {folder: tuple(sorted(labels)) for folder, labels in together.items()}
    return [
        case
        if case.label is None
        else replace(
            case,
            label_context=replace(
                case.label_context, root=root, peers=peers[_data_set(case.label, crowded)], scheme=label_scheme
            ),
        )
        for case in cases
    ]


def _data_set(label: Path, crowded: Counter[Path]) -> Path:
    return label.parent if crowded[label.parent] > 1 else label.parent.parent
