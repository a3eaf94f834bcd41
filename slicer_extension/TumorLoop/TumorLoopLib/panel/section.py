"""What the sections of the panel have in common."""

from __future__ import annotations

from TumorLoopLib.i18n import _
from TumorLoopLib.panel.context import PanelContext
from TumorLoopLib.panel.state import PanelState


class Section:
    """One collapsible section: its widgets' signals, and how it shows the state."""

    def __init__(self, context: PanelContext) -> None:
        self.context = context
        self.ui = context.ui

    @property
    def busy(self) -> frozenset[str]:
        """The kinds of work that go on outside of jobs."""
        return frozenset()

    def show(self, state: PanelState) -> None:
        """Show the present state; called after every change."""

    def tick(self) -> None:
        """Do what is due; called several times a second."""

    def enter_scene(self) -> None:
        """Attach to a scene: ``context.parameters`` is its parameter node."""

    def leave_scene(self) -> None:
        """Detach from the scene, which is about to be closed."""

    def close(self) -> None:
        """Release everything: the module is unloaded."""

    def confirm_upload(self) -> bool:
        """Ask, once per server, whether images may leave this machine; return whether they may."""
        context = self.context
        if context.settings.consented(context.address):
            return True
        text = _(
            "The four volumes will be sent to {address}, which is not this machine.\n\n"
            "Make sure that this is allowed, and that nothing identifies the patient: not the images (burned-in text, "
            "faces), and not the case name, which is sent with every label. File names and patients' data in DICOM "
            "headers are not sent; the identifiers and positions of DICOM images are.\n\nYou will not be asked again "
            "for this server."
        )
        if not context.services.confirm(text.format(address=context.address), _("Send images to another machine?")):
            context.show_status(_("Nothing was sent."))
            return False
        context.settings.consent(context.address)
        return True
