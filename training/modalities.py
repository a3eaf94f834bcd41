"""The four modalities: their order, and how they are recognized by name.

Names come from BraTS files of all years, DICOM series descriptions, and nodes in 3D Slicer. They are split into words,
so that ``t1ce`` is never mistaken for ``t1``, nor ``T2 FLAIR`` for ``t2``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise

from training.errors import InputError

#: The modalities, always in this order.
ROLES: tuple[str, ...] = ("t1", "t1ce", "t2", "flair")

#: The default reference is the first of these that is present.
REFERENCE_ORDER: tuple[str, ...] = ("t1ce", "t1", "t2", "flair")

#: Display names.
TITLES: dict[str, str] = {"t1": "T1", "t1ce": "T1 with contrast", "t2": "T2", "flair": "FLAIR"}

_EXTENSION = re.compile(r"\.(nii|seg\.nrrd|nrrd|nhdr|mha|mhd|img|hdr|dcm)(\.gz)?$")
_PLANE = r"(?:w|wi|ax|tra|sag|cor|tse|fse|se|fl2d|fl3d|3d|2d|spc|mprage|mpr|mp2rage|spgr|fspgr|vibe|bravo|space)*"
_FLAIR = re.compile(r"(\w*flair\w*|fla|t2f|tirm|darkfluid)")
_T1CE = re.compile(rf"(?:ce|gd|post|postgd)?t1{_PLANE}(?:ce|c|gd|gad|gado|km|post|postgd|contrast|postcontrast)")
_T1 = re.compile(rf"t1(?:n|pre|native|{_PLANE})|mprage|mp2rage|spgr|fspgr|bravo")
_T2 = re.compile(rf"t2{_PLANE}")
_CONTRAST = re.compile(
    r"ce|gd|gad|gado|gadolinium|km|kontrastmittel|post|postgd|postcontrast|contrast|contraste|contrasto|kontrast|enhanced"
)
_NO_CONTRAST = re.compile(
    r"pre|precontrast|non|noncontrast|without|wo|native|nativ|unenhanced|plain|ohne|sans|sin|senza"
)
_OTHER_IMAGE = re.compile(r"star|map|rho|adc|dwi|swi|perfusion|perf|t2star|t2s")
_NOT_CONTRAST = {"op", "operative", "operation", "surgery", "rt", "radiation", "processed"}


def role_of(name: str) -> str | None:
    """Recognize the modality by a file name, a series description or a node name.

    Args:
        name: Name without folders; case and file ending do not matter.

    Returns:
        One of :data:`ROLES`; ``None`` if the name indicates no modality or two.

    Examples:
        >>> role_of("BraTS20_Training_001_t1ce.nii.gz"), role_of("BraTS-GLI-00001-000-t2f.nii.gz")
        ('t1ce', 'flair')
        >>> role_of("AX T1 POST GD"), role_of("AX T1 W/O contrast"), role_of("seg.nii.gz")
        ('t1ce', 't1', None)
    """
    words = words_of(name)
    if any(_OTHER_IMAGE.fullmatch(word) for word in words) or _follows(words, "w", "wo"):
        return None
    dark_fluid = {"dark", "fluid"} <= set(words) or _follows(words, "da", "fl")
    if dark_fluid or any(_FLAIR.fullmatch(word) for word in words):
        return "flair"
    enhanced = [word for word in words if _T1CE.fullmatch(word)]
    plain = [word for word in words if _T1.fullmatch(word)]
    t2 = [word for word in words if _T2.fullmatch(word)]
    if t2:
        return None if enhanced or plain else "t2"
    if enhanced:
        return "t1ce"
    if plain:
        return "t1ce" if _mentions_contrast(words) else "t1"
    return None


def roles_of(names: Iterable[str], *, allow_missing: bool = False) -> dict[str, str]:
    """Assign names to the four modalities; other names are ignored.

    Args:
        names: Names as for :func:`role_of`.
        allow_missing: Accept missing roles (at least one is needed).

    Returns:
        Role to name, in the order of :data:`ROLES`.

    Raises:
        InputError: If a role is missing (and not allowed to be, or all are) or has two names; lists the names.
    """
    names = list(names)
    claims: dict[str, list[str]] = {role: [] for role in ROLES}
    for name in names:
        role = role_of(name)
        if role is not None:
            claims[role].append(name)
    for role, claimed in claims.items():
        if len(claimed) > 1:
            raise InputError(
                f"{' and '.join(sorted(claimed))} both look like {TITLES[role]}. Keep one, or say which one is {role}.",
                field=role,
            )
    missing = [role for role in ROLES if not claims[role]]
    if missing and not (allow_missing and len(missing) < len(ROLES)):
        raise InputError(missing_message(missing, names), field=missing[0])
    return {role: claims[role][0] for role in ROLES if claims[role]}


def display_name(role: str) -> str:
    """Return the name of a modality in messages.

    Examples:
        >>> display_name("t1ce")
        'T1 with contrast (t1ce)'
    """
    return f"{TITLES[role]} ({role})"


def missing_message(missing: Iterable[str], names: Iterable[str]) -> str:
    """Return the message about modalities missing among ``names``."""
    titles = ", ".join(display_name(role) for role in missing)
    seen = ", ".join(sorted(names)) or "no image files"
    return f"Missing: {titles}. Found: {seen}. Files are recognized by t1, t1ce, t2, flair (or t1n, t1c, t2w, t2f)."


def words_of(name: str) -> list[str]:
    """Split a name without its file ending into lower-case words of letters and digits."""
    text = _EXTENSION.sub("", name.strip().lower())
    text = re.sub(r"\bw\s?/\s?o\b", " wo ", text)
    text = re.sub(r"t2\s?\*", "t2star", text)
    text = re.sub(r"\+\s?c\b|(?<![a-z0-9])c\s?\+", " ce ", text)
    words = re.findall(r"[a-z0-9]+", text)
    for preposition in ("to", "onto", "in", "on"):  # "t2_to_t1" is a T2 registered to the T1
        if preposition in words[1:]:
            words = words[: words.index(preposition, 1)]
    return words


def _follows(words: list[str], first: str, second: str) -> bool:
    return any(pair == (first, second) for pair in pairwise(words))


def _mentions_contrast(words: list[str]) -> bool:
    """Return whether the words around a plain T1 mention contrast agent: "AX T1 POST", "ce-gad_T1w", "t1_c"."""
    if any(_NO_CONTRAST.fullmatch(word) for word in words):
        return False
    for position, word in enumerate(words):
        after = words[position + 1] if position + 1 < len(words) else ""
        if _CONTRAST.fullmatch(word) and not (word == "post" and after in _NOT_CONTRAST):
            return True
        if _T1.fullmatch(word) and after == "c":
            return True
    return False
