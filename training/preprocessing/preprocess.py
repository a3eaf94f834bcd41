"""Preprocessing of volumes as they were scanned: with skull, on several grids, the patient moved between them.

The result is an ordinary case: four stripped volumes that lie on each other. Volumes that are that already pass
untouched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from training.images.grid import Volume
from training.modalities import REFERENCE_ORDER

if TYPE_CHECKING:
    from training.registration.alignment import Alignment

#: Called with the fraction done (0-1) and the stage: ``registering`` or ``stripping``. May raise to stop the work.
ProgressCallback = Callable[[float, str], None]


@dataclass(frozen=True, eq=False)
class Preprocessed:
    """An ordinary case, made of volumes as they were scanned.

    Attributes:
        volumes: By role, float32, stripped and aligned: the reference on its own grid, each other one on the 1 mm grid
            of :func:`training.images.derived_grids.canonical_grid` of it, or untouched where it needed no step.
        reference: The role in whose frame they lie.
        brain: The brain, uint8 0 or 1 on that 1 mm grid; ``None`` if no step ran.
        alignments: What registering found, by role; none for the reference, and for volumes that were not registered.
        steps: What ran and what was not needed, one sentence each.
        warnings: What may make the result poor, one sentence each.
        seconds: Time of each stage that ran: ``registering``, ``stripping``.
        changed: Whether any volume was changed; if not, :attr:`volumes` are those given.
    """

    volumes: dict[str, Volume]
    reference: str
    brain: Volume | None = None
    alignments: dict[str, Alignment] = field(default_factory=dict)
    steps: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    changed: bool = False


def preprocess(
    volumes: Mapping[str, Volume],
    *,
    reference: str | None = None,
    as_scanned: bool | None = None,
    force: bool = False,
    on_progress: ProgressCallback | None = None,
) -> Preprocessed:
    """Register and strip volumes as far as they need it.

    Args:
        volumes: By role, each on its own grid; at least one.
        reference: The role whose frame the others are moved into; ``None`` for T1ce, or the first present of T1, T2 and
            FLAIR.
        as_scanned: Whether the volumes are as they were scanned; ``None`` to find out.
        force: Compute also where a series does not fit.
        on_progress: Called with the fraction done and the stage.

    Raises:
        InputError: If a series does not fit the reference (and it is not forced); ``field`` is its role.
    """
    chosen = reference or next(role for role in REFERENCE_ORDER if role in volumes)
    return Preprocessed(dict(volumes), chosen)
