"""The seeded faults fit the code as it is, and the run tells a caught fault from a missed one."""

import ast
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from tests.slicer_extension.mutation import __main__ as mutation
from tests.slicer_extension.mutation.__main__ import FAULTS, REPOSITORY, Fault, RunFailed

STATE = ["tests/slicer_extension/panel/test_state.py"]
CAUGHT = Fault("no name", "panel/state.py", STATE, ["not self.case_id.strip()"], ["False"])
MISSED = replace(CAUGHT, name="nothing changed", new=["not self.case_id.strip() and True"])


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_fits_the_code_leaves_a_readable_file_and_names_tests_that_exist(fault):
    text = fault.changed()
    if fault.file.endswith((".py", ".ui")):
        (ast.parse if fault.file.endswith(".py") else ElementTree.fromstring)(text)
    assert fault.tests
    for test in fault.tests:
        path, _, function = test.partition("::")
        text = (REPOSITORY / path).read_text("utf-8")
        assert f"def {function.partition('[')[0]}(" in text if function else "def test_" in text


def test_there_are_105_faults_and_no_two_of_one_name():
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) == 105


@pytest.mark.parametrize("old", ["no such line", "def ", CAUGHT.new[0]])
def test_a_fault_that_does_not_fit_exactly_once_stops_the_run(old):
    with pytest.raises(RunFailed, match="times, not once"):
        mutation.failing_test(STATE, replace(CAUGHT, old=[old]))


def test_a_caught_and_a_missed_fault_are_told_apart_and_the_code_is_not_touched(monkeypatch, capsys):
    path = REPOSITORY / mutation.LIBRARY / CAUGHT.file
    before = path.read_bytes()
    monkeypatch.setattr(mutation, "FAULTS", [CAUGHT, MISSED])
    assert mutation.main() == 1
    caught, missed, _, summary = capsys.readouterr().out.splitlines()
    assert re.search("caught  no name .* panel/test_state.py::test_what_is_not_possible_has_a_reason", caught)
    assert "MISSED  nothing changed" in missed
    assert summary == "2 faults, 1 caught, 1 missed"
    assert path.read_bytes() == before


def test_tests_that_fail_without_a_fault_stop_the_run(monkeypatch, capsys):
    monkeypatch.setattr(mutation, "failing_test", lambda tests, timeout: "test_x.py::test_y")
    assert mutation.main(["wrong endpoint"]) == 2
    assert "without any fault there is one already: test_x.py::test_y" in capsys.readouterr().err


def test_pytest_that_finds_no_test_stops_the_run():
    with pytest.raises(RunFailed, match="pytest ended with"):
        mutation.failing_test(["tests/no_such_file.py"])
