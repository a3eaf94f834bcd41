"""What is possible in which state, and the sentence when it is not."""

from __future__ import annotations

import dataclasses

import pytest
from TumorLoopLib.panel.state import CASE, SEGMENT, SUBMIT, TEST, TRAIN, VERSIONS, PanelState

READY = PanelState(
    address="http://127.0.0.1:8000",
    connected=True,
    case_id="case-1",
    has_segmentation=True,
    cases_total=4,
    cases_left=2,
    new_corrections=1,
    current_version="v0002",
    chosen_version="v0001",
    chosen_label="v0001",
)
REASONS = [name for name in dir(PanelState) if name.startswith("reason_")]


def but(**changes):
    return dataclasses.replace(READY, **changes)


def test_everything_but_stopping_is_possible_when_everything_is_there():
    refused = {name: getattr(READY, name)() for name in REASONS if getattr(READY, name)()}
    assert list(refused) == ["reason_stop"]


@pytest.mark.parametrize("name", ["next_case", "sample", "segment", "submit", "load_label", "retrain", "use_version"])
def test_nothing_that_needs_a_server_is_possible_without_one(name):
    assert "connection" in getattr(but(connected=False), f"reason_{name}")()


def test_the_connection_can_be_tested_without_a_connection_but_not_without_an_address():
    assert but(connected=False).reason_test() == ""
    assert "address" in but(address=" ").reason_test()
    assert "running" in but(busy=frozenset({TEST})).reason_test()


@pytest.mark.parametrize("kind", [CASE, SEGMENT, SUBMIT])
@pytest.mark.parametrize("name", ["volumes", "next_case", "sample", "segment", "submit", "load_label"])
def test_work_on_a_case_excludes_other_work_on_it(kind, name):
    assert getattr(but(busy=frozenset({kind})), f"reason_{name}")()


@pytest.mark.parametrize("kind", [CASE, SEGMENT, SUBMIT])
def test_a_training_can_be_started_while_a_case_is_worked_on(kind):
    assert but(busy=frozenset({kind})).reason_retrain() == ""


def test_the_reason_of_the_volumes_is_shown_when_segmenting_is_not_possible():
    assert but(volumes_problem="Missing: T2.").reason_segment() == "Missing: T2."
    assert but(volumes_problem="Missing: T2.").reason_submit() == "Missing: T2."


def test_a_missing_segmentation_or_name_keeps_from_submitting():
    assert "Auto-segment" in but(has_segmentation=False).reason_submit()
    assert "name" in but(case_id="  ").reason_submit()


def test_it_is_said_why_there_is_no_next_case():
    assert "no cases" in but(cases_total=0, cases_left=0).reason_next_case()
    assert "All 4" in but(cases_left=0).reason_next_case()


def test_a_training_needs_new_corrections_and_no_other_training():
    assert "new corrections" in but(new_corrections=0).reason_retrain()
    assert but(new_corrections=None).reason_retrain()
    assert "running" in but(training=True).reason_retrain()
    assert but(busy=frozenset({TRAIN})).reason_retrain()


def test_only_a_running_training_can_be_stopped_also_while_the_server_is_silent():
    assert READY.reason_stop()
    assert but(training=True).reason_stop() == ""
    assert but(training=True, busy=frozenset({TRAIN})).reason_stop()


def test_the_version_in_use_cannot_be_put_to_use():
    assert "already in use" in but(chosen_version="v0002").reason_use_version()
    assert "Select" in but(chosen_version="").reason_use_version()
    assert but(busy=frozenset({VERSIONS})).reason_use_version()


def test_the_steps_lead_from_the_server_to_the_training():
    walk = [
        PanelState(),
        but(volumes_problem="Missing: T2.", has_segmentation=False),
        but(has_segmentation=False),
        READY,
        but(submitted=True),
    ]
    assert [state.step() for state in walk] == ["server", "case", "segment", "correct", "retrain"]


@pytest.mark.parametrize("change", [{"connected": False}, {"training": True}, {"volumes_problem": "Missing: T2."}])
def test_nothing_that_happens_elsewhere_takes_a_correction_out_of_sight(change):
    assert but(**change).step() == "correct"


def test_every_reason_is_a_sentence():
    states = [PanelState(), but(connected=False), but(volumes_problem="Missing: T2."), but(has_segmentation=False)]
    states += [but(busy=frozenset({kind})) for kind in (CASE, SEGMENT, SUBMIT, TEST, TRAIN, VERSIONS)]
    for state in states:
        for name in REASONS:
            reason = getattr(state, name)()
            assert not reason or (reason[0].isupper() and reason.endswith(".")), (name, reason)
