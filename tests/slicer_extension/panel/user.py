"""A user at the panel: with plain widgets, or with Qt, mouse and keyboard."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from TumorLoopLib.panel.state import OVERVIEW, STATUS

from tests.slicer_extension.extension import EXTENSION
from tests.slicer_extension.panel.services import PlainServices
from tests.slicer_extension.panel.widgets import make_widgets
from tests.slicer_extension.scene.nodes import mask_of, paint, segments_in, tag_of

#: Seconds for a small network on a busy machine.
SECONDS = 120.0
LABEL_TAG = "TumorLoop.label"


class User:
    """What users do and see, whichever widgets the panel has."""

    click: Callable[..., None]
    type: Callable[..., None]
    table: Callable[..., list[list[str]]]
    wait: Callable[..., Any]

    def __init__(self, panel: Any) -> None:
        self.panel, self.ui = panel, panel.ui

    def wait_idle(self) -> None:
        """Wait until nothing that the user started is going on."""
        self.wait(lambda: not self.panel.state().busy - {STATUS, OVERVIEW}, what="the end of what is going on")

    def wait_for_changes(self, text: str, seconds: float = SECONDS) -> None:
        """Wait until the panel says how the segmentation differs from the model's."""
        self.wait(lambda: text in self.ui.changesText.text, seconds, f"{text!r} in the text about changes")

    def finish(self, button: str) -> None:
        """Click a button and wait until what it started has ended."""
        self.click(button)
        self.wait_idle()

    def submit(self) -> None:
        self.finish("submitButton")

    def connect(self, url: str) -> None:
        """Enter the server's address and test the connection."""
        self.type("addressCombo", url)
        self.finish("testButton")
        self.wait(lambda: self.panel.context.server_status is not None, 20)

    def segment(self) -> Any:
        """Click Auto-segment and wait for the segmentation."""
        before = self.parameters.segmentation
        self.finish("segmentButton")
        assert self.parameters.segmentation is not before, self.status
        return self.parameters.segmentation

    def paint(self, label: int, box: tuple[slice, slice, slice]) -> None:
        """Fill a box ``(k, j, i)`` of a label's segment, as an effect of the Segment Editor would: others give way."""
        node, reference = self.parameters.segmentation, self.parameters.t1ce
        for segment in segments_in(node):
            segment_id = node.GetSegmentation().GetSegmentIdBySegment(segment)
            mask = np.array(mask_of(node, segment_id, reference))
            mask[box] = tag_of(segment, LABEL_TAG) == str(label)
            paint(node, segment_id, reference, mask)

    @property
    def parameters(self) -> Any:
        return self.panel.context.parameters

    @property
    def status(self) -> str:
        """The status line."""
        return str(self.ui.statusText.text)

    @property
    def tone(self) -> str:
        """Whether the status line is good, bad, busy or plain."""
        return str(self.ui.statusLight.property("tone"))

    def enabled(self) -> set[str]:
        """The buttons that are enabled."""
        return {n for n, one in vars(self.ui).items() if n.endswith("Button") and n[:3] != "qt_" and one.enabled}

    def versions(self, table: str = "historyTable") -> list[str]:
        """The first column of a table."""
        return [row[0] for row in self.table(table)]


class PlainUser(User):
    """At a panel with plain widgets, whose temporary files go into a folder."""

    def __init__(self, folder: Path) -> None:
        from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic
        from TumorLoopLib.panel.panel import Panel
        from TumorLoopLib.panel.parameters import ParametersOfScene

        self.services, logic = PlainServices(folder), ScriptedLoadableModuleLogic()
        logic.moduleName = "TumorLoop"
        super().__init__(Panel(make_widgets(), ParametersOfScene(logic.getParameterNode), self.services))
        self.panel.enter()

    def click(self, name: str) -> None:
        self.services.process_events()
        getattr(self.ui, name).click()
        self.services.process_events()

    def type(self, name: str, text: str) -> None:
        widget = getattr(self.ui, name)
        if hasattr(widget, "value"):
            widget.value = int(text)
        else:
            widget.type(text)

    def press(self, keys: str) -> None:
        """Press a shortcut."""
        assert self.panel.correct.shortcuts.enabled
        self.panel.correct.shortcuts.actions[keys]()

    def select(self, table: str, row: int) -> None:
        """Click a row of a table."""
        self.services.tables[id(getattr(self.ui, table))].select(row)

    def table(self, name: str) -> list[list[str]]:
        return [list(row) for row in self.services.tables[id(getattr(self.ui, name))].rows]

    def run(self, seconds: float) -> None:
        """Let time pass, by the panel's clock."""
        end = self.services.monotonic() + seconds
        while self.services.monotonic() < end:
            self.services.process_events()

    def wait(self, condition: Callable[[], Any], seconds: float = 20.0, what: str = "") -> Any:
        end = time.monotonic() + seconds
        while not (held := condition()):
            assert time.monotonic() < end, what or f"it did not happen (status: {self.status!r})"
            self.services.process_events()
            time.sleep(0.001)  # for the threads of jobs and servers
        return held

    def wait_for_status(self, text: str, seconds: float = 20.0) -> None:
        self.wait(lambda: text in self.status, seconds)

    def load_folder(self, folder: Path) -> None:
        """Load a case from a folder."""
        self.services.folders.append(str(folder))
        self.finish("folderButton")


class QtUser(User):
    """At the module as Slicer shows it, with mouse and keyboard; a desktop must be running.

    Attributes:
        patience: Seconds for which the user waits unless told otherwise.
    """

    def __init__(self, widget: Any = None) -> None:
        from tests.slicer_extension.harness import dialogs, gui, scripted_module

        self.dialogs, self.gui, self.patience = dialogs, gui, SECONDS
        self.widget = widget or scripted_module.load(EXTENSION / "TumorLoop.py")
        super().__init__(self.widget.panel)

    def click(self, name: str) -> None:
        self.open_section_of(name)
        self.gui.process_events(0.05)  # a sentence that has grown by a line moves everything below it
        self.gui.click(getattr(self.ui, name))

    def type(self, name: str, text: str) -> None:
        self.open_section_of(name)
        self.gui.type_into(getattr(self.ui, name), text)

    def press(self, keys: str, widget: Any = None) -> None:
        self.gui.press(keys, widget or self.widget.parent)

    def open_section_of(self, name: str) -> None:
        """Open the collapsed sections around a widget by clicking their titles."""
        widget, closed = getattr(self.ui, name), []
        while widget is not None:
            if getattr(widget, "collapsed", False):
                closed.append(widget)
            widget = widget.parentWidget()
        for section in reversed(closed):
            self.gui.click(section)

    def wait(self, condition: Callable[[], Any], seconds: float | None = None, what: str = "") -> Any:
        return self.gui.wait_until(
            condition, seconds or self.patience, what or f"what was waited for (status: {self.status!r})"
        )

    def load_folder(self, folder: Path) -> None:
        self.dialogs.choose_path(str(folder))
        self.finish("folderButton")

    def table(self, name: str) -> list[list[str]]:
        table = getattr(self.ui, name)
        return [[table.item(row, at).text() for at in range(table.columnCount)] for row in range(table.rowCount)]
