"""The section Submit: checks, sending the label, and the history of the case's labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from TumorLoopLib.client.errors import ClientError
from TumorLoopLib.i18n import _
from TumorLoopLib.jobs import open_case as case_errands
from TumorLoopLib.jobs import segment_and_submit as errands
from TumorLoopLib.jobs.jobs import Progress, Reporter
from TumorLoopLib.jobs.segment_and_submit import Image, Submission, Submitted
from TumorLoopLib.panel import sentences
from TumorLoopLib.panel.consent import may_send
from TumorLoopLib.panel.context import Connection, Desk
from TumorLoopLib.panel.dialogs import confirm
from TumorLoopLib.panel.section import Section
from TumorLoopLib.panel.state import CASE, HISTORY, SUBMIT, PanelState
from TumorLoopLib.panel.tables import Table
from TumorLoopLib.panel.texts import moment, ratio
from TumorLoopLib.panel.widgets import BAD, BUSY, GOOD, allow, show_bar, show_line, show_text
from TumorLoopLib.scene import geometry, segments
from TumorLoopLib.scene.inputs import mark_origin, origin_of
from TumorLoopLib.scene.labels import LabelSet
from TumorLoopLib.scene.segment_copy import SegmentationReport, combine
from TumorLoopLib.scene.snapshot_queue import SnapshotQueue, Snapshots

FINAL, DRAFT = "final", "draft"


@dataclass(frozen=True)
class _Asked:
    """What was meant when Submit was clicked: the address field may hold another server when the label goes out."""

    connection: Connection
    labels: LabelSet
    segmentation: Any
    edits: int


class SubmitSection(Section):
    """Submitting, and the labels that were submitted before.

    Args:
        desk: Shared.
        snapshots: Copies the volumes.
    """

    def __init__(self, desk: Desk, snapshots: SnapshotQueue) -> None:
        super().__init__(desk)
        self._snapshots = snapshots
        headers = [_("Version"), _("Who"), _("When"), _("Status"), _("Dice")]
        self._table = Table(self.ui.historyTable, headers, stretch=1, on_choice=desk.changed)
        self._asked = ("", "")
        self._sending = False
        self.ui.commentEdit.connect("textEdited(QString)", self._comment_typed)
        self.ui.submitButton.connect("clicked(bool)", self._submit)
        self.ui.submitCancelButton.connect("clicked(bool)", self._cancel)
        self.ui.loadLabelButton.connect("clicked(bool)", self._load)

    @property
    def chosen(self) -> str:
        """The version chosen in the history; empty if none is."""
        return self._table.chosen

    @property
    def on_its_way(self) -> frozenset[str]:
        """The kind of a job that goes on when the scene is closed: a label that is being sent needs no scene."""
        return frozenset({SUBMIT}) if self._sending and self.desk.jobs.running(SUBMIT) else frozenset()

    def show(self, state: PanelState) -> None:
        """Show whether Submit is possible, its progress, and the history."""
        ui = self.ui
        running = SUBMIT in state.busy
        reason = state.reason_submit()
        allow(ui.submitButton, reason, _("Send the segmentation as a new version of this case's label"))
        show_text(ui.submitReason, "" if running else reason)
        show_line(ui.commentEdit, self.desk.parameters.comment if self.desk.parameters is not None else "")
        ui.commentEdit.enabled = ui.finalCheck.enabled = not running
        ui.submitBar.setVisible(running)
        ui.submitText.setVisible(running)
        ui.submitCancelButton.enabled = running and not self.desk.jobs.cancelling(SUBMIT)
        allow(ui.loadLabelButton, state.reason_load_label(), _("Show the chosen version as a new segmentation"))
        self._table.fill(*history_rows(self.desk.history))
        known = bool(self.desk.history)
        ui.historyLabel.text = _("Labels of this case") if known else _("No label of this case was submitted yet.")
        ui.historyTable.setVisible(known)
        ui.loadLabelButton.setVisible(known)

    def tick(self) -> None:
        """Ask for the history of a case that came back with a scene, or whose server is meant again."""
        parameters, pulse = self.desk.parameters, self.desk.pulse
        if pulse is None or parameters is None or origin_of(parameters) != pulse.server:
            self._asked = ("", "")
            return
        case = (self.desk.address, parameters.case_id)
        if not self.desk.history and self._asked != case and not self.desk.jobs.running(CASE, HISTORY):
            self._asked = case
            connection = self.desk.connection()
            self.desk.run(
                HISTORY,
                lambda reporter: case_errands.history_of(connection.client(), case[1]),
                lambda history: self.desk.show_history(history, case[0]),
                trouble=_("The labels of this case could not be listed."),
            )

    def leave_scene(self) -> None:
        """Forget the case."""
        self._asked = ("", "")

    def _comment_typed(self, text: str) -> None:
        if self.desk.parameters is not None:
            self.desk.parameters.comment = text

    # === Submitting ===

    def _submit(self) -> None:
        """First look at the segmentation, off this thread; then ask, if need be; then send."""
        parameters = self.desk.parameters
        assert self.desk.pulse is not None  # the button is disabled without
        if origin_of(parameters) != self.desk.pulse.server and not may_send(self.desk):
            return  # a server that the case does not come from gets the volumes, too
        try:
            labels = self.desk.label_set()
            copy = segments.extract(parameters.segmentation, parameters.t1ce, labels)
        except ClientError as error:
            self._fail(error)
            return
        asked = _Asked(self.desk.connection(), labels, parameters.segmentation, self.desk.edits)
        self._sending = False

        def look(reporter: Reporter) -> SegmentationReport:
            report = combine(copy)
            reporter.check()
            return report

        def check(volumes: Snapshots) -> None:
            self.desk.run(
                SUBMIT,
                look,
                lambda report: self._send(report, volumes, asked),
                trouble=_("Nothing was submitted."),
                cancelled=self._cancelled,
            )

        self.desk.say(_("The segmentation is being checked …"), BUSY)
        self.ui.submitText.text = ""
        self._snapshots.request(SUBMIT, parameters, check, self._fail, self._cancelled)
        self.desk.changed()

    def _fail(self, error: ClientError) -> None:
        self.desk.fail(error, _("Nothing was submitted."))

    def _send(self, report: SegmentationReport, volumes: Snapshots, asked: _Asked) -> None:
        if report.problems:
            text = "\n\n".join([*report.problems, _("Submit it nevertheless?")])
            if not confirm(text, _("Please look at this first")):
                self.desk.say(_("Nothing was submitted.") + " " + " ".join(report.problems), BAD)
                return
        label, reference = self._label(report, volumes, asked.labels), self.desk.parameters.t1ce
        connection, sent, folder = asked.connection, self.desk.sent, self.desk.folder
        self._sending = True

        def submitted(done: Submitted) -> None:
            if geometry.in_scene(reference):
                mark_origin(reference, connection.client().server_url, label.case_id)
                self._note(done, label.case_id, asked)
            self.desk.stale = True
            self.desk.say(submitted_text(done, label, report.notices), GOOD)

        def trouble() -> str:
            if geometry.in_scene(asked.segmentation):
                return _("The label was not submitted. Nothing is lost: your segmentation is as it was.")
            return _("The label of {case} was not submitted, and its scene was closed.").format(case=label.case_id)

        self.desk.say(_("The label is being submitted …"), BUSY)
        self.desk.run(
            SUBMIT,
            lambda reporter: errands.submit(connection.client(), label, sent, reporter, folder),
            submitted,
            trouble=trouble,
            cancelled=self._cancelled,
            progress=self._show_progress,
        )

    def _label(self, report: SegmentationReport, volumes: Snapshots, labels: LabelSet) -> Submission:
        """Return what is submitted, with what the clinician says of it."""
        parameters = self.desk.parameters
        status = FINAL if parameters.final else DRAFT
        return Submission(
            case_id=parameters.case_id,
            array=report.array,
            ijk_to_ras=report.ijk_to_ras,
            params={
                "label_info": [{"name": one.name, "idx": one.value} for one in labels.labels],
                "comment": parameters.comment,
                "status": status,
                "model_version": parameters.model_version or None,
                "reference": errands.REFERENCE,
                "allow_empty": report.empty,
            },
            tag=status,
            snapshots=volumes,
            on_server=origin_of(parameters),
        )

    def _note(self, done: Submitted, case_id: str, asked: _Asked) -> None:
        """Take note of a submission, as long as its case is the one that is shown."""
        parameters = self.desk.parameters
        if parameters.case_id == case_id:
            self.desk.show_history(done.history, asked.connection.address)
            parameters.comment = ""
        if parameters.segmentation is asked.segmentation and self.desk.edits == asked.edits:
            self.desk.submitted = asked.segmentation.GetID()

    def _cancelled(self) -> None:
        self.desk.say(_("Nothing was submitted; your segmentation is as it was."))

    def _cancel(self) -> None:
        self._snapshots.cancel(SUBMIT)
        self.desk.jobs.cancel(SUBMIT)
        self.desk.changed()

    def _show_progress(self, progress: Progress, _partial: Any) -> None:
        self.ui.submitText.text = sentences.of_progress(progress)
        show_bar(self.ui.submitBar, progress)

    # === Earlier labels ===

    def _load(self) -> None:
        parameters, version = self.desk.parameters, self.chosen
        connection, folder, case_id = self.desk.connection(), self.desk.folder, parameters.case_id
        entry = next(entry for entry in self.desk.history if entry.get("version") == version)
        self.desk.say(_("Label {version} is being loaded …").format(version=version), BUSY)
        self.desk.run(
            CASE,
            lambda reporter: case_errands.label_version(connection.client(), case_id, version, reporter, folder),
            lambda image: self._loaded(image, entry),
            trouble=_("The label was not loaded; what you had is untouched."),
            cancelled=lambda: self.desk.say(_("The label was not loaded.")),
        )

    def _loaded(self, image: Image, entry: dict[str, Any]) -> None:
        parameters, labels = self.desk.parameters, self.desk.label_set()
        array, ijk_to_ras = image
        name = _("{case} {version}").format(case=parameters.case_id, version=entry.get("version"))
        segmentation = segments.add_segmentation(array.astype(np.uint8), ijk_to_ras, labels, parameters.t1ce, name)
        parameters.label_set = labels.to_json()
        parameters.segmentation = segmentation
        if parameters.answer is None:  # otherwise that answer is what a correction of this label is compared with
            parameters.model_version = str(entry.get("model_version") or "")
        self.desk.submitted = ""
        self.desk.say(_("{name} is shown as a new segmentation.").format(name=name), GOOD)


def submitted_text(done: Submitted, label: Submission, notices: Sequence[str]) -> str:
    """Say what became of a submission, and what was done to the segmentation to make one labelmap of it."""
    version = str(done.record.get("version") or (done.history[-1].get("version") if done.history else ""))
    text = _("Submitted as {version} of {case}. Go on with the next case, or retrain.")
    if label.tag == DRAFT:
        text = _("Kept as draft {version} of {case}; no training sees it.")
    return " ".join([text.format(version=version, case=label.case_id), *notices])


def history_rows(history: list[dict[str, Any]]) -> tuple[list[list[str]], list[str], list[str]]:
    """Return the rows of the history, the newest first, with their ids and tool tips."""
    rows, ids, tips = [], [], []
    for entry in reversed(history):
        dice = entry.get("dice_against_model") or {}
        when = moment(str(entry.get("time") or ""))
        status = str(entry.get("status") or entry.get("tag") or "")
        rows.append([str(entry.get("version")), str(entry.get("user") or "–"), when, status, ratio(dice.get("WT"))])
        ids.append(str(entry.get("version")))
        tips.append(_tip(entry, dice))
    return rows, ids, tips


def _tip(entry: dict[str, Any], dice: dict[str, Any]) -> str:
    lines = [str(entry.get("comment") or _("No comment."))]
    if entry.get("model_version"):
        lines.append(_("Corrects model {version}.").format(version=entry["model_version"]))
    if dice:
        values = ", ".join(f"{region} {ratio(value)}" for region, value in dice.items())
        lines.append(_("Dice against the model's answer: {values}").format(values=values))
    return "\n".join(lines)
