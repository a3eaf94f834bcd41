"""What the sections of the panel share: settings, jobs, what is known of the server, and the status line.

There is one :class:`PanelContext` per panel, on the user interface's thread. Sections read and change it, and call
:meth:`PanelContext.changed`; the panel then shows the new state in all sections.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from TumorLoopLib.client import TumorLoopClient
from TumorLoopLib.client.address import Timeouts
from TumorLoopLib.client.errors import ClientError, ServerTimeout, ServerUnreachable
from TumorLoopLib.i18n import _
from TumorLoopLib.jobs.jobs import Handlers, Jobs, Progress, Work
from TumorLoopLib.jobs.segment import DownloadedCase
from TumorLoopLib.jobs.server_status import Overview, ServerStatus
from TumorLoopLib.jobs.upload import UploadedSession
from TumorLoopLib.panel import messages
from TumorLoopLib.panel.activity import Activity
from TumorLoopLib.panel.services import PanelServices
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
    ca_file: str
    services: PanelServices

    def client(self, timeouts: Timeouts | None = None) -> TumorLoopClient:
        """Return a client; a ``ClientError`` says that the address or the token is malformed."""
        return self.services.client(self.address, self.token, self.user, timeouts, self.ca_file)


class PanelContext:
    """The shared state of one panel.

    Args:
        ui: The widgets by name.
        services: Slicer and Qt.

    Attributes:
        parameters: The parameter node of the scene; ``None`` while a scene closes.
        server_status: The server's last status; ``None`` before it answered, and after it was lost.
        overview: The training plan and the model versions; ``None`` before they were fetched.
        history: The labels of the case on the server of the address field, oldest first; see :meth:`show_history`.
        downloaded: The case the volumes came from, with their content.
        submitted: Id of the segmentation node that was submitted and not changed since.
        edits: Counts changes of the segmentation: what is edited while its label is sent is not submitted.
        activity: Measures the time spent on the segmentation; the scene keeps it from time to time.
        editing_brain: Whether the brain mask is in the editor, instead of the segmentation.
        overview_stale: Whether the overview should be fetched again.
        unreachable: Whether the server could not be used, or was lost.
        poll_server_soon: Has the server's status fetched at the next tick.
    """

    def __init__(self, ui: Any, services: PanelServices) -> None:
        self.ui = ui
        self.services = services
        self.settings = Settings(services.settings)
        self.folder = services.temporary_folder
        self.jobs = Jobs(self._crashed)
        self.parameters: Any = None
        self.server_status: ServerStatus | None = None
        self.overview: Overview | None = None
        self.history: list[dict[str, Any]] = []
        self.uploaded = UploadedSession()
        self.downloaded: DownloadedCase | None = None
        self.submitted = ""
        self.edits = 0
        self.editing_brain = False
        self.activity = Activity(services.monotonic)
        self.overview_stale = True
        self.address = self.settings.addresses[0]
        self.tone = PLAIN
        self.unreachable = False
        self.on_change: Callable[[], None] = lambda: None
        self.poll_server_soon: Callable[[], None] = lambda: None
        self._last_crash = ""

    # === The server ===

    def connection(self) -> Connection:
        """Return how to reach the server of the address field."""
        settings = self.settings
        return Connection(self.address, settings.token(self.address), settings.user, settings.ca_file, self.services)

    def label_set(self) -> LabelSet:
        """Return the labels: those the segmentation was made with, otherwise those of the server.

        Raises:
            ClientError: If neither is known.
        """
        kept = self.parameters.label_set if self.parameters is not None else ""
        if kept:
            return LabelSet.from_json(kept)
        if self.server_status is None:
            raise ServerUnreachable(_("The labels are not known yet. Connect to a server first."))
        return LabelSet.from_info(self.server_status.info)

    def forget_server(self) -> None:
        """Drop what was known of a server: another one was chosen, or it was lost."""
        self.server_status, self.overview, self.overview_stale, self.unreachable = None, None, True, False

    def use_server(self, address: str) -> None:
        """Choose another server; its case of the same name is another case, with other labels."""
        self.address, self.history = address, []
        self.jobs.abandon(TEST, HISTORY)
        self.forget_server()

    def show_history(self, history: list[dict[str, Any]], address: str) -> None:
        """Show the labels of the case, unless another server was chosen since they were fetched."""
        self.history = history if address == self.address else []

    def forget_case(self) -> None:
        """Drop what was known of the case in the scene."""
        self.history, self.downloaded, self.submitted = [], None, ""
        self.editing_brain = False
        self.activity.resume(0)

    # === Jobs ===

    def run(
        self,
        kind: str,
        work: Work,
        done: Callable[[Any], None],
        *,
        failure: str | Callable[[], str],
        cancelled: Callable[[], None] = lambda: None,
        progress: Callable[[Progress, Any], None] = lambda progress, partial: None,
    ) -> None:
        """Start a job, unless one of its kind is running; see :class:`TumorLoopLib.jobs.jobs.Handlers`.

        Args:
            kind: Of :mod:`TumorLoopLib.panel.state`.
            work: Runs on a worker thread.
            done: Takes the result.
            failure: The first sentence of the status line when the work fails, for example "Nothing was submitted.";
                or a function that returns it then.
            cancelled: Called when the job was cancelled.
            progress: Takes the progress.
        """

        def failed(error: Exception) -> None:
            self.show_error(error, failure if isinstance(failure, str) else failure())

        then = self._then_refresh
        self.jobs.start(kind, work, Handlers(then(done), then(failed), then(cancelled), progress))
        self.changed()

    def run_in_background(
        self, kind: str, work: Work, done: Callable[[Any], None], failed: Callable[[Exception], None]
    ) -> None:
        """Start a job that the user did not ask for: a failure is not shown by itself."""
        self.jobs.start(kind, work, Handlers(self._then_refresh(done), self._then_refresh(failed)))

    def _then_refresh(self, handler: Callable[..., None]) -> Callable[..., None]:
        def handle(*arguments: Any) -> None:
            handler(*arguments)
            self.changed()

        return handle

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Call back from the event loop: a question asked inside the timer's own handler would stop the timer."""

        def call() -> None:
            with self.reporting_errors():
                callback()

        self.services.call_soon(call)

    # === What the user sees ===

    def show_status(self, text: str, tone: str = PLAIN) -> None:
        """Show a sentence in the status line."""
        self.tone = tone
        self.ui.statusText.text = text
        show_light(self.ui.statusLight, tone)

    def show_error(self, error: Exception, failure: str) -> None:
        """Show what went wrong and what to do; fetch the server's status if the server may be the cause."""
        if isinstance(error, ClientError):
            logger.warning("%s %s", failure, error)
        else:
            logger.error("%s", failure, exc_info=error)
        self.show_status(f"{failure} {messages.error_text(error)}", BAD)
        if isinstance(error, (ServerUnreachable, ServerTimeout)):
            self.poll_server_soon()

    def changed(self) -> None:
        """Have all sections show the present state."""
        self.on_change()

    @contextmanager
    def reporting_errors(self) -> Iterator[None]:
        """Log an exception and show it in the status line, and go on."""
        try:
            yield
        except Exception as error:
            if repr(error) != self._last_crash:  # the timer would repeat it several times a second
                logger.exception("An error in the panel")
            self._last_crash = repr(error)
            self.show_status(messages.error_text(error), BAD)

    def _crashed(self, error: Exception) -> None:
        self.show_status(messages.error_text(error), BAD)
        self.changed()
