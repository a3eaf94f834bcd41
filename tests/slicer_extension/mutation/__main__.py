"""Seeded faults: ``python -m tests.slicer_extension.mutation [words]`` says which of them no test notices.

Each mistake in ``faults.txt`` is made in a copy of the extension, and the few tests that must notice it are run.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
TESTS = "tests/slicer_extension"
LIBRARY = "slicer_extension/TumorLoop/TumorLoopLib"
WORKERS = 2
#: Seconds for the tests of one fault; tests that hang have noticed it.
TIMEOUT = 300
_PYTEST = ("-m", "pytest", "-x", "-q", "-rfE", "--no-header", "--tb=no", "-p", "no:cacheprovider", "--timeout=120")


class RunFailed(Exception):
    """The run itself went wrong: a fault does not fit the code, healthy tests fail, or pytest ran nothing."""


@dataclass
class Fault:
    """A mistake: ``old``, which the file below ``TumorLoopLib`` holds once, becomes ``new``; ``tests`` must notice."""

    name: str
    file: str
    tests: list[str]
    old: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)

    def changed(self) -> str:
        """Return the text of the file with the mistake in it."""
        old, text = "\n".join(self.old), (REPOSITORY / LIBRARY / self.file).read_text("utf-8")
        if text.count(old) != 1 or self.old == self.new:
            raise RunFailed(f"{self.name}: {self.file} holds this {text.count(old)} times, not once:\n{old}")
        return text.replace(old, "\n".join(self.new))


def read_faults(text: str) -> list[Fault]:
    """Read the list of faults; its first lines describe the format."""
    faults, tests = list[Fault](), list[str]()
    for line in text.splitlines():
        if line.startswith("@"):
            tests = [f"{TESTS}/{test}" for test in line[1:].split()]
        elif line.startswith("-"):
            faults[-1].old.append(line[1:])
        elif line.startswith("+"):
            faults[-1].new.append(line[1:])
        elif not line.startswith("#"):
            file, name = line.split(": ", 1)
            faults.append(Fault(name, file, tests))
    return faults


FAULTS = read_faults(Path(__file__).with_name("faults.txt").read_text("utf-8"))


def failing_test(tests: Iterable[str], fault: Fault | None = None, timeout: float = TIMEOUT) -> str:
    """Run tests on a copy, with a fault or without, and return the first that fails; an empty text if none does."""
    with tempfile.TemporaryDirectory(prefix="tumorloop-fault-") as folder:
        for name in ("CMakeLists.txt", "pyproject.toml"):
            shutil.copy(REPOSITORY / name, folder)
        shutil.copytree(REPOSITORY / "slicer_extension", Path(folder) / "slicer_extension")
        if fault is not None:
            (Path(folder) / LIBRARY / fault.file).write_text(fault.changed(), "utf-8")
        module = str((Path(folder) / LIBRARY).parent)
        # TMPDIR: a test that looks for files left behind must not find those of another run.
        own = {"TUMORLOOP_EXTENSION": module, "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": folder}
        command, env = [sys.executable, *_PYTEST, *tests], {**os.environ, **own}
        try:
            done = subprocess.run(command, cwd=REPOSITORY, env=env, capture_output=True, text=True, timeout=timeout)
        except subprocess.TimeoutExpired:
            return f"(hung for {timeout:.0f} s)"
    if done.returncode in (1, 2) and (failed := re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)):
        return failed.group(1)
    if done.returncode < 0 or (done.returncode > 2 and "Fatal" in done.stderr):
        return f"(crashed, code {done.returncode})"
    if done.returncode:
        raise RunFailed(f"pytest ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return ""


def missed_faults(faults: Sequence[Fault]) -> int:
    """Try each fault, two at a time, print a line when its tests have ended, and return how many went unnoticed."""
    missed = 0
    with ThreadPoolExecutor(WORKERS) as pool:
        results = pool.map(lambda fault: failing_test(fault.tests, fault), faults)
        for done, (fault, failed) in enumerate(zip(faults, results, strict=True), start=1):
            missed += not failed
            verdict = f"{'caught' if failed else 'MISSED'}  {fault.name:62s} {failed.removeprefix(TESTS + '/')}"
            print(f"{done:2d}/{len(faults)}  {verdict}", flush=True)
    return missed


def main(words: Sequence[str] = ()) -> int:
    """Run the faults with one of the words in their names, or all; return 0 if each was caught."""
    faults = [one for one in FAULTS if not words or any(word in one.name for word in words)]
    try:
        if not faults:  # pytest without a path would run everything
            raise RunFailed(f"no fault has one of these in its name: {', '.join(words)}")
        if failed := failing_test(sorted({test for one in faults for test in one.tests}), timeout=6 * TIMEOUT):
            raise RunFailed(f"without any fault there is one already: {failed}")
        missed = missed_faults(faults)
    except RunFailed as error:
        print(error, file=sys.stderr)
        return 2
    print(f"\n{len(faults)} faults, {len(faults) - missed} caught, {missed} missed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
