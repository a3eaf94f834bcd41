"""The panel: its sections, its clock, and how it follows the scene.

Everything here runs on the user interface's thread. One timer drives it: it hands over what jobs have done, asks the
server how it is, and lets the sections do what is due. After every change :meth:`Panel.refresh` makes one
:class:`~TumorLoopLib.panel.state.PanelState` and all sections show it; no section enables anything by itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer
import vtk
from slicer.util import VTKObservationMixin

from TumorLoopLib.client.address import Timeouts
from TumorLoopLib.client.errors import ClientError
from TumorLoopLib.i18n import _
from TumorLoopLib.jobs.server_status import Pulse, pulse
from TumorLoopLib.panel.context import Desk
from TumorLoopLib.panel.section import Section
from TumorLoopLib.panel.section_case import CaseSection
from TumorLoopLib.panel.section_correct import CorrectSection
from TumorLoopLib.panel.section_retrain import RetrainSection
from TumorLoopLib.panel.section_segment import SegmentSection
from TumorLoopLib.panel.section_server import ServerSection
from TumorLoopLib.panel.section_submit import SubmitSection
from TumorLoopLib.panel.settings import Settings
from TumorLoopLib.panel.state import (
    ASKED_FOR,
    CASE,
    CASE_STEP,
    CORRECT_STEP,
    OF_SCENE,
    PULSE,
    RETRAIN_STEP,
    SEGMENT_STEP,
    SERVER_STEP,
    SUBMIT,
    TEST,
    PanelState,
)
from TumorLoopLib.panel.widgets import BAD, GOOD

#: Milliseconds between two ticks, at rest and while jobs run (see :mod:`TumorLoopLib.jobs.jobs`).
AT_REST, AT_WORK = 100, 25
#: Seconds between two questions to the server, at rest and while it trains.
PULSE_AT_REST, PULSE_WHILE_TRAINING = 5.0, 1.0
#: How long the server may take to say how it is, in seconds.
PATIENCE = Timeouts(connect=5.0, answer=15.0)
#: Which sections are open in which step.
OPEN = {
    SERVER_STEP: ("serverSection",),
    CASE_STEP: ("caseSection",),
    SEGMENT_STEP: ("caseSection", "segmentSection"),
    CORRECT_STEP: ("correctSection", "submitSection"),
    RETRAIN_STEP: ("caseSection", "retrainSection"),
}
SECTIONS = ("serverSection", "caseSection", "segmentSection", "correctSection", "submitSection", "retrainSection")


class Panel(VTKObservationMixin):
    """The panel over its widgets.

    Args:
        ui: The widgets of ``TumorLoop.ui`` by name.
        parameters_of_scene: Returns the parameter node of the present scene.
    """

    def __init__(self, ui: Any, parameters_of_scene: Callable[[], Any]) -> None:
        super().__init__()
        self.ui = ui
        # Found once: ``ui`` also holds the parts of other widgets, which Slicer may destroy, and then they must not be
        # touched any more.
        self._named = {widget.property("SlicerParameterName"): widget for widget in vars(ui).values()}
        self._named.pop(None, None)
        self._parameters_of_scene = parameters_of_scene
        self._gui_tag: Any = None
        self._step = ""
        self._entered = False
        self._next_pulse = 0.0
        self._lost = False
        self._refreshing = False
        self.desk = Desk(ui, Settings(slicer.app.userSettings()), Path(slicer.app.temporaryPath))
        self.server = ServerSection(self.desk)
        self.case = CaseSection(self.desk)
        self.segment = SegmentSection(self.desk, self.case.snapshots)
        self.correct = CorrectSection(self.desk)
        self.submit = SubmitSection(self.desk, self.case.snapshots)
        self.retrain = RetrainSection(self.desk)
        self.sections: tuple[Section, ...] = (
            self.server, self.case, self.segment, self.correct, self.submit, self.retrain
        )  # fmt: skip
        self.desk.on_change = self.refresh
        self.desk.on_lost = self._pulse_soon
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self._scene_closes)
        self.addObserver(scene, scene.StartImportEvent, self._scene_loads)
        self.addObserver(scene, scene.NodeAddedEvent, self._node_added)
        self._timer = qt.QTimer()
        self._timer.interval = AT_REST
        self._timer.connect("timeout()", self.tick)
        self._take_scene()
        self.desk.say(_("Welcome. Connect to a server, then load a case."))
        self._timer.start()

    # === The module's life ===

    def enter(self) -> None:
        """The panel is shown."""
        self._entered = True
        self.correct.editor.enter()
        self.correct.shortcuts.enable(True)
        self._pulse_soon()
        self.refresh()

    def exit(self) -> None:
        """Another module is shown; jobs go on."""
        self._entered = False
        self.correct.shortcuts.enable(False)
        self.correct.editor.exit()

    def cleanup(self) -> None:
        """The module is unloaded, or Slicer ends."""
        self._timer.stop()
        self.desk.jobs.abandon()
        self._leave_scene()
        self.removeObservers()
        for section in self.sections:
            section.close()

    # === The clock ===

    def tick(self) -> None:
        """Do what is due."""
        if slicer.mrmlScene.IsBatchProcessing():
            return  # a scene is being loaded or closed, and results must not fall into it
        if self.desk.parameters is None:
            self._take_scene()  # not right when the scene is there: the selectors do not know its nodes yet
        if self.desk.jobs.poll():
            self.refresh()
        for section in self.sections:
            section.tick()
        training = self.desk.pulse is not None and self.desk.pulse.training.active
        if (self._entered or training) and time.monotonic() >= self._next_pulse:
            self._next_pulse = time.monotonic() + (PULSE_WHILE_TRAINING if training else PULSE_AT_REST)
            self._ask_pulse()
        at_work = self.desk.jobs.running() or self.case.loading or self.case.snapshots.pending
        interval = AT_WORK if at_work else AT_REST
        if self._timer.interval != interval:
            self._timer.interval = interval

    def _pulse_soon(self) -> None:
        self._next_pulse = 0.0

    def _ask_pulse(self) -> None:
        connection = self.desk.connection()
        if not connection.address or self.desk.jobs.running(TEST):
            return  # while the test runs it tells how the server is

        def answered(found: Pulse) -> None:
            if connection.address == self.desk.address:
                self._found(found)

        def silent(error: Exception) -> None:
            if connection.address == self.desk.address and self.desk.pulse is not None:
                self._lose(error)

        self.desk.run_quietly(PULSE, lambda reporter: pulse(connection.client(PATIENCE)), answered, silent)

    def _found(self, found: Pulse) -> None:
        self.desk.pulse, self.desk.unreachable = found, False
        if self._lost:
            self._lost = False
            self.desk.say(_("The server is back."), GOOD)

    def _lose(self, error: Exception) -> None:
        """Take note that the server is gone; a sentence about what failed because of it stays."""
        self.desk.forget_server()
        self.desk.unreachable = True
        if self.desk.tone != BAD:
            self._lost = True
            text = error.message if isinstance(error, ClientError) else str(error)
            self.desk.say(_("The server was lost. {reason} Nothing in the scene is lost.").format(reason=text), BAD)

    # === The state ===

    def state(self) -> PanelState:
        """Return the present state."""
        desk, parameters, known = self.desk, self.desk.parameters, self.desk.pulse
        segmentation = parameters.segmentation if parameters is not None else None
        return PanelState(
            address=desk.address,
            connected=known is not None,
            busy=desk.jobs.kinds() | self.case.snapshots.pending | ({CASE} if self.case.loading else frozenset()),
            volumes_problem=self.case.inputs.problem(parameters) if parameters is not None else _("The scene closes."),
            case_id=parameters.case_id if parameters is not None else "",
            has_segmentation=segmentation is not None,
            submitted=segmentation is not None and segmentation.GetID() == desk.submitted,
            cases_total=known.counts.total if known is not None else 0,
            cases_left=known.counts.left if known is not None else 0,
            new_corrections=desk.overview.plan.new if desk.overview is not None else None,
            training=known is not None and known.training.active,
            current_version=known.model_version if known is not None else "",
            chosen_version=self.retrain.chosen,
            chosen_label=self.submit.chosen,
            local_server=self.server.why_no_local_server(),
            own_server=self.server.own_server,
        )

    def refresh(self) -> None:
        """Show the present state in all sections, and open the one the clinician needs next."""
        if self._refreshing:
            return
        self._refreshing = True
        try:
            state = self.state()
            for section in self.sections:
                section.show(state)
            self._open(state.step())
        finally:
            self._refreshing = False

    def _open(self, step: str) -> None:
        """Open and close sections when the step changes; between two changes the clinician decides."""
        if step == self._step:
            return
        self._step = step
        for name in SECTIONS:
            getattr(self.ui, name).collapsed = name not in OPEN[step]

    # === The scene ===

    def _take_scene(self) -> None:
        self.desk.parameters = self._parameters_of_scene()
        # Not connectGui(ui): up to Slicer 5.10 it returns no tag, so that the widgets could never be let go of again.
        self._gui_tag = self.desk.parameters.connectParametersToGui(self._named)
        self.addObserver(self.desk.parameters, vtk.vtkCommand.ModifiedEvent, self._parameters_changed)
        for section in self.sections:
            section.enter_scene()
        self.refresh()

    def _leave_scene(self, ended: frozenset[str] = frozenset()) -> None:
        """Let go of the scene, and say so if it ends something that the clinician asked for: jobs of these kinds."""
        parameters = self.desk.parameters
        if parameters is None:
            return
        ended |= self.case.snapshots.pending | ({CASE} if self.case.loading else frozenset())
        parameters.disconnectGui(self._gui_tag)
        self.removeObserver(parameters, vtk.vtkCommand.ModifiedEvent, self._parameters_changed)
        self.desk.parameters = None
        for section in self.sections:
            section.leave_scene()
        if SUBMIT in ended:
            self.desk.say(_("Nothing was submitted: the scene changed before the label was on its way."), BAD)
        elif ended & ASKED_FOR:
            self.desk.say(_("The scene changed; what was going on in it was cancelled."))

    def _scene_closes(self, _scene: Any, _event: str) -> None:
        of_scene = OF_SCENE - self.submit.on_its_way
        ended = self.desk.jobs.kinds() & of_scene
        self.desk.jobs.abandon(*of_scene)
        self._leave_scene(ended)
        self.desk.forget_case()
        self.refresh()

    def _scene_loads(self, _scene: Any, _event: str) -> None:
        self._leave_scene()

    def _node_added(self, _scene: Any, _event: str) -> None:
        self.case.volumes_arrived()

    def _parameters_changed(self, _node: Any, _event: str) -> None:
        self.refresh()
