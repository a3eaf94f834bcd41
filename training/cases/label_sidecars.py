"""Label schemes from files beside a label: a sidecar of its own, or the ``dataset.json`` of its data set.

A sidecar of ``seg.nii.gz`` is ``seg.json`` with ``{"label_scheme": "decathlon"}`` or ``{"labels": {"1": "edema"}}``,
or ``seg.tsv`` with the columns ``index`` and ``name``, as BIDS has it beside ``..._dseg.nii.gz``
(https://bids-specification.readthedocs.io, "Common image-derived labels"); a ``dseg.tsv`` holds for all in its folder.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from training.cases.dataset_json import find_dataset_json, named_values, read_json
from training.cases.names import stem_of
from training.errors import InputError
from training.label_schemes import Scheme, parse_scheme, scheme_of_names

_LARGEST_BYTES = 2**16


@dataclass(frozen=True)
class Described:
    """A scheme that another file names.

    Attributes:
        scheme: The scheme.
        file: The file that names it.
        covers: Whether that file is of this label alone, or of the folder of labels in which it is.
    """

    scheme: Scheme
    file: Path
    covers: bool


def described(path: Path, root: Path | None = None) -> Described | None:
    """Return the scheme that a sidecar names, or else the nearest ``dataset.json``; ``None`` if there is none.

    Args:
        path: The label.
        root: Folder above which nothing is read; ``None`` for no limit.

    Raises:
        InputError: If such a file cannot be used; names it.
    """
    return _sidecar(path, root) or _dataset(path, root)


def _sidecar(path: Path, root: Path | None) -> Described | None:
    stem = stem_of(path)
    for name, read in ((f"{stem}.json", _of_json), (f"{stem}.tsv", _of_table), ("dseg.tsv", _of_table)):
        file = path.parent / name
        if name == "dseg.tsv" and not stem.lower().endswith("dseg"):
            continue
        if file.is_file() and (root is None or file.resolve().is_relative_to(root.resolve())):
            scheme = read(file)
            if scheme is not None:
                return Described(scheme, file, covers=True)
    return None


def _of_json(file: Path) -> Scheme | None:
    content = read_json(file)
    if not isinstance(content, dict):
        return None
    named = content.get("label_scheme")
    if named is not None:
        return _known(named, file)
    if "labels" not in content:
        return None  # a sidecar of another program, as BIDS has one beside each image
    labels, regions = named_values(content["labels"], file)
    return scheme_of_names(labels, regions, name=str(file))


def _of_table(file: Path) -> Scheme | None:
    with open(file, "rb") as handle:
        content = handle.read(_LARGEST_BYTES + 1)
    try:
        rows = list(csv.DictReader(content.decode("utf-8-sig").splitlines(), delimiter="\t"))
        named = {str(row["index"]).strip(): str(row["name"]).strip() for row in rows}
    except (ValueError, KeyError, csv.Error) as error:
        raise InputError(f"{file} is no table with the columns index and name.", field="label") from error
    if len(content) > _LARGEST_BYTES or len(named) < len(rows):
        raise InputError(f"{file} names a value twice, or is longer than {_LARGEST_BYTES:,} bytes.", field="label")
    labels, _ = named_values(named, file)
    return scheme_of_names(labels, name=str(file))


def _dataset(path: Path, root: Path | None) -> Described | None:
    found = find_dataset_json(path, root=root)
    if found is None or not (found.labels or found.regions or found.label_scheme):
        return None
    if found.label_scheme is not None:
        scheme = _known(found.label_scheme, found.path)
    else:
        scheme = scheme_of_names(found.labels, found.regions, name=str(found.path))
    folder = path.resolve().parent
    own = found.path.parent
    return Described(scheme, found.path, covers=folder == own or (folder.parent == own and folder.name[:6] == "labels"))


def _known(name: object, file: Path) -> Scheme:
    try:
        return parse_scheme(str(name))
    except InputError as error:
        raise InputError(f"{file}: {error.message}", field="label") from error
