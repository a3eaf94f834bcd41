"""The section Auto-segment: four volumes go out, a new segmentation comes back."""

from __future__ import annotations

from typing import Any

import slicer

from TumorLoopLib.client.errors import ClientError
from TumorLoopLib.i18n import _
from TumorLoopLib.jobs import segment_and_submit as errands
from TumorLoopLib.jobs.jobs import Progress
from TumorLoopLib.jobs.segment_and_submit import REFERENCE, Answer, SegmentOrder
from TumorLoopLib.panel import sentences
from TumorLoopLib.panel.consent import may_send
from TumorLoopLib.panel.context import Connection, Desk
from TumorLoopLib.panel.section import Section
from TumorLoopLib.panel.state import SEGMENT, PanelState
from TumorLoopLib.panel.texts import duration
from TumorLoopLib.panel.widgets import BUSY, GOOD, allow, show_bar, show_text
from TumorLoopLib.scene import segments, views
from TumorLoopLib.scene.inputs import MAP_ATTRIBUTE
from TumorLoopLib.scene.labels import LabelSet
from TumorLoopLib.scene.snapshot_queue import SnapshotQueue, Snapshots
from TumorLoopLib.scene.volumes import add_volume


class SegmentSection(Section):
    """Auto-segment, its progress, and Cancel.

    Args:
        desk: Shared.
        snapshots: Copies the volumes.
    """

    def __init__(self, desk: Desk, snapshots: SnapshotQueue) -> None:
        super().__init__(desk)
        self._snapshots = snapshots
        self.ui.segmentButton.connect("clicked(bool)", self._segment)
        self.ui.segmentCancelButton.connect("clicked(bool)", self._cancel)

    def show(self, state: PanelState) -> None:
        """Show whether Auto-segment is possible, and its progress."""
        ui = self.ui
        running = SEGMENT in state.busy
        reason = state.reason_segment()
        allow(ui.segmentButton, reason, _("Have the model segment the four volumes; the result is a new segmentation"))
        show_text(ui.segmentReason, "" if running else reason)
        ui.mapCheck.enabled = not running
        ui.segmentBar.setVisible(running)
        ui.segmentProgress.setVisible(running)
        cancelling = self.desk.jobs.cancelling(SEGMENT)
        ui.segmentCancelButton.enabled = running and not cancelling
        ui.segmentCancelButton.text = _("Cancelling …") if cancelling else _("Cancel")

    def leave_scene(self) -> None:
        """Take the last answer's facts away."""
        show_text(self.ui.answerText, "")

    def _segment(self) -> None:
        if not may_send(self.desk):
            return
        assert self.desk.pulse is not None  # the button is disabled without
        try:
            labels = LabelSet.from_info(self.desk.pulse.info)
        except ClientError as error:
            self._fail(error)
            return
        show_text(self.ui.answerText, "")
        self.ui.segmentProgress.text = ""
        self.desk.say(_("The volumes are being segmented …"), BUSY)
        connection = self.desk.connection()  # the one that was agreed to: the address may be changed meanwhile

        def send(volumes: Snapshots) -> None:
            self._send(volumes, labels, connection)

        self._snapshots.request(SEGMENT, self.desk.parameters, send, self._fail, self._cancelled)
        self.desk.changed()

    def _send(self, snapshots: Snapshots, labels: LabelSet, connection: Connection) -> None:
        order = SegmentOrder(snapshots, self.desk.served, self.ui.mapCheck.checked)
        sent, folder = self.desk.sent, self.desk.folder
        self.desk.run(
            SEGMENT,
            lambda reporter: errands.segment(connection.client(), order, sent, reporter, folder),
            lambda answer: self._show_answer(answer, order, labels),
            trouble=_("There is no new segmentation; what you had is untouched."),
            cancelled=self._cancelled,
            progress=self._show_progress,
        )

    def _fail(self, error: ClientError) -> None:
        self.desk.fail(error, _("Nothing was segmented."))

    def _cancelled(self) -> None:
        self.desk.say(_("The segmentation was cancelled; nothing was changed."))

    def _cancel(self) -> None:
        self._snapshots.cancel(SEGMENT)
        self.desk.jobs.cancel(SEGMENT)
        self.desk.changed()

    def _show_progress(self, progress: Progress, _partial: Any) -> None:
        self.ui.segmentProgress.text = sentences.of_progress(progress)
        show_bar(self.ui.segmentBar, progress)

    def _show_answer(self, answer: Answer, order: SegmentOrder, labels: LabelSet) -> None:
        """Put an answer into the scene, as a new segmentation beside what is there."""
        reference = slicer.mrmlScene.GetNodeByID(order.snapshots[REFERENCE].node_id)
        if reference is None:
            self.desk.say(_("The T1 volume with contrast was removed meanwhile; the answer was dropped."))
            return
        parameters = self.desk.parameters
        name = _("{case} by {model}").format(case=parameters.case_id or reference.GetName(), model=answer.model_version)
        segmentation = segments.add_segmentation(answer.array, answer.ijk_to_ras, labels, reference, name)
        with slicer.util.NodeModify(parameters):  # one change, and so one look at everything instead of four
            parameters.label_set = labels.to_json()
            parameters.model_version = answer.model_version
            parameters.answer = segments.keep_answer(answer.array, answer.ijk_to_ras, reference, name)
            parameters.segmentation = segmentation
            self.desk.submitted = ""
        self._show_map(answer, name)
        show_text(self.ui.answerText, _facts(answer))
        self.desk.say(_("Here is the model's segmentation. Correct it, then submit it."), GOOD)

    def _show_map(self, answer: Answer, name: str) -> None:
        parameters = self.desk.parameters
        if answer.uncertainty is None:
            parameters.uncertainty = None
            views.show_map(None, 0.0)
            return
        array, ijk_to_ras = answer.uncertainty
        node = add_volume(array, ijk_to_ras, _("Uncertainty of {name}").format(name=name), "")
        node.SetAttribute(MAP_ATTRIBUTE, "entropy")
        views.style_map(node, float(array.max()))
        parameters.uncertainty = node
        views.show_map(node, self.ui.mapSlider.value / 100)


def _facts(answer: Answer) -> str:
    seconds = answer.facts.get("seconds")
    total = seconds.get("total") if isinstance(seconds, dict) else None
    lines = [_("By model {version}.").format(version=answer.model_version)]
    if isinstance(total, (int, float)):
        lines = [_("By model {version}, in {time}.").format(version=answer.model_version, time=duration(total))]
    return "\n".join([*lines, *(str(warning) for warning in answer.facts.get("warnings") or ())])
