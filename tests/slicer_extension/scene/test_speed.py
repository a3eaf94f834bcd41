"""What the panel does on the user interface's thread takes less than 100 ms on a BraTS grid (240 x 240 x 155).

Test machines are shared, so what is bound here is the least processor time of several runs, and by three times as much;
the medians on the clock are printed (``pytest -s``).
"""

import statistics
import time

import numpy as np
import pytest
import slicer
from TumorLoopLib.scene import comparison, segments
from TumorLoopLib.scene.volumes import add_volume, problem_of, snapshot

from tests.slicer_extension.scene.nodes import LABELS, make_volume
from tests.slicer_extension.scene.segmentations import ED, ET, ball, mask_of, paint, world_of

SHAPE = (155, 240, 240)
BOUND = 0.3

pytestmark = pytest.mark.usefixtures("scene")


def tumor():
    """A large tumor of 180 mL."""
    array = np.zeros(SHAPE, np.uint8)
    array[ball(SHAPE, (75, 120, 110), 35)] = 2
    array[ball(SHAPE, (75, 120, 115), 20)] = 3
    array[ball(SHAPE, (75, 120, 115), 10)] = 1
    return array


def volume():
    values = np.random.default_rng(0).normal(300, 80, SHAPE).astype(np.float32)
    return make_volume("T1ce", values, np.diag([-1.0, -1.0, 1.0, 1.0]))


def least_of(name, call, repeats=7):
    """Run ``call`` several times; return the least seconds of processor time that this thread needed for it."""
    clock, processor = [], []
    for _ in range(repeats):
        started = time.perf_counter(), time.thread_time()
        call()
        clock.append(time.perf_counter() - started[0])
        processor.append(time.thread_time() - started[1])
    median, least = statistics.median(clock), min(processor)
    print(f"{name}: median {1000 * median:.1f} ms on the clock, at least {1000 * least:.1f} ms of processor time")
    return least


def test_looking_at_and_copying_a_volume():
    node = volume()
    assert least_of("problem_of", lambda: problem_of(node)) < BOUND
    assert least_of("snapshot", lambda: snapshot(node, "t1ce")) < BOUND


def test_showing_what_the_server_sent():
    node, array = volume(), tumor()
    world = world_of(node)
    image = slicer.util.arrayFromVolume(node).copy()
    assert least_of("add_segmentation", lambda: segments.add_segmentation(array, world, LABELS, node, "a")) < BOUND
    assert least_of("keep_answer", lambda: segments.keep_answer(array, world, node, "a")) < BOUND
    assert least_of("add_volume", lambda: add_volume(image, world, "a", "t1"), 5) < BOUND


@pytest.mark.parametrize("edited", [False, True], ids=["as it came", "edited over the whole grid"])
def test_taking_a_segmentation_and_comparing_it(edited):
    node, array = volume(), tumor()
    world = world_of(node)
    segmentation = segments.add_segmentation(array, world, LABELS, node, "a")
    kept = segments.keep_answer(array, world, node, "a")
    if edited:
        for segment_id in (ET, ED):  # each gets an array of its own, as large as the volume
            mask = mask_of(segmentation, segment_id, node)
            mask[:2, :2, :2] = mask[-2:, -2:, -2:] = True
            paint(segmentation, segment_id, node, mask)
    copy = segments.extract(segmentation, node, LABELS)
    report = segments.combine(copy)
    assert report.array.any()
    assert least_of("extract", lambda: segments.extract(segmentation, node, LABELS)) < BOUND
    assert least_of("answer_of", lambda: segments.answer_of(kept, node)) < BOUND
    assert least_of("combine", lambda: segments.combine(copy)) < BOUND
    assert least_of("labelmap_of", lambda: segments.labelmap_of(segmentation, node, LABELS)) < BOUND
    assert least_of("volumes_ml", lambda: comparison.volumes_ml(report.array, world, LABELS)) < BOUND
    assert least_of("compare", lambda: comparison.compare(array, report.array, world, LABELS)) < BOUND
