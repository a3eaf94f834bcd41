"""Which steps volumes need: whether they have to be registered, and which of them show the skull."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from training.errors import InputError
from training.images.derived_grids import canonical_grid
from training.images.grid import Grid, Volume
from training.images.resample import index_map, whole_voxels
from training.modalities import REFERENCE_ORDER, ROLES, TITLES
from training.skull_stripping.skull import shows_skull

#: The modalities in which the brain can be found.
BRAIN_SOURCES = ("t1ce", "t1")


@dataclass(frozen=True)
class Plan:
    """The steps that the volumes of one case need.

    Attributes:
        reference: The role in whose frame the result lies.
        registered: The roles that have to be registered to it.
        heads: The roles that show the skull.
        brain_from: The role in which the brain is found; ``None`` if none shows the skull, or the brain is given.
    """

    reference: str
    registered: tuple[str, ...] = ()
    heads: tuple[str, ...] = ()
    brain_from: str | None = None

    @property
    def needed(self) -> bool:
        """Whether there is any step."""
        return bool(self.registered or self.heads)


def plan(
    volumes: Mapping[str, Volume],
    reference: str | None,
    as_scanned: bool | None,
    *,
    has_brain: bool = False,
    force: bool = False,
) -> Plan:
    """Find out which steps the volumes need.

    Stripped volumes that share the voxels of the reference, or of the 1 mm grid of its frame, are taken as aligned.
    All others are registered: series of one grid as well, if others of the study lie on another, since a scanner uses
    one grid before and after the patient moved.

    Args:
        volumes: By role, at least one.
        reference: As for :func:`training.preprocessing.preprocess.preprocess`.
        as_scanned: False for no step at all, true for all of them, ``None`` for those that are needed.
        has_brain: Whether the brain is given, to be cut out of all volumes.
        force: Find the brain in whatever there is.

    Raises:
        InputError: If the brain would have to be found in T2 or FLAIR, and that is not forced.
    """
    present = [role for role in ROLES if role in volumes]
    chosen = reference if reference in present else next(role for role in REFERENCE_ORDER if role in present)
    if as_scanned is False:
        return Plan(chosen)
    if as_scanned or has_brain:
        heads = tuple(present)
    else:
        with ThreadPoolExecutor(len(ROLES)) as pool:
            skulls = list(pool.map(lambda role: shows_skull(volumes[role]), present))
        heads = tuple(role for role, skull in zip(present, skulls, strict=True) if skull)
        if 2 * len(heads) > len(present):
            # A study is stripped or it is not; fat suppression may make the scalp of one series as dark as its skull.
            heads = tuple(present)
    grids = {role: volumes[role].grid for role in present}
    moved = bool(heads) or not all(_aligned(grid, grids[chosen]) for grid in grids.values())
    registered = tuple(role for role in present if role != chosen) if moved else ()
    brain_from = _brain_from(chosen, heads, present, force) if heads and not has_brain else None
    return Plan(chosen, registered, heads, brain_from)


def _aligned(grid: Grid, reference: Grid) -> bool:
    """Return whether a grid has the voxels of the reference, or those onto which preprocessing puts the others."""
    return any(
        whole_voxels(index_map(other.affine, grid.affine), grid.shape) is not None
        for other in (reference, canonical_grid(reference))
    )


def _brain_from(reference: str, heads: tuple[str, ...], present: list[str], force: bool) -> str:
    """Return the role in which the brain is found: a T1 with skull, or else one that was stripped."""
    usable = [role for role in (reference, *REFERENCE_ORDER) if role in heads]
    good = [role for role in usable if role in BRAIN_SOURCES]
    good += [role for role in (reference, *REFERENCE_ORDER) if role in present and role not in heads]
    if not good and not force:
        names = " and ".join(TITLES[role] for role in heads)
        raise InputError(
            f"{names} show the skull, and there is no T1 in which the brain could be found. Add the T1, with or "
            "without contrast, or strip the skull first; to try it on these, use --force (force over HTTP).",
            field="t1ce",
        )
    return (good or usable)[0]
