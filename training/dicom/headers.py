"""The headers of a series without its pixels: what a DICOM SEG takes over from its source."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from training.errors import InputError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_FORMAT = "tumorloop-dicom-headers-1"
#: Groups of attributes that are kept: identification, patient, acquisition, relationship, image presentation,
#: functional groups. Private groups are odd; overlays (6000) and pixels (7FE0) are large.
_GROUPS = {0x0008, 0x0010, 0x0012, 0x0018, 0x0020, 0x0028, 0x5200}
_BINARY = {"OB", "OD", "OF", "OL", "OV", "OW", "UN"}


@dataclass(frozen=True, eq=False)
class SourceHeaders:
    """The headers of one series.

    Attributes:
        datasets: One pydicom data set without pixels per instance, in the order of the slices (axis z of the volume); a
            single one for a multi-frame instance. Without file meta information.
        frames: Of a multi-frame instance, the numbers of the frames, from 1, in the order of the slices; else empty.
    """

    datasets: tuple[Dataset, ...]
    frames: tuple[int, ...] = ()

    @classmethod
    def read(cls, instances: Sequence[Path], frames: Sequence[int] = ()) -> SourceHeaders:
        """Read the headers of the instances of a series.

        Args:
            instances: In the order of the slices.
            frames: As :attr:`frames`.

        Raises:
            InputError: If a file cannot be read.
        """
        import pydicom

        datasets = []
        for path in instances:
            try:
                full = pydicom.dcmread(path, stop_before_pixels=True, force=True)
            except (OSError, ValueError, pydicom.errors.InvalidDicomError) as error:
                raise InputError(f"{path} cannot be read: {error}") from error
            datasets.append(_without_bulk(full))
        return cls(tuple(datasets), tuple(frames))

    def to_json(self) -> str:
        """Return a text for :meth:`from_json`: DICOM JSON model, what all instances share once."""
        models = [dataset.to_json_dict(suppress_invalid_tags=True) for dataset in self.datasets]
        shared = dict(models[0]) if models else {}
        for model in models[1:]:
            shared = {tag: value for tag, value in shared.items() if model.get(tag) == value}
        own = [{tag: value for tag, value in model.items() if tag not in shared} for model in models]
        return json.dumps({"format": _FORMAT, "shared": shared, "instances": own, "frames": list(self.frames)})

    @classmethod
    def from_json(cls, text: str) -> SourceHeaders:
        """Return what :meth:`to_json` has written.

        Raises:
            InputError: If the text is something else.
        """
        from pydicom.dataset import Dataset

        try:
            written = json.loads(text)
            if written["format"] != _FORMAT:
                raise ValueError(f"its format is {written['format']!r}")
            datasets = [Dataset.from_json({**written["shared"], **own}) for own in written["instances"]]
            return cls(tuple(datasets), tuple(int(frame) for frame in written["frames"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"These are no DICOM headers that TumorLoop has written: {error}.", field="dicom"
            ) from error


def _without_bulk(dataset: Dataset) -> Dataset:
    """Return a data set with the attributes that are kept; binary ones, also in sequences, and private ones are not."""
    from pydicom.dataset import Dataset

    kept = Dataset()
    for tag in list(dataset.keys()):  # iterating the data set would decode each element, and fail on damaged ones
        if tag.group not in _GROUPS:
            continue
        try:
            element = dataset[tag]
        except Exception:  # noqa: BLE001  # a value that breaks the standard raises all kinds of errors
            continue
        if element.VR in _BINARY:
            continue
        if element.VR == "SQ":
            element.value = [_without_bulk(item) for item in element.value]
        kept.add(element)
    return kept
