"""The section Submit: checking and sending the label, and the history of the case's labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from TumorLoopLib.client.errors import ClientError
from TumorLoopLib.i18n import _
from TumorLoopLib.jobs import open_case, submit
from TumorLoopLib.jobs.jobs import Reporter
from TumorLoopLib.jobs.preparation import Image, Preparing
from TumorLoopLib.jobs.segment import REFERENCE
from TumorLoopLib.jobs.submit import Submission, SubmissionResult
from TumorLoopLib.panel.context import Connection, PanelContext
from TumorLoopLib.panel.formatting import local_time, ratio
from TumorLoopLib.panel.section import Section
from TumorLoopLib.panel.section_prepare import PreparationSection
from TumorLoopLib.panel.state import CASE, HISTORY, SUBMIT, PanelState
from TumorLoopLib.panel.widgets import BAD, BUSY, GOOD, enable, set_field_text, show_progress, show_text
from TumorLoopLib.scene import geometry, segments
from TumorLoopLib.scene.inputs import mark_origin, origin_of
from TumorLoopLib.scene.labels import LabelSet
from TumorLoopLib.scene.segment_copy import SegmentationReport, combine
from TumorLoopLib.scene.snapshot_queue import SnapshotQueue, Snapshots

FINAL, DRAFT = "final", "draft"


@dataclass(frozen=True)
class _Order:
    """What Submit was clicked for: the address field may hold another server when the label is sent."""

    connection: Connection
    labels: LabelSet
    segmentation: Any
    edits: int
    preparing: Preparing


class SubmitSection(Section):
    """Submitting, and the labels that were submitted before."""

    def __init__(self, context: PanelContext, snapshots: SnapshotQueue, preparation: PreparationSection) -> None:
        super().__init__(context)
        self._snapshots, self._preparation = snapshots, preparation
        headers = [_("Version"), _("Who"), _("When"), _("Status"), _("Dice")]
        self._table = context.services.table(self.ui.historyTable, headers, stretch=1, on_choice=context.changed)
        self._history_of = ("", "")
        self._question: _Order | None = None
        self._sending = False
        self.ui.commentEdit.connect("textEdited(QString)", self._comment_edited)
        self.ui.submitButton.connect("clicked(bool)", self._submit)
        self.ui.submitCancelButton.connect("clicked(bool)", self._cancel)
        self.ui.loadLabelButton.connect("clicked(bool)", self._load)

    @property
    def chosen(self) -> str:
        """The version selected in the history; empty if none is."""
        return str(self._table.chosen)

    @property
    def busy(self) -> frozenset[str]:
        """A submission about which a question is being asked."""
        return frozenset({SUBMIT}) if self._question is not None else frozenset()

    @property
    def sending(self) -> frozenset[str]:
        """The kind of a job that continues when the scene is closed: sending a label needs no scene."""
        return frozenset({SUBMIT}) if self._sending and self.context.jobs.running(SUBMIT) else frozenset()

    def show(self, state: PanelState) -> None:
        """Show whether Submit is possible, its progress, and the history."""
        ui = self.ui
        running = SUBMIT in state.busy
        reason = state.reason_submit()
        enable(ui.submitButton, reason, _("Send the segmentation as a new version of this case's label"))
        show_text(ui.submitReason, "" if running else reason)
        set_field_text(ui.commentEdit, self.context.parameters.comment if self.context.parameters is not None else "")
        ui.commentEdit.enabled = ui.finalCheck.enabled = not running
        ui.submitBar.setVisible(running)
        ui.submitText.setVisible(running)
        ui.submitCancelButton.enabled = running and not self.context.jobs.cancelling(SUBMIT)
        enable(ui.loadLabelButton, state.reason_load_label(), _("Load the selected version as a new segmentation"))
        self._table.fill(*history_rows(self.context.history))
        known = bool(self.context.history)
        ui.historyLabel.text = _("Labels of this case") if known else _("No label of this case was submitted yet.")
        ui.historyTable.setVisible(known)
        ui.loadLabelButton.setVisible(known)

    def tick(self) -> None:
        """Fetch the history of a case that was loaded with a scene, or whose server was chosen again."""
        parameters, status = self.context.parameters, self.context.server_status
        if status is None or parameters is None or origin_of(parameters) != status.server:
            self._history_of = ("", "")
            return
        case = (self.context.address, parameters.case_id)
        if not self.context.history and self._history_of != case and not self.context.jobs.running(CASE, HISTORY):
            self._history_of = case
            connection = self.context.connection()
            self.context.run(
                HISTORY,
                lambda reporter: open_case.label_history(connection.client(), case[1]),
                lambda history: self.context.show_history(history, case[0]),
                failure=_("The labels of this case could not be listed."),
            )

    def leave_scene(self) -> None:
        """Forget the case."""
        self._history_of, self._question = ("", ""), None

    def _comment_edited(self, text: str) -> None:
        if self.context.parameters is not None:
            self.context.parameters.comment = text

    # === Submitting ===

    def _submit(self) -> None:
        """Check the segmentation on a worker thread, ask about its problems, then send it."""
        parameters = self.context.parameters
        assert self.context.server_status is not None  # the button is disabled without
        if origin_of(parameters) != self.context.server_status.server and not self.confirm_upload():
            return  # a server that does not have the case gets the volumes, too
        try:
            labels = self.context.label_set()
            copy = segments.extract(parameters.segmentation, parameters.t1ce, labels)
            preparing = self._preparation.preparing(as_insisted=True)
        except ClientError as error:
            return self._fail(error)
        order = _Order(self.context.connection(), labels, parameters.segmentation, self.context.edits, preparing)
        self._sending = False
        self.context.activity.touch()

        def work(reporter: Reporter) -> SegmentationReport:
            report = combine(copy)
            reporter.check()
            return report

        def check(volumes: Snapshots) -> None:
            def done(report: SegmentationReport) -> None:
                self._checked(report, volumes, order)

            failure = _("Nothing was submitted.")
            self.context.run(SUBMIT, work, done, failure=failure, cancelled=self._cancelled)

        self.context.show_status(_("The segmentation is being checked …"), BUSY)
        self.ui.submitText.text = ""
        self._snapshots.request(SUBMIT, parameters, check, self._fail, self._cancelled)
        self.context.changed()

    def _fail(self, error: ClientError) -> None:
        self.context.show_error(error, _("Nothing was submitted."))

    def _checked(self, report: SegmentationReport, volumes: Snapshots, order: _Order) -> None:
        if not report.problems:
            return self._send(report, volumes, order)
        self._question = order
        self.context.call_soon(lambda: self._ask(report, volumes, order))

    def _ask(self, report: SegmentationReport, volumes: Snapshots, order: _Order) -> None:
        if self._question is not order:
            return  # the scene was closed
        confirmed, text = False, "\n\n".join([*report.problems, _("Submit it anyway?")])
        try:
            confirmed = self.context.services.confirm(text, _("Please check the segmentation"))
        finally:
            still_wanted, self._question = self._question is order, None
        if still_wanted and confirmed:
            self._send(report, volumes, order)
        elif still_wanted:
            self.context.show_status(_("Nothing was submitted.") + " " + " ".join(report.problems), BAD)
            self.context.changed()

    def _send(self, report: SegmentationReport, volumes: Snapshots, order: _Order) -> None:
        label, reference = self._label(report, volumes, order), self.context.parameters.t1ce
        connection, uploaded, folder = order.connection, self.context.uploaded, self.context.folder
        self._sending = True

        def submitted(done: SubmissionResult) -> None:
            if geometry.in_scene(reference):
                mark_origin(reference, connection.client().server_url, label.case_id)
                self._record(done, label.case_id, order)
            self.context.overview_stale = True
            self.context.show_status(submitted_text(done, label, report.notices), GOOD)

        def failure() -> str:
            if geometry.in_scene(order.segmentation):
                return _("The label was not submitted. Nothing is lost: your segmentation did not change.")
            return _("The label of {case} was not submitted, and its scene was closed.").format(case=label.case_id)

        self.context.show_status(_("The label is being submitted …"), BUSY)
        self.context.run(
            SUBMIT,
            lambda reporter: submit.submit(connection.client(), label, uploaded, reporter, folder),
            submitted,
            failure=failure,
            cancelled=self._cancelled,
            progress=partial(show_progress, self.ui.submitText, self.ui.submitBar),
        )

    def _label(self, report: SegmentationReport, volumes: Snapshots, order: _Order) -> Submission:
        """Return what is submitted."""
        parameters = self.context.parameters
        status = FINAL if parameters.final else DRAFT
        return Submission(
            case_id=parameters.case_id,
            array=report.array,
            ijk_to_ras=report.ijk_to_ras,
            params={
                "label_info": [{"name": one.name, "idx": one.value} for one in order.labels.labels],
                "comment": parameters.comment,
                "status": status,
                "model_version": parameters.model_version or None,
                "answer_time": parameters.answer_time or None,
                "active_seconds": round(self.context.activity.seconds) or None,
                "reference": REFERENCE,
                "allow_empty": report.empty,
            },
            tag=status,
            snapshots=volumes,
            on_server=origin_of(parameters),
            preparing=order.preparing,
        )

    def _record(self, done: SubmissionResult, case_id: str, order: _Order) -> None:
        """Record a submission, unless another case is shown by now."""
        parameters = self.context.parameters
        if parameters.case_id == case_id:
            self.context.show_history(done.history, order.connection.address)
            parameters.comment = ""
        if parameters.segmentation is order.segmentation and self.context.edits == order.edits:
            self.context.submitted = order.segmentation.GetID()

    def _cancelled(self) -> None:
        self.context.show_status(_("Nothing was submitted; your segmentation did not change."))

    def _cancel(self) -> None:
        self._snapshots.cancel(SUBMIT)
        self.context.jobs.cancel(SUBMIT)
        self.context.changed()

    # === Earlier labels ===

    def _load(self) -> None:
        parameters, version = self.context.parameters, self.chosen
        connection, folder, case_id = self.context.connection(), self.context.folder, parameters.case_id
        entry = next(entry for entry in self.context.history if entry.get("version") == version)
        self.context.show_status(_("Label {version} is being loaded …").format(version=version), BUSY)
        self.context.run(
            CASE,
            lambda reporter: open_case.label_version(connection.client(), case_id, version, reporter, folder),
            lambda image: self._loaded(image, entry),
            failure=_("The label was not loaded; your segmentations did not change."),
            cancelled=lambda: self.context.show_status(_("Loading the label was cancelled.")),
        )

    def _loaded(self, image: Image, entry: dict[str, Any]) -> None:
        parameters, labels = self.context.parameters, self.context.label_set()
        array, ijk_to_ras = image
        name = _("{case} {version}").format(case=parameters.case_id, version=entry.get("version"))
        segmentation = segments.add_segmentation(array.astype(np.uint8), ijk_to_ras, labels, parameters.t1ce, name)
        parameters.label_set = labels.to_json()
        parameters.segmentation = segmentation
        if parameters.answer is None:  # otherwise corrections of this label are compared with that segmentation
            parameters.model_version = str(entry.get("model_version") or "")
        self.context.submitted = ""
        self.context.show_status(_("{name} was loaded as a new segmentation.").format(name=name), GOOD)


def submitted_text(done: SubmissionResult, label: Submission, notices: Sequence[str]) -> str:
    """Describe a submission, and how the segmentation was changed to make one labelmap of it."""
    version = str(done.record.get("version") or (done.history[-1].get("version") if done.history else ""))
    text = _("Submitted as {version} of {case}. Continue with the next case, or retrain.")
    if label.tag == DRAFT:
        text = _("Saved as draft {version} of {case}; drafts are not used for training.")
    return " ".join([text.format(version=version, case=label.case_id), *notices])


def history_rows(history: list[dict[str, Any]]) -> tuple[list[list[str]], list[str], list[str]]:
    """Return the rows of the history, newest first, with their ids and tool tips."""
    rows = []
    for entry in reversed(history):
        when, dice = local_time(str(entry.get("time") or "")), (entry.get("dice_against_model") or {}).get("WT")
        status = str(entry.get("status") or entry.get("tag") or "")
        rows.append([str(entry.get("version")), str(entry.get("user") or "–"), when, status, ratio(dice)])
    return rows, [row[0] for row in rows], [_tip(entry) for entry in reversed(history)]


def _tip(entry: dict[str, Any]) -> str:
    lines, dice = [str(entry.get("comment") or _("No comment."))], entry.get("dice_against_model")
    if entry.get("model_version"):
        lines.append(_("Corrects model {version}.").format(version=entry["model_version"]))
    if dice:
        values = ", ".join(f"{region} {ratio(value)}" for region, value in dice.items())
        lines.append(_("Dice against the model's segmentation: {values}").format(values=values))
    return "\n".join(lines)
