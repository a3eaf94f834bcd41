"""The series of a study that are its four modalities.

Where several fit one modality, a radiologist's preference decides, and it is told: recognized by name rather than by
times; as it came from the scanner rather than derived; complete rather than partial; thinner slices; without fat
saturation; and the later of two equal ones, as a scan is repeated when the first one was poor (of two T1 without
contrast the earlier one, as the later may be with).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from training.dicom.recognize import plain_text
from training.dicom.series import Series, find_series
from training.errors import InputError
from training.modalities import REFERENCE_ORDER, ROLES, TITLES, display_name

#: Stacks of slices higher than this hold a whole brain, whatever their direction; in millimeters.
_COMPLETE = 110.0
_SHOWN = 12


def choose(
    series: Sequence[Series], roles: Mapping[str, str | int] | None = None, *, allow_missing: bool = False
) -> dict[str, Series]:
    """Return the series of each modality.

    Args:
        series: Of one study.
        roles: Modality to series number or SeriesInstanceUID, where it is known; it precedes what is recognized.
        allow_missing: Accept missing modalities (at least one is needed).

    Returns:
        Modality to series, in the order of :data:`training.modalities.ROLES`. The notes of a series say which others
        were not taken.

    Raises:
        InputError: If a modality is missing (and not allowed to be) or uncertain, a series cannot be read, or they are
            of several patients or studies; names the series, and says how to name one. ``field`` is the modality.
    """
    asked = _asked(series, roles or {})
    taken = {one.key for one in asked.values()}
    others = [one for one in series if one.key not in taken]
    chosen = dict(asked)
    for role in ROLES:
        if role not in chosen:
            found = _best([one for one in others if one.role == role], role)
            if found is not None:
                chosen[role] = found
    chosen |= _left_over([one for one in others if one.role is None and one.maybe], chosen, bool(asked))
    _check_uncertain([one for one in others if one.key not in {s.key for s in chosen.values()}], chosen)
    missing = [role for role in ROLES if role not in chosen]
    if missing and not (allow_missing and chosen):
        raise InputError(_missing(missing, series), field=missing[0])
    for role, one in chosen.items():
        if one.problem:
            raise InputError(f"{one.problem} It would be {display_name(role)}.", field=role)
    _check_one_head(list(chosen.values()))
    return _with_frames_told({role: chosen[role] for role in ROLES if role in chosen})


def only_series(folder: Path | str, role: str) -> Series:
    """Return the series in a folder that was given for one modality.

    Args:
        folder: With the files of one series; localizers and the like beside it are ignored.
        role: What it is said to be.

    Raises:
        InputError: If there is none, several may be meant, or it cannot be read; ``field`` is ``role``.
    """
    series = find_series(folder)
    images = [one for one in series if one.image.modality == "MR"]
    fitting = [one for one in images if one.role == role] if len(images) > 1 else images
    if len(fitting) != 1:
        raise InputError(
            f"{folder} is given for {display_name(role)}, and does not hold one series that is. {_listed(series)} Give "
            "the folder of one series.",
            field=role,
        )
    if fitting[0].problem:
        raise InputError(f"{folder}: {fitting[0].problem}", field=role)
    return fitting[0]


def _asked(series: Sequence[Series], roles: Mapping[str, str | int]) -> dict[str, Series]:
    """Return the series that somebody named."""
    found: dict[str, Series] = {}
    for role, name in roles.items():
        if role not in ROLES:
            raise InputError(f"There is no modality {role!r}; known are {', '.join(ROLES)}.", field=role)
        wanted = str(name).strip()
        fitting = [one for one in series if one.key == wanted or one.uid == wanted]
        fitting = fitting or [one for one in series if str(one.number) == wanted]
        if not fitting:
            raise InputError(f"There is no series {wanted} for {display_name(role)}. {_listed(series)}", field=role)
        if len(fitting) > 1:
            keys = " or ".join(one.key for one in fitting)
            raise InputError(f"Series {wanted} holds {len(fitting)} volumes: say {keys} for {role}.", field=role)
        earlier = next((other for other, one in found.items() if one.key == fitting[0].key), None)
        if earlier:
            raise InputError(f"Series {wanted} is named for both {earlier} and {role}.", field=role)
        found[role] = fitting[0]
    return found


def _best(candidates: Sequence[Series], role: str) -> Series | None:
    """Return the preferred one of the series of one modality, with a note on the others."""
    if not candidates:
        return None
    ordered = sorted(candidates, key=lambda one: (one.image.acquired, one.number or 0), reverse=role != "t1")
    ordered.sort(key=_rank)
    best, *others = ordered
    if not others:
        return best
    equal = "equal, and later" if role == "t1" else "equal, and earlier"
    shown = "; ".join(f"{one.title} ({_why_not(best, one) or equal})" for one in others[:_SHOWN])
    note = f"Also {TITLES[role]}, and not taken: {shown}. To take one: --{role} SERIES (over HTTP: roles)."
    return replace(best, notes=(*best.notes, note))


def _rank(one: Series) -> tuple[float, ...]:
    return tuple(value for value, _ in _preferences(one))


def _preferences(one: Series) -> list[tuple[float, str]]:
    """Return what counts, the most important first: a number, smaller is better, and what a larger one means."""
    text = f" {plain_text(one.description)} "
    fat = any(word in text for word in (" fs ", " fatsat ", " fat sat ")) or "FS" in one.image.scan_options
    types = one.image.image_type
    return [
        (float(bool(one.problem)), "it cannot be used"),
        (float(not one.named), "its name says nothing"),
        (float(bool(types) and types[0] == "DERIVED"), "derived from another series"),
        (-round(min(one.extent, _COMPLETE), -1), f"covers only {one.extent:.0f} mm"),
        (round(max(one.spacing), 1), f"voxels of {max(one.spacing):.1f} mm"),
        (float(fat), "with fat saturation"),
        (float("ND" in types), "without correction of distortion"),
        (float(not {"R", "REAL"}.isdisjoint(types)), "the real part"),
        (round(float(one.spacing[0] * one.spacing[1]), 1), f"pixels of {max(one.spacing[:2]):.2f} mm"),
    ]


def _why_not(best: Series, other: Series) -> str:
    for (mine, _), (its, why) in zip(_preferences(best), _preferences(other), strict=True):
        if its > mine:
            return why
    return ""


def _left_over(uncertain: Sequence[Series], chosen: Mapping[str, Series], asked: bool) -> dict[str, Series]:
    """Return the uncertain series that are clear once somebody has named the others."""
    found: dict[str, Series] = {}
    if not asked:
        return found
    for one in uncertain:
        open_roles = [role for role in one.maybe if role not in chosen and role not in found]
        rivals = [other for other in uncertain if other.key != one.key and set(other.maybe) & set(open_roles)]
        if len(open_roles) == 1 and not rivals:
            found[open_roles[0]] = replace(one, role=open_roles[0], notes=(*one.notes, "Taken as the only one left."))
    return found


def _check_uncertain(series: Sequence[Series], chosen: Mapping[str, Series]) -> None:
    """Ask about series that may be a modality for which there is no other one."""
    for role in ROLES:
        asked = [one for one in series if one.role is None and role in one.maybe and not one.problem]
        if role in chosen or not asked:
            continue
        reasons = " ".join(one.reason for one in asked)
        options = " or ".join(f"--{role} {one.key}" for one in asked)
        raise InputError(
            f"Which series is {display_name(role)}? {reasons} Say so: {options} (over HTTP: roles).", field=role
        )


def _check_one_head(chosen: Sequence[Series]) -> None:
    for what, values in (
        ("patients", {one.patient_id for one in chosen}),
        ("studies", {one.study_uid for one in chosen}),
    ):
        if len(values) > 1:
            shown = ", ".join(f"{one.title} of {one.patient_id or 'an unnamed patient'}" for one in chosen)
            raise InputError(f"The series are of {len(values)} {what}: {shown}. Name the folder of one.", field="files")


def _with_frames_told(chosen: dict[str, Series]) -> dict[str, Series]:
    """Note which series have another frame of reference than the reference series."""
    reference = next(role for role in REFERENCE_ORDER if role in chosen)
    frame = chosen[reference].frame_of_reference
    note = (
        f"Its frame of reference is not that of the {TITLES[reference]} series: their positions cannot be compared "
        "until they are registered."
    )
    return {
        role: replace(one, notes=(*one.notes, note)) if one.frame_of_reference != frame else one
        for role, one in chosen.items()
    }


def _missing(missing: Sequence[str], series: Sequence[Series]) -> str:
    titles = ", ".join(display_name(role) for role in missing)
    return (
        f"Missing: {titles}. {_listed(series)} If one of them is it, say so: --{missing[0]} SERIES (over HTTP: roles)."
    )


def _listed(series: Sequence[Series]) -> str:
    if not series:
        return "There are no DICOM series."
    shown = " ".join(one.reason for one in series[:_SHOWN])
    return f"Found: {shown}" + (f" And {len(series) - _SHOWN} more." if len(series) > _SHOWN else "")
