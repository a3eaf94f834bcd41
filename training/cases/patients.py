"""Which cases are visits of one patient, read from the folders and names of a whole tree.

All visits of a patient must be on one side of a split. A patient is the folder or the prefix that groups visits:
``Patient-001/week-012``, ``sub-01/ses-02``, ``P01-preop`` and ``P01-postop``. Folders such as ``HGG``, ``training`` or
``imagesTr`` are no patients. Where a name may be that of a visit or of a patient ("A1", "A2"; "anna/1", "anna/2"), the
cases are taken as one patient's, and that is told: a file can correct it (:mod:`training.cases.patient_file`).
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from training.cases.case import Case
from training.cases.names import known_patient, slug
from training.cases.visits import (
    has_number,
    is_class,
    is_container,
    is_generic,
    is_transparent,
    is_visit,
    may_be_visit,
    numbers_a_case,
    numbers_a_patient,
    starts_with_date,
    without_visit,
)

#: Nobody has more visits than this in practice; more names with numbers are those of patients.
_MOST_VISITS = 12
_NUMBERED = re.compile(r"(?P<base>.*?)[-_. ]*(?P<number>\d+)")
#: What is added to the name of a case for a variant of its images.
_VARIANT = re.compile(r"native|raw|orig|original|reg|registered|stripped|copy|resampled|\d{1,3}", re.IGNORECASE)


@dataclass(frozen=True)
class Doubt:
    """Cases that were taken as visits of one patient, although their names may be those of several patients.

    Attributes:
        patient: The patient.
        cases: Ids of the cases.
    """

    patient: str
    cases: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.patient} ({', '.join(self.cases)})"


def doubts_message(doubts: Sequence[Doubt]) -> str:
    """Return one sentence for the user on all doubts, and what to do."""
    shown = "; ".join(map(str, doubts[:10])) + (f"; and {len(doubts) - 10} more" if len(doubts) > 10 else "")
    return (
        f"Taken as visits of one patient, since their names do not tell visits from patients: {shown}. If they are "
        "different patients, say so in a file with the columns case,patient (--patients FILE)."
    )


@dataclass(frozen=True)
class _Chain:
    """The names that lead to a case, without those that say nothing.

    Attributes:
        names: From the outermost folder to the case.
        context: Classes and sites above it, whose patients differ even if their names are equal.
        parent: The folder of the outermost name, to compare neighbors.
        above: The name of the folder that was searched.
    """

    names: tuple[str, ...]
    context: tuple[str, ...]
    parent: tuple[str, ...]
    above: str


@dataclass(frozen=True)
class _Reading:
    patient: str
    context: tuple[str, ...] = ()
    sure: bool = True


def with_patients(cases: Sequence[Case], root: Path) -> tuple[list[Case], list[Doubt]]:
    """Give every case its patient; also return what is doubtful.

    Args:
        cases: Cases in or below ``root``.
        root: The folder that was searched.
    """
    root = Path(os.path.abspath(root))
    chains = _chains(cases, root)
    readings = [_nested(chain, chains) for chain in chains]
    flat: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for place, (chain, reading) in enumerate(zip(chains, readings, strict=True)):
        if reading is None:
            flat[chain.context].append(place)  # neighbors also across "train" and "test"
    for places in flat.values():
        found = _siblings([chains[place].names[-1] for place in places])
        for place in places:
            base, sure = found[chains[place].names[-1]]
            readings[place] = _Reading(base, chains[place].context, sure)
    for place, case in enumerate(cases):
        if case.known_patient:
            readings[place] = _Reading(case.known_patient)
    return _named(cases, [reading for reading in readings if reading is not None])


def _named(cases: Sequence[Case], readings: Sequence[_Reading]) -> tuple[list[Case], list[Doubt]]:
    """Give the patients ids: their names, with the class or site where two have the same."""
    contexts: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for reading in readings:
        contexts[slug(reading.patient).lower()].add(reading.context)
    shown: dict[tuple[tuple[str, ...], str], str] = {}  # names that differ in case only are one patient's
    named = []
    groups: dict[str, list[tuple[Case, bool]]] = defaultdict(list)
    for case, reading in zip(cases, readings, strict=True):
        several = len(contexts[slug(reading.patient).lower()]) > 1
        name = slug("-".join((*reading.context, reading.patient))) if several else slug(reading.patient)
        name = shown.setdefault((reading.context, name.lower()), name)
        named.append(replace(case, patient=name))
        groups[name].append((case, reading.sure))
    return named, [
        Doubt(patient, tuple(sorted(case.id for case, _ in group)))
        for patient, group in sorted(groups.items())
        if len(group) > 1 and not all(sure for _, sure in group)
    ]


def _chains(cases: Sequence[Case], root: Path) -> list[_Chain]:
    folders = [Path(os.path.abspath(case.folder or _first_file(case).parent)) for case in cases]
    chains = []
    for case, folder in zip(cases, folders, strict=True):
        below = folder.relative_to(root).parts if folder.is_relative_to(root) else folder.parts[-2:]
        names = [name for name in below if not is_transparent(name)]
        own = case.name or case.id
        if not names or (own != folder.name and not is_transparent(own)):
            names.append(own)
        outer = [name for name in names[:-1] if is_container(name)]
        kept = tuple(name for place, name in enumerate(names) if place == len(names) - 1 or not is_container(name))
        context = tuple(name for name in outer if is_class(name))
        parent = tuple(names[: names.index(kept[0])]) if kept else ()
        chains.append(_Chain(kept or (case.id,), context, parent, _name_above(root)))
    return chains


def _first_file(case: Case) -> Path:
    return next(iter(case.sources.values())).path


def _name_above(root: Path) -> str:
    """Return the nearest name at or above a folder that may be a patient's."""
    names = [name for name in reversed(root.parts) if not is_visit(name) and not is_transparent(name)]
    return names[0] if names else ""


