"""The panel's sentences: stages of a job, errors with what to do about them, steps of the connection test."""

from __future__ import annotations

from TumorLoopLib.client.diagnosis import HTTP, MODEL, NAME, TCP, TOKEN, VERSION, Step
from TumorLoopLib.client.errors import (
    BadReply,
    ClientError,
    ConnectionLost,
    NotAuthorized,
    RequestRejected,
    ServerFailed,
    ServerTimeout,
    ServerUnreachable,
)
from TumorLoopLib.i18n import _
from TumorLoopLib.jobs.jobs import Progress
from TumorLoopLib.jobs.open_case import GENERATING
from TumorLoopLib.jobs.segment_and_submit import CHECKING, COMPUTING, RECEIVING, WAITING
from TumorLoopLib.jobs.server_status import Training
from TumorLoopLib.jobs.upload import PREPARING, SENDING
from TumorLoopLib.panel.texts import as_sentence, duration, megabytes, percent

#: HTTP status of a full disk.
FULL_DISK = 507


def error_text(error: Exception) -> str:
    """Return what went wrong and what to do, in two or three sentences."""
    if not isinstance(error, ClientError):
        return _("An error in the panel: {error}. The log has the details; please report it.").format(error=error)
    return f"{as_sentence(error.message)} {_remedy(error)}".strip()


def progress_text(progress: Progress) -> str:
    """Return one line about the progress of a job."""
    stage = progress.stage
    if stage == PREPARING:
        return _("Preparing the volumes …")
    if stage == SENDING and progress.total:
        text = _("Sending {done} of {total} MB").format(done=megabytes(progress.done), total=megabytes(progress.total))
        return text + _rest(progress)
    if stage == SENDING:
        return _("Sending …")
    if stage == WAITING and progress.position > 0:
        return _("Waiting: {count} ahead of this one").format(count=progress.position)
    if stage == WAITING:
        return _("Waiting for the server …")
    if stage == COMPUTING:
        return _("Computing, {share}").format(share=percent(progress.share or 0.0)) + _rest(progress)
    if stage == RECEIVING and progress.total:
        return _("Receiving {done} of {total} MB").format(
            done=megabytes(progress.done), total=megabytes(progress.total)
        )
    if stage == RECEIVING:
        return _("Receiving …")
    if stage == GENERATING:
        return _("The server is generating a synthetic case …")
    return _("Checking with the server …") if stage == CHECKING else _("Starting …")


def progress_percent(progress: Progress) -> int:
    """Return the percentage of the present stage, or -1 if it is not known."""
    if progress.share is not None:
        return round(100 * min(1.0, max(0.0, progress.share)))
    return round(100 * progress.done / progress.total) if progress.total else -1


def step_text(step: Step) -> str:
    """Return what one step of the connection test found, and what to do if it failed."""
    if step.ok:
        return _passed(step)
    if step.step == NAME:
        if " " in step.detail:
            return as_sentence(step.detail)
        return _('The machine "{name}" was not found. Check the spelling and the network.').format(name=step.detail)
    if step.step == TCP:
        return as_sentence(step.detail)
    if step.step == HTTP:
        detail = as_sentence(step.detail)
        return _("Something answers there, but it is not a TumorLoop server: {detail}").format(detail=detail)
    if step.step == TOKEN:
        detail = as_sentence(step.detail)
        return _("{detail} Enter the access token you were given for this server.").format(detail=detail)
    if step.step == VERSION:
        return _("This is {name}, which does not fit this panel. Update the server or the extension.").format(
            name=step.detail
        )
    return _("The server has no model. Its administrator must install one.")


def training_text(training: Training) -> str:
    """Return one line about a running training."""
    if training.state == "training" and training.total_epochs:
        number = min(training.epoch + 1, training.total_epochs)
        text = _("Epoch {number} of {total}").format(number=number, total=training.total_epochs)
        if training.eta:
            text += _(", {time} left").format(time=duration(training.eta))
        return text
    if training.state == "judging":
        return _("Evaluating: {message}").format(message=training.message)
    if training.state in ("starting", "preparing"):
        return _("Preparing: {message}").format(message=training.message)
    return training.message


def _passed(step: Step) -> str:
    if step.step == NAME:
        return _("The machine was found ({address}).").format(address=step.detail)
    if step.step == TCP:
        return _("It accepts connections on port {port}.").format(port=step.detail)
    if step.step == HTTP:
        return _("It answers.")
    if step.step == TOKEN:
        if not step.detail:
            return _("It needs no access token.")
        if step.detail == "-":
            return _("The access token is accepted.")
        return _("The access token is accepted; you are {who}.").format(who=step.detail)
    if step.step == VERSION:
        return _("It is {name}.").format(name=step.detail)
    assert step.step == MODEL
    return _("Its model is {version}.").format(version=step.detail)


def _rest(progress: Progress) -> str:
    eta = progress.eta
    return _(", {time} left").format(time=duration(eta)) if eta is not None and eta >= 1 else ""


def _remedy(error: ClientError) -> str:
    """Return what to do; for some errors the message says it already."""
    if isinstance(error, ConnectionLost):
        return _("Check the network and the server, then try again.")
    if isinstance(error, (ServerUnreachable, ServerTimeout)):
        return ""
    if isinstance(error, NotAuthorized) and error.status == 403:
        return ""  # the token is valid; the server's message says whom to ask for more rights
    if isinstance(error, NotAuthorized):
        return _("Enter the access token under Server.")
    if isinstance(error, ServerFailed):
        if error.status == FULL_DISK:
            return ""  # the server's message says what to do
        return _("Try again; if it fails again, tell the server's administrator.")
    if isinstance(error, RequestRejected) and error.status == 409:
        return _("Change the case name under Case.")
    if isinstance(error, BadReply):
        return _("Try again; if it fails again, check the server's address and version.")
    return ""
