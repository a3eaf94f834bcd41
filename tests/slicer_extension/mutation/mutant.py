"""One seeded fault."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


class StaleMutant(Exception):
    """The place of a fault is no longer in the code, or is there more than once; its description must follow."""


@dataclass(frozen=True)
class Mutant:
    """A mistake: one piece of a file replaced by another.

    Attributes:
        name: The mistake in a few words; unique.
        file: Below ``slicer_extension/TumorLoop``, or the root ``CMakeLists.txt`` with a leading ``/``.
        old: What the healthy file holds exactly once.
        new: What it holds instead.
        tests: pytest's arguments: the files, or single tests, that should notice.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def path_in(self, root: Path) -> Path:
        """Return the file's path in a copy of the extension."""
        return (
            root / self.file[1:] if self.file.startswith("/") else root / "slicer_extension" / "TumorLoop" / self.file
        )

    def changed(self, text: str) -> str:
        """Return a file's text with the mistake in it.

        Raises:
            StaleMutant: If the place is not there exactly once.
        """
        count = text.count(self.old)
        if count != 1 or self.old == self.new:
            raise StaleMutant(f"{self.name}: {self.old!r} is {count} times in {self.file}")
        return text.replace(self.old, self.new)

    def apply(self, root: Path) -> None:
        """Make the mistake in a copy of the extension."""
        path = self.path_in(root)
        path.write_text(self.changed(path.read_text("utf-8")), "utf-8")
