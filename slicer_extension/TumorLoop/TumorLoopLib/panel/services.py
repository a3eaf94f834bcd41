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
from TumorLoopLib.panel.settings import Store

Actions = Mapping[str, Callable[[], None]]


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

    def timer(self, callback: Callable[[], None]) -> Any:
        """Return a repeating timer with ``interval`` (milliseconds), ``start()`` and ``stop()``."""

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Call back once, from the event loop."""

    def confirm(self, text: str, title: str) -> bool:
        """Ask whether to go on."""

    def choose_folder(self, title: str, start: str) -> str:
        """Ask for a folder; empty if the user cancels."""

    def choose_file(self, title: str, start: str, kinds: str) -> str:
        """Ask for a file of some kinds, such as ``"Images (*.png);;All files (*)"``; empty if the user cancels."""

    def choose_new_file(self, title: str, start: str, kinds: str) -> str:
        """Ask where to save a file; empty if the user cancels."""

    def client(self, address: str, token: str, user: str, timeouts: Timeouts | None, ca_file: str) -> TumorLoopClient:
        """Return a client of a server; called on worker threads."""

    def watch_effects(self, registered: Callable[[], None]) -> Callable[[], None]:
        """Call back when a module that is loaded later adds an effect to the Segment Editor; return what ends that."""

    def shortcuts(self, actions: Actions) -> Any:
        """Return shortcuts for keys such as ``"Ctrl+Z"``, with ``enable(on)`` and ``remove()``."""

    def table(
        self, widget: Any, headers: Sequence[str], stretch: int = 0, on_choice: Callable[[], None] | None = None
    ) -> Any:
        """Return a table in a widget: :class:`TumorLoopLib.panel.tables.QtTable` says what it does."""

    def curve_view(self, label: Any) -> Any:
        """Return what draws into a label; see :class:`TumorLoopLib.panel.curve_view.QtCurveView`."""

    def picture_view(self, label: Any) -> Any:
        """Return what shows a picture in a label; see :class:`TumorLoopLib.panel.picture_view.QtPictureView`."""

    def correction_view(self, label: Any) -> Any:
        """Return what draws into a label; see :class:`TumorLoopLib.panel.curve_view.QtCorrectionView`."""

    def load_volume(self, path: Path, *, show: bool) -> Any:
        """Load an image file into the scene and return its node; ``RuntimeError`` if it cannot be read."""

    def modify(self, node: Any) -> AbstractContextManager[Any]:
        """Combine all changes of a node into one modified event."""
