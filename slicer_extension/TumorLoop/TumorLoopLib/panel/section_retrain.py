"""The section Retrain: new corrections, the running training, its result, and the model versions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from TumorLoopLib.client import TumorLoopClient
from TumorLoopLib.client.training_calls import SITE
from TumorLoopLib.i18n import _
from TumorLoopLib.jobs.corrections import Corrections
from TumorLoopLib.jobs.judgment import WORSE
from TumorLoopLib.jobs.server_status import ModelVersion, Overview, Training, TrainingPlan, fetch_overview
from TumorLoopLib.panel import messages
from TumorLoopLib.panel.context import PanelContext
from TumorLoopLib.panel.correction_plot import corrections_text
from TumorLoopLib.panel.formatting import as_sentence, duration, local_time, ratio
from TumorLoopLib.panel.section import Section
from TumorLoopLib.panel.state import OVERVIEW, PICTURES, TRAIN, VERSIONS, PanelState
from TumorLoopLib.panel.verdict import TONES, headline, pictures_text, result_text
from TumorLoopLib.panel.widgets import BAD, BUSY, GOOD, PLAIN, enable, show_light, show_text

Call = Callable[[TumorLoopClient], Any]


class RetrainSection(Section):
    """Retrain, Stop, the curve, and the versions."""

    def __init__(self, context: PanelContext) -> None:
        super().__init__(context)
        ui = self.ui
        self._curve = context.services.curve_view(ui.curveLabel)
        self._corrections = context.services.correction_view(ui.correctionsLabel)
        headers = [_("Version"), _("Trained"), _("Dice"), _("Parent")]
        self._table = context.services.table(ui.versionsTable, headers, stretch=1, on_choice=context.changed)
        self._pictures = [context.services.picture_view(label) for label in (ui.beforePicture, ui.afterPicture)]
        self._drawn = ("", "")  # address and version
        self._last_seen = ("", "")
        ui.retrainButton.connect("clicked(bool)", self._retrain)
        ui.fitSiteButton.connect("clicked(bool)", self._fit_site)
        ui.stopButton.connect("clicked(bool)", self._stop)
        ui.useVersionButton.connect("clicked(bool)", self._use_version)
        ui.rollbackButton.connect("clicked(bool)", self._roll_back)

    @property
    def chosen(self) -> str:
        """The version selected in the table; empty if none is."""
        return str(self._table.chosen)

    @property
    def training(self) -> Training:
        """The server's last training."""
        status = self.context.server_status
        return status.training if status is not None else Training()

    def show(self, state: PanelState) -> None:
        """Show the plan, the training and the versions."""
        ui, known, training, reason = self.ui, self.context.overview, self.training, state.reason_retrain()
        tip = _("Train on the new corrections; the new version is used unless patients or phantoms speak against it")
        enable(ui.retrainButton, reason, tip)
        show_text(ui.retrainReason, "" if state.training else reason)
        no_fit = state.reason_fit_site()
        enable(ui.fitSiteButton, no_fit, fit_site_tip())
        show_text(ui.fitSiteReason, "" if state.training or no_fit == reason else no_fit)
        enable(ui.stopButton, state.reason_stop(), _("Stop the training; the model in use does not change"))
        enable(ui.useVersionButton, state.reason_use_version(), _("Segment with the selected version from now on"))
        tip = _("Go back to the version that was in use before the last promotion")
        enable(ui.rollbackButton, self._reason_rollback(state), tip)
        ui.epochsSpin.enabled = not reason
        has_plan = known is not None and known.plan.new > 0 and not state.training
        show_text(ui.planText, plan_text(known.plan) if known is not None and has_plan else "")
        self._show_training(training)
        self._show_result(training)
        self._table.fill(*version_rows(known.versions if known is not None else ()))
        self._show_corrections()

    def tick(self) -> None:
        """Fetch the plan and the versions when they may have changed."""
        status = self.context.server_status
        if status is None:
            return
        training = status.training
        self._curve.show(training)  # drawn again when the size or the theme has changed
        for picture in self._pictures:
            picture.fit()
        self._corrections.show(self._known_corrections())
        seen = (training.run + training.state, status.model_version)
        if seen != self._last_seen:
            ended = self._last_seen[0] and training.state in ("done", "failed", "stopped")
            self._last_seen = seen
            self.context.overview_stale = True
            if ended:
                self._announce_end(training)
        if self.context.overview_stale and not self.context.jobs.running(OVERVIEW):
            self.context.overview_stale = False
            connection = self.context.connection()
            self.context.run(
                OVERVIEW,
                lambda reporter: fetch_overview(connection.client()),
                self._show_overview,
                failure=_("The server's model versions could not be listed."),
            )

    # === User input ===

    def _retrain(self) -> None:
        epochs = int(self.context.parameters.epochs)
        params = {"max_epochs": epochs} if epochs > 0 else {}
        started = _("The training has started. You can continue to work.")
        self.context.show_status(_("Starting training …"), BUSY)
        self._request(TRAIN, lambda client: client.train(params=params), started, _("Training could not be started."))

    def _fit_site(self) -> None:
        started = _("The model is being fitted to this site's scanners. You can continue to work.")
        self.context.show_status(_("Starting …"), BUSY)
        failure = _("The fit could not be started.")
        self._request(TRAIN, lambda client: client.train(params={"mode": SITE}), started, failure)

    def _stop(self) -> None:
        text = _("Stop the training? The model in use does not change.")
        if self.context.services.confirm(text, _("Stop the training?")):
            done, failure = _("Stopping training …"), _("Training could not be stopped.")
            self._request(TRAIN, lambda client: client.stop_training(), done, failure)

    def _use_version(self) -> None:
        version = self.chosen
        text = _("Segment with {version} from now on? This changes the model for everyone who uses this server.")
        self._change_version(text.format(version=version), lambda client: client.promote(version))

    def _roll_back(self) -> None:
        text = _(
            "Go back to the model that was in use before the last promotion? "
            "This changes the model for everyone who uses this server."
        )
        self._change_version(text, lambda client: client.rollback())

    def _change_version(self, question: str, change: Call) -> None:
        if self.context.services.confirm(question, _("Change the model in use?")):
            self._request(VERSIONS, change, _("{version} is now in use."), _("The model in use did not change."))

    def _request(self, kind: str, call: Call, done: str, failure: str) -> None:
        """Call the server, and show ``done`` when it has replied."""
        connection = self.context.connection()

        def succeeded(reply: Any) -> None:
            self.context.show_status(done.format(version=(reply or {}).get("id")), GOOD)
            self.context.overview_stale = True
            self.context.poll_server_soon()

        self.context.run(kind, lambda reporter: call(connection.client()), succeeded, failure=failure)

    # === Display ===

    def _show_overview(self, found: Overview) -> None:
        self.context.overview = found

    def _show_training(self, training: Training) -> None:
        ui = self.ui
        ui.trainingBar.setVisible(training.active)
        show_text(ui.trainingText, messages.training_text(training) if training.active else "")
        if training.active:
            counted = training.state == "training" and training.total_epochs > 0
            ui.trainingBar.maximum = training.total_epochs if counted else 0
            ui.trainingBar.value = training.epoch if counted else 0
        self._curve.show(training)

    def _known_corrections(self) -> Corrections:
        return self.context.overview.corrections if self.context.overview is not None else Corrections()

    def _show_corrections(self) -> None:
        """Show the plot of the corrections and the same in words, which also describes the plot to a screen reader."""
        corrections = self._known_corrections()
        text = corrections_text(corrections)
        self._corrections.show(corrections)
        self.ui.correctionsLabel.accessibleDescription = text
        show_text(self.ui.correctionsText, text)

    def _show_result(self, training: Training) -> None:
        ui, text, version = self.ui, "", self._new_version(training)
        if training.state == "failed":
            text = _("The training failed: {message} The model in use did not change.")
            text = text.format(message=as_sentence(training.message))
        elif training.state == "stopped":
            text = _("The training was stopped. The model in use did not change.")
        elif training.state == "done" and self.context.overview is not None:
            text = result_text(version) if version is not None and version.evaluated_on else training.verdict
        show_text(ui.outcomeText, headline(version) if version is not None else "")
        show_light(ui.outcomeText, TONES.get(version.judgment.outcome, PLAIN) if version is not None else PLAIN)
        show_text(ui.resultText, text)
        self._show_pictures(version)

    def _new_version(self, training: Training) -> ModelVersion | None:
        known = self.context.overview
        if training.state != "done" or known is None:
            return None
        return next((one for one in known.versions if one.id == training.version), None)

    def _show_pictures(self, version: ModelVersion | None) -> None:
        """Fetch the pictures of a version, once; without any, hide those of another."""
        shown = version.judgment.pictures if version is not None else None
        wanted = (self.context.address, version.id) if version is not None and shown is not None else ("", "")
        if wanted == self._drawn or self.context.jobs.running(PICTURES):
            return
        self._drawn = wanted
        for view in self._pictures:
            view.clear()
        show_text(self.ui.pictureText, "")
        if shown is None:
            return
        connection, folder = self.context.connection(), self.context.folder
        names, version_id, text = (shown.before, shown.after), wanted[1], pictures_text(shown)

        def fetch(reporter: Any) -> list[Path]:
            client = connection.client()
            return [client.version_picture(version_id, name, folder) for name in names]

        def fetched(paths: list[Path]) -> None:
            for view, path in zip(self._pictures, paths):
                if wanted == self._drawn:
                    view.load(path)
                path.unlink()
            show_text(self.ui.pictureText, text if wanted == self._drawn else "")

        def failed(error: Exception) -> None:
            show_text(self.ui.pictureText, _("The pictures of before and after could not be fetched."))

        self.context.run_in_background(PICTURES, fetch, fetched, failed)

    def _announce_end(self, training: Training) -> None:
        text, tone = _("The training was stopped; the model in use did not change."), PLAIN
        if training.state == "done" and training.promoted:
            text, tone = _("The training is done: {version} is now in use."), GOOD
        elif training.state == "done" and training.site:
            text = _("The fit is done. {version} was not promoted; the model in use did not change.")
        elif training.state == "done" and training.outcome == WORSE:
            text = _("The training is done. {version} is worse and was not promoted; the model in use did not change.")
        elif training.state == "done":
            text = _("The training is done. {version} was not promoted; the model in use did not change.")
        elif training.state == "failed":
            text, tone = _("The training failed: {message}"), BAD
        self.context.show_status(text.format(version=training.version, message=as_sentence(training.message)), tone)

    def _reason_rollback(self, state: PanelState) -> str:
        if not state.connected:
            return state.reason_use_version()
        if VERSIONS in state.busy:
            return _("The request is being sent.")
        known = self.context.overview
        current = next((one for one in known.versions if one.current), None) if known is not None else None
        if current is None or not current.parent:
            return _("The model in use is the first version.")
        return ""


