"""The size of the installed environment, and what takes the most of it."""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path

from benchmarks.context import Context
from benchmarks.outcome import Figure, Outcome, rounded

_SHOWN = 8
_REMARK = "The environment that ran this: development and the peers need most of it, and `make setup` installs less."


def measure(context: Context) -> Outcome:
    """Add up the files of the environment that runs this."""
    site = Path(sysconfig.get_path("purelib"))
    sizes = {path.name: size_mib(path) for path in site.iterdir()}
    largest = sorted(sizes, key=lambda name: sizes[name], reverse=True)[:_SHOWN]
    figures = [Figure("installed packages", rounded(sum(sizes.values())), "MiB")]
    figures += [Figure(f"of these, {name}", rounded(sizes[name]), "MiB") for name in largest]
    return Outcome(figures, remarks=[_REMARK])


def size_mib(path: Path) -> float:
    """Return the space that a file, or all files of a folder, take on disk, in MiB; hard links count once."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for file in path.rglob("*") if path.is_dir() and not path.is_symlink() else [path]:
        status = os.lstat(file)
        if (status.st_dev, status.st_ino) not in seen:
            seen.add((status.st_dev, status.st_ino))
            total += status.st_blocks * 512
    return total / 2**20
