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
# May also mean something else than contrast: before an operation, in native space.
_UNSURE = {"pre", "native", "nativ", "plain"}
_OTHER_IMAGE = re.compile(
    r"star|map|maps|mapping|rho|adc|eadc|dwi|dti|tensor|trace|tracew|swi|swan|qsm|minip|mip|perfusion|perf|pwi|dsc|dce|asl"
    r"|r?cbv|r?cbf|mtt|ttp|tmax|ktrans|bold|fmri|ep2d|mra|mrv|tof|angio|mrs|csi|spectroscopy|t2star|t2s|dose|rtdose"
    r"|mask|masks|brainmask|subtraction|subtracted|diff|difference|ratio|field|biasfield|1?inversewarp|1?warp|deformation"
    r"|displacement|jacobian|pve|prob|probability|uncertainty|entropy"
)
# Another kind of image if it stands beside the modality, and part of a name elsewhere ("CT_001_t1").
_OTHER_BESIDE = {"pd", "pdw", "ct", "cta", "pet", "fa", "md", "rd", "ad"}
_T2_STAR = {"gre", "hemo", "haemo", "fl2d", "ffe", "medic"}
_REGISTERED = {"reg", "registered", "coreg", "coregistered", "aligned", "resampled", "space"}
# After "pre" or "post": the time of the scan, not of the contrast agent.
_NOT_CONTRAST = {
    *("op", "ops", "operative", "operation", "operativ", "surgery", "surgical", "resection", "biopsy", "processed"),
    *("rt", "crt", "radiation", "radiotherapy", "chemo", "chemotherapy", "therapy", "treatment", "tx", "processing"),
}

# Derived from an image, but not an image of the patient.
_DERIVED = {"seg", "segm", "segmentation", "label", "labels", "labelmap", "truth", "groundtruth", "gt", "glistrboost"}
_DERIVED |= {"dseg", "tumormask", "tumourmask", "lesionmask", "tumorseg", "tumourseg"}
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
    return _role_of_words(_words_of(name))


def _role_of_words(words: Sequence[str]) -> str | None:
    t1 = [place for place, word in enumerate(words) if _T1.fullmatch(word) or _T1CE.fullmatch(word)]
    t2 = [place for place, word in enumerate(words) if _T2.fullmatch(word)]
    if _is_other_image(words, t1 + t2):
        return None
    flair = [place for place, word in enumerate(words) if _FLAIR.fullmatch(word)]
    flair += [place for place, pair in enumerate(zip(words, words[1:])) if pair in (("dark", "fluid"), ("da", "fl"))]
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
    text = re.sub(r"t2w?\s?\*", "t2star", text)
    text = re.sub(r"(?<![a-z0-9])t1(w?)(flair|tirm)", r"t1\1 \2 ", text)
    text = re.sub(r"\+\s?c\b|(?<![a-z0-9])c\s?\+", " ce ", text)
    words = re.findall(r"[a-z0-9]+", text)
    for preposition in ("to", "onto", "in", "on"):  # "t2_to_t1" is a T2 moved onto the T1
        if preposition in words[1:]:
            words = words[: words.index(preposition, 1)]
    return words


def _is_other_image(words: Sequence[str], places: Sequence[int]) -> bool:
    """Return whether the words name another kind of image, or one of two kinds ("T1 w/wo contrast").

    Args:
        words: Of the name.
        places: Indices of the words for T1 and T2.
    """
    beside = {words[place + step] for place in places for step in (-1, 1) if 0 <= place + step < len(words)}
    if any(_OTHER_IMAGE.fullmatch(word) for word in words) or beside & _OTHER_BESIDE:
        return True
    return ("w", "wo") in zip(words, words[1:])


def _mentions_contrast(words: Sequence[str]) -> bool | None:
    """Return whether the words around a plain T1 mention contrast agent: "AX T1 POST", "ce-gad_T1w", "t1_c".

    ``None`` if they contradict each other: "native T1 GD".
    """
    following = [*words[1:], ""]
    pairs = zip(words, following)
    told = [(word, after) for word, after in pairs if not (word in ("pre", "post") and after in _NOT_CONTRAST)]
    agent = [word for word, after in told if _CONTRAST.fullmatch(word) or (_T1.fullmatch(word) and after == "c")]
    without = [(word, after) for word, after in told if _NO_CONTRAST.fullmatch(word)]
    without = [pair for pair in without if pair[0] != "no" or _CONTRAST.fullmatch(pair[1])]  # "patient no 5"
    if not without:
        return bool(agent)
    if agent and all(word in _UNSURE and not _CONTRAST.fullmatch(after) for word, after in without):
        return None
    return False