def _nested(chain: _Chain, others: Sequence[_Chain]) -> _Reading | None:
    """Read the patient from the folders of one case; ``None`` if only its neighbors can tell."""
    for name in reversed(chain.names):
        known = known_patient(name)
        if known is not None:
            return _Reading(known)
    dated = [name for name in chain.names[1:] if starts_with_date(name)]
    names = [name for name in chain.names if not is_visit(name) and name not in dated]
    if not names:
        known = known_patient(chain.above)
        return _Reading(known or chain.above or chain.names[-1], chain.context, sure=numbers_a_patient(chain.above))
    if len(names) == 1:
        base = without_visit(names[0])
        if len(chain.names) == 1 and base == names[0]:
            return None
        return _Reading(base, chain.context, sure=not is_generic(base) and (not dated or has_number(base)))
    if is_visit(chain.names[chain.names.index(names[0]) + 1]):  # "anna/week-000/native"
        return _Reading(without_visit(names[0]), chain.context)
    return _parent_or_child(chain, names[0], names[1], others)


def _parent_or_child(chain: _Chain, parent: str, child: str, others: Sequence[_Chain]) -> _Reading:
    """Decide whether a folder or a name in it is the patient."""
    base = without_visit(parent)
    as_parent = _Reading(base, chain.context)
    if child.lower().startswith(parent.lower()) and has_number(parent):
        return as_parent
    if numbers_a_patient(base) or may_be_visit(base):
        return replace(as_parent, sure=numbers_a_patient(base) or may_be_visit(child))
    of_child = without_visit(child)
    if numbers_a_patient(of_child) and not may_be_visit(of_child) and not has_number(base):
        return _Reading(of_child, (*chain.context, parent))
    if has_number(base):
        return replace(as_parent, sure=False)
    children: dict[str, set[str]] = defaultdict(set)
    for other in others:
        if len(other.names) > 1 and other.parent == chain.parent:
            children[other.names[0]].add(other.names[1].lower())
    own = children[parent]
    elsewhere = set().union(*(found for name, found in children.items() if name != parent))
    if is_generic(base) or len(own) > _MOST_VISITS:
        return _Reading(of_child, (*chain.context, parent))
    if may_be_visit(child):
        disjoint = bool(elsewhere) and len(own) > 1 and not own & elsewhere
        wide = all(len(name) > 2 and name.isdigit() for name in own)
        return _Reading(child, (*chain.context, parent)) if disjoint or wide else replace(as_parent, sure=False)
    if own & elsewhere and not numbers_a_case(of_child):
        return replace(as_parent, sure=False)
    return _Reading(of_child, chain.context)


def _siblings(names: Sequence[str]) -> dict[str, tuple[str, bool]]:
    """Return the patient for each of the names beside each other, none of which names a visit; and whether it is sure.

    A number at the end is that of a visit if it follows the number of a patient ("pat01_1"), and that of a patient if
    it is padded ("001") or follows a word that all patients share ("case_1").
    """
    found = {name: (name, True) for name in names}
    families: dict[str, dict[str, str]] = defaultdict(dict)
    for name in names:
        match = _NUMBERED.fullmatch(name)
        if match and match["base"]:
            families[match["base"].lower()][name] = match["number"]
    several = {base for base, members in families.items() if len(members) > 1}
    numbered = [base for base in several if has_number(base)]
    for base, members in families.items():
        text = next(iter(members))[: len(base)]
        if has_number(base):
            if _are_visits(base, members, numbered):
                found |= {
                    name: (without_visit(text) or text, numbers_a_patient(without_visit(text))) for name in members
                }
        elif base in several and not is_generic(base) and _may_be_visits(members, families):
            found |= dict.fromkeys(members, (text, False))
    return _with_variants(found, names)


def _are_visits(base: str, members: dict[str, str], numbered: Sequence[str]) -> bool:
    """Return whether the numbers after the number of a patient are those of visits."""
    if not numbered or len(members) > _MOST_VISITS:
        return False
    wide = any(len(number) > 2 for number in members.values())
    return len(numbered) > 1 or numbers_a_patient(base) or not wide


def _may_be_visits(members: dict[str, str], families: dict[str, dict[str, str]]) -> bool:
    """Return whether the numbers after a word may be those of visits."""
    if len(members) > _MOST_VISITS or any(len(number) > 2 for number in members.values()):
        return False
    others = [set(other.values()) for other in families.values() if other is not members]
    if any(set(members.values()) & other for other in others):
        return True
    return not others and not any(number.startswith("0") for number in members.values())


def _with_variants(found: dict[str, tuple[str, bool]], names: Iterable[str]) -> dict[str, tuple[str, bool]]:
    """Add cases that are named like another with something behind: "001" and "001_native"."""
    known = {name.lower(): name for name in names}
    for name in known.values():
        base, _, rest = _split_last(name)
        other = known.get(base.lower())
        if other is not None and not is_generic(base) and _VARIANT.fullmatch(rest):
            found[name] = (found[other][0], not rest.isdigit())
    return found


def _split_last(name: str) -> tuple[str, str, str]:
    match = re.fullmatch(r"(.+?)([-_. ]+)([^-_. ]+)", name)
    return (match[1], match[2], match[3]) if match else (name, "", "")
