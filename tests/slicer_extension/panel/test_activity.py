"""The time spent on a segmentation, without pauses."""

import pytest
from TumorLoopLib.panel.activity import PAUSE, Activity

from tests.slicer_extension.panel.conftest import BOX
from tests.slicer_extension.panel.server import ANSWER_TIME


class Clock:
    now = 50.0

    def __call__(self) -> float:
        return self.now


def test_the_time_between_edits_counts_unless_it_is_a_pause():
    clock = Clock()
    activity = Activity(clock)
    activity.touch()
    assert activity.seconds == 0.0  # it is not known when somebody began
    activity.begin()
    for passed, total in ((30, 30), (PAUSE, 30 + PAUSE), (PAUSE + 1, 30 + PAUSE), (5, 35 + PAUSE)):
        clock.now += passed
        activity.touch()
        assert activity.seconds == total
    activity.resume(12)
    clock.now += 5
    activity.touch()
    assert activity.seconds == 12


def test_the_time_of_editing_and_the_time_of_the_segmentation_are_submitted_and_the_next_case_starts_anew(
    segmented, server
):
    user = segmented
    user.run(30)
    user.paint(3, BOX)
    user.run(PAUSE + 60)
    user.paint(2, BOX)
    user.run(20)
    user.submit()
    (label,) = server.labels["case"]
    assert label.params["active_seconds"] == pytest.approx(50, abs=3)
    assert label.params["answer_time"] == ANSWER_TIME
    user.segment()
    user.submit()
    assert (server.labels["case"][1].params["active_seconds"] or 0) < 5


def test_the_time_of_editing_stays_with_the_scene(segmented):
    user = segmented
    user.run(30)
    user.paint(3, BOX)
    user.run(2)
    user.wait_idle()
    kept = user.parameters.active_seconds
    assert kept == pytest.approx(30, abs=3)
    user.panel.context.activity.resume(0)  # as when Slicer is started again
    user.panel.correct.enter_scene()
    assert user.panel.context.activity.seconds == kept
    user.panel.case._clear_case("next")
    assert (user.parameters.active_seconds, user.parameters.answer_time) == (0, "")
    assert user.panel.context.activity.seconds == 0
