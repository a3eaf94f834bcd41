"""A clinician at the panel: clicks and types with the mouse and keyboard, and reads what is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import slicer

from tests.slicer_extension.extension import EXTENSION

#: Seconds for what a small network on a busy machine does.
PATIENT = 120.0


class User:
    """Works with one panel.

    Args:
        widget: What the harness returns for the loaded module.
    """

    def __init__(self, widget: Any) -> None:
        self.widget = widget
        self.panel = widget.panel
        self.ui = widget.panel.ui

    # === What the clinician does ===

    def click(self, name: str) -> None:
        """Click a button; its section is opened first if it is closed."""
        from tests.slicer_extension.harness import gui

        self.open_section_of(name)
        gui.process_events(0.05)  # a sentence that has grown by a line moves everything below it
        gui.click(getattr(self.ui, name))

    def type(self, name: str, text: str, *, enter: bool = False) -> None:
        """Type into a field."""
        from tests.slicer_extension.harness import gui

        self.open_section_of(name)
        gui.type_into(getattr(self.ui, name), text, enter=enter)

    def press(self, keys: str) -> None:
        """Press a key."""
        from tests.slicer_extension.harness import gui

        gui.press(keys, self.widget.parent)

    def open_section_of(self, name: str) -> None:
        """Open the collapsed sections around a widget by clicking their titles."""
        from tests.slicer_extension.harness import gui

        widget, closed = getattr(self.ui, name), []
        while widget is not None:
            if getattr(widget, "collapsed", False):
                closed.append(widget)
            widget = widget.parentWidget()
        for section in reversed(closed):
            gui.click(section)

    def wait(self, condition: Callable[[], Any], seconds: float = PATIENT, what: str = "") -> Any:
        """Wait while the event loop runs."""
        from tests.slicer_extension.harness import gui

        return gui.wait_until(condition, seconds, what or f"what was waited for (status: {self.status!r})")

    def wait_idle(self, seconds: float = PATIENT) -> None:
        """Wait until nothing that the clinician asked for is going on."""
        shown = {"test", "case", "segment", "submit", "train", "versions", "start server", "volumes"}
        self.wait(lambda: not (self.panel.state().busy & shown), seconds, "the end of what is going on")

    # === Steps of the loop ===

    def connect(self, url: str) -> None:
        """Enter the server's address and test the connection."""
        self.type("addressCombo", url)
        self.click("testButton")
        self.wait_idle()
        self.wait(lambda: self.panel.context.server_status is not None, 20, f"a connection ({self.status!r})")

    def choose_studies(self, folder: Path) -> None:
        """Choose the folder of a server on this machine."""
        from tests.slicer_extension.harness import dialogs

        dialogs.choose_path(str(folder))
        self.click("studiesButton")

    def load_folder(self, folder: Path) -> None:
        """Load a case from a folder."""
        from tests.slicer_extension.harness import dialogs

        dialogs.choose_path(str(folder))
        self.click("folderButton")
        self.wait_idle()
        self.wait(lambda: not self.panel.state().volumes_problem, 20, "four usable volumes")

    def segment(self) -> Any:
        """Click Auto-segment and wait for the segmentation."""
        before = self.parameters.segmentation
        self.click("segmentButton")
        self.wait_idle()
        assert self.parameters.segmentation is not before, self.status
        return self.parameters.segmentation

    def submit(self) -> None:
        """Click Submit and wait."""
        self.click("submitButton")
        self.wait_idle()

    def paint(self, label: int, box: tuple[slice, slice, slice]) -> None:
        """Fill a box of the segment of a label, as an effect of the Segment Editor would: others give way.

        Args:
            label: Its value.
            box: Slices in ``(k, j, i)``.
        """
        node, reference = self.parameters.segmentation, self.parameters.t1ce
        segmentation = node.GetSegmentation()
        for number in range(segmentation.GetNumberOfSegments()):
            segment_id = segmentation.GetNthSegmentID(number)
            array = slicer.util.arrayFromSegmentBinaryLabelmap(node, segment_id, reference)
            inside = bool(segment_tag(segmentation.GetSegment(segment_id)) == str(label))
            array = np.array(array)
            array[box] = 1 if inside else 0
            slicer.util.updateSegmentBinaryLabelmapFromArray(array, node, segment_id, reference)

    # === What the clinician sees ===

    @property
    def parameters(self) -> Any:
        """The parameter node."""
        return self.panel.context.parameters

    @property
    def status(self) -> str:
        """The status line."""
        return str(self.ui.statusText.text)

    @property
    def tone(self) -> str:
        """Whether the status line is good, bad, busy or plain."""
        return str(self.ui.statusLight.property("tone"))

    def table(self, name: str) -> list[list[str]]:
        """The texts of a table."""
        table = getattr(self.ui, name)
        return [
            [table.item(row, column).text() for column in range(table.columnCount)] for row in range(table.rowCount)
        ]

    def buttons(self) -> dict[str, bool]:
        """Which buttons are enabled."""
        names = [name for name in vars(self.ui) if name.endswith("Button") and not name.startswith("qt_")]
        return {name: bool(getattr(self.ui, name).enabled) for name in names}


def segment_tag(segment: Any) -> str:
    """Return the label value that a segment's tag holds."""
    import vtk

    value = vtk.reference("")
    return str(value) if segment.GetTag("TumorLoop.label", value) else ""


@contextmanager
def at_the_panel() -> Iterator[User]:
    """Load the module as Slicer does; a desktop must be running."""
    from tests.slicer_extension.harness import scripted_module

    yield User(scripted_module.load(EXTENSION / "TumorLoop.py"))
