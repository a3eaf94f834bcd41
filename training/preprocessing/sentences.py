"""What preprocessing tells: one sentence for each step, warning and refusal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from training.errors import InputError
from training.modalities import TITLES, display_name
from training.registration.alignment import MAX_DEGREES, MIN_SHARPNESS

if TYPE_CHECKING:
    from training.registration.alignment import Alignment


def registered(role: str, reference: str, found: Alignment) -> str:
    """Return what was found for a series that was moved."""
    return (
        f"Registered {TITLES[role]} to {TITLES[reference]}: {found.degrees:.1f} degrees, {found.mm:.0f} mm, similarity "
        f"{found.similarity:.2f}."
    )


def kept(role: str, reference: str, apart_mm: float) -> str:
    """Return that a series stays where its header says."""
    return (
        f"{TITLES[role]} lies on {TITLES[reference]} by its header; registering finds {apart_mm:.1f} mm, so it was not "
        "moved."
    )


def unfit(role: str, reference: str, found: Alignment) -> InputError:
    """Return the refusal of a series that does not fit."""
    return InputError(
        f"{display_name(role)} does not fit {TITLES[reference]}: {_evidence(found)} Is it a head of the same patient, "
        "and the modality that it was taken for? Leave the series out (--allow-missing), give it as it lies "
        "(--no-as-scanned), or compute all the same (--force); over HTTP allow_missing, as_scanned and force.",
        field=role,
    )


def forced(role: str, reference: str, found: Alignment) -> str:
    """Return the warning about a series that does not fit and was used all the same."""
    return f"{TITLES[role]} does not fit {TITLES[reference]}: {_evidence(found)} It was used because that was forced."


def mirrored(role: str, reference: str) -> str:
    """Return the warning about a series whose mirror image fits better."""
    return (
        f"The mirror image of {TITLES[role]} fits {TITLES[reference]} better than {TITLES[role]} itself: the header of "
        "one of both seems to exchange left and right. Check them before you use the result."
    )


def stripped(source: str, brain_ml: float) -> str:
    """Return that the brain was found."""
    return f"Stripped the skull: {brain_ml:,.0f} mL of brain, found on {TITLES[source]}."


def trimmed(removed_ml: float, brain_ml: float) -> str:
    """Return that the border of the brain was trimmed."""
    return f"Removed {removed_ml:,.0f} mL of fluid and bone from its border; {brain_ml:,.0f} mL of brain are left."


def masked(heads: tuple[str, ...], source: str, brain_ml: float) -> str:
    """Return that the brain of a stripped volume was used for those with skull."""
    names = " and ".join(TITLES[role] for role in heads)
    return (
        f"Stripped the skull of {names} with the brain of {TITLES[source]}, which was stripped already: "
        f"{brain_ml:,.0f} mL."
    )


def given(brain_ml: float) -> str:
    """Return that the brain was given."""
    return f"Stripped the skull with the brain mask that was given: {brain_ml:,.0f} mL."


def implausible(source: str, problems: Iterable[str]) -> InputError:
    """Return the refusal of a brain that cannot be one."""
    return InputError(
        f"{display_name(source)}: {' '.join(problems)} Strip the skull first, or give the brain mask; to compute all "
        "the same, use --force (force over HTTP).",
        field="brain",
    )


def not_needed(*, registering: bool, stripping: bool) -> list[str]:
    """Return which steps were not needed."""
    found = [] if registering else ["The volumes lie on each other by their headers: nothing was registered."]
    return found if stripping else [*found, "The volumes are skull-stripped already."]


def covers(role: str, share: float) -> str:
    """Return the warning about a series that shows a part of the brain only."""
    return f"{TITLES[role]} covers {share:.0%} of the brain; beyond, the result rests on the other series."


def _evidence(found: Alignment) -> str:
    if found.degrees > MAX_DEGREES:
        return f"it would have to be turned by {found.degrees:.0f} degrees, so one of both headers is wrong."
    return (
        f"registering them found no position in which both show the same anatomy (similarity {found.similarity:.3f}, "
        f"by their headers alone {found.similarity_before:.3f}; sharpness {found.sharpness:.2f} of at least "
        f"{MIN_SHARPNESS:.2f})."
    )
