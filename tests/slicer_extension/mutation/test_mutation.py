"""The mutation run itself: its faults fit the code as it is, and it tells a noticed fault from an unnoticed one."""

from __future__ import annotations

import ast
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from tests.slicer_extension.mutation import __main__ as command
from tests.slicer_extension.mutation import runner
from tests.slicer_extension.mutation.catalog import MUTANTS
from tests.slicer_extension.mutation.mutant import Mutant, StaleMutant

NOTICED = Mutant(
    "Submit possible without a name",
    "TumorLoopLib/state.py",
    "if not self.case_id.strip():",
    "if False:",
    ("tests/slicer_extension/panel/test_state.py",),
)
UNNOTICED = replace(NOTICED, name="nothing changed", new="if not self.case_id.strip():  # the same")


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_fault_fits_the_code_and_leaves_a_file_that_can_be_read(mutant):
    text = mutant.changed(mutant.path_in(runner.REPOSITORY).read_text("utf-8"))
    if mutant.file.endswith(".py"):
        ast.parse(text)
    elif mutant.file.endswith(".ui"):
        ElementTree.fromstring(text)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_tests_of_a_fault_exist(mutant):
    assert mutant.tests
    for test in mutant.tests:
        path, _, function = test.partition("::")
        source = (runner.REPOSITORY / path).read_text("utf-8")
        assert f"def {function.partition('[')[0]}" in source


def test_there_are_enough_faults_and_no_two_bear_one_name():
    assert len(MUTANTS) >= 24
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


@pytest.mark.parametrize("old", ["no such line", "def ", NOTICED.new])
def test_a_fault_that_does_not_fit_exactly_once_is_stale(old):
    with pytest.raises(StaleMutant, match="times in"):
        replace(NOTICED, old=old).changed("def a(): pass\ndef b(): pass\n")


def test_a_noticed_fault_is_caught_by_the_test_that_failed_and_the_code_is_not_touched():
    path = NOTICED.path_in(runner.REPOSITORY)
    before = path.read_bytes()
    outcome = runner.run_mutant(NOTICED)
    assert "test_state.py::test_a_missing_segmentation_or_name" in outcome.caught_by
    assert command.row(outcome).startswith("caught  Submit possible without a name")
    assert path.read_bytes() == before


def test_an_unnoticed_fault_is_missed_and_fails_the_run(monkeypatch, capsys):
    monkeypatch.setattr(command, "MUTANTS", (UNNOTICED,))
    assert command.main(["--no-check"]) == 1
    printed = capsys.readouterr().out
    assert "MISSED  nothing changed" in printed
    assert "1 faults, 0 caught, 1 missed" in printed


def test_tests_that_fail_without_a_fault_stop_the_run(monkeypatch, capsys):
    monkeypatch.setattr(runner, "_run_tests", lambda tests, root, patience=0: "test_x.py::test_y")
    assert command.main(["wrong endpoint"]) == 2
    assert "without any fault there is one already: test_x.py::test_y" in capsys.readouterr().err


def test_pytest_that_finds_no_test_stops_the_run():
    with pytest.raises(runner.RunFailed, match="pytest ended with"):
        runner.run_mutant(replace(NOTICED, tests=("tests/slicer_extension/no_such_file.py",)))
