"""What the sections of the panel share: settings, jobs, what is known of the server, and the status line.

One :class:`Desk` per panel, on the user interface's thread. Sections read and change it, and call :meth:`Desk.changed`;
the panel then shows the new state in all sections.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from TumorLoopLib.client import TumorLoopClient
from TumorLoopLib.client.address import Timeouts
from TumorLoopLib.client.errors import ClientError, ServerTimeout, ServerUnreachable
from TumorLoopLib.i18n import _
from TumorLoopLib.jobs.jobs import Handlers, Jobs, Progress, Work
from TumorLoopLib.jobs.segment_and_submit import ServedCase
from TumorLoopLib.jobs.sending import Sent
from TumorLoopLib.jobs.server_status import Overview, Pulse
from TumorLoopLib.panel import sentences
from TumorLoopLib.panel.settings import Settings
from TumorLoopLib.panel.state import HISTORY, TEST
from TumorLoopLib.panel.widgets import BAD, PLAIN, show_light
from TumorLoopLib.scene.labels import LabelSet

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Connection:
    """How to reach a server; worker threads make a client of it."""

    address: str
    token: str
    user: str

    def client(self, timeouts: Timeouts | None = None) -> TumorLoopClient:
        """Return a client.

        Raises:
            ClientError: If the address or the token cannot be one.
        """
        return TumorLoopClient(self.address, self.token or None, user=self.user, timeouts=timeouts)


class Desk:
    """The shared state of one panel.

    Args:
        ui: The widgets by name.
        settings: Of the user.
        folder: For temporary files.

    Attributes:
        jobs: What is running.
        parameters: The parameter node of the scene; ``None`` while a scene closes.
        pulse: What the server said last; ``None`` before, and after it was lost.
        overview: What the server would learn and its versions; ``None`` before it was asked.
        history: The labels of the case on the server of the address field, oldest first; see :meth:`show_history`.
        sent: What the server has of the volumes.
        served: The case the volumes came from, with their content.
        submitted: Id of the segmentation node that was submitted and not changed since.
        edits: How often the segmentation was changed: what is edited while its label is sent is not submitted.
        stale: Whether the overview should be asked for again.
        tone: Of the status line.
        unreachable: Whether the server was tried and could not be used, or was lost.
    """

    def __init__(self, ui: Any, settings: Settings, folder: Path) -> None:
        self.ui = ui
        self.settings = settings
        self.folder = folder
        self.jobs = Jobs(self._crashed)
        self.parameters: Any = None
        self.pulse: Pulse | None = None
        self.overview: Overview | None = None
        self.history: list[dict[str, Any]] = []
        self.sent = Sent()
        self.served: ServedCase | None = None
        self.submitted = ""
        self.edits = 0
        self.stale = True
        self.address = settings.addresses[0]
        self.tone = PLAIN
        self.unreachable = False
        self.on_change: Callable[[], None] = lambda: None
        self.on_lost: Callable[[], None] = lambda: None

    # === The server ===

    def connection(self) -> Connection:
        """Return how to reach the server of the address field."""
        return Connection(self.address, self.settings.token(self.address), self.settings.user)

    def label_set(self) -> LabelSet:
        """Return the labels: those the segmentation was made with, otherwise those of the server.

        Raises:
            ClientError: If neither is known.
        """
        kept = self.parameters.label_set if self.parameters is not None else ""
        if kept:
            return LabelSet.from_json(kept)
        if self.pulse is None:
            raise ServerUnreachable(_("The labels are not known yet. Connect to a server first."))
        return LabelSet.from_info(self.pulse.info)

    def forget_server(self) -> None:
        """Drop what was known of a server, because another one is meant now, or it was lost."""
        self.pulse, self.overview, self.stale, self.unreachable = None, None, True, False

    def use_server(self, address: str) -> None:
        """Mean another server; its case of the same name is another case, with other labels."""
        self.address, self.history = address, []
        self.jobs.abandon(TEST, HISTORY)
        self.forget_server()

    def show_history(self, history: list[dict[str, Any]], address: str) -> None:
        """Show the labels of the case, unless another server than the one that told them is meant by now."""
        self.history = history if address == self.address else []

    def forget_case(self) -> None:
        """Drop what was known of the case in the scene."""
        self.history, self.served, self.submitted = [], None, ""

    # === Work ===

    def run(
        self,
        kind: str,
        work: Work,
        done: Callable[[Any], None],
        *,
        trouble: str | Callable[[], str],
        cancelled: Callable[[], None] = lambda: None,
        progress: Callable[[Progress, Any], None] = lambda progress, partial: None,
    ) -> bool:
        """Start a job; see :class:`TumorLoopLib.jobs.jobs.Handlers`.

        Args:
            kind: Of :mod:`TumorLoopLib.panel.state`.
            work: Runs on a worker thread.
            done: Takes the result.
            trouble: How the status line's sentence begins when the work fails, for example "Nothing was submitted."; or
                what tells it then.
            cancelled: Called when the job was cancelled.
            progress: Takes the progress.

        Returns:
            Whether it was started; not if one of the kind is running.
        """

        def fail(error: Exception) -> None:
            self.fail(error, trouble if isinstance(trouble, str) else trouble())
            self.changed()

        def finish(result: Any) -> None:
            done(result)
            self.changed()

        def stop() -> None:
            cancelled()
            self.changed()

        started = self.jobs.start(kind, work, Handlers(finish, fail, stop, progress))
        self.changed()
        return started

    def run_quietly(
        self, kind: str, work: Work, done: Callable[[Any], None], failed: Callable[[Exception], None]
    ) -> None:
        """Start a job that the clinician did not ask for: its failure is not an event of its own."""

        def finish(result: Any) -> None:
            done(result)
            self.changed()

        def fail(error: Exception) -> None:
            failed(error)
            self.changed()

        self.jobs.start(kind, work, Handlers(finish, fail))

    # === What the clinician is told ===

    def say(self, text: str, tone: str = PLAIN) -> None:
        """Show a sentence in the status line."""
        self.tone = tone
        self.ui.statusText.text = text
        show_light(self.ui.statusLight, tone)

    def fail(self, error: Exception, trouble: str) -> None:
        """Show what went wrong and what to do; look at the server again if it may be the cause."""
        if isinstance(error, ClientError):
            logger.warning("%s %s", trouble, error)
        else:
            logger.error("%s", trouble, exc_info=error)
        self.say(f"{trouble} {sentences.of_error(error)}", BAD)
        if isinstance(error, (ServerUnreachable, ServerTimeout)):
            self.on_lost()

    def changed(self) -> None:
        """Have all sections show the present state."""
        self.on_change()

    def _crashed(self, error: Exception) -> None:
        self.say(sentences.of_error(error), BAD)
        self.changed()
