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


def refuse_fixed(seeds: Iterable[int]) -> None:
    """Reject seeds that are reserved for evaluation.

    Raises:
        InputError: If one of ``seeds`` is reserved.
    """
    for seed in seeds:
        if seed in FIXED_SEEDS or seed in HEALTHY_SEEDS or seed in DISTRACTOR_SEEDS:
            raise InputError(
                f"Phantom {seed} is reserved for evaluation and must not be used in training. Reserved are "
                f"{FIXED_SEEDS[0]} to {FIXED_SEEDS[-1]}, {HEALTHY_SEEDS[0]} to {HEALTHY_SEEDS[-1]} and "
                f"{DISTRACTOR_SEEDS[0]} to {DISTRACTOR_SEEDS[-1]}.",
                field="seeds",
            )
