"""The labels of a segmentation, as the server describes them; the panel defines none of its own.

A server's ``/info`` lists each label with its voxel value, color and codes, and the regions that are sets of labels
(whole tumor, tumor core, enhancing tumor). A :class:`LabelSet` is that description. It is immutable, so that worker
threads may read it, and it has a JSON form that is saved with the scene.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from TumorLoopLib.client.errors import BadReply
from TumorLoopLib.i18n import _

#: A coded concept: scheme (``SCT`` is SNOMED CT), value, meaning.
Code = tuple[str, str, str]

_NO_CODE: Code = ("", "", "")
_BRAIN: Code = ("SCT", "12738006", "Brain")
_CATEGORY_CONTEXT = "Segmentation category and type - DICOM master list"
_ANATOMY_CONTEXT = "Anatomic codes - DICOM master list"


@dataclass(frozen=True)
class Label:
    """One class of the segmentation.

    Attributes:
        value: The voxel value, 1 to 255.
        name: Full name, shown to users and used for the segment.
        color: Red, green, blue in 0-1.
        code: What it is (DICOM's segmented property type).
        category: What kind of thing that is (DICOM's segmented property category).
        key: Short name (``NCR``).
    """

    value: int
    name: str
    color: tuple[float, float, float]
    code: Code
    category: Code = _NO_CODE
    key: str = ""

    @property
    def terminology_entry(self) -> str:
        """The codes as 3D Slicer stores them in a segment's tag, with the brain as the anatomic region.

        Examples:
            >>> edema = ("SCT", "79654002", "Edema")
            >>> Label(2, "peritumoral edema", (1.0, 1.0, 0.0), edema).terminology_entry.split("~")[2]
            'SCT^79654002^Edema'
        """
        parts = [_CATEGORY_CONTEXT, _joined(self.category), _joined(self.code), _joined(_NO_CODE)]
        return "~".join([*parts, _ANATOMY_CONTEXT, _joined(_BRAIN), _joined(_NO_CODE)])


@dataclass(frozen=True)
class Region:
    """A set of labels with a name of its own, such as the whole tumor.

    Attributes:
        key: Short name (``WT``).
        name: Full name.
        values: The voxel values that belong to it.
    """

    key: str
    name: str
    values: tuple[int, ...]


@dataclass(frozen=True)
class LabelSet:
    """All labels and regions of one server.

    Attributes:
        labels: By ascending value; values, keys and names are unique.
        regions: In the server's order.
    """

    labels: tuple[Label, ...]
    regions: tuple[Region, ...] = ()

    @classmethod
    def from_info(cls, info: Mapping[str, Any]) -> LabelSet:
        """Read the labels from a server's ``/info``.

        Args:
            info: Holds ``label_details`` (name, value, key, color in 0-255, category, type) and ``regions``.

        Raises:
            BadReply: If it describes no labels, or describes them in an unusable way.
        """
        try:
            labels = tuple(sorted((_label(entry) for entry in info["label_details"]), key=lambda label: label.value))
            regions = tuple(
                Region(str(key), str(region["name"]), tuple(int(value) for value in region["values"]))
                for key, region in info.get("regions", {}).items()
            )
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise BadReply(
                _("This server does not describe its labels in a way the panel understands. Is it a TumorLoop server?")
            ) from error
        return _checked(cls(labels, regions))

    @classmethod
    def from_json(cls, text: str) -> LabelSet:
        """Read what :meth:`to_json` wrote.

        Raises:
            BadReply: If ``text`` is something else.
        """
        try:
            stored = json.loads(text)
            labels = tuple(
                Label(
                    int(entry["value"]),
                    str(entry["name"]),
                    _triple(entry["color"], float),
                    _triple(entry["code"], str),
                    _triple(entry["category"], str),
                    str(entry["key"]),
                )
                for entry in stored["labels"]
            )
            regions = tuple(
                Region(str(entry["key"]), str(entry["name"]), tuple(int(value) for value in entry["values"]))
                for entry in stored["regions"]
            )
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise BadReply(_("The labels stored in this scene are damaged. Connect to the server again.")) from error
        return _checked(cls(labels, regions))

    def to_json(self) -> str:
        """Return JSON text for :meth:`from_json`."""
        return json.dumps(asdict(self), sort_keys=True)

    def by_value(self, value: int) -> Label | None:
        """Return the label of a voxel value, ``None`` if there is none."""
        return next((label for label in self.labels if label.value == value), None)

    def by_name(self, name: str) -> Label | None:
        """Return the label with a full or short name in any case, ``None`` if there is none."""
        wanted = name.strip().casefold()
        for label in self.labels:
            if wanted and wanted in (label.name.casefold(), label.key.casefold()):
                return label
        return None

    def by_terminology(self, entry: str) -> Label | None:
        """Return the label whose type code is in a segment's terminology entry, ``None`` if there is none."""
        parts = entry.split("~")
        if len(parts) < 3:
            return None
        code = parts[2].split("^")[:2]
        return next((label for label in self.labels if any(code) and list(label.code[:2]) == code), None)

    @property
    def by_priority(self) -> tuple[Label, ...]:
        """The labels by ascending priority for a voxel that several of them cover.

        The label in more regions wins, because it is more specific: enhancing tumor (in all three) over necrotic
        core (in two) over edema (in one). Between equals the higher value wins.
        """

        def depth(label: Label) -> tuple[int, int]:
            return sum(label.value in region.values for region in self.regions), label.value

        return tuple(sorted(self.labels, key=depth))


def _label(entry: Mapping[str, Any]) -> Label:
    red, green, blue = (min(max(float(part) / 255.0, 0.0), 1.0) for part in _triple(entry["color"], float))
    name = str(entry["name"])
    return Label(
        int(entry["value"]),
        name,
        (red, green, blue),
        _code(entry["type"]),
        _code(entry.get("category")),
        str(entry.get("key") or name),
    )


def _code(entry: Mapping[str, Any] | None) -> Code:
    if entry is None:
        return _NO_CODE
    return str(entry.get("scheme", "SCT")), str(entry["value"]), str(entry["meaning"])


def _triple(values: Sequence[Any], kind: Any) -> tuple[Any, Any, Any]:
    first, second, third = (kind(value) for value in values)
    return first, second, third


def _joined(code: Code) -> str:
    return "^".join(code)


def _checked(labels: LabelSet) -> LabelSet:
    """Return ``labels``; raise if two could be confused or a value does not fit into a voxel."""
    values = [label.value for label in labels.labels]
    names = [label.name.casefold() for label in labels.labels]
    if not values:
        raise BadReply(_("This server describes no labels. Is it a TumorLoop server?"))
    unique = len(set(values)) == len(values) and len(set(names)) == len(names)
    known = all(value in values for region in labels.regions for value in region.values)
    if not unique or not known or min(values) < 1 or max(values) > 255:
        raise BadReply(
            _("This server's labels cannot be used: two are the same, a region has an unknown one, or a value is odd.")
        )
    return labels
