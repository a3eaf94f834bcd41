"""The names and codes by which other programs call the labels of :mod:`training.labels`.

Names are those of BraTS 2012-2025, the Medical Segmentation Decathlon, nnU-Net's conversions and 3D Slicer. A name that
could mean two things ("tumor", "tumor core", "FLAIR hyperintensity") means nothing here: it has no value.
"""

from __future__ import annotations

import re

from training.labels import BACKGROUND, ED, ET, LABELS, NCR

#: Words without a meaning of their own in the name of a label.
_FILLING = frozenset(
    {*("tumor", "core", "region", "component", "tissue", "brain", "glioma", "lesion", "area", "label", "class")}
    | {*("the", "of", "and", "gd", "contrast")}
)
_CORE = frozenset(["ncr", "nc", "nec", "necrotic", "necrosis", "net", "netc", "nonenhancing", "cyst", "cystic", "cc"])
_EDEMA = frozenset(["ed", "edema", "edematous", "snfh"])
_AROUND = frozenset(["peritumoral", "perifocal", "vasogenic", "surrounding", "invaded", "infiltrated", "infiltration"])
_ENHANCING = frozenset(["et", "at", "active", "enhancing", "enhanced", "enhancement", "ce", "cet"])
_CAVITY = frozenset(["cavity", "rc"])
_OPERATION = frozenset(["resection", "resected", "surgical", "surgery", "postoperative"])
_NOTHING = frozenset(["background", "bg", "unlabeled", "clear"])
_HYPERINTENSITY = frozenset(["nonenhancing", "surrounding", "t2", "flair", "hyperintensity"])

#: For each value: the words of which a name must hold one, and those it may hold besides.
_WORDS: tuple[tuple[int, frozenset[str], frozenset[str]], ...] = (
    (NCR.value, _CORE, frozenset()),
    (ED.value, _EDEMA, _AROUND),
    (ET.value, _ENHANCING, frozenset()),
    (BACKGROUND, _CAVITY, _OPERATION),  # a cavity is neither tumor nor edema
    (BACKGROUND, _NOTHING, frozenset()),
)
_SPELLINGS = (
    (re.compile(r"oedema"), "edema"),
    (re.compile(r"tumour"), "tumor"),
    (re.compile(r"unlabelled"), "unlabeled"),
    (re.compile(r"gadolinium"), "gd"),
    (re.compile(r"\bnon[\W_]*enhanc"), "nonenhanc"),
    (re.compile(r"t2[\W_]*flair|fluid[\W_]*attenuated[\W_]*inversion[\W_]*recovery"), "flair"),
    (re.compile(r"hyperintense( signal)?"), "hyperintensity"),
)

#: Codes of segment types (DICOM PS3.16, CID 7159, in SNOMED CT and in the older SNOMED RT) to values.
_CODES: dict[tuple[str, str], int] = {
    **{(label.type.scheme, label.type.value): label.value for label in LABELS},
    ("SRT", "M-54000"): NCR.value,  # Necrosis
    ("SRT", "M-36300"): ED.value,  # Edema
    ("SRT", "M-80003"): ET.value,  # Neoplasm, Primary
}


def value_of(name: str) -> int | None:
    """Return the value of the label with this name, 0 for a resection cavity or background, or ``None``.

    Args:
        name: A name, key or synonym in any case and spelling.

    Examples:
        >>> value_of("Necrotic_Core"), value_of("SNFH"), value_of("GD-enhancing tumour"), value_of("Resection cavity")
        (1, 2, 3, 0)
        >>> value_of("non-enhancing tumor"), value_of("whole tumor"), value_of("Segment_1")
        (1, None, None)
    """
    text = name.lower()
    for pattern, spelling in _SPELLINGS:
        text = pattern.sub(spelling, text)
    words = set(re.findall(r"[^\W_]+", text)) - _FILLING
    if {"flair", "hyperintensity"} <= words <= _HYPERINTENSITY and words & {"nonenhancing", "surrounding"}:
        return ED.value
    for value, needed, allowed in _WORDS:
        if words & needed and words <= needed | allowed:
            return value
    return None


def value_of_code(scheme: str, code: str) -> int | None:
    """Return the value of the label with this coded type (``"SCT"``, ``"79654002"``), or ``None``.

    Examples:
        >>> value_of_code("SCT", "79654002"), value_of_code("SRT", "M-54000"), value_of_code("SCT", "85756007")
        (2, 1, None)
    """
    return _CODES.get((scheme, code))
