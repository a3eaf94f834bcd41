"""The panel's services in plain Python: no Qt, a clock that tests move on, and answers that tests give beforehand."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import slicer
from TumorLoopLib.client import TumorLoopClient
from TumorLoopLib.client.address import Timeouts
from TumorLoopLib.panel import settings


class Store(settings.Store):
    """``QSettings`` as it behaves on a file: everything becomes text, a list of one item becomes that item."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    def value(self, key: str) -> Any:
        return self.kept.get(key)

    def setValue(self, key: str, value: Any) -> None:
        self.kept[key] = value[0] if isinstance(value, list) and len(value) == 1 else str(value)


@dataclass
class Table:
    """What a table shows; :meth:`select` is the user's click on a row."""

    headers: Sequence[str]
    on_choice: Callable[[], None] | None
    rows: Sequence[Sequence[str]] = ()
    ids: Sequence[str] = ()
    chosen: str = ""

    def fill(self, rows: Sequence[Sequence[str]], ids: Sequence[str] = (), tips: Sequence[str] = ()) -> None:
        assert all(len(row) == len(self.headers) for row in rows)
        self.rows, self.ids = rows, ids
        self.chosen = self.chosen if self.chosen in self.ids else ""

    def select(self, row: int) -> None:
        self.chosen = self.ids[row]
        if self.on_choice is not None:
            self.on_choice()


class PlainServices:
    """Implements ``PanelServices``.

    Attributes:
        aliases: Addresses that lead to another one: so a server on this machine can be on "another".
        answers: What the user answers to the next questions; ``questions`` are those that were asked.
        pictures: What the panel has shown in labels, file by file.
        folders: What the user chooses in the next folder and file dialogs; ``proposed`` is what the last one showed.
    """

    def __init__(self, folder: Path) -> None:
        self.settings: settings.Store = Store()
        self.temporary_folder = folder
        self.startup_environment: Mapping[str, str] = dict(os.environ)
        self.scene = slicer.mrmlScene
        self.aliases: dict[str, str] = {}
        self.answers: deque[bool] = deque()
        self.questions: list[str] = []
        self.folders: deque[str] = deque()
        self.tables: dict[int, Table] = {}
        self.pictures: list[bytes] = []
        self.proposed = ""
        self._now = 1000.0
        self._soon: deque[Callable[[], None]] = deque()
        self._in_timer = False

    def process_events(self) -> None:
        """Do one turn of the event loop; the time goes on by the timer's interval."""
        while self._soon:
            self._soon.popleft()()
        self._now += self._timer.interval / 1000
        if self._timer.active and not self._in_timer:  # Qt does not call a timer's slot inside itself
            self._in_timer = True
            try:
                self._tick()
            finally:
                self._in_timer = False

    def monotonic(self) -> float:
        return self._now

    def timer(self, callback: Callable[[], None]) -> Any:
        timer = SimpleNamespace(interval=0, active=False)
        timer.start, timer.stop = lambda: setattr(timer, "active", True), lambda: setattr(timer, "active", False)
        self._timer, self._tick = timer, callback
        return timer

    def call_soon(self, callback: Callable[[], None]) -> None:
        self._soon.append(callback)

    def confirm(self, text: str, title: str) -> bool:
        assert not self._in_timer, "a question inside the timer's slot stops the timer"
        self.questions.append(text)
        for _ in range(3):
            self.process_events()  # a dialog runs the event loop
        return self.answers.popleft()

    def choose_folder(self, title: str, start: str) -> str:
        return self.folders.popleft()

    def choose_file(self, title: str, start: str, kinds: str) -> str:
        return self.folders.popleft()

    def choose_new_file(self, title: str, start: str, kinds: str) -> str:
        self.proposed = start
        return self.folders.popleft()

    def client(self, address: str, token: str, user: str, timeouts: Timeouts | None, ca_file: str) -> TumorLoopClient:
        address = self.aliases.get(address, address)
        return TumorLoopClient(address, token or None, user=user, timeouts=timeouts, ca_file=ca_file)

    def watch_effects(self, registered: Callable[[], None]) -> Callable[[], None]:
        return lambda: None

    def shortcuts(self, actions: Mapping[str, Callable[[], None]]) -> Any:
        keys = SimpleNamespace(actions=dict(actions), enabled=False)
        keys.remove, keys.enable = keys.actions.clear, lambda on: setattr(keys, "enabled", on)
        return keys

    def table(
        self, widget: Any, headers: Sequence[str], stretch: int = 0, on_choice: Callable[[], None] | None = None
    ) -> Table:
        return self.tables.setdefault(id(widget), Table(headers, on_choice))

    def curve_view(self, label: Any) -> Any:
        return SimpleNamespace(show=lambda training: label.setVisible(bool(training.epochs)))

    def picture_view(self, label: Any) -> Any:
        def load(path: Path) -> None:
            self.pictures.append(path.read_bytes())
            label.setVisible(True)

        return SimpleNamespace(load=load, clear=lambda: label.setVisible(False), fit=lambda: None)

    def correction_view(self, label: Any) -> Any:
        return SimpleNamespace(show=lambda corrections: label.setVisible(len(corrections.cases) >= 2))

    def load_volume(self, path: Path, *, show: bool) -> Any:
        return slicer.util.loadVolume(str(path), {"show": show})

    def modify(self, node: Any) -> AbstractContextManager[Any]:
        modify: AbstractContextManager[Any] = slicer.util.NodeModify(node)
        return modify
