"""A day at the panel: cases are opened, segmented, corrected, submitted and closed, one after the other.

``python -m tests.slicer_extension.panel.day`` does that with 200 cases and prints what the last 20 cost compared with
the first 20; ``--cases N`` with another number, ``--next`` without closing the scene between two cases. Exit code 1 if
anything has grown.
"""

from __future__ import annotations

import argparse
import gc
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

import psutil
import slicer
import vtk

from tests.slicer_extension.harness import mrml_scene
from tests.slicer_extension.panel.server import LEVELS, Image, ScriptedServer, scripted_server, write
from tests.slicer_extension.panel.user import PlainUser
from tests.slicer_extension.scene.nodes import image, oblique, observers_of

SHAPE = (40, 48, 56)
#: Assignments of which the median is taken.
ASSIGNMENTS = 15
#: Cases after which everything that is made once has been made.
WARM_UP = 2


class Reading(NamedTuple):
    """What there is after a case: memory of the process, time of an assignment to the parameter node, and counts.

    Attributes:
        observers: Of the scene and all of its nodes, in Python and in C++.
        objects: VTK objects that Python holds.
    """

    megabytes: float
    milliseconds: float
    nodes: int
    observers: int
    objects: int


def work_through(user: PlainUser, server: ScriptedServer, cases: int, *, close: bool = True) -> Iterator[Reading]:
    """Yield a reading after each case; the server must be connected."""
    for number in range(cases):
        _serve(server, number)
        user.run(5.5)  # the panel asks the server how many cases are left
        user.wait(lambda: user.ui.nextCaseButton.enabled)
        user.finish("nextCaseButton")
        user.wait(lambda: user.ui.segmentButton.enabled)
        user.segment()
        _edit(user)
        user.wait_for_changes("differ", 20)
        user.submit()
        assert user.tone == "good", user.status
        if close:
            slicer.mrmlScene.Clear()
            user.run(0.5)
        user.wait_idle()
        yield _read(user)


def growth(readings: list[Reading]) -> list[str]:
    """Return what has grown from the first to the last readings, one sentence each."""
    readings = readings[WARM_UP:]
    part = min(20, len(readings) // 2)
    first, last = readings[:part], readings[-part:]
    limits = Reading(8 + 0.05 * len(readings), 0.05 + median(one.milliseconds for one in first), 0, 0, 0)
    found = []
    for name, limit in limits._asdict().items():
        before, after = (median(getattr(one, name) for one in some) for some in (first, last))
        if after - before > limit:
            found.append(f"{name}: {before:.2f} in the first {part} cases, {after:.2f} in the last")
    return found


def _serve(server: ScriptedServer, number: int) -> None:
    """Have the server offer one case, and forget the earlier ones: it shares this process's memory."""
    for kept in (server.cases, server.labels, server.sessions, server.asked, server.uploads):
        kept.clear()
    volumes = {role: image(SHAPE, 10 * number + seed) % 90 for seed, role in enumerate(("t1", "t1ce", "t2", "flair"))}
    for level, k in zip(LEVELS, (6, 14, 22), strict=True):
        volumes["t1ce"][k : k + 6, 8 : 10 + k, 6:40] = level + 20
    matrix = oblique()
    server.cases[f"day-{number:03d}"] = {
        role: Image(write(array, matrix), array, matrix) for role, array in volumes.items()
    }


def _edit(user: PlainUser) -> None:
    """Paint as an effect does: in place. ``slicer.util`` would leave display nodes of its own behind."""
    inner = user.parameters.segmentation.GetSegmentation()
    segment_id = inner.GetNthSegmentID(2)
    array = slicer.util.arrayFromSegmentInternalBinaryLabelmap(user.parameters.segmentation, segment_id)
    array[:4, :4, :4] = inner.GetSegment(segment_id).GetLabelValue()
    inner.GetSegment(segment_id).GetRepresentation("Binary labelmap").Modified()


def _read(user: PlainUser) -> Reading:
    parameters, scene, times = user.parameters, slicer.mrmlScene, []
    for number in range(ASSIGNMENTS):
        began = time.perf_counter()
        parameters.model_version = f"v{number}"
        times.append(time.perf_counter() - began)
    parameters.model_version = ""
    gc.collect()
    nodes = [scene.GetNthNode(number) for number in range(scene.GetNumberOfNodes())]
    return Reading(
        megabytes=psutil.Process().memory_info().rss / 1e6,
        milliseconds=1000 * median(times),
        nodes=len(nodes),
        observers=sum(observers_of(one) for one in (scene, *nodes)),
        objects=sum(issubclass(type(one), vtk.vtkObjectBase) for one in gc.get_objects()),
    )


def main(arguments: list[str]) -> int:
    """Run a day and print it; return 1 if anything has grown."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.slicer_extension.panel.day", description="A day at the panel."
    )
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--next", action="store_true", help="do not close the scene between two cases")
    options = parser.parse_args(arguments)
    readings: list[Reading] = []
    with tempfile.TemporaryDirectory() as folder, mrml_scene.running(), scripted_server() as server:
        user = PlainUser(Path(folder))
        user.connect(server.url)
        print("case      MB      ms   nodes  observers  objects")
        for reading in work_through(user, server, options.cases, close=not options.next):
            readings.append(reading)
            if len(readings) % 20 == 0 or len(readings) <= WARM_UP:
                print("{:4d} {:7.1f} {:7.3f} {:7d} {:10d} {:8d}".format(len(readings), *reading), flush=True)
        user.panel.cleanup()
    for some in ("first", "last"):
        part = readings[WARM_UP:][:20] if some == "first" else readings[-20:]
        print(f"{some} {len(part)}: " + ", ".join(
            f"{name} {median(getattr(one, name) for one in part):.4g}" for name in Reading._fields
        ))  # fmt: skip
    grown = growth(readings)
    print("\n".join(grown) or "Nothing has grown.")
    return 1 if grown else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
