"""Which volume is T1, T1 with contrast, T2 or FLAIR: recognized by names, never guessed.

Names are node names, DICOM series descriptions and file names. They are split into words, so that ``t1ce`` is not taken
for ``t1``, nor ``T2 FLAIR`` for ``t2``. A name that fits no role or two roles gives none, and neither do two names of
one volume that contradict each other. The server recognizes files by the same words; a test compares the two.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from TumorLoopLib.i18n import _

#: The modalities, always in this order.
ROLES: tuple[str, ...] = ("t1", "t1ce", "t2", "flair")

#: Their names in the user interface.
TITLES: dict[str, str] = {"t1": "T1", "t1ce": _("T1 with contrast"), "t2": "T2", "flair": "FLAIR"}

Id = TypeVar("Id", bound=Hashable)

_ENDING = re.compile(r"\.(nii|seg\.nrrd|nrrd|nhdr|mha|mhd|img|hdr|dcm)(\.gz)?$")

# What a scanner adds to "t1" or "t2" in one word: planes and sequence types.
_SEQUENCE = r"(?:w|wi|ax|tra|sag|cor|tse|fse|se|fl2d|fl3d|3d|2d|spc|mprage|mpr|mp2rage|spgr|fspgr|vibe|bravo|space)*"
_IS_FLAIR = re.compile(r"\w*flair\w*|fla|t2f|tirm|darkfluid")
_IS_T1CE = re.compile(rf"(?:ce|gd|post|postgd)?t1{_SEQUENCE}(?:ce|c|gd|gad|gado|km|post|postgd|contrast|postcontrast)")
_IS_T1 = re.compile(rf"t1(?:n|pre|native|{_SEQUENCE})|mprage|mp2rage|spgr|fspgr|bravo")
_IS_T2 = re.compile(rf"t2{_SEQUENCE}")
_IS_OTHER = re.compile(r"star|map|rho|adc|dwi|swi|perfusion|perf|t2star|t2s")

_CONTRAST = re.compile(
    r"ce|gd|gad|gado|gadolinium|km|kontrastmittel|post|postgd|postcontrast|contrast|contraste|contrasto|kontrast|enhanced"
)
_NO_CONTRAST = re.compile(
    r"pre|precontrast|non|noncontrast|without|wo|native|nativ|unenhanced|plain|ohne|sans|sin|senza"
)
_POST_SOMETHING_ELSE = {"op", "operative", "operation", "surgery", "rt", "radiation", "processed"}

# Derived from an image, but not an image of the patient.
_DERIVED = {"seg", "segm", "segmentation", "label", "labels", "labelmap", "truth", "groundtruth", "gt", "glistrboost"}
_DERIVED |= {"manuallycorrected", "mask", "brainmask", "masks", "subtraction", "uncertainty", "probability"}


@dataclass(frozen=True)
class Recognition(Generic[Id]):
    """Which volume has which role, and why the others have none.

    Attributes:
        roles: Role to the id of the one volume that has it.
        reasons: For each role without a volume, a sentence that says why.
    """

    roles: dict[str, Id]
    reasons: dict[str, str]


def recognize(names: Mapping[Id, Sequence[str]]) -> Recognition[Id]:
    """Assign volumes to the four roles.

    Args:
        names: For each volume its names: node name, series description, file name. Empty ones are ignored; the
            first one is used in messages.

    Examples:
        >>> found = recognize({1: ["AX T1"], 2: ["AX T1 POST GD"], 3: ["SAG T2 FLAIR"], 4: ["patient"]})
        >>> found.roles
        {'t1': 1, 't1ce': 2, 'flair': 3}
        >>> found.reasons["t2"]
        'No volume is recognized as T2. Choose it, or put "t2" into its name.'
    """
    claims: dict[str, list[Id]] = {role: [] for role in ROLES}
    contradictory: dict[Id, dict[str, str]] = {}
    for volume, texts in names.items():
        named = _roles_named(texts)
        if len(named) == 1:
            claims[next(iter(named))].append(volume)
        elif named:
            contradictory[volume] = named
    single = {role: claim[0] for role, claim in claims.items() if len(claim) == 1}
    reasons = {role: _reason(role, claims[role], names, contradictory) for role in ROLES if role not in single}
    return Recognition(single, reasons)


def role_of(name: str) -> str | None:
    """Return the role that one name, without folders, stands for; ``None`` if it fits none or two.

    Examples:
        >>> role_of("BraTS20_Training_001_t1ce.nii.gz"), role_of("AX T1 W/O contrast"), role_of("AX T2*")
        ('t1ce', 't1', None)
    """
    words = _words_of(name)
    if any(_IS_OTHER.fullmatch(word) for word in words) or _follows(words, "w", "wo"):
        return None
    dark_fluid = {"dark", "fluid"} <= set(words) or _follows(words, "da", "fl")
    if dark_fluid or any(_IS_FLAIR.fullmatch(word) for word in words):
        return "flair"
    enhanced = any(_IS_T1CE.fullmatch(word) for word in words)
    plain = any(_IS_T1.fullmatch(word) for word in words)
    if any(_IS_T2.fullmatch(word) for word in words):
        return None if enhanced or plain else "t2"
    if enhanced:
        return "t1ce"
    if plain:
        return "t1ce" if _mentions_contrast(words) else "t1"
    return None


def is_derived(name: str) -> bool:
    """Return whether a name is that of a segmentation, a mask or another map rather than an image."""
    return bool(_DERIVED & set(_words_of(name))) or name.lower().endswith(".seg.nrrd")


def duplicate_message(role: str, names: Iterable[str]) -> str:
    """Say that one role fits several volumes or files.

    Examples:
        >>> duplicate_message("t2", ["AX T2", "COR T2"])
        '"AX T2" and "COR T2" both look like T2. Choose the one to use.'
    """
    quoted = [f'"{name}"' for name in names]
    if len(quoted) == 2:
        text = _("{names} both look like {role}. Choose the one to use.")
    else:
        text = _("{names} all look like {role}. Choose the one to use.")
    return text.format(names=_enumeration(quoted), role=TITLES[role])


def _roles_named(texts: Sequence[str]) -> dict[str, str]:
    """Return the roles that the names of one volume stand for, each with the first such name."""
    if any(is_derived(text) for text in texts):
        return {}
    named: dict[str, str] = {}
    for text in texts:
        role = role_of(text)
        if role is not None:
            named.setdefault(role, text)
    return named


def _reason(
    role: str,
    claim: Sequence[Id],
    names: Mapping[Id, Sequence[str]],
    contradictory: Mapping[Id, Mapping[str, str]],
) -> str:
    if claim:
        return duplicate_message(role, [_display_name(names[volume]) for volume in claim])
    for volume, named in contradictory.items():
        if role in named:
            other = next(text for other_role, text in named.items() if other_role != role)
            return _(
                '"{name}" may be {role}: "{text}" says so, but "{other}" says something else. '
                "Choose the volume by hand."
            ).format(name=_display_name(names[volume]), role=TITLES[role], text=named[role], other=other)
    return _('No volume is recognized as {role}. Choose it, or put "{word}" into its name.').format(
        role=TITLES[role], word=role
    )


def _display_name(texts: Sequence[str]) -> str:
    return next((text for text in texts if text), _("an unnamed volume"))


def _enumeration(names: Sequence[str]) -> str:
    *first, last = names
    return _("{names} and {last}").format(names=", ".join(first), last=last) if first else last


def _words_of(name: str) -> list[str]:
    """Split a name, without its file ending, into lower-case words of letters and digits."""
    text = _ENDING.sub("", name.strip().lower())
    text = re.sub(r"\bw\s?/\s?o\b", " wo ", text)
    text = re.sub(r"t2\s?\*", "t2star", text)
    text = re.sub(r"\+\s?c\b|(?<![a-z0-9])c\s?\+", " ce ", text)
    words = re.findall(r"[a-z0-9]+", text)
    for preposition in ("to", "onto", "in", "on"):  # "t2_to_t1" is a T2 moved onto the T1
        if preposition in words[1:]:
            words = words[: words.index(preposition, 1)]
    return words


def _follows(words: Sequence[str], first: str, second: str) -> bool:
    return any(pair == (first, second) for pair in zip(words, words[1:]))


def _mentions_contrast(words: Sequence[str]) -> bool:
    """Return whether the words around a plain T1 mention contrast agent: "AX T1 POST", "ce-gad_T1w", "t1_c"."""
    if any(_NO_CONTRAST.fullmatch(word) for word in words):
        return False
    for position, word in enumerate(words):
        after = words[position + 1] if position + 1 < len(words) else ""
        if _CONTRAST.fullmatch(word) and not (word == "post" and after in _POST_SOMETHING_ELSE):
            return True
        if _IS_T1.fullmatch(word) and after == "c":
            return True
    return False
