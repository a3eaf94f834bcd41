"""The words of a name: what says when a scan was made, what numbers a patient, and what only groups patients.

A visit is named by a date, by a counted word (``week-012``, ``ses-02``, ``tp1``) or by a time relative to the treatment
(``preop``, ``baseline``). A container is a folder that groups patients: ``HGG``, ``training``, ``imagesTr``, ``site2``.
"""

from __future__ import annotations

import re

_SEP = r"[-_. ]"
_DATE = (
    rf"(?:(?:19|20)\d\d{_SEP}?(?:0[1-9]|1[0-2]){_SEP}?(?:0[1-9]|[12]\d|3[01])"
    rf"|(?:0?[1-9]|[12]\d|3[01]){_SEP}(?:0?[1-9]|[12]\d|3[01]){_SEP}(?:19|20)\d\d)(?!\d)"
)
_COUNTED = (
    r"(?:sess|session|ses|visits?|vis|tp|timepoint|time|weeks?|wk|months?|mo|days?|years?|yr|fu|followup|follow[-_ ]?up"
    r"|recurrence|progression|relapse|cycle)"
)
_OPERATION = r"(?:op|operative|operation|surgery|surgical|rt|crt|radiation|treatment|tx|therapy|chemo|biopsy|resection)"
_NAMED = (
    rf"(?:(?:(?:early|late){_SEP}?)?(?:pre|post|intra)(?:{_SEP}?{_OPERATION})?|baseline|bl|initial|first|second|third|last"
    rf"|diagnosis|nadir|recurrence|recurrent|progression|relapse|fu|follow{_SEP}?up|rescan|retest"
    rf"|(?:ses|session|visit|timepoint){_SEP}[A-Za-z0-9]+)"
)
_NUMBER = rf"{_SEP}?\d{{1,4}}[a-z]?(?:{_SEP}\d{{1,2}})?"
_VISIT = rf"(?:{_DATE}|{_COUNTED}{_NUMBER}|{_NAMED})"

_TIME = rf"(?:{_SEP}\d\d){{2,3}}(?:\.\d+)?"  # "2006-04-18_08_20_30.0"
_ALONE = re.compile(rf"{_VISIT}|t\d|{_DATE}{_TIME}", re.IGNORECASE)
_DATED = re.compile(rf"{_DATE}{_SEP}.*")
_WEAK = re.compile(
    rf"(?:(?:[vwmdyt]|scan|exam|study|mri|mr|image|img|series|acq|run|nr|no){_SEP}?)?\d{{1,4}}", re.IGNORECASE
)
_SUFFIXES = (
    re.compile(rf"(?P<base>.+?){_SEP}+{_VISIT}", re.IGNORECASE),
    re.compile(rf"(?P<base>.*\d)(?:{_COUNTED}{_NUMBER}|{_NAMED})", re.IGNORECASE),  # "P01tp2", "P01pre"
    re.compile(rf"(?P<base>.*\d.*?){_SEP}+[vwmdyt]\d{{1,4}}", re.IGNORECASE),  # "P01_w12"
)
_PREFIX = re.compile(rf"{_VISIT}{_SEP}+(?P<base>.+)", re.IGNORECASE)

