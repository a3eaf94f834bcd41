"""What every benchmark is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

Value = TypeVar("Value")


@dataclass(frozen=True)
class Context:
    """What every benchmark is given.

    Attributes:
        work: A folder for its files.
        quick: Whether a rough answer suffices.
        report: Called with the share done, 0 to 1.
    """

    work: Path
    quick: bool = False
    report: Callable[[float], None] = lambda share: None

    def choose(self, full: Value, quick: Value) -> Value:
        """Return one value for a full run and another for a quick one."""
        return quick if self.quick else full

    def counter(self, total: int) -> Callable[[], None]:
        """Return a function that reports one more of ``total`` steps."""
        done = 0

        def count() -> None:
            nonlocal done
            done += 1
            self.report(min(1.0, done / total))

        return count
