"""What the panel says: stages, errors with what to do about them, and facts in words."""

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
from TumorLoopLib.jobs.open_case import MAKING
from TumorLoopLib.jobs.segment_and_submit import CHECKING, COMPUTING, RECEIVING, WAITING
from TumorLoopLib.jobs.sending import PREPARING, SENDING
from TumorLoopLib.jobs.server_status import Training
from TumorLoopLib.panel.texts import duration, ended, megabytes, percent

#: HTTP status of a full disk.
FULL_DISK = 507


def of_error(error: Exception) -> str:
    """Return what went wrong and what to do, in two or three plain sentences."""
    if not isinstance(error, ClientError):
        return _("The panel made a mistake: {error}. The log has the details; please report it.").format(error=error)
    remedy = _remedy(error)
    said = ended(error.message)
    return f"{said} {remedy}".strip()


def of_progress(progress: Progress) -> str:
    """Return one line about where a job stands."""
    stage = progress.stage
    if stage == PREPARING:
        return _("Packing the volumes …")
    if stage == SENDING and progress.total:
        text = _("Sending {done} of {total} MB").format(done=megabytes(progress.done), total=megabytes(progress.total))
        return text + _rest(progress)
    if stage == SENDING:
        return _("Sending …")
    if stage == WAITING and progress.position > 0:
        return _("Waiting: {count} before this one").format(count=progress.position)
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
    if stage == MAKING:
        return _("The server makes a synthetic case …")
    return _("Asking the server …") if stage == CHECKING else _("Starting …")


def bar_of(progress: Progress) -> int:
    """Return the percentage of the present stage, or -1 when it cannot be said."""
    if progress.share is not None:
        return round(100 * min(1.0, max(0.0, progress.share)))
    return round(100 * progress.done / progress.total) if progress.total else -1


def of_step(step: Step) -> str:
    """Return what one step of the connection test found; if it failed, with what to do."""
    if step.ok:
        return _passed(step)
    if step.step == NAME:
        if " " in step.detail:
            return ended(step.detail)
        return _('No machine of the name "{name}" is known. Check the spelling, and that the network is up.').format(
            name=step.detail
        )
    if step.step == TCP:
        return ended(step.detail)
    if step.step == HTTP:
        detail = ended(step.detail)
        return _("Something answers there, but not as a TumorLoop server does: {detail}").format(detail=detail)
    if step.step == TOKEN:
        detail = ended(step.detail)
        return _("{detail} Enter the access token that the server's owner gave you.").format(detail=detail)
    if step.step == VERSION:
        return _("This is {name}, which this panel cannot use. Update the server or the extension.").format(
            name=step.detail
        )
    return _("The server has no model to segment with. Whoever runs it must install one.")


def of_training(training: Training) -> str:
    """Return one line about a training under way."""
    if training.state == "training" and training.total_epochs:
        number = min(training.epoch + 1, training.total_epochs)
        text = _("Epoch {number} of {total}").format(number=number, total=training.total_epochs)
        if training.eta:
            text += _(", {time} left").format(time=duration(training.eta))
        return text
    if training.state == "judging":
        return _("Judging: {message}").format(message=training.message)
    if training.state in ("starting", "preparing"):
        return _("Preparing: {message}").format(message=training.message)
    return training.message


def _passed(step: Step) -> str:
    if step.step == NAME:
        return _("The machine is known ({address}).").format(address=step.detail)
    if step.step == TCP:
        return _("It accepts connections on port {port}.").format(port=step.detail)
    if step.step == HTTP:
        return _("It answers.")
    if step.step == TOKEN:
        if not step.detail:
            return _("It asks for no access token.")
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
    """Return what to do; the client's own sentences say it already for some errors."""
    if isinstance(error, ConnectionLost):
        return _("Check the network and the server, then try again.")
    if isinstance(error, (ServerUnreachable, ServerTimeout)):
        return ""
    if isinstance(error, NotAuthorized) and error.status == 403:
        return ""  # the token is good; the server's own sentence says whom to ask for more
    if isinstance(error, NotAuthorized):
        return _("Enter the access token under Server.")
    if isinstance(error, ServerFailed):
        if error.status == FULL_DISK:
            return ""  # the server's own sentence says what to do
        return _("Try again; if it stays so, tell whoever runs the server.")
    if isinstance(error, RequestRejected) and error.status == 409:
        return _("Change the case's name under Case.")
    if isinstance(error, BadReply):
        return _("Try again; if it stays so, check the server's address and version.")
    return ""
