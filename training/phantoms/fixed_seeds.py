"""Seeds reserved for evaluation: no model is trained on these phantoms, and none is selected by them."""

from __future__ import annotations

from collections.abc import Iterable

from training.errors import InputError

#: The phantoms on which every model is evaluated.
FIXED_SEEDS = range(910_000_000, 910_000_100)
#: Heads without tumor, made with ``tumor=False``.
HEALTHY_SEEDS = range(920_000_000, 920_000_020)
#: Heads without tumor that hold every distractor.
DISTRACTOR_SEEDS = range(930_000_000, 930_000_020)
#: Heads of the made hospitals of the learning curve (:mod:`training.learning.made`).
HOSPITAL_SEEDS = range(940_000_000, 940_010_000)

_RESERVED = (FIXED_SEEDS, HEALTHY_SEEDS, DISTRACTOR_SEEDS, HOSPITAL_SEEDS)


def refuse_fixed(seeds: Iterable[int]) -> None:
    """Reject seeds that are reserved for evaluation.

    Raises:
        InputError: If one of ``seeds`` is reserved.
    """
    for seed in seeds:
        if any(seed in reserved for reserved in _RESERVED):
            ranges = [f"{reserved[0]} to {reserved[-1]}" for reserved in _RESERVED]
            raise InputError(
                f"Phantom {seed} is reserved for evaluation and must not be used in training. Reserved are "
                f"{', '.join(ranges[:-1])} and {ranges[-1]}.",
                field="seeds",
            )
