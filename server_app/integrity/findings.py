"""What a check of the workspace finds, and how it is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

#: Something is lost or not what it was: the check fails.
ERROR = "error"
#: Somebody should look at it, but nothing that was stored is damaged.
WARNING = "warning"


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be.

    Attributes:
        severity: :data:`ERROR` or :data:`WARNING`.
        what: Which thing, by its path below the workspace, or by its name.
        message: What is wrong, and what to do about it.
    """

    severity: str
    what: str
    message: str


@dataclass
class Findings:
    """What was found, and how many things were looked at.

    Attributes:
        found: In the order of the check.
        checked: Number of things by kind.
    """

    found: list[Finding] = field(default_factory=list)
    checked: Counter[str] = field(default_factory=Counter)

    def error(self, what: str, message: str) -> None:
        """Add an error."""
        self.found.append(Finding(ERROR, what, message))

    def warning(self, what: str, message: str) -> None:
        """Add a warning."""
        self.found.append(Finding(WARNING, what, message))

    @contextmanager
    def reading(self, what: str) -> Iterator[None]:
        """Add an error if the disk does not give what the block reads."""
        try:
            yield
        except OSError as error:
            self.error(what, f"The disk does not give it: {error.strerror or error}.")

    def count(self, severity: str) -> int:
        """Return how many findings have a severity."""
        return sum(finding.severity == severity for finding in self.found)

    @property
    def sound(self) -> bool:
        """Whether there is no error."""
        return not self.count(ERROR)

    def to_json(self) -> dict[str, Any]:
        """Return everything, for programs."""
        return {
            "sound": self.sound,
            "checked": dict(self.checked),
            "errors": self.count(ERROR),
            "warnings": self.count(WARNING),
            "findings": [asdict(finding) for finding in self.found],
        }

    def summary(self) -> str:
        """Return one sentence, for people."""
        looked = ", ".join(f"{number} {kind}" for kind, number in self.checked.items()) or "nothing"
        verdict = "Everything is as it was stored." if self.sound else "Something is wrong; see above."
        return f"Checked {looked}: {self.count(ERROR)} errors, {self.count(WARNING)} warnings. {verdict}"
