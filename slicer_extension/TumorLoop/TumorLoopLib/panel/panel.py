"""The panel: its sections, its timer, and how it follows the scene.

Everything here runs on the user interface's thread. One timer drives it: it passes on what jobs have done, fetches the
server's status, and lets the sections do what is due. After every change :meth:`Panel.refresh` makes one
:class:`~TumorLoopLib.panel.state.PanelState` and all sections show it; no section enables anything by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from TumorLoopLib.client.address import Timeouts
from TumorLoopLib.client.errors import ClientError
from TumorLoopLib.i18n import _
from TumorLoopLib.jobs.server_status import ServerStatus, fetch_status
from TumorLoopLib.panel.context import PanelContext
from TumorLoopLib.panel.observers import Observers
from TumorLoopLib.panel.section import Section
from TumorLoopLib.panel.section_case import CaseSection
from TumorLoopLib.panel.section_correct import CorrectSection
from TumorLoopLib.panel.section_export import ExportSection
from TumorLoopLib.panel.section_prepare import PreparationSection
from TumorLoopLib.panel.section_retrain import RetrainSection
from TumorLoopLib.panel.section_segment import SegmentSection
from TumorLoopLib.panel.section_server import ServerSection
from TumorLoopLib.panel.section_submit import SubmitSection
from TumorLoopLib.panel.services import PanelServices
from TumorLoopLib.panel.state import OPEN_SECTIONS, SCENE_JOBS, STATUS, SUBMIT, TEST, USER_JOBS, PanelState
from TumorLoopLib.panel.widgets import BAD, GOOD

#: Milliseconds between two ticks, at rest and while something is going on (see :mod:`TumorLoopLib.jobs.jobs`).
IDLE_INTERVAL, BUSY_INTERVAL = 100, 25
#: Seconds between two requests for the server's status, at rest and while it trains.
POLL_IDLE, POLL_TRAINING = 5.0, 1.0
#: How long the server may take to tell its status.
STATUS_TIMEOUTS = Timeouts(connect=5.0, answer=15.0)
SECTIONS = ("serverSection", "caseSection", "segmentSection", "correctSection", "submitSection", "retrainSection")


class Panel:
    """The panel over its widgets.

    Args:
        ui: The widgets of ``TumorLoop.ui`` by name.
        parameters: Returns the typed parameter node of the present scene; for the same node, the same object.
        services: Slicer and Qt.
    """

    def __init__(self, ui: Any, parameters: Callable[[], Any], services: PanelServices) -> None:
        self.ui = ui
        # Collected once: ``ui`` also holds parts of other widgets, which Slicer may destroy; they must not be touched
        # after that.
        self._parameter_widgets = {widget.property("SlicerParameterName"): widget for widget in vars(ui).values()}
        self._parameter_widgets.pop(None, None)
        self._parameters_of_scene = parameters
        self._services = services
        self._connected: Any = None
        self._gui_tag: Any = None
        self._step = ""
        self._entered = False
        self._next_poll = 0.0
        self._lost = False
        self._refreshing = False
        self.context = PanelContext(ui, services)
        self.server = ServerSection(self.context)
        self.case = CaseSection(self.context)
        self.preparation = PreparationSection(self.context, self.case.inputs)
        self.segment = SegmentSection(self.context, self.case.snapshots, self.preparation)
        self.correct = CorrectSection(self.context)
        self.submit = SubmitSection(self.context, self.case.snapshots, self.preparation)
        self.export = ExportSection(self.context)
        self.retrain = RetrainSection(self.context)
        self.sections: tuple[Section, ...] = (
            self.server, self.case, self.preparation, self.segment, self.correct, self.submit, self.export, self.retrain
        )  # fmt: skip
        self.context.on_change = self.refresh
        self.context.poll_server_soon = self._poll_server_soon
        self._observers, self._parameter_observers, scene = Observers(), Observers(), services.scene
        self._observers.add(scene, scene.StartCloseEvent, self._scene_closes)
        self._observers.add(scene, scene.StartImportEvent, lambda *_: self._detach_scene())
        self._observers.add(scene, scene.NodeAddedEvent, lambda *_: self.case.node_added())
        self._timer = services.timer(self.tick)
        self._timer.interval = IDLE_INTERVAL
        self._attach_scene()
        self.context.show_status(_("Welcome. Connect to a server, then load a case."))
        self._timer.start()

    # === Life cycle of the module ===

    def enter(self) -> None:
        """The panel is shown."""
        self._entered = True
        self.correct.editor.enter()
        self.correct.shortcuts.enable(True)
        self._poll_server_soon()
        self.refresh()

    def exit(self) -> None:
        """Another module is shown; jobs go on."""
        self._entered = False
        self.correct.shortcuts.enable(False)
        self.correct.editor.exit()

    def cleanup(self) -> None:
        """The module is unloaded, or Slicer ends."""
        self._timer.stop()
        self.context.jobs.abandon()
        self._detach_scene()
        self._disconnect()
        self._observers.remove()
        self._for_each_section(lambda section: section.close())

    # === Timer ===

    def tick(self) -> None:
        """Do what is due."""
        if self._services.scene.IsBatchProcessing():
            return  # a scene is being loaded or closed, and results must not be added to it
        with self.context.reporting_errors():
            if self.context.parameters is None:
                self._attach_scene()  # not as soon as the scene is there: the selectors do not know its nodes yet
            if self.context.jobs.poll():
                self.refresh()
        self._for_each_section(lambda section: section.tick())
        status, now = self.context.server_status, self._services.monotonic()
        training = status is not None and status.training.active
        if (self._entered or training) and now >= self._next_poll:
            self._next_poll = now + (POLL_TRAINING if training else POLL_IDLE)
            self._poll_server()
        interval = BUSY_INTERVAL if self._busy() else IDLE_INTERVAL
        if self._timer.interval != interval:
            self._timer.interval = interval

    def _poll_server_soon(self) -> None:
        self._next_poll = 0.0

    def _poll_server(self) -> None:
        connection = self.context.connection()
        if not connection.address or self.context.jobs.running(TEST):
            return  # the connection test tells the status itself

        def answered(status: ServerStatus) -> None:
            if connection.address == self.context.address:
                self._server_answered(status)

        def failed(error: Exception) -> None:
            if connection.address == self.context.address and self.context.server_status is not None:
                self._server_lost(error)

        self.context.run_in_background(
            STATUS, lambda reporter: fetch_status(connection.client(STATUS_TIMEOUTS)), answered, failed
        )

    def _server_answered(self, status: ServerStatus) -> None:
        self.context.server_status, self.context.unreachable = status, False
        if self._lost:
            self._lost = False
            self.context.show_status(_("The server is back."), GOOD)

    def _server_lost(self, error: Exception) -> None:
        """Forget the server; an error message about what failed because of it stays."""
        self.context.forget_server()
        self.context.unreachable = True
        if self.context.tone != BAD:
            self._lost = True
            reason = error.message if isinstance(error, ClientError) else str(error)
            text = _("The connection to the server was lost. {reason} Nothing in the scene is lost.")
            self.context.show_status(text.format(reason=reason), BAD)

    # === State ===

    def state(self) -> PanelState:
        """Return the present state."""
        context, parameters, status = self.context, self.context.parameters, self.context.server_status
        segmentation = parameters.segmentation if parameters is not None else None
        problem = self.case.inputs.problem(parameters) if parameters is not None else _("The scene is being closed.")
        return PanelState(
            address=context.address,
            connected=status is not None,
            busy=self._busy(),
            volumes_problem=problem,
            case_id=parameters.case_id if parameters is not None else "",
            has_segmentation=segmentation is not None,
            submitted=segmentation is not None and segmentation.GetID() == context.submitted,
            cases_total=status.counts.total if status is not None else 0,
            cases_left=status.counts.left if status is not None else 0,
            new_corrections=context.overview.plan.new if context.overview is not None else None,
            site_needs=context.overview.plan.site_needs if context.overview is not None else None,
            training=status is not None and status.training.active,
            current_version=status.model_version if status is not None else "",
            chosen_version=self.retrain.chosen,
            chosen_label=self.submit.chosen,
            local_server=self.server.reason_no_local_server(),
            own_server=self.server.own_server,
        )

    def refresh(self) -> None:
        """Show the present state in all sections, and open the one the user needs next."""
        if self._refreshing:
            return
        self._refreshing = True
        try:
            state = self.state()
            self._for_each_section(lambda section: section.show(state))
            self._open(state.step())
        finally:
            self._refreshing = False

    def _open(self, step: str) -> None:
        """Open and close sections when the step changes; until the next change the user decides."""
        if step == self._step:
            return
        self._step = step
        for name in SECTIONS:
            getattr(self.ui, name).collapsed = name not in OPEN_SECTIONS[step]

    def _busy(self) -> frozenset[str]:
        return self.context.jobs.kinds().union(*(section.busy for section in self.sections))

    def _for_each_section(self, call: Callable[[Section], None]) -> None:
        """Call every section; an error in one is shown, and does not keep the others from being called."""
        for section in self.sections:
            with self.context.reporting_errors():
                call(section)

    # === Scene ===

    def _attach_scene(self) -> None:
        parameters = self._parameters_of_scene()
        if parameters is not self._connected:
            self._connect(parameters)
        parameters.parameterNode.Modified()  # shows its values in the widgets, before these write again
        self._let_widgets_write(True)
        self.context.parameters = parameters
        self._for_each_section(lambda section: section.enter_scene())
        self.refresh()

    def _connect(self, parameters: Any) -> None:
        """Bind the widgets to a parameter node, once: Slicer never ends such a binding's observation of the node."""
        self._disconnect()
        self._connected = parameters
        # Not connectGui(ui): up to Slicer 5.10 it returns no tag, so the widgets could never be disconnected.
        self._gui_tag = parameters.connectParametersToGui(self._parameter_widgets)
        self._parameter_observers.add(parameters, "ModifiedEvent", self._parameters_changed)

    def _disconnect(self) -> None:
        self._parameter_observers.remove()
        if self._connected is not None:
            self._connected.disconnectGui(self._gui_tag)
            self._connected = None

    def _parameters_changed(self, _node: Any, _event: str) -> None:
        if self.context.parameters is not None:
            self.refresh()

    def _let_widgets_write(self, on: bool) -> None:
        """Whether widgets change parameters: those for nodes lose theirs while a scene is closed or loaded."""
        for widget in self._parameter_widgets.values():
            widget.blockSignals(not on)

    def _detach_scene(self, ended: frozenset[str] = frozenset()) -> None:
        """Detach from the scene, and tell the user if that ends what they asked for: jobs of the kinds ``ended``."""
        if self.context.parameters is None:
            return
        ended = ended.union(*(section.busy for section in self.sections))
        self._let_widgets_write(False)
        self.context.parameters = None
        self._for_each_section(lambda section: section.leave_scene())
        if SUBMIT in ended:
            self.context.show_status(_("Nothing was submitted: the scene changed before the label was sent."), BAD)
        elif ended & USER_JOBS:
            self.context.show_status(_("The scene changed; the work on it was cancelled."))

    def _scene_closes(self, _scene: Any, _event: str) -> None:
        kinds = SCENE_JOBS - self.submit.sending
        ended = self.context.jobs.kinds() & kinds
        self.context.jobs.abandon(*kinds)
        self._detach_scene(ended)
        self.context.forget_case()
        self.refresh()
