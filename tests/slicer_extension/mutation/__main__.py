"""``python -m tests.slicer_extension.mutation [words]``: run all mutants, or those with the words in their names."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tests.slicer_extension.mutation.catalog import MUTANTS
from tests.slicer_extension.mutation.mutant import StaleMutant
from tests.slicer_extension.mutation.runner import Outcome, RunFailed, check_healthy, run_mutant


def main(arguments: Sequence[str] | None = None) -> int:
    """Run mutants and print a table; return 0 if each was caught."""
    parser = argparse.ArgumentParser(prog="python -m tests.slicer_extension.mutation", description=__doc__)
    parser.add_argument("words", nargs="*", help="run only mutants whose name holds one of these")
    parser.add_argument("--list", action="store_true", help="list the mutants and stop")
    parser.add_argument("--no-check", action="store_true", help="do not run the tests without a fault first")
    options = parser.parse_args(arguments)
    words = [word.lower() for word in options.words]
    mutants = [one for one in MUTANTS if not words or any(word in one.name.lower() for word in words)]
    if options.list:
        print("\n".join(f"{one.name:58s} {one.file}" for one in mutants))
        return 0
    if not mutants:
        print("no mutant has such a name", file=sys.stderr)
        return 2
    outcomes: list[Outcome] = []
    try:
        if not options.no_check:
            check_healthy(mutants)
        for mutant in mutants:
            outcomes.append(run_mutant(mutant))
            print(row(outcomes[-1]), flush=True)
    except (RunFailed, StaleMutant) as error:
        print(error, file=sys.stderr)
        return 2
    missed = [outcome for outcome in outcomes if not outcome.caught_by]
    print(f"\n{len(outcomes)} faults, {len(outcomes) - len(missed)} caught, {len(missed)} missed")
    return 1 if missed else 0


def row(outcome: Outcome) -> str:
    """Return one line of the table."""
    verdict = "caught" if outcome.caught_by else "MISSED"
    by = outcome.caught_by.rpartition("/")[2]
    return f"{verdict}  {outcome.mutant.name:58s} {outcome.seconds:5.1f} s  {by}"


if __name__ == "__main__":
    sys.exit(main())
