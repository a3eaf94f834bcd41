"""What is possible in which state, and the sentence when it is not."""

import dataclasses

import pytest
from TumorLoopLib.panel.state import CASE, EXPORT, SEGMENT, SUBMIT, TEST, TRAIN, VERSIONS, PanelState

NEED_A_SERVER = ["next_case", "sample", "segment", "submit", "load_label", "export", "retrain", "fit_site"]
NEED_A_SERVER += ["use_version"]
READY = PanelState(
    address="http://127.0.0.1:8000", connected=True, case_id="case-1", has_segmentation=True,
    cases_total=4, cases_left=2, new_corrections=1, site_needs=3,
    current_version="v0002", chosen_version="v0001", chosen_label="v0001",
)  # fmt: skip
REASONS = [name for name in dir(PanelState) if name.startswith("reason_")]
WORK = {CASE: "being loaded", SEGMENT: "segmentation is running", SUBMIT: "being submitted"}


def but(*busy, **changes):
    return dataclasses.replace(READY, busy=frozenset(busy), **changes)


def test_everything_but_stopping_is_possible_when_everything_is_there():
    assert [name for name in REASONS if getattr(READY, name)()] == ["reason_stop"]


@pytest.mark.parametrize(
    ("name", "state", "words"),
    [
        *((name, but(connected=False), "connection") for name in NEED_A_SERVER),
        ("test", but(connected=False), ""),
        ("test", but(address=" "), "address"),
        ("test", but(TEST), "running"),
        *(
            (name, but(kind), words)  # work on a case excludes other work on it
            for kind, words in WORK.items()
            for name in ("volumes", "next_case", "sample", "segment", "submit", "load_label")
        ),
        *(("retrain", but(kind), "") for kind in WORK),
        ("segment", but(volumes_problem="Missing: T2."), "Missing: T2."),
        ("submit", but(volumes_problem="Missing: T2."), "Missing: T2."),
        ("submit", but(has_segmentation=False), "Auto-segment"),
        ("submit", but(case_id="  "), "name"),
        ("next_case", but(cases_total=0, cases_left=0), "no cases"),
        ("next_case", but(cases_left=0), "All 4"),
        ("export", but(EXPORT), "being exported"),
        ("export", but(chosen_label=""), "Submit the segmentation first"),
        ("export", but(chosen_label="", submitted=True), ""),
        ("export", but(chosen_label="", has_segmentation=False), ""),
        ("retrain", but(new_corrections=0), "new corrections"),
        ("retrain", but(new_corrections=None), "Checking"),
        ("retrain", but(training=True), "in progress"),
        ("retrain", but(TRAIN), "being sent"),
        ("fit_site", but(new_corrections=0), ""),  # it needs no label
        ("fit_site", but(cases_total=3), ""),
        ("fit_site", but(cases_total=2), "at least 3 cases on the server; there are 2"),
        ("fit_site", but(site_needs=None), "Checking"),
        ("fit_site", but(site_needs=0), "Update the server"),
        ("fit_site", but(training=True), "in progress"),
        ("fit_site", but(TRAIN), "being sent"),
        ("stop", but(training=True), ""),
        ("stop", but(training=True, connected=False), ""),  # while the server is silent
        ("stop", but(TRAIN, training=True), "being sent"),
        ("use_version", but(chosen_version="v0002"), "already in use"),
        ("use_version", but(chosen_version=""), "Select"),
        ("use_version", but(VERSIONS), "being sent"),
    ],
)
def test_what_is_not_possible_has_a_reason(name, state, words):
    reason = getattr(state, f"reason_{name}")()
    assert words in reason
    assert bool(reason) == bool(words)


def test_the_steps_lead_from_the_server_to_the_training():
    walk = [
        PanelState(),
        but(volumes_problem="Missing: T2.", has_segmentation=False),
        but(has_segmentation=False),
        READY,
        but(submitted=True),
    ]
    assert [state.step() for state in walk] == ["server", "case", "segment", "correct", "retrain"]
    # nothing that happens elsewhere takes a correction out of sight
    for elsewhere in (but(connected=False), but(training=True), but(volumes_problem="Missing: T2.")):
        assert elsewhere.step() == "correct"


def test_every_reason_is_a_sentence():
    states = [PanelState(), but(connected=False), but(volumes_problem="Missing: T2."), but(has_segmentation=False)]
    states += [but(kind) for kind in (*WORK, TEST, TRAIN, VERSIONS)]
    for name, reason in ((name, getattr(state, name)()) for state in states for name in REASONS):
        assert not reason or (reason[0].isupper() and reason.endswith(".")), (name, reason)
