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
)
from TumorLoopLib.i18n import _
from TumorLoopLib.jobs.jobs import Progress
from TumorLoopLib.jobs.server_status import Training
from TumorLoopLib.jobs.stages import (
    CHECKING,
    COMPUTING,
    GENERATING,
    PREPARING,
    READING,
    RECEIVING,
    REGISTERING,
    RESTORING,
    SENDING,
    STRIPPING,
    WAITING,
)
from TumorLoopLib.panel.formatting import as_sentence, duration, megabytes, percent

#: HTTP status of a full disk.
FULL_DISK = 507


def error_text(error: Exception) -> str:
    """Return what went wrong and what to do, in two or three sentences."""
    if not isinstance(error, ClientError):
        return _("An error in the panel: {error}. The log has the details; please report it.").format(error=error)
    return f"{as_sentence(error.message)} {_remedy(error)}".strip()


def progress_text(progress: Progress) -> str:
    """Return one line about the progress of a job."""
    stage, done, total = progress.stage, megabytes(progress.done), megabytes(progress.total)
    if stage == SENDING and progress.total:
        return _("Sending {done} of {total} MB").format(done=done, total=total) + _rest(progress)
    if stage == WAITING and progress.position > 0:
        return _("Waiting: {count} ahead of this one").format(count=progress.position)
    if stage == COMPUTING:
        return f"{_work(progress.detail)}, {percent(progress.share or 0.0)}{_rest(progress)}"
    if stage == RECEIVING and progress.total:
        return _("Receiving {done} of {total} MB").format(done=done, total=total)
    texts = {
        PREPARING: _("Preparing the volumes …"),
        SENDING: _("Sending …"),
        WAITING: _("Waiting for the server …"),
        RECEIVING: _("Receiving …"),
        GENERATING: _("The server is generating a synthetic case …"),
        CHECKING: _("Checking with the server …"),
    }
    return texts.get(stage, _("Starting …"))


def _work(detail: str) -> str:
    """Return what the server is doing while it computes."""
    texts = {
        READING: _("Reading the volumes"),
        REGISTERING: _("Registering the series"),
        STRIPPING: _("Finding the brain"),
        RESTORING: _("Restoring the grid"),
    }
    return texts.get(detail, _("Computing"))


def progress_percent(progress: Progress) -> int:
    """Return the percentage of the present stage, or -1 if it is not known."""
    if progress.share is not None:
        return round(100 * min(1.0, max(0.0, progress.share)))
    return round(100 * progress.done / progress.total) if progress.total else -1


def step_text(step: Step) -> str:
    """Return what one step of the connection test found, and what to do if it failed."""
    detail = step.detail
    if step.ok:
        return _passed(step)
    if step.step == TCP or not step.answered or (step.step == NAME and " " in detail):
        return as_sentence(detail)
    if step.step in (TOKEN, HTTP):
        detail = as_sentence(detail)
    texts = {
        NAME: _('The machine "{detail}" was not found. Check the spelling and the network.'),
        HTTP: _("Something answers there, but it is not a TumorLoop server: {detail}"),
        TOKEN: _("{detail} Enter the access token you were given for this server."),
        VERSION: _("This is {detail}, which does not fit this panel. Update the server or the extension."),
        MODEL: _("The server has no model. Its administrator must install one."),
    }
    return texts[step.step].format(detail=detail)


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
    token = _("The access token is accepted; you are {detail}.")
    if step.detail in ("", "-"):
        token = _("The access token is accepted.") if step.detail else _("It needs no access token.")
    texts = {
        NAME: _("The machine was found ({detail})."),
        TCP: _("It accepts connections on port {detail}."),
        HTTP: _("It answers."),
        TOKEN: token,
        VERSION: _("It is {detail}."),
        MODEL: _("Its model is {detail}."),
    }
    return texts[step.step].format(detail=step.detail)


def _rest(progress: Progress) -> str:
    eta = progress.eta
    return _(", {time} left").format(time=duration(eta)) if eta is not None and eta >= 1 else ""


def _remedy(error: ClientError) -> str:
    """Return what to do; for some errors the message says it already."""
    status = getattr(error, "status", 0)
    if isinstance(error, ConnectionLost):
        return _("Check the network and the server, then try again.")
    if isinstance(error, NotAuthorized) and status != 403:  # with 403 the server's message says whom to ask
        return _("Enter the access token under Server.")
    if isinstance(error, ServerFailed) and status != FULL_DISK:  # there the server's message says what to do
        return _("Try again; if it fails again, tell the server's administrator.")
    if isinstance(error, RequestRejected) and status == 409:
        return _("Change the case name under Case.")
    if isinstance(error, BadReply):
        return _("Try again; if it fails again, check the server's address and version.")
    return ""
