"""What the panel needs from Slicer and Qt.

Whoever makes the panel hands these in: :class:`~TumorLoopLib.panel.slicer_services.SlicerServices` inside Slicer, plain
Python in tests. No other module of the panel imports Slicer or Qt to reach the application.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from TumorLoopLib.client import TumorLoopClient
from TumorLoopLib.client.address import Timeouts
from TumorLoopLib.jobs.server_status import Training
from TumorLoopLib.panel.settings import Store

Actions = Mapping[str, Callable[[], None]]


class Timer(Protocol):
    """A repeating timer; ``interval`` is in milliseconds."""

    interval: int

    def start(self) -> None:
        """Start it."""

    def stop(self) -> None:
        """Stop it."""


class Shortcuts(Protocol):
    """Keyboard shortcuts of the main window, off until they are enabled."""

    def enable(self, on: bool) -> None:
        """Switch them on or off."""

    def remove(self) -> None:
        """Remove them for good."""


class Table(Protocol):
    """A table of text in which one row can be selected; see :class:`TumorLoopLib.panel.tables.QtTable`."""

    @property
    def chosen(self) -> str:
        """The id of the selected row; empty if none is."""

    def fill(self, rows: Sequence[Sequence[str]], ids: Sequence[str] = (), tips: Sequence[str] = ()) -> None:
        """Show rows with their ids and tool tips; a selected row stays selected if it is among them."""


class CurveView(Protocol):
    """Where the training curve is drawn."""

    def show(self, training: Training) -> None:
        """Draw the finished epochs of a training; nothing is shown if there are none."""


class PanelServices(Protocol):
    """Slicer and Qt as the panel sees them. User interface thread only."""

    settings: Store
    temporary_folder: Path
    #: The environment variables from before Slicer added its own.
    startup_environment: Mapping[str, str]
    #: The MRML scene.
    scene: Any

    def monotonic(self) -> float:
        """Return a time in seconds that never goes back."""

    def timer(self, callback: Callable[[], None]) -> Timer:
        """Return a timer that is not started yet."""

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Call back once, from the event loop."""

    def confirm(self, text: str, title: str) -> bool:
        """Ask whether to go on."""

    def choose_folder(self, title: str, start: str) -> str:
        """Ask for a folder; empty if the user cancels."""

    def client(self, address: str, token: str, user: str, timeouts: Timeouts | None) -> TumorLoopClient:
        """Return a client of a server; called on worker threads."""

    def shortcuts(self, actions: Actions) -> Shortcuts:
        """Return shortcuts by key, for example ``"1"`` or ``"Ctrl+Z"``."""

    def table(
        self, widget: Any, headers: Sequence[str], stretch: int = 0, on_choice: Callable[[], None] | None = None
    ) -> Table:
        """Return a table in a widget; the column ``stretch`` takes the space that is left."""

    def curve_view(self, label: Any) -> CurveView:
        """Return a view that draws into a label."""

    def load_volume(self, path: Path, *, show: bool) -> Any:
        """Load an image file into the scene and return its node; ``RuntimeError`` if it cannot be read."""

    def modify(self, node: Any) -> AbstractContextManager[Any]:
        """Combine all changes of a node into one modified event."""
