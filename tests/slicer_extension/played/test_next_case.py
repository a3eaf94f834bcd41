"""The next case and why it is the next, and labels that belong to one server's case only."""

from __future__ import annotations

import pytest

from tests.slicer_extension.harness import gui
from tests.slicer_extension.played.case import SECONDS
from tests.slicer_extension.played.server import played_server


@pytest.fixture
def with_cases(connected, played):
    """A clinician whose server has two cases without labels."""
    connected.segment()
    volumes = next(iter(played.sessions.values()))
    played.cases.update({"case-a": volumes, "case-b": volumes})
    connected.wait(lambda: connected.ui.nextCaseButton.enabled, SECONDS)
    return connected


def next_case(user) -> str:
    user.click("nextCaseButton")
    user.wait_idle()
    assert user.tone == "good", user.status
    return user.parameters.case_id


def asked_for(played) -> list[str]:
    return [asked.rpartition("/")[2] for asked in played.asked if asked.startswith("POST /activelearning/")]


def test_the_model_chooses_the_next_case_and_the_clinician_reads_why(with_cases, played):
    assert next_case(with_cases) == "case-b"
    assert with_cases.status == "Case case-b is loaded. The model is least sure."
    assert next_case(with_cases) == "case-a"
    assert next_case(with_cases) == "case-b"
    assert asked_for(played) == ["uncertainty"] * 3


def test_an_older_server_chooses_in_its_own_way(with_cases, played):
    del played.strategies["uncertainty"]
    assert next_case(with_cases) == "case-b"
    assert with_cases.status == "Case case-b is loaded."
    assert asked_for(played) == ["uncertainty", "first"]


def test_labels_of_another_server_are_not_those_of_this_case(connected, played):
    connected.segment()
    connected.submit()
    assert [row[0] for row in connected.table("historyTable")] == ["v0001"]
    with played_server() as other:
        other.labels.update(played.labels)
        other.cases.update(played.cases)
        connected.connect(other.url)
        gui.process_events(0.5)
        assert connected.table("historyTable") == []
        assert not connected.ui.loadLabelButton.enabled
        assert not any("/labels" in asked for asked in other.asked)
        connected.connect(played.url)
        connected.wait(lambda: connected.table("historyTable"), SECONDS)
        assert [row[0] for row in connected.table("historyTable")] == ["v0001"]


def test_labels_go_when_another_address_is_typed_even_before_it_answers(connected):
    connected.segment()
    connected.submit()
    connected.ui.historyTable.selectRow(0)
    connected.type("addressCombo", "http://127.0.0.1:9", enter=False)
    gui.press("Tab", connected.ui.addressCombo.lineEdit())
    connected.wait(lambda: connected.table("historyTable") == [], SECONDS)
    assert connected.panel.state().chosen_label == ""


def test_a_case_that_arrives_after_the_address_has_changed_brings_no_labels_along(with_cases, played):
    context = with_cases.panel.context
    before = context.address
    context.show_history([{"version": "v0001"}], before)
    assert context.history
    context.use_server("http://127.0.0.1:9")
    assert context.history == []
    context.show_history([{"version": "v0001"}], before)
    assert context.history == []
