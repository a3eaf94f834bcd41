"""Runs the tests of mutants, each in a copy of its own and a process of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.slicer_extension.mutation.mutant import Mutant

REPOSITORY = Path(__file__).resolve().parents[3]
#: Seconds for the tests of one mutant; a fault that makes them hang counts as caught.
PATIENCE = 300
#: pytest's exit codes.
_PASSED, _FAILED, _INTERRUPTED = 0, 1, 2
_PYTEST = ("-m", "pytest", "-x", "-q", "-rfE", "--no-header", "--tb=no", "-p", "no:cacheprovider", "--timeout=120")


class RunFailed(Exception):
    """The run itself went wrong: healthy tests fail, or pytest found nothing to run."""


@dataclass(frozen=True)
class Outcome:
    """What became of one mutant.

    Attributes:
        mutant: The fault.
        caught_by: The test that noticed; empty if none did.
        seconds: How long it took.
    """

    mutant: Mutant
    caught_by: str
    seconds: float


def copy_extension(root: Path) -> None:
    """Copy the extension, with the files its own tests look at, into an empty folder."""
    for name in ("CMakeLists.txt", "pyproject.toml"):
        shutil.copy(REPOSITORY / name, root)
    leave_out = shutil.ignore_patterns("__pycache__", ".*_cache")
    shutil.copytree(REPOSITORY / "slicer_extension", root / "slicer_extension", ignore=leave_out)


def run_mutant(mutant: Mutant) -> Outcome:
    """Make the mistake and run the tests that should notice.

    Raises:
        StaleMutant: If the mistake cannot be made.
        RunFailed: If pytest could not run the tests.
    """
    with ExitStack() as stack:
        root = _copy(stack)
        mutant.apply(root)
        started = time.monotonic()
        caught_by = _run_tests(mutant.tests, root)
        return Outcome(mutant, caught_by, time.monotonic() - started)


def check_healthy(mutants: Iterable[Mutant]) -> None:
    """Run the tests of all mutants on an untouched copy.

    Raises:
        RunFailed: If one fails: then failing proves nothing.
    """
    tests = sorted({argument for mutant in mutants for argument in mutant.tests})
    with ExitStack() as stack:
        failed = _run_tests(tests, _copy(stack), patience=PATIENCE * 6)
    if failed:
        raise RunFailed(f"without any fault there is one already: {failed}")


def _copy(stack: ExitStack) -> Path:
    root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tumorloop-mutant-")))
    copy_extension(root)
    return root


def _run_tests(tests: Sequence[str], root: Path, patience: float = PATIENCE) -> str:
    """Run tests on a copy up to the first failure; return that test's name, or an empty text."""
    environment = {
        **os.environ,
        "TUMORLOOP_EXTENSION": str(root / "slicer_extension" / "TumorLoop"),
        "PYTHONDONTWRITEBYTECODE": "1",
        # A test that looks for files in the copy's surroundings must not find those of an earlier run.
        "TMPDIR": str(root),
    }
    try:
        done = subprocess.run(
            [sys.executable, *_PYTEST, *tests],
            cwd=REPOSITORY,
            env=environment,
            capture_output=True,
            text=True,
            timeout=patience,
        )
    except subprocess.TimeoutExpired:
        return f"(hung for {patience:.0f} s)"
    if done.returncode == _PASSED:
        return ""
    found = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    if done.returncode < 0 or (done.returncode > _INTERRUPTED and found is None and "Fatal" in done.stderr):
        return f"(crashed, code {done.returncode})"
    if found is None or done.returncode not in (_FAILED, _INTERRUPTED):
        raise RunFailed(f"pytest ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return found.group(1)
