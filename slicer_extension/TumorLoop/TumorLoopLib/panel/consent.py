"""Asking before images go to another machine."""

from __future__ import annotations

from TumorLoopLib.i18n import _
from TumorLoopLib.panel.context import Desk
from TumorLoopLib.panel.dialogs import confirm


def may_send(desk: Desk) -> bool:
    """Ask, once for each server, whether images may leave this machine; return whether they may."""
    if desk.settings.consented(desk.address):
        return True
    text = _(
        "The four volumes will be sent to {address}, which is not this machine.\n\n"
        "Make sure that this is allowed, and that nothing identifies the patient: not the images (burned-in text, "
        "faces), and not the case's name, which is sent with every label. File names and DICOM headers are not "
        "sent.\n\nYou will not be asked again for this server."
    )
    if not confirm(text.format(address=desk.address), _("Send images to another machine?")):
        desk.say(_("Nothing was sent."))
        return False
    desk.settings.consent(desk.address)
    return True
