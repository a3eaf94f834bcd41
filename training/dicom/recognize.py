"""The modality of a series: by its name, the contrast agent, and its times (TE, TR, TI); and why.

A name tells most, as whoever named the protocol knew what it is for. Times confirm or contradict it, and decide where
the name is silent. Whether a plain "T1" was made with contrast agent may only be told by the other series of its study.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace

from training.dicom.image import Image
from training.modalities import TITLES, role_of

#: More echoes or phases than these are a map of T2, or a perfusion.
_MOST_VOLUMES = 3

# Words of other languages, in a form that training.modalities knows.
_WORDS: tuple[tuple[str, str], ...] = (
    (r"非造影|造影前|単純|平扫|平掃", " without contrast "),
    (r"造影|增强|增強", " contrast "),
    (r"水抑制|压水|壓水", " flair "),
    (r"без\s+контраст\w*", " without contrast "),
    (r"контраст\w*", " contrast "),
    (r"\b(?:s|o)\s*[/.]\s*(?:c|gd|km|gad\w*|kontrast\w*|contrast\w*|cte)\b", " without contrast "),
    (r"\b(?:c|m)\s*[/.]\s*(?:c|gd|km|gad\w*|kontrast\w*|contrast\w*|cte)\b", " contrast "),
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
_LOCALIZER = re.compile(
    r"\b(?:loc|locali[sz]er|scout|survey|surview|topogram|3\s?-?\s?plane|tri\s?plane|aahead|aahscout|smart\s?brain|posdisp)\w*"
)
_CALIBRATION = re.compile(r"\b(?:calib\w*|asset|ref\s?scan|shim\w*|b0\s?map|b1\s?map|field\s?map\w*|prescan)\b")
_REPORT = re.compile(r"\b(?:screen\s?save\w*|screenshot|report|key\s?images?|summary|snapshot)\b")
_OTHER = re.compile(
    r"\b(?:star|adc|eadc|dwi|dti|diff\w*|tensor|tracew?|\w*swi\w*|swan|swip|qsm|minip|mip|perfusion|perf|pwi|dsc|dce|asl|pcasl|r?cbv|r?cbf"
    r"|mtt|ttp|tmax|tta|ktrans|bold|fmri|rest|ep2d\w*|epi|mra|mrv|tof|angio\w*|cemra|mrs|svs|csi|spectro\w*|press|steam|t2star|t2s"
    r"|subtraction|subtracted|sub(?!\W*\d)|phase|pha|fa|colfa|venobold|hemo|haemo|medic|cest|apt|amide"
    r"|stir|inv1|inv2|ciss|fiesta|b1000|b0|b800)\b|t2\s?\*|\be?adc\w*"
)
_OTHER_BODY = re.compile(
    r"\b(?:c|t|l|whole)?[\s_-]?spine\b|\b(?:cervical|thoracic|lumbar|lumbal|hws|bws|lws|wirbel\w*|rachis|columna|colonna|knee|hip|liver"
    r"|abdomen|pelvis|prostate|breast|cardiac|shoulder|neck)\b"
)
_HEAD = re.compile(
    r"\b(?:brain|head|skull|cran\w*|neuro|kopf|schadel\w*|hirn|gehirn|cerebr\w*|tete|cabeza|encefalo|cervello|hersen\w*)\b"
)
_BODY_PARTS = re.compile(r".*SPINE|NECK|CHEST|ABDOMEN|PELVIS|KNEE|HIP|SHOULDER|BREAST|HEART|LIVER|PROSTATE")
#: Values of ImageType of images that are none of the four modalities.
_OTHER_TYPE = re.compile(
    r"E?ADC|FA|TRACEW?|TENSOR|DIFFUSION\w*|PERFUSION|M(?:IN)?IP|PROJECTION IMAGE|SUBTRACT(?:ION)?|R?CB[VF]|MTT|TTP|TMAX"
    r"|T[12] MAP|T2STAR|SWI|ASL|PHASE|PHASE MAP|P|I|IMAGINARY|VELOCITY|FLOW_ENCODED|SPECTROSCOPY|B1|B0 MAP|FIELD_MAP"
    r"|FMRI|TTEST|EXP|AVG_DIFF"
)
_BEFORE = "it was made before the series that says contrast in its name"
_AFTER = "it was made after a series with contrast"
_NO_AGENT = "there are several T1, and no header names a contrast agent"
#: AcquisitionContrast of enhanced MR.
_CONTRASTS = {"T1": "t1", "T2": "t2", "FLUID_ATTENUATED": "flair"}
_OTHER_CONTRASTS = {"DIFFUSION", "FLOW_ENCODED", "PERFUSION", "PROTON_DENSITY", "STIR", "TAGGING", "T2_STAR", "TOF"}


@dataclass(frozen=True)
class Verdict:
    """What one series shows.

    Attributes:
        role: Its modality; ``None`` if it is none of the four, or that is not certain.
        reason: Why, as a clause: "its name says T2".
        maybe: The modalities that it may be if it is not certain; somebody must say.
        named: Whether the name of the series told the modality.
        silent: For a T1, whether the name says nothing of contrast agent.
    """

    role: str | None
    reason: str
    maybe: tuple[str, ...] = ()
    named: bool = True
    silent: bool = False


def plain_text(description: str) -> str:
    """Return a series description in lower case without accents, with words that :mod:`training.modalities` knows."""
    decomposed = unicodedata.normalize("NFKD", description.lower())
    text = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    text = unicodedata.normalize("NFC", text).replace("_", " ")
    for pattern, word in _WORDS:
        text = re.sub(pattern, word, text)
    return " ".join(text.split())


def recognize(image: Image, volumes: int = 1) -> Verdict:
    """Return what a series shows, judged by itself.

    Args:
        image: One of its images.
        volumes: The number of volumes at the same positions in its series: echoes, phases.
    """
    other = _other_kind(image, volumes)
    if other:
        return Verdict(None, other)
    named = _by_name(image)
    physics, times = _by_times(image)
    if named is None and physics is None:
        return Verdict(None, f"neither its name nor its times ({times or 'not stated'}) tell the modality")
    if named is None:
        return _by_times_only(image, physics or "", times)
    role, source, silent = named
    shown, maybe = _contradiction(role, physics, image)
    if shown:
        return Verdict(None, f"{source} says {TITLES[role]}, but its times ({times}) are those of {shown}", maybe)
    agrees = physics == {"t1ce": "t1"}.get(role, role)
    confirmed = f", and its times ({times}) agree" if agrees else ""
    if role == "t1" and silent and image.agent:
        reason = f"{source} says T1, and a contrast agent was given ({image.agent})"
        return Verdict("t1ce", reason + confirmed, silent=True)
    return Verdict(role, f"{source} says {TITLES[role]}{confirmed}", silent=silent)


def _contradiction(role: str, physics: str | None, image: Image) -> tuple[str, tuple[str, ...]]:
    """Return what the times show if that cannot be what the name says, and the modalities that it may be.

    Missing times contradict nothing: headers often lack the inversion time of a FLAIR. Nor do times of none of the four
    contradict a T1 or a FLAIR, whose limits differ between scanners; a T2 with a short echo time is the first echo of
    two.
    """
    if role in ("t1", "t1ce") and physics in ("t2", "flair"):
        return TITLES[physics], (role, physics)
    if role == "flair" and physics == "t1":
        return TITLES["t1"], ("flair", "t1", "t1ce")
    if role == "t2" and physics == "flair":
        return TITLES["flair"], ("t2", "flair")
    if role == "t2" and (physics == "t1" or (physics == "other" and (image.echo_time or 0) < 60)):
        return "T1" if physics == "t1" else "proton density or T2*", ("t2",)
    return "", ()


def in_study(verdicts: Sequence[Verdict], images: Sequence[Image]) -> list[Verdict]:
    """Return the verdicts of the series of one study; some can only be judged beside the others.

    A T1 without a word on contrast is compared with the series that say contrast in their names: made before the first
    of them, it is without. And where some series are said to be of the head, those of other parts of the body are left
    out.

    Args:
        verdicts: From :func:`recognize`.
        images: One image of each series.
    """
    found = _of_the_head(verdicts, images)
    pairs = list(zip(found, images, strict=True))
    silent = [place for place, verdict in enumerate(found) if verdict.silent and verdict.role in ("t1", "t1ce")]
    certain = [image for verdict, image in pairs if verdict.role == "t1ce" and not verdict.silent]
    plain = any(verdict.role == "t1" and not verdict.silent for verdict in found)
    agents = {bool(images[place].agent) for place in silent}
    after = []
    for place in silent:
        verdict, image = pairs[place]
        order = _order(image, certain)
        if order == "before":
            why = f"{verdict.reason}, but {_BEFORE}" if image.agent else verdict.reason
            found[place] = replace(verdict, role="t1", reason=why)
        elif order == "after":
            after.append(place)
            found[place] = replace(verdict, role="t1ce", reason=f"{verdict.reason}; {_AFTER}")
        elif image.agent and certain:
            found[place] = _unsure(verdict, "so it was for another series, which says contrast in its name")
        elif len(silent) > 1 and not certain and not plain and len(agents) == 1:
            found[place] = _unsure(verdict, "so it was for each T1 of the study" if image.agent else _NO_AGENT)
    later = [place for place in after if not images[place].agent]
    if len(later) == 1 and not any(verdict.role == "t1" or "t1" in verdict.maybe for verdict in found):
        # The times may be those of an export.
        why = f"{pairs[later[0]][0].reason}; {_AFTER}, which is unusual: check that it is without"
        found[later[0]] = replace(pairs[later[0]][0], reason=why)
    return found


def _order(image: Image, contrast: Sequence[Image]) -> str:
    """Return whether an image was made "before" all of the series with contrast, "after" one, or an empty text."""
    times = [other.acquired for other in contrast if other.acquired]
    if image.acquired and times and image.acquired != min(times):
        return "before" if image.acquired < min(times) else "after"
    numbers = [other.series_number for other in contrast if other.series_number is not None]
    if image.series_number is not None and numbers and image.series_number < min(numbers):
        return "before"
    return ""


def _of_the_head(verdicts: Sequence[Verdict], images: Sequence[Image]) -> list[Verdict]:
    """Leave out the series of other parts of the body, if others are said to be of the head.

    Otherwise the body part says nothing: the whole study was entered under a wrong one.
    """
    if not any(_HEAD.search(image.body_part.lower()) for image in images):
        return list(verdicts)
    return [
        Verdict(None, f"by its header it shows another part of the body ({image.body_part})")
        if _BODY_PARTS.fullmatch(image.body_part) and not _HEAD.search(plain_text(image.description))
        else verdict
        for verdict, image in zip(verdicts, images, strict=True)
    ]


def _unsure(verdict: Verdict, why: str) -> Verdict:
    return replace(verdict, role=None, maybe=("t1", "t1ce"), reason=f"{verdict.reason}; but {why}")


def _other_kind(image: Image, volumes: int) -> str:
    """Return what a series is if it is none of the four modalities, as a clause; else an empty text."""
    text = plain_text(image.description) or plain_text(image.protocol)
    types = set(image.image_type)
    if "LOCALIZER" in types or _LOCALIZER.search(text):
        return "it is a localizer"
    if image.mosaic:
        return "it is a mosaic (Siemens), a functional or diffusion series"
    if image.angiography:
        return "it is an angiography"
    if (image.b_value or 0) > 0 or image.contrast in _OTHER_CONTRASTS:
        return f"it is {'diffusion-weighted' if image.b_value else image.contrast.lower().replace('_', ' ')}"
    other_types = sorted(filter(_OTHER_TYPE.fullmatch, types))
    if other_types:
        return f"it is no plain image, by its type ({', '.join(other_types)})"
    for pattern, what in (
        (_CALIBRATION, "a calibration"),
        (_REPORT, "a report or screenshot"),
        (_OTHER_BODY, "not the head"),
    ):
        found = pattern.search(text)
        if found and not (pattern is _OTHER_BODY and _HEAD.search(text)):
            return f"by its name it is {what} ({found.group().strip()!r})"
    found = _OTHER.search(text)
    if found:
        return f"by its name it is another kind of image ({found.group().strip()!r})"
    if "EP" in image.scanning_sequence and role_of(text) is None:
        return "it is an echo-planar series (diffusion, perfusion or functional)"
    return f"it holds {volumes} volumes of one place (a map, a perfusion)" if volumes > _MOST_VOLUMES else ""


def _by_name(image: Image) -> tuple[str, str, bool] | None:
    """Return the modality by description or protocol, which of both says so, and whether it is silent on contrast."""
    for name, source in ((image.description, "its name"), (image.protocol, "its protocol")):
        text = plain_text(name)
        role = role_of(text)
        if role is None and role_of(f"{text} gd") == "t1ce":
            role = "t1"
        if role is not None:
            silent = role == "t1" and role_of(f"{text} gd") == "t1ce"
            return role, f"{source} ({name!r})", silent
    if image.contrast in _CONTRASTS:
        role = _CONTRASTS[image.contrast]
        return role, f"its header (AcquisitionContrast {image.contrast})", role == "t1"
    return None


def _by_times(image: Image) -> tuple[str | None, str]:
    """Return the modality by TE, TR and TI ("other" for none of the four), and the times.

    The limits are wide: spin echo, turbo spin echo, 3D sequences with variable flip angles (whose TE says little beyond
    being long), and inversion-recovery gradient echo, at 1.5 and 3 T.
    """
    te, tr, ti = image.echo_time, image.repetition_time, image.inversion_time or 0.0
    named = (("TE", te), ("TR", tr), ("TI", image.inversion_time))
    times = ", ".join(f"{name} {value:.4g} ms" for name, value in named if value)
    if not te or not tr:
        return None, times
    if te >= 60 and tr >= 1800:
        if ti and ti < 1400:
            return "other", times  # STIR
        return ("flair" if ti else "t2"), times
    if te <= 30 and (tr <= 1200 or 300 <= ti <= 1500):
        if "GR" in image.scanning_sequence and te >= 15:
            return "other", times  # T2*
        return "t1", times
    if te <= 40 and tr >= 1800 and not ti:
        return "other", times  # proton density
    return None, times


def _by_times_only(image: Image, physics: str, times: str) -> Verdict:
    if physics == "other":
        return Verdict(None, f"its times ({times}) are those of none of the four", named=False)
    if physics != "t1":
        return Verdict(physics, f"its times ({times}) are those of {TITLES[physics]}", named=False)
    if image.agent:
        reason = f"its times ({times}) are those of T1, and a contrast agent was given ({image.agent})"
        return Verdict("t1ce", reason, named=False, silent=True)
    return Verdict("t1", f"its times ({times}) are those of T1", named=False, silent=True)
