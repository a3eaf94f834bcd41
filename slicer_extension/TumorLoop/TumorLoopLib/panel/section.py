"""What the sections of the panel have in common."""

from __future__ import annotations

from TumorLoopLib.panel.context import Desk
from TumorLoopLib.panel.state import PanelState


class Section:
    """One collapsible section: its widgets' signals, and how it shows the state.

    Args:
        desk: What the sections share.
    """

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.ui = desk.ui

    def show(self, state: PanelState) -> None:
        """Show the present state; called after every change."""

    def tick(self) -> None:
        """Do what is due; called ten times a second."""

    def enter_scene(self) -> None:
        """Take up a scene: ``desk.parameters`` is its parameter node."""

    def leave_scene(self) -> None:
        """Let go of everything in the scene, which is about to be closed."""

    def close(self) -> None:
        """End for good."""