def fit_site_tip() -> str:
    """Return what fitting to the site's scanners does, and what it does not."""
    return _(
        "Adapt the model to how images look at this site, from the images of the cases on the server. No labels are "
        "used or needed, and the model learns nothing new about tumors. In a few minutes there is a new version, which "
        "is promoted only if the expected Dice of the cases does not fall and synthetic cases keep theirs. You can go "
        "back at any time with Roll back."
    )


def plan_text(plan: TrainingPlan) -> str:
    """Describe what a training run would do."""
    text = _("New corrections: {new} ({total} in total). Starts from {parent}.")
    text = text.format(new=plan.new, total=plan.total, parent=plan.parent)
    if plan.expected_seconds:
        about = _("About {time} for {epochs} epochs.")
        text += " " + about.format(time=duration(plan.expected_seconds), epochs=plan.max_epochs)
    return text


def version_rows(versions: tuple[ModelVersion, ...]) -> tuple[list[list[str]], list[str], list[str]]:
    """Return the rows of the versions table, newest first, with their ids and tool tips."""
    rows = []
    for version in reversed(versions):
        name = _("{version} (in use)").format(version=version.id) if version.current else version.id
        rows.append([name, local_time(version.created), ratio(version.after.get("mean")), version.parent or "–"])
    tips = [version.verdict or _("The first version.") for version in reversed(versions)]
    return rows, [version.id for version in reversed(versions)], tips
