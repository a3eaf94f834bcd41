"""Label schemes: what the values of a file mean.

Files of gliomas share the values 1 to 4 and differ in what they mean. Which scheme a file has is decided in
:mod:`training.cases.label_files`; here are the schemes, and what the set of values alone says.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from training.errors import InputError
from training.label_names import value_of
from training.labels import BACKGROUND, ED, ET, LABELS, NCR

_CORE, _EDEMA, _ENHANCING = NCR.value, ED.value, ET.value


@dataclass(frozen=True)
class Scheme:
    """The meaning of the values of a file.

    Attributes:
        name: As given to ``--label-scheme``, or what names the values (``"dataset.json"``).
        values: Value in the file to value of :mod:`training.labels`, without 0.
        source: Where it is defined.
        unknown: Values whose names are none of the labels, with the name.
    """

    name: str
    values: Mapping[int, int]
    source: str = ""
    unknown: Mapping[int, str] = field(default_factory=dict)

    def fits(self, present: Iterable[int]) -> bool:
        """Return whether all values of a file are those of the scheme."""
        return all(value in self.values for value in present if value != BACKGROUND)

    def reading(self, present: Iterable[int]) -> tuple[int, ...]:
        """Return what the values of a file become."""
        return tuple(self.values[value] for value in sorted(present) if value != BACKGROUND)

    def meaning(self) -> str:
        """Return the values in words, for messages."""
        keys = {BACKGROUND: "cavity"} | {label.value: label.key for label in LABELS}
        return ", ".join(f"{value} {keys[meant]}" for value, meant in sorted(self.values.items()))

    def known_name(self) -> str:
        """Return the name of the known scheme with these values, or ``"named values"``."""
        same = (known.name for known in SCHEMES.values() if dict(known.values) == dict(self.values))
        return self.name if self.name in SCHEMES else next(same, "named values")

    def apply(self, labelmap: np.ndarray) -> np.ndarray:
        """Return a labelmap that fits with the values of :mod:`training.labels`, ``uint8`` of the same shape."""
        result = np.zeros(labelmap.shape, np.uint8)
        for value, meant in self.values.items():
            if meant != BACKGROUND:
                result[labelmap == value] = meant
        return result


_MENZE = "Menze et al. 2015, doi:10.1109/TMI.2014.2377694"
_BAKAS = "Bakas et al. 2017, doi:10.1038/sdata.2017.117, and the challenges of 2017 to 2021"
_KARARGYRIS = (
    "the challenges of 2023: adult glioma, Sub-Saharan Africa (arXiv:2305.19369), and PED 2023 (arXiv:2305.17033)"
)

#: The known schemes by name; in a message the first of those that agree is named.
SCHEMES: dict[str, Scheme] = {
    scheme.name: scheme
    for scheme in (
        Scheme("tumorloop", {1: _CORE, 2: _EDEMA, 3: _ENHANCING}, "results and exports of TumorLoop"),
        Scheme("brats-2013", {1: _CORE, 2: _EDEMA, 3: _CORE, 4: _ENHANCING}, f"{_MENZE}; 3 is non-enhancing tumor"),
        Scheme("brats-2017", {1: _CORE, 2: _EDEMA, 4: _ENHANCING}, _BAKAS),
        Scheme("brats-2023", {1: _CORE, 2: _EDEMA, 3: _ENHANCING}, _KARARGYRIS),
        Scheme(
            "brats-2024-post",
            {1: _CORE, 2: _EDEMA, 3: _ENHANCING, 4: BACKGROUND},
            "de Verdier et al. 2024, arXiv:2405.18368 (post-treatment glioma); 4 is the resection cavity",
        ),
        Scheme(
            "brats-ped",
            {1: _ENHANCING, 2: _CORE, 3: _CORE, 4: _EDEMA},
            "Fathi Kazerooni et al. 2024, arXiv:2404.15009; 2 is non-enhancing tumor, 3 the cystic component",
        ),
        Scheme(
            "decathlon",
            {1: _EDEMA, 2: _CORE, 3: _ENHANCING},
            "Antonelli et al. 2022, doi:10.1038/s41467-022-30695-9, Task01; also nnU-Net's conversions of BraTS",
        ),
    )
}
BRATS_2017 = SCHEMES["brats-2017"]

#: How to say what the values of a file mean.
WAYS_OUT = (
    "Say which it is: with --label-scheme (label_scheme on the server); or with a file beside it of the same name and "
    'the ending .json that holds {"label_scheme": "decathlon"} or {"labels": {"1": "edema", "2": "necrotic core", '
    '"3": "enhancing tumor"}}; or with such a dataset.json in its folder or above.'
)


def parse_scheme(text: str) -> Scheme:
    """Return the scheme of this name, or one of ``value=name`` pairs such as ``1=edema,2=necrosis,3=ET``.

    Raises:
        InputError: If there is no such scheme, or a name is none of the labels.
    """
    if text in SCHEMES:
        return SCHEMES[text]
    pairs = [pair.partition("=") for pair in text.split(",")]
    if not all(sign and value.strip().isdecimal() for value, sign, _ in pairs):
        known = "; ".join(f"{scheme.name} ({scheme.meaning()})" for scheme in SCHEMES.values())
        raise InputError(
            f"There is no label scheme {text[:80]!r}. Known are {known}; or give pairs such as "
            "1=edema,2=necrosis,3=enhancing.",
            field="label_scheme",
        )
    labels = {int(value): name.strip() for value, _, name in pairs}
    scheme = scheme_of_names(labels, name=text)
    if scheme.unknown or len(labels) < len(pairs):
        wrong = next(iter(scheme.unknown.values()), text)
        raise InputError(f"{wrong[:80]!r} is none of the labels; known are {known_names()}.", field="label_scheme")
    return scheme


def scheme_of_names(
    labels: Mapping[int, str], regions: Mapping[str, Collection[int]] | None = None, *, name: str
) -> Scheme:
    """Return the scheme of values that are named, or that belong to named regions.

    A value of regions is enhancing tumor if it belongs to that region, necrotic core if it belongs to the tumor core
    alone, and edema if it belongs to the whole tumor alone; for that all three must be named. The order of the classes
    in which nnU-Net writes its predictions (``regions_class_order``) does not matter to the labels.

    Args:
        labels: Value to name.
        regions: Name to values.
        name: Of the scheme.

    Raises:
        InputError: If a value is called two different labels.
    """
    regions = regions or {}
    named: dict[int, tuple[int, str]] = {}
    unknown: dict[int, str] = {}
    several = {region: set(values) for region, values in regions.items()}
    by_kind = {
        kind: set().union(*(several[one] for one in several if _region(one) == kind)) for kind in ("WT", "TC", "ET")
    }
    parts = [(value, text, value_of(text)) for value, text in labels.items()]
    parts += [
        (value, text, value_of(text)) for text, values in several.items() if not _region(text) for value in values
    ]
    if all(by_kind.values()):
        parts += [(value, "region", _of_regions(value, by_kind)) for value in by_kind["WT"]]
    else:
        unknown |= {value: text for text, values in several.items() if _region(text) for value in values}
    for value, text, meant in parts:
        earlier = named.setdefault(value, (meant, text)) if meant is not None else (meant, text)
        if earlier[0] != meant:
            raise InputError(f"{name} calls the value {value} both {earlier[1]!r} and {text!r}.", field="label")
        if meant is None:
            unknown[value] = text
    values = {value: meant for value, (meant, _) in named.items() if value != BACKGROUND}
    unknown = {value: text for value, text in unknown.items() if value not in values and value != BACKGROUND}
    return Scheme(name, values, name, unknown)


def _region(name: str) -> str | None:
    words = set(re.findall(r"[a-z]+", name.lower().replace("tumour", "tumor"))) - {"region", "the"}
    if words in ({"whole", "tumor"}, {"wt"}, {"whole"}):
        return "WT"
    if words in ({"tumor", "core"}, {"tc"}, {"core"}):
        return "TC"
    return "ET" if value_of(name) == _ENHANCING else None


def _of_regions(value: int, by_kind: Mapping[str, set[int]]) -> int:
    if value in by_kind["ET"]:
        return _ENHANCING
    return _CORE if value in by_kind["TC"] else _EDEMA


def known_names() -> str:
    """Return the names of the labels for messages."""
    return ", ".join(f"{label.name} ({label.key})" for label in LABELS) + " and resection cavity (RC)"


def decided_by_values(present: set[int], others: Sequence[set[int]]) -> Scheme | None:
    """Return BraTS 2017-2021 if the values of an unnamed file, or those of its data set, are those of these years.

    A 4 without a 3 is enhancing tumor: the files with 1, 2 and 4 are by far the most common, and those of the other
    schemes with a 4 have known names. That does not hold if one label of the data set has both.

    Args:
        present: Values of the file, without 0.
        others: Values of the other labels of the data set that are as little named as this one.
    """
    if any({3, 4} <= values for values in (present, *others)):
        return None
    if present and not present & {3, 4}:  # no enhancing tumor in this one: the others show which value it would have
        found = set().union(*others)
        return BRATS_2017 if 4 in found and 3 not in found and BRATS_2017.fits(present) else None
    return BRATS_2017 if 4 in present and BRATS_2017.fits(present) else None


#: Up to this value the voxels of each are counted one by one.
_FEW_VALUES = 8
_STATEMENT = re.compile(r"TumorLoop labels (\S+)((?: \d+:\d+)*)")


def statement(labelmap: np.ndarray, scheme: str) -> str:
    """Return what an exported labelmap says of itself in its header: the scheme, and the voxels of each value.

    Programs copy headers to labelmaps with other values; the numbers tell whether it still is the same one.

    Examples:
        >>> statement(np.array([0, 1, 1, 3]), "tumorloop")
        'TumorLoop labels tumorloop 1:2 3:1'
    """
    return f"TumorLoop labels {scheme}" + "".join(
        f" {value}:{count}" for value, count in value_counts(labelmap).items()
    )


def stated_scheme(text: str, counts: Mapping[int, int]) -> Scheme | None:
    """Return the scheme that a header states, if the labelmap is the one that was written with it.

    Args:
        text: The header's words.
        counts: As :func:`value_counts`.
    """
    found = _STATEMENT.fullmatch(text.strip())
    if found is None or found[1] not in SCHEMES:
        return None
    written = {int(value): int(count) for value, _, count in (part.partition(":") for part in found[2].split())}
    return SCHEMES[found[1]] if written == dict(counts) else None


def value_counts(labelmap: np.ndarray) -> dict[int, int]:
    """Return the number of voxels of each value but 0, in the order of the values."""
    if labelmap.dtype == np.uint8:  # counting is ten times as fast as sorting, and comparing ten times as fast as that
        highest = int(labelmap.max(initial=0))
        if highest <= _FEW_VALUES:
            found = {value: int(np.count_nonzero(labelmap == value)) for value in range(1, highest + 1)}
            return {value: count for value, count in found.items() if count}
        counts = np.bincount(labelmap.ravel(order="K"), minlength=1)
        return {int(value): int(counts[value]) for value in np.flatnonzero(counts) if value != BACKGROUND}
    values, counts = np.unique(labelmap, return_counts=True)
    return {int(value): int(count) for value, count in zip(values, counts, strict=True) if value != BACKGROUND}
