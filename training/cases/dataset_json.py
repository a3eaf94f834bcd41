"""``dataset.json``: what a data set says of the values of its labels and the order of its channels.

Two forms are in use. The Medical Segmentation Decathlon and nnU-Net v1 give ``"labels": {"1": "edema"}`` and
``"modality": {"0": "FLAIR"}``; nnU-Net v2 gives ``"labels": {"edema": 1}``, or regions such as
``"whole tumor": [1, 2, 3]``, and ``"channel_names": {"0": "T1"}``
(https://github.com/MIC-DKFZ/nnUNet/blob/master/documentation/dataset_format.md). The file comes with the data, so that
nothing in it is taken for granted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.errors import InputError
from training.repeated import first_repeated

NAME = "dataset.json"
#: Folders searched: that of the image and those above it.
_FOLDERS = 4
_LARGEST_BYTES = 2**22
_MOST_ENTRIES = 256
_LONGEST_NAME = 200
_HIGHEST_VALUE = 2**16


@dataclass(frozen=True)
class DatasetJson:
    """What a ``dataset.json`` says.

    Attributes:
        path: The file.
        labels: Value to name, as written; empty if it names none.
        regions: Name to values of the labels that are regions (nnU-Net v2); they may overlap.
        channels: Names of the channels in their order, as written; empty if it names none.
        label_scheme: The scheme it names (``"label_scheme": "brats-ped"``, an addition of TumorLoop), or ``None``.
    """

    path: Path
    labels: Mapping[int, str] = field(default_factory=dict)
    regions: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    channels: tuple[str, ...] = ()
    label_scheme: str | None = None


def find_dataset_json(path: Path, *, root: Path | None = None) -> DatasetJson | None:
    """Return the ``dataset.json`` that is nearest to a file or folder: in its folder or in one of the three above.

    Args:
        path: A file of the data set, or a folder.
        root: Folder above which nothing is read; ``None`` for no limit.

    Returns:
        ``None`` if there is none that names labels or channels.

    Raises:
        InputError: If one is too large, is not JSON, or names labels or channels in another form; names the file.
    """
    path = Path(path)
    folder = path if path.is_dir() else path.parent
    for _ in range(_FOLDERS):
        folder = folder.resolve()
        if root is not None and not folder.is_relative_to(root.resolve()):
            return None
        file = folder / NAME
        if file.is_file() and (root is None or file.resolve().is_relative_to(root.resolve())):
            found = read_dataset_json(file)
            if found is not None:
                return found
        if folder.parent == folder:
            return None
        folder = folder.parent
    return None


def read_dataset_json(path: Path) -> DatasetJson | None:
    """Read a ``dataset.json``; ``None`` if it names neither labels nor channels, as those of other programs.

    Raises:
        InputError: As :func:`find_dataset_json`.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        return None
    scheme = content.get("label_scheme")
    if scheme is not None and not isinstance(scheme, str):
        raise InputError(f"{path}: label_scheme must be the name of a scheme in quotes.", field="label")
    labels, regions = named_values(content["labels"], path) if "labels" in content else ({}, {})
    channels = _channels(content, path)
    return DatasetJson(path, labels, regions, channels, scheme) if labels or regions or channels or scheme else None


def read_json(path: Path) -> Any:
    """Return the content of a small JSON file.

    Raises:
        InputError: If it cannot be read, is larger than 4 MiB, is not JSON, or says something twice; names the file.
    """
    try:
        with open(path, "rb") as handle:
            content = handle.read(_LARGEST_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.", field="label") from error
    if len(content) > _LARGEST_BYTES:
        raise InputError(
            f"{path} is too large to describe a data set: more than {_LARGEST_BYTES:,} bytes.", field="label"
        )
    try:
        return json.loads(content.decode("utf-8-sig"), object_pairs_hook=_without_repetition)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not a JSON file: {error}. Correct it, or rename it.", field="label") from error


def named_values(labels: Any, path: Path) -> tuple[dict[int, str], dict[str, tuple[int, ...]]]:
    """Return value to name, and name to values of regions, from ``{value: name}`` or ``{name: value}``.

    Args:
        labels: The entry ``labels`` of a JSON file.
        path: The file, for errors.

    Raises:
        InputError: If it has another form, or names a value twice.
    """
    if not isinstance(labels, dict) or len(labels) > _MOST_ENTRIES:
        raise InputError(f'{path}: labels must be {{"1": "edema", ...}} or {{"edema": 1, ...}}.', field="label")
    names: dict[int, str] = {}
    regions: dict[str, tuple[int, ...]] = {}
    by_value = bool(labels) and all(_whole(key) is not None for key in labels)
    for key, entry in labels.items():
        if isinstance(entry, list) and not by_value:
            regions[_name(key, path)] = tuple(_value(one, path) for one in entry[:_MOST_ENTRIES])
            continue
        value, name = (_value(key, path), entry) if by_value else (_value(entry, path), key)
        if value in names:
            raise InputError(f"{path} names the value {value} twice: {names[value]!r} and {name!r}.", field="label")
        names[value] = _name(name, path)
    return names, regions


def _channels(content: Mapping[str, Any], path: Path) -> tuple[str, ...]:
    named = content.get("channel_names", content.get("modality"))
    if not isinstance(named, dict):
        return ()  # "modality": "MRI" says nothing of the order
    if len(named) > _MOST_ENTRIES or {_whole(key) for key in named} != set(range(len(named))):
        key = "channel_names" if "channel_names" in content else "modality"
        raise InputError(f'{path}: {key} must number the channels from 0: {{"0": "T1", "1": ...}}.', field="order")
    return tuple(_name(name, path) for _, name in sorted(named.items(), key=lambda item: int(item[0])))


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    repeated = first_repeated(name for name, _ in pairs)
    if repeated is not None:
        raise ValueError(f"it says {repeated[:_LONGEST_NAME]!r} twice")
    return dict(pairs)


def _whole(entry: Any) -> int | None:
    """Return a whole number, also one in quotes, or ``None``."""
    if isinstance(entry, bool) or not isinstance(entry, int | str):
        return None
    text = str(entry).strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None


def _value(entry: Any, path: Path) -> int:
    value = _whole(entry)
    if value is None or value > _HIGHEST_VALUE:
        raise InputError(
            f"{path}: the value of a label must be a whole number; found {str(entry)[:40]!r}.", field="label"
        )
    return value


def _name(entry: Any, path: Path) -> str:
    if not isinstance(entry, str) or len(entry) > _LONGEST_NAME:
        raise InputError(f"{path}: a name must be text of at most {_LONGEST_NAME} characters.", field="label")
    return entry
