"""Asking before images are sent to another machine."""

from __future__ import annotations

from TumorLoopLib.i18n import _
from TumorLoopLib.panel.context import PanelContext


def confirm_upload(context: PanelContext) -> bool:
    """Ask, once per server, whether images may leave this machine; return whether they may."""
    if context.settings.consented(context.address):
        return True
    text = _(
        "The four volumes will be sent to {address}, which is not this machine.\n\n"
        "Make sure that this is allowed, and that nothing identifies the patient: not the images (burned-in text, "
        "faces), and not the case name, which is sent with every label. File names and DICOM headers are not "
        "sent.\n\nYou will not be asked again for this server."
    )
    if not context.services.confirm(text.format(address=context.address), _("Send images to another machine?")):
        context.show_status(_("Nothing was sent."))
        return False
    context.settings.consent(context.address)
    return True
