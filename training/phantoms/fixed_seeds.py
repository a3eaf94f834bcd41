"""Phantoms that are kept for measuring: nothing is ever trained on them, nor chosen by them."""

from __future__ import annotations

from collections.abc import Iterable

from training.errors import InputError

#: The phantoms every model is measured on.
FIXED_SEEDS = range(910_000_000, 910_000_100)
#: Heads without tumor, made with ``tumor=False``.
HEALTHY_SEEDS = range(920_000_000, 920_000_020)
#: Heads without tumor that hold every distractor.
DISTRACTOR_SEEDS = range(930_000_000, 930_000_020)


def refuse_fixed(seeds: Iterable[int]) -> None:
    """Keep the phantoms for measuring out of training.

    Raises:
        InputError: If one of ``seeds`` is among them.
    """
    for seed in seeds:
        if seed in FIXED_SEEDS or seed in HEALTHY_SEEDS or seed in DISTRACTOR_SEEDS:
            raise InputError(
                f"Phantom {seed} is kept for measuring models and must not be trained on. Kept are "
                f"{FIXED_SEEDS[0]} to {FIXED_SEEDS[-1]}, {HEALTHY_SEEDS[0]} to {HEALTHY_SEEDS[-1]} and "
                f"{DISTRACTOR_SEEDS[0]} to {DISTRACTOR_SEEDS[-1]}.",
                field="seeds",
            )
