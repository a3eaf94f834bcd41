"""What the sections of the panel have in common."""

from __future__ import annotations

from TumorLoopLib.panel.context import PanelContext
from TumorLoopLib.panel.state import PanelState


class Section:
    """One collapsible section: its widgets' signals, and how it shows the state.

    Args:
        context: What the sections share.
    """

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
