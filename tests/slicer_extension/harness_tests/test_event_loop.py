import threading
import time

import pytest

from tests.slicer_extension.harness import dialogs, event_loop, gui


@pytest.fixture
def timer(qt):
    """Starts timers; the end of the desktop disconnects them."""
    timers = []

    def start(milliseconds, slot):
        timers.append(qt.QTimer())
        timers[-1].connect("timeout()", slot)
        timers[-1].start(milliseconds)
        return timers[-1]

    return start


def test_a_worker_thread_runs_only_while_a_slot_lets_it(timer):
    end, steps, ticks = threading.Event(), list[int](), list[int]()

    def work():
        while not end.wait(0.001):
            steps.append(1)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        first, before = timer(20, lambda: ticks.append(1)), len(steps)
        gui.process_events(0.3)
        assert len(steps) - before <= 2 * len(ticks), "a slot that only runs Python lets a thread take a step or two"
        first.stop()
        timer(20, lambda: time.sleep(0.01))
        before = len(steps)
        gui.process_events(0.3)
        assert len(steps) - before > 30, "a slot that sleeps gives threads its time"
    finally:
        end.set()
        thread.join()


def test_a_timer_does_not_call_its_slot_again_while_that_slot_shows_a_dialog(timer, qt):
    asking, ticks, others = list[int](), list[int](), list[int]()

    def ask():
        asking.append(1)
        ticks.append(len(asking))
        assert qt.QFileDialog.getExistingDirectory(None, "Case") == "/data"
        asking.clear()

    dialogs.choose_path("/data")
    dialogs.choose_path("/data")
    first = timer(5, ask)
    timer(5, lambda: others.append(len(asking)))
    gui.wait_until(lambda: len(ticks) == 2 and not asking)
    first.stop()
    assert ticks == [1, 1], "the slot was entered again"
    assert others.count(1) > 5, "the other timer stood still as well"
    assert event_loop.take_blocks() == [], "an open dialog does not block"


def test_a_slot_that_blocks_is_recorded(timer):
    timer(5, lambda: time.sleep(0.25))
    gui.wait_until(lambda: event_loop._blocks)
    block = event_loop.take_blocks()[0]
    assert (block.what[:13], block.seconds > 0.2) == ("timeout() -> ", True)
