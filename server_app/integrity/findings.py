"""The findings of a check of the workspace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

#: Something is lost or not what it was: the check fails.
ERROR = "error"
#: It should be looked at, but nothing that was stored is damaged.
WARNING = "warning"


@dataclass(frozen=True)
class Finding:
    """One problem.

    Attributes:
        severity: :data:`ERROR` or :data:`WARNING`.
        what: Where, as a path below the workspace or a name.
        message: What is wrong, and what to do about it.
    """

    severity: str
    what: str
    message: str


@dataclass
class Findings:
    """The problems that were found, and how much was checked.

    Attributes:
        found: In the order of the check.
        checked: Number of checked items by kind.
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
        """Add an error if the block cannot read from the disk."""
        try:
            yield
        except OSError as error:
            self.error(what, f"It cannot be read from the disk: {error.strerror or error}.")

    def count(self, severity: str) -> int:
        """Return the number of findings with a severity."""
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
        verdict = "Everything is intact." if self.sound else "Something is wrong; see above."
        return f"Checked {looked}: {self.count(ERROR)} errors, {self.count(WARNING)} warnings. {verdict}"
