"""The section Auto-segment: the server segments the four volumes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from TumorLoopLib.client.errors import ClientError
from TumorLoopLib.i18n import _
from TumorLoopLib.jobs import segment
from TumorLoopLib.jobs.segment import REFERENCE, Refused, SegmentationRequest, SegmentationResult
from TumorLoopLib.panel.context import Connection, PanelContext
from TumorLoopLib.panel.formatting import duration
from TumorLoopLib.panel.section import Section
from TumorLoopLib.panel.section_prepare import PreparationSection
from TumorLoopLib.panel.state import SEGMENT, PanelState
from TumorLoopLib.panel.widgets import BAD, BUSY, GOOD, WARN, enable, show_progress, show_text
from TumorLoopLib.scene import notes, segments, views
from TumorLoopLib.scene.inputs import MAP_ATTRIBUTE
from TumorLoopLib.scene.labels import LabelSet
from TumorLoopLib.scene.snapshot_queue import SnapshotQueue, Snapshots
from TumorLoopLib.scene.volumes import add_volume


@dataclass(frozen=True)
class _Order:
    """What Auto-segment was clicked for: the address may be changed before the volumes are sent."""

    request: SegmentationRequest
    labels: LabelSet
    connection: Connection


class SegmentSection(Section):
    """Auto-segment, its progress, and Cancel."""

    def __init__(self, context: PanelContext, snapshots: SnapshotQueue, preparation: PreparationSection) -> None:
        super().__init__(context)
        self._snapshots, self._preparation = snapshots, preparation
        self._question: _Order | None = None
        self.ui.segmentButton.connect("clicked(bool)", self._segment)
        self.ui.segmentCancelButton.connect("clicked(bool)", self._cancel)

    def show(self, state: PanelState) -> None:
        """Show whether Auto-segment is possible, and its progress."""
        ui = self.ui
        running = SEGMENT in state.busy
        reason = state.reason_segment()
        enable(ui.segmentButton, reason, _("Segment the four volumes with the model; the result is a new segmentation"))
        show_text(ui.segmentReason, "" if running else reason)
        ui.mapCheck.enabled = not running
        ui.segmentBar.setVisible(running)
        ui.segmentProgress.setVisible(running)
        cancelling = self.context.jobs.cancelling(SEGMENT)
        ui.segmentCancelButton.enabled = running and not cancelling
        ui.segmentCancelButton.text = _("Cancelling …") if cancelling else _("Cancel")

    @property
    def busy(self) -> frozenset[str]:
        """A segmentation about which a question is being asked."""
        return frozenset({SEGMENT}) if self._question is not None else frozenset()

    def leave_scene(self) -> None:
        """Remove the text about the last result, and forget a question."""
        self._question = None
        show_text(self.ui.answerText, "")

    def _segment(self) -> None:
        if not self.confirm_upload():
            return
        assert self.context.server_status is not None  # the button is disabled without
        try:
            labels = LabelSet.from_info(self.context.server_status.info)
            preparing = self._preparation.preparing()
        except ClientError as error:
            self._fail(error)
            return
        show_text(self.ui.answerText, "")
        self.ui.segmentProgress.text = ""
        self.context.show_status(_("The volumes are being segmented …"), BUSY)
        connection = self.context.connection()

        def send(volumes: Snapshots) -> None:
            uncertainty = self.ui.mapCheck.checked
            request = SegmentationRequest(volumes, self.context.downloaded, uncertainty, preparing=preparing)
            self._send(_Order(request, labels, connection))

        self._snapshots.request(SEGMENT, self.context.parameters, send, self._fail, self._cancelled)
        self.context.changed()

    def _send(self, order: _Order) -> None:
        uploaded, folder, run = self.context.uploaded, self.context.folder, segment.segment_or_ask

        def done(result: SegmentationResult | Refused) -> None:
            if isinstance(result, SegmentationResult):
                return self._show_result(result, order)
            self._question = order
            self.context.call_soon(lambda: self._ask(result, order))

        self.context.run(
            SEGMENT,
            lambda reporter: run(order.connection.client(), order.request, uploaded, reporter, folder),
            done,
            failure=_("Nothing was segmented; your segmentations did not change."),
            cancelled=self._cancelled,
            progress=partial(show_progress, self.ui.segmentProgress, self.ui.segmentBar),
        )

    def _ask(self, refusal: Refused, order: _Order) -> None:
        """Ask whether volumes that the server has refused should be segmented all the same."""
        if self._question is not order:
            return  # the scene was closed
        confirmed, text = False, f"{refusal.reason}\n\n" + _("Segment anyway?")
        try:
            confirmed = self.context.services.confirm(text, _("Please check the volumes"))
        finally:
            still_wanted, self._question = self._question is order, None
        if still_wanted and confirmed:
            if refusal.insist.preparing.force:
                self._preparation.insist(order.request.snapshots)
            self._send(replace(order, request=refusal.insist))
        elif still_wanted:
            text = _("Nothing was segmented; your segmentations did not change.")
            self.context.show_status(f"{text} {refusal.reason}", BAD)
            self.context.changed()

    def _fail(self, error: ClientError) -> None:
        self.context.show_error(error, _("Nothing was segmented."))

    def _cancelled(self) -> None:
        self.context.show_status(_("The segmentation was cancelled; nothing changed."))

    def _cancel(self) -> None:
        self._snapshots.cancel(SEGMENT)
        self.context.jobs.cancel(SEGMENT)
        self.context.changed()

    def _show_result(self, result: SegmentationResult, order: _Order) -> None:
        """Add the result to the scene as a new segmentation."""
        labels, scene = order.labels, self.context.services.scene
        reference = scene.GetNodeByID(order.request.snapshots[REFERENCE].node_id)
        if reference is None:
            self.context.show_status(_("The T1 volume with contrast was removed, so the result was discarded."))
            return
        parameters = self.context.parameters
        name = _("{case} by {model}").format(case=parameters.case_id or reference.GetName(), model=result.model_version)
        segmentation = segments.add_segmentation(result.array, result.ijk_to_ras, labels, reference, name)
        notes.set_warnings(segmentation, result.warnings)
        self._preparation.show_answer(result, order.request.snapshots, segmentation, name)
        with self.context.services.modify(parameters):
            parameters.label_set = labels.to_json()
            parameters.model_version, parameters.answer_time = result.model_version, result.answer_time
            parameters.active_seconds = 0
            parameters.answer = segments.keep_answer(result.array, result.ijk_to_ras, reference, name)
            parameters.segmentation = segmentation
            self.context.submitted = ""
        self.context.activity.begin()
        self._show_map(result, name)
        show_text(self.ui.answerText, _details(result))
        self.announce(result.warnings)

    def announce(self, warnings: Sequence[str]) -> None:
        """Say that the segmentation is ready, and the first of its warnings; *Correct* shows all of them."""
        text, tone = _("The segmentation is ready. Correct it, then submit it."), GOOD
        if len(warnings) == 1:
            text, tone = _("The segmentation is ready, with a warning: {warning}"), WARN
        elif warnings:
            text, tone = _("The segmentation is ready, with {count} warnings, listed under Correct. {warning}"), WARN
        self.context.show_status(text.format(count=len(warnings), warning=warnings[0] if warnings else ""), tone)

    def _show_map(self, result: SegmentationResult, name: str) -> None:
        parameters = self.context.parameters
        if result.uncertainty is None:
            parameters.uncertainty = None
            views.show_map(None, 0.0)
            return
        array, ijk_to_ras = result.uncertainty
        node = add_volume(array, ijk_to_ras, _("Uncertainty of {name}").format(name=name), "")
        node.SetAttribute(MAP_ATTRIBUTE, "entropy")
        views.style_map(node, float(array.max()))
        parameters.uncertainty = node
        views.show_map(node, self.ui.mapSlider.value / 100)


def _details(result: SegmentationResult) -> str:
    seconds = result.details.get("seconds")
    total = seconds.get("total") if isinstance(seconds, dict) else None
    if isinstance(total, (int, float)):
        return _("By model {version}, in {time}.").format(version=result.model_version, time=duration(total))
    return _("By model {version}.").format(version=result.model_version)
