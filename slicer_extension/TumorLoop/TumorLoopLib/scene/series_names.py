"""Names of DICOM series in the words of scanners and of other languages, in a form that :mod:`.roles` knows.

The server recognizes series by the same words; a test compares the two.
"""

from __future__ import annotations

import re
import unicodedata

from TumorLoopLib.scene.roles import role_of

_AGENT = r"(?:c|gd|km|gad\w*|kontrast\w*|contrast\w*|cte)"
_WORDS: tuple[tuple[str, str], ...] = (
    (r"非造影|造影前|単純|平扫|平掃", " without contrast "),
    (r"造影|增强|增強", " contrast "),
    (r"水抑制|压水|壓水", " flair "),
    (r"без\s+контраст\w*", " without contrast "),
    (r"контраст\w*", " contrast "),
    (rf"\b(?:s|o)\s*[/.]\s*{_AGENT}\b", " without contrast "),
    (rf"\b(?:c|m)\s*[/.]\s*{_AGENT}\b", " contrast "),
    (r"\b(?:kontrastsiz|zonder|uden|utan|uten|bez|sem)\b", " without "),
    (r"\b(?:basale|blanco|nativni|natywne|natif)\b", " native "),
    (r"\b(?:vor|voor|avant|antes|prima)\b", " pre "),
    (r"\b(?:nach|apres|despues|dopo|pos|po)\b(?!\s*[-_]?\s*op)", " post "),
    (
        r"\b(?:inj|injection|injecte|iv|kontrast\w+|contrast[eo]\w*|gadoterat\w*|clariscan|gadoteridol|mdc)\b",
        " contrast ",
    ),
    (r"\bw\s?/\s?(?!w?o)", " with "),
    (r"\b[a-z]{1,2}(t[12]w)", r"\1"),  # Philips: "sT1W_3D_TFE"
    (r"\bpd\s*(?:/|\+|_|-|and)?\s*t2\w*|\bt2\w*\s*(?:/|\+|_|-|and)?\s*pd\w*|\bdual\s*echo\b", " dualecho "),
)


def understood(name: str, *, agent: bool = False) -> str:
    """Return a name whose words :func:`TumorLoopLib.scene.roles.role_of` knows.

    Args:
        name: Of a series, or of the volume that was made of it.
        agent: Whether its header names a contrast agent: then a T1 that says nothing of contrast is one with contrast.

    Returns:
        ``name`` itself where its words are known already.

    Examples:
        >>> understood("5: sT1W_3D_TFE"), understood("AX T1 SE", agent=True), understood("AX T1 W/O", agent=True)
        ('5: t1w 3d tfe', 'AX T1 SE +C', 'AX T1 W/O')
    """
    plain = plain_text(name)
    text = name if role_of(plain) == role_of(name) else plain
    told = f"{text} +C"
    return told if agent and role_of(text) == "t1" and role_of(told) == "t1ce" else text


def plain_text(name: str) -> str:
    """Return a name in lower case without accents, with words that are known."""
    decomposed = unicodedata.normalize("NFKD", name.lower())
    text = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    text = unicodedata.normalize("NFC", text).replace("_", " ")
    for pattern, word in _WORDS:
        text = re.sub(pattern, word, text)
    return " ".join(text.split())