_PATIENT = re.compile(
    rf"(?:patients?|patientid|pat|pt|subjects?|subj|sub|proband|person|case|p|s)(?:{_SEP}?(?:id|no|nr))?{_SEP}?\d+[a-z]?",
    re.IGNORECASE,
)
#: Words that stay the same from patient to patient.
_GENERIC = re.compile(
    r"patients?|patientid|pat|pt|subjects?|subj|sub|proband|person|cases?|p|s|c|id|no|nr|phantom|head|brain|glioma|gbm|lgg|hgg"
    r"|scan|image|img|volume|vol|mri|mr|brats\d*|tumou?r|example|sample|demo|dummy|training|validation|train|val|test",
    re.IGNORECASE,
)
_CLASS = (
    r"hgg|lgg|hg|lg|hgg|gbm|glioblastomas?|gliomas?|astrocytomas?|oligo\w*|meningiomas?|metastas[ei]s|mets|grade|who|idh|mut"
    r"|mutants?|wildtype|wt|high|low|tumou?rs?|controls?|healthy|normal|(?:site|cent(?:er|re)|hospital|clinic|institution|inst"
    r"|cohort|group|class|arm|batch|scanner|vendor)[a-z0-9]{0,2}"
)
_SPLIT = (
    r"(?:train|training|val|valid|validation|test|testing)(?:data|set|ing)?|images[a-z]{2,3}|labels[a-z]{2,3}|fold\d*|splits?|part\d*"
    r"|set[a-z0-9]?|subset\d*"
)
_DATA = (
    r"datas?|datasets?\d*|data|stud(?:y|ies)\d*|cases|patients|subjects|cohorts|images?|niftis?|nii|gz|raw|rawdata|sourcedata"
    r"|derivatives|(?:pre)?processed|outputs?|brats\d*|miccai|msd|task\d*|mris?|mr|scans?|tcia|tcga|downloads?|files|public"
    r"|private|v\d+|release|collection|anat|all|new|old|and|braintumou?rs?|brain|work|tmp|temp|database|db|archive|project\d*"
    r"|segmentation|nnunet|raw|home|mnt"
)
_GROUP_WORD = re.compile(rf"{_CLASS}|{_SPLIT}|{_DATA}", re.IGNORECASE)
_CLASS_WORD = re.compile(_CLASS, re.IGNORECASE)
_NUMBER_WORD = re.compile(r"[a-z]|\d+", re.IGNORECASE)
_YEAR_WORD = re.compile(r"[a-z]*(?:19|20)\d\d", re.IGNORECASE)
#: The number at the end of the name of a case: "BRATS_001".
_CASE_NUMBER = re.compile(rf".*{_SEP}\d{{3,}}")
#: Folders between a case and its files that say nothing.
_TRANSPARENT = re.compile(
    r"anat|niftis?|nii|nii[-_. ]?gz|images?|img|dicoms?|files|resources|structural|mri?|data", re.IGNORECASE
)


def without_visit(name: str) -> str:
    """Return a name without its words for the visit; empty if there is nothing else.

    Examples:
        >>> without_visit("P01-preop"), without_visit("pat01_tp1"), without_visit("week-012"), without_visit("case_1")
        ('P01', 'pat01', '', 'case_1')
    """
    if is_visit(name):
        return ""
    for pattern in (*_SUFFIXES, _PREFIX):
        match = pattern.fullmatch(name)
        if match:
            return without_visit(match.group("base"))
    return name


def is_visit(name: str) -> bool:
    """Return whether a name says only when the scan was made."""
    return bool(_ALONE.fullmatch(name))


def starts_with_date(name: str) -> bool:
    """Return whether a date and something else make up a name: "04-02-1992-NA-HEAD" (TCIA), "2019-03-01_anna"."""
    return bool(_DATED.fullmatch(name)) and not is_visit(name)


def may_be_visit(name: str) -> bool:
    """Return whether a name is only a number, or a counted word for a scan: of a visit, or of a patient."""
    return bool(_WEAK.fullmatch(name))


def is_container(name: str) -> bool:
    """Return whether a folder groups patients or files of all patients, rather than the visits of one."""
    words = _words(name)
    if _CASE_NUMBER.fullmatch(name) and not _YEAR_WORD.fullmatch(words[-1]):
        return False
    return any(map(_GROUP_WORD.fullmatch, words)) and all(
        _GROUP_WORD.fullmatch(word) or _NUMBER_WORD.fullmatch(word) for word in words
    )


def is_class(name: str) -> bool:
    """Return whether a container holds other patients than its neighbors, even if their names are equal."""
    return is_container(name) and any(map(_CLASS_WORD.fullmatch, _words(name)))


def is_transparent(name: str) -> bool:
    """Return whether a folder name between a case and its files says nothing ("anat", "NIFTI")."""
    return bool(_TRANSPARENT.fullmatch(name))


def numbers_a_patient(name: str) -> bool:
    """Return whether a name is a word for a patient with a number: "Patient-001", "sub 3"."""
    return bool(_PATIENT.fullmatch(name))


def numbers_a_case(name: str) -> bool:
    """Return whether a name is a word with a number of at least three digits: "BraTS20_Training_001"."""
    return bool(_CASE_NUMBER.fullmatch(name)) and not may_be_visit(name)


def is_generic(name: str) -> bool:
    """Return whether no word of a name identifies a patient: "case", "BraTS20_Training"; also an empty name."""
    return all(_GENERIC.fullmatch(word) or _GROUP_WORD.fullmatch(word) for word in _words(name))


def has_number(name: str) -> bool:
    """Return whether a name has a digit that is not part of a year or of the name of a data set."""
    words = [word for word in _words(name) if not _YEAR_WORD.fullmatch(word) and not is_generic(word)]
    return any(character.isdigit() for word in words for character in word)


def _words(name: str) -> list[str]:
    return re.findall(r"[A-Za-z0-9]+", name)
