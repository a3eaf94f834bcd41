"""Preparation of cases for training: once per case, until one of its files changes.

Cases as they were scanned are registered and stripped first (:mod:`training.preprocessing.preprocess`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from training.cases.case import Case
from training.errors import InputError
from training.images.grid import Volume
from training.preparation.prepare import Prepared, matching_role, prepare
from training.preparation.store import PreparedCase, PreparedStore
from training.preprocessing.preprocess import PREPROCESSING_VERSION, preprocess

#: Increment when preparation gives different arrays for the same files, so that stored ones are replaced.
PREPARATION_VERSION = 3


def prepare_case(case: Case, store: PreparedStore, *, stride: int = 16) -> PreparedCase:
    """Prepare one labeled case and store it, unless it is already stored from the same files.

    The volumes are prepared on the grid of the label, that is T1ce's or that of another modality.

    Args:
        case: A labeled case.
        store: Store of prepared cases.
        stride: Stride of the network.

    Raises:
        InputError: If a file cannot be used, or the label lies on none of the volumes' grids; names the case.
    """
    try:
        # what names the label scheme may change, for instance a dataset.json, while the label's file stays the same
        values = sorted(case.label_reading().values.items())
        key = f"{_key(case, stride)} values {values}"
        if store.has(case.id, key):
            return store.get(case.id)
        volumes = case.read_all()
        label = case.read_label()
        prepared = _prepared(case, volumes, matching_role(label.grid, volumes), stride)
        labels = prepared.frame.to_working(label)
    except InputError as error:
        raise InputError(f"{case.id}: {error.message}", field=error.field) from error
    return store.put(case.id, prepared.image, labels, key=key)


def prepare_unlabeled(case: Case, store: PreparedStore, *, stride: int = 16) -> PreparedCase:
    """Prepare the images of a case and store them, unless they are already stored from the same files.

    The label of the stored case is 0 everywhere, whether or not the case has one, so the store must not be one from
    which cases are trained on.

    Args:
        case: A case; its label is not read.
        store: Store of prepared images.
        stride: Stride of the network.

    Raises:
        InputError: If a file cannot be used; names the case.
    """
    try:
        key = _key(replace(case, label=None), stride)
        if store.has(case.id, key):
            return store.get(case.id)
        prepared = _prepared(case, case.read_all(), None, stride)
    except InputError as error:
        raise InputError(f"{case.id}: {error.message}", field=error.field) from error
    return store.put(case.id, prepared.image, np.zeros(prepared.brain.shape, np.uint8), key=key)


def _key(case: Case, stride: int) -> str:
    """Return what identifies the arrays of a case, without reading its voxels."""
    key = f"preparation {PREPARATION_VERSION} stride {stride} files {case.fingerprint()}"
    grids = case.grids()
    first = next(iter(grids.values()), None)
    # the keys of the cases that were stored before there was preprocessing, which passes them untouched, stay the same
    if any(not grid.matches(first) for grid in grids.values() if first is not None):
        key += f" preprocessing {PREPROCESSING_VERSION}"
    return key


def _prepared(case: Case, volumes: Mapping[str, Volume], reference: str | None, stride: int) -> Prepared:
    with case.naming_files():
        preprocessed = preprocess(volumes, reference=reference)
        return prepare(preprocessed.volumes, reference=reference, stride=stride)


def prepare_cases(
    cases: Sequence[Case],
    store: PreparedStore,
    *,
    stride: int = 16,
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[list[PreparedCase], dict[str, str]]:
    """Prepare labeled cases and store them; unusable ones are returned as failures and do not stop the others.

    Args:
        cases: Labeled cases.
        store: Store of prepared cases.
        stride: Stride of the network.
        on_progress: Called with the number done and the total.

    Returns:
        The prepared cases, and id to message for the others.
    """
    ready: list[PreparedCase] = []
    failures: dict[str, str] = {}
    for number, case in enumerate(cases):
        try:
            ready.append(prepare_case(case, store, stride=stride))
        except InputError as error:
            failures[case.id] = error.message
        if on_progress is not None:
            on_progress(number + 1, len(cases))
    return ready, failures
