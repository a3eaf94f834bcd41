"""The four modalities: their order, and how they are recognized by name.

Names come from BraTS files of all years, DICOM series descriptions, and nodes in 3D Slicer. They are split into words,
so that ``t1ce`` is never mistaken for ``t1``, nor ``T2 FLAIR`` for ``t2``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise

from training.errors import InputError

#: The modalities, always in this order.
ROLES: tuple[str, ...] = ("t1", "t1ce", "t2", "flair")

#: The default reference is the first of these that is present.
REFERENCE_ORDER: tuple[str, ...] = ("t1ce", "t1", "t2", "flair")

#: Display names.
TITLES: dict[str, str] = {"t1": "T1", "t1ce": "T1 with contrast", "t2": "T2", "flair": "FLAIR"}

_EXTENSION = re.compile(r"\.(nii|seg\.nrrd|nrrd|nhdr|mha|mhd|img|hdr|dcm)(\.gz)?$")
_BEFORE = r"(?:ax|sag|cor|tra|3d|2d)*"
_PLANE = r"(?:w|wi|ax|tra|sag|cor|tse|fse|se|fl2d|fl3d|3d|2d|spc|mprage|mpr|mp2rage|spgr|fspgr|vibe|bravo|space)*"
_FLAIR = re.compile(r"(\w*flair\w*|fla|t2f|tirm|darkfluid)")
_AGENT = r"(?:ce|c|gd|gad|gado|km|post|postgd|postgad|postkm|contrast|postcontrast|enh|enhanced)"
_T1CE = re.compile(
    rf"{_BEFORE}t1{_PLANE}{_AGENT}|(?:c|ce|gd|gad|km)t1{_PLANE}{_AGENT}?|(?:post|postgd)t1{_PLANE}{_AGENT}"
)
_T1 = re.compile(
    rf"{_BEFORE}t1{_PLANE}(?:n|nat|nativ|native|pre|precontrast|pregd|pregad|prekm)?|mprage|mp2rage|spgr|fspgr|bravo"
)
_T2 = re.compile(rf"{_BEFORE}t2{_PLANE}")
_CONTRAST = re.compile(
    r"ce|gd|gad|gado|gadolinium|gadolinio|gadovist|gadobutrol|gadavist|dotarem|magnevist|prohance|multihance|gddtpa|gdtpa"
    r"|km|kontrastmittel|mdc|post|postgd|postgad|postkm|postcontrast|contrast|contraste|contrasto|kontrast|enh|enhanced"
)
_NO_CONTRAST = re.compile(
    r"pre|pregd|pregad|prekm|precontrast|no|non|nogd|noncontrast|nonenhanced|nocontrast|without|wo|wocontrast"
    r"|native|nativ|unenhanced|plain|ohne|sans|sin|senza"
)
#: May also mean something else than contrast: before an operation, in native space.
_UNSURE = {"pre", "native", "nativ", "plain"}
_OTHER_IMAGE = re.compile(
    r"star|map|maps|mapping|rho|adc|eadc|dwi|dti|tensor|trace|tracew|swi|swan|qsm|minip|mip|perfusion|perf|pwi|dsc|dce|asl"
    r"|r?cbv|r?cbf|mtt|ttp|tmax|ktrans|bold|fmri|ep2d|mra|mrv|tof|angio|mrs|csi|spectroscopy|t2star|t2s|dose|rtdose"
    r"|mask|masks|brainmask|subtraction|subtracted|diff|difference|ratio|field|biasfield|1?inversewarp|1?warp|deformation"
    r"|displacement|jacobian|pve|prob|probability|uncertainty|entropy"
)
#: Another kind of image if it stands beside the modality, and part of a name elsewhere ("CT_001_t1").
_OTHER_BESIDE = {"pd", "pdw", "ct", "cta", "pet", "fa", "md", "rd", "ad"}
_T2_STAR = {"gre", "hemo", "haemo", "fl2d", "ffe", "medic"}
_REGISTERED = {"reg", "registered", "coreg", "coregistered", "aligned", "resampled", "space"}
#: After "pre" or "post": the time of the scan, not of the contrast agent.
_NOT_CONTRAST = {
    *("op", "ops", "operative", "operation", "operativ", "surgery", "surgical", "resection", "biopsy", "processed"),
    *("rt", "crt", "radiation", "radiotherapy", "chemo", "chemotherapy", "therapy", "treatment", "tx", "processing"),
}


@lru_cache(maxsize=8192)
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
    return _role_of_words(words_of(name))


def _role_of_words(words: list[str]) -> str | None:
    t1 = [place for place, word in enumerate(words) if _T1.fullmatch(word) or _T1CE.fullmatch(word)]
    t2 = [place for place, word in enumerate(words) if _T2.fullmatch(word)]
    if _is_other_image(words, t1 + t2):
        return None
    flair = [place for place, word in enumerate(words) if _FLAIR.fullmatch(word)]
    flair += [place for place, pair in enumerate(pairwise(words)) if pair in (("dark", "fluid"), ("da", "fl"))]
    if flair and t1:
        # "T1 FLAIR" is a T1 with inversion recovery (GE; Siemens writes "t1_tirm_dark-fluid").
        if t2 or "and" in words or t1[0] > flair[0]:
            return "flair" if not t2 and t1[0] > flair[0] and _REGISTERED & set(words) else None
    elif flair:
        return "flair"
    if t2:
        return None if t1 or _T2_STAR & set(words) else "t2"
    if any(_T1CE.fullmatch(words[place]) for place in t1):
        return "t1ce"
    if t1:
        return {True: "t1ce", False: "t1", None: None}[_mentions_contrast(words)]
    return None


def recognized(names: Iterable[str]) -> dict[str, str]:
    """Return the role of each name of one case; names without one are left out.

    A word such as "pre" or "post" that is in all names says nothing of contrast ("P01_post_t1", "P01_post_t1gd", ...):
    it is ignored if each role then has exactly one name.

    Examples:
        >>> recognized(["post_t1.nii", "post_t1gd.nii", "post_t2.nii", "post_flair.nii"])["post_t1.nii"]
        't1'
    """
    words = {name: words_of(name) for name in names}
    found = {name: role for name, split in words.items() if (role := _role_of_words(split))}
    # UCSF-PDGM has each volume twice, also with its bias field corrected ("T1_bias").
    plain = {role for name, role in found.items() if "bias" not in words[name]}
    found = {name: role for name, role in found.items() if "bias" not in words[name] or role not in plain}
    shared = set.intersection(*map(set, words.values())) & {*_UNSURE, "post"} if words else set()
    if not shared or sorted(found.values()) == sorted(ROLES):
        return found
    bare = {name: [word for word in split if word not in shared] for name, split in words.items()}
    again = {name: role for name, split in bare.items() if (role := _role_of_words(split))}
    return again if sorted(again.values()) == sorted(ROLES) else found


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
    for name, role in recognized(names).items():
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
    text = re.sub(r"t2w?\s?\*", "t2star", text)
    text = re.sub(r"(?<![a-z0-9])t1(w?)(flair|tirm)", r"t1\1 \2 ", text)
    text = re.sub(r"\+\s?c\b|(?<![a-z0-9])c\s?\+", " ce ", text)
    words = re.findall(r"[a-z0-9]+", text)
    for preposition in ("to", "onto", "in", "on"):  # "t2_to_t1" is a T2 registered to the T1
        if preposition in words[1:]:
            words = words[: words.index(preposition, 1)]
    return words


def _is_other_image(words: list[str], places: list[int]) -> bool:
    """Return whether the words name another kind of image, or one of two kinds ("T1 w/wo contrast").

    Args:
        words: Of the name.
        places: Indices of the words for T1 and T2.
    """
    beside = {words[place + step] for place in places for step in (-1, 1) if 0 <= place + step < len(words)}
    if any(_OTHER_IMAGE.fullmatch(word) for word in words) or beside & _OTHER_BESIDE:
        return True
    return ("w", "wo") in pairwise(words)


def _mentions_contrast(words: list[str]) -> bool | None:
    """Return whether the words around a plain T1 mention contrast agent: "AX T1 POST", "ce-gad_T1w", "t1_c".

    ``None`` if they contradict each other: "native T1 GD".
    """
    following = [*words[1:], ""]
    pairs = zip(words, following, strict=True)
    told = [(word, after) for word, after in pairs if not (word in ("pre", "post") and after in _NOT_CONTRAST)]
    agent = [word for word, after in told if _CONTRAST.fullmatch(word) or (_T1.fullmatch(word) and after == "c")]
    without = [(word, after) for word, after in told if _NO_CONTRAST.fullmatch(word)]
    without = [pair for pair in without if pair[0] != "no" or _CONTRAST.fullmatch(pair[1])]  # "patient no 5"
    if not without:
        return bool(agent)
    if agent and all(word in _UNSURE and not _CONTRAST.fullmatch(after) for word, after in without):
        return None
    return False
