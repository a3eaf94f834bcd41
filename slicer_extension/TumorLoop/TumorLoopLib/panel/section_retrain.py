"""The section Retrain: what there is to learn, the training under way, what came of it, and the model versions."""

from __future__ import annotations

from typing import Any

from TumorLoopLib.i18n import _
from TumorLoopLib.jobs.server_status import ModelVersion, Overview, Plan, Training, overview
from TumorLoopLib.panel import sentences
from TumorLoopLib.panel.context import Desk
from TumorLoopLib.panel.curve_view import CurveView
from TumorLoopLib.panel.dialogs import confirm
from TumorLoopLib.panel.section import Section
from TumorLoopLib.panel.state import OVERVIEW, TRAIN, VERSIONS, PanelState
from TumorLoopLib.panel.tables import Table
from TumorLoopLib.panel.texts import duration, ended, moment, ratio
from TumorLoopLib.panel.widgets import BAD, BUSY, GOOD, PLAIN, allow, show_text

REGIONS = ("WT", "TC", "ET")


class RetrainSection(Section):
    """Retrain, Stop, the curve, and the versions."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        ui = self.ui
        self._curve = CurveView(ui.curveLabel)
        headers = [_("Version"), _("Trained"), _("Dice"), _("Parent")]
        self._table = Table(ui.versionsTable, headers, stretch=1, on_choice=desk.changed)
        self._seen = ("", "")
        ui.retrainButton.connect("clicked(bool)", self._retrain)
        ui.stopButton.connect("clicked(bool)", self._stop)
        ui.useVersionButton.connect("clicked(bool)", self._use_version)
        ui.rollbackButton.connect("clicked(bool)", self._roll_back)

    @property
    def chosen(self) -> str:
        """The version chosen in the table; empty if none is."""
        return self._table.chosen

    def show(self, state: PanelState) -> None:
        """Show the plan, the training and the versions."""
        ui, known = self.ui, self.desk.overview
        training = self.desk.pulse.training if self.desk.pulse is not None else Training()
        reason = state.reason_retrain()
        allow(ui.retrainButton, reason, _("Learn from the new corrections; promoted only if it is not worse"))
        show_text(ui.retrainReason, "" if state.training else reason)
        allow(ui.stopButton, state.reason_stop(), _("Stop the training; the model in use stays as it is"))
        allow(ui.useVersionButton, state.reason_use_version(), _("Segment with the chosen version from now on"))
        why_no_way_back = self._why_no_way_back(state)
        allow(ui.rollbackButton, why_no_way_back, _("Go back to the version in use before the last promotion"))
        ui.epochsSpin.enabled = not reason
        has_plan = known is not None and known.plan.new > 0 and not state.training
        show_text(ui.planText, plan_text(known.plan) if known is not None and has_plan else "")
        self._show_training(training)
        show_text(ui.resultText, self._result(training))
        self._table.fill(*version_rows(known.versions if known is not None else ()))

    def tick(self) -> None:
        """Ask for the plan and the versions when they may have changed."""
        pulse = self.desk.pulse
        if pulse is None:
            return
        self._curve.show(pulse.training)  # drawn anew when the dock or the theme has changed
        seen = (pulse.training.run + pulse.training.state, pulse.model_version)
        if seen != self._seen:
            ended = self._seen[0] and not pulse.training.active
            self._seen = seen
            self.desk.stale = True
            if ended and pulse.training.state in ("done", "failed", "stopped"):
                self._tell_end(pulse.training)
        if self.desk.stale and not self.desk.jobs.running(OVERVIEW):
            self.desk.stale = False
            connection = self.desk.connection()
            self.desk.run(
                OVERVIEW,
                lambda reporter: overview(connection.client()),
                self._overlooked,
                trouble=_("The server's model versions could not be listed."),
            )

    # === What the clinician does ===

    def _retrain(self) -> None:
        epochs = int(self.desk.parameters.epochs)
        params = {"max_epochs": epochs} if epochs > 0 else {}
        connection = self.desk.connection()
        self.desk.say(_("The training is being started …"), BUSY)
        self.desk.run(
            TRAIN,
            lambda reporter: connection.client().train(params=params),
            lambda _task: self._asked(_("The training has started. You can go on working meanwhile.")),
            trouble=_("No training was started."),
        )

    def _stop(self) -> None:
        text = _("Stop the training? The model in use stays as it is.")
        if not confirm(text, _("Stop the training?")):
            return
        connection = self.desk.connection()
        self.desk.run(
            TRAIN,
            lambda reporter: connection.client().stop_training(),
            lambda _task: self._asked(_("The training is being stopped.")),
            trouble=_("The training could not be stopped."),
        )

    def _use_version(self) -> None:
        version = self.chosen
        text = _("Segment with {version} from now on? Everybody who uses this server gets it.")
        if confirm(text.format(version=version), _("Change the model in use?")):
            connection = self.desk.connection()
            self._change_version(lambda: connection.client().promote(version))

    def _roll_back(self) -> None:
        text = _(
            "Go back to the model that was in use before the last promotion? Everybody who uses this server gets it."
        )
        if confirm(text, _("Change the model in use?")):
            connection = self.desk.connection()
            self._change_version(lambda: connection.client().rollback())

    def _change_version(self, change: Any) -> None:
        self.desk.run(
            VERSIONS,
            lambda reporter: change(),
            lambda version: self._asked(_("{version} is in use now.").format(version=version.get("id"))),
            trouble=_("The model in use is the same as before."),
        )

    def _asked(self, text: str) -> None:
        self.desk.say(text, GOOD)
        self.desk.stale = True
        self.desk.on_lost()  # look at the server at once

    # === What is shown ===

    def _overlooked(self, found: Overview) -> None:
        self.desk.overview = found

    def _show_training(self, training: Training) -> None:
        ui = self.ui
        ui.trainingBar.setVisible(training.active)
        show_text(ui.trainingText, sentences.of_training(training) if training.active else "")
        if training.active:
            counted = training.state == "training" and training.total_epochs > 0
            ui.trainingBar.maximum = training.total_epochs if counted else 0
            ui.trainingBar.value = training.epoch if counted else 0
        self._curve.show(training)

    def _result(self, training: Training) -> str:
        if training.state == "failed":
            return _("The training failed: {message} The model in use is the same as before.").format(
                message=ended(training.message)
            )
        if training.state == "stopped":
            return _("The training was stopped. The model in use is the same as before.")
        if training.state != "done" or self.desk.overview is None:
            return ""
        version = next((one for one in self.desk.overview.versions if one.id == training.version), None)
        return result_text(version) if version is not None else training.verdict

    def _tell_end(self, training: Training) -> None:
        if training.state == "done" and training.promoted:
            self.desk.say(_("The training is done: {version} is in use now.").format(version=training.version), GOOD)
        elif training.state == "done":
            text = _("The training is done, but {version} is worse and was not promoted. The model in use stays.")
            self.desk.say(text.format(version=training.version), PLAIN)
        elif training.state == "failed":
            self.desk.say(_("The training failed: {message}").format(message=ended(training.message)), BAD)
        else:
            self.desk.say(_("The training was stopped; the model in use is the same as before."))

    def _why_no_way_back(self, state: PanelState) -> str:
        if not state.connected:
            return state.reason_use_version()
        if VERSIONS in state.busy:
            return _("Just a moment: the server is being asked.")
        known = self.desk.overview
        current = next((one for one in known.versions if one.current), None) if known is not None else None
        if current is None or not current.parent:
            return _("The model in use is the first one.")
        return ""


def plan_text(plan: Plan) -> str:
    """Say what a training would do."""
    text = _("New corrections: {new} (of {total} in all). Starts from {parent}.").format(
        new=plan.new, total=plan.total, parent=plan.parent
    )
    if plan.expected_seconds:
        text += " " + _("About {time} for {epochs} epochs.").format(
            time=duration(plan.expected_seconds), epochs=plan.max_epochs
        )
    return text


def result_text(version: ModelVersion) -> str:
    """Say how a new version was judged against its parent, region by region."""
    count = version.judged_on
    head = (
        _("Mean Dice on one validation case:") if count == 1 else _("Mean Dice on the same {count} validation cases:")
    )
    lines = [
        head.format(count=count),
        *(
            _("{region}: {before} before, {after} now").format(
                region=region, before=ratio(version.before.get(region)), after=ratio(version.after.get(region))
            )
            for region in REGIONS
        ),
        version.verdict,
    ]
    return "\n".join(line for line in lines if line)


def version_rows(versions: tuple[ModelVersion, ...]) -> tuple[list[list[str]], list[str], list[str]]:
    """Return the rows of the table of versions, the newest first, with their ids and tool tips."""
    rows, ids, tips = [], [], []
    for version in reversed(versions):
        name = _("{version} (in use)").format(version=version.id) if version.current else version.id
        when = moment(version.created)
        rows.append([name, when, ratio(version.after.get("mean")), version.parent or "–"])
        ids.append(version.id)
        tips.append(version.verdict or _("The first model."))
    return rows, ids, tips
