"""The section Server: where it is, whether it answers, and a server on this machine."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import slicer

from TumorLoopLib.client.diagnosis import STEPS, Step, diagnose
from TumorLoopLib.client.errors import Cancelled, ServerFailed
from TumorLoopLib.i18n import _
from TumorLoopLib.jobs.jobs import Progress, Reporter
from TumorLoopLib.jobs.local_server import LocalServer, find_command
from TumorLoopLib.panel import sentences
from TumorLoopLib.panel.context import Desk
from TumorLoopLib.panel.section import Section
from TumorLoopLib.panel.settings import is_this_machine
from TumorLoopLib.panel.state import START_SERVER, TEST, PanelState
from TumorLoopLib.panel.widgets import BAD, BUSY, GOOD, PLAIN, allow, show_light, show_text


class ServerSection(Section):
    """Address, token, name, connection test, and the local server."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.local: LocalServer | None = None
        self._command: list[str] | None = find_command(desk.settings.server_command, _search_path())
        ui, settings = self.ui, desk.settings
        self._fill_addresses()
        ui.tokenEdit.text = settings.token(desk.address)
        ui.userEdit.text = settings.user
        ui.commandEdit.text = line_of(settings.server_command)
        if settings.studies:
            ui.studiesButton.directory = settings.studies
        ui.addressCombo.connect("activated(int)", self._address_given)
        ui.addressCombo.lineEdit().connect("editingFinished()", self._address_given)
        ui.addressCombo.lineEdit().connect("returnPressed()", self._test)
        ui.tokenEdit.connect("editingFinished()", self._token_given)
        ui.userEdit.connect("editingFinished()", self._name_given)
        ui.commandEdit.connect("textChanged(QString)", self._command_typed)
        ui.studiesButton.connect("directoryChanged(QString)", self._studies_chosen)
        ui.testButton.connect("clicked(bool)", self._test)
        ui.startServerButton.connect("clicked(bool)", self._start)

    def show(self, state: PanelState) -> None:
        """Show the light and what is known of the server."""
        allow(self.ui.testButton, state.reason_test(), _("Find out step by step whether the server can be used"))
        reason = state.reason_start_server()
        allow(self.ui.startServerButton, reason, _("Start a TumorLoop server on this machine; it ends with Slicer"))
        show_text(self.ui.startServerReason, reason)
        pulse = self.desk.pulse
        if pulse is not None:
            model = pulse.model_version or _("none")
            text = _("Connected: {name} {version}, model {model}")
            self.ui.serverText.text = text.format(name=pulse.name, version=pulse.version, model=model)
            show_light(self.ui.serverLight, GOOD if pulse.model_version else BUSY)
        elif state.busy & {TEST, START_SERVER}:
            self.ui.serverText.text = _("Being asked …")
            show_light(self.ui.serverLight, BUSY)
        else:
            self.ui.serverText.text = _("Not connected")
            show_light(self.ui.serverLight, BAD if self.desk.unreachable else PLAIN)

    def why_no_local_server(self) -> str:
        """Say why no server can be started on this machine; empty if one can."""
        if self._command is None:
            return _("A quotation mark is missing in the program's line.")
        if not self._command:
            if self.desk.settings.server_command:
                return _("The program given above is not on this machine.")
            return _("No TumorLoop server is installed on this machine. If it is, enter its program above.")
        if not self.desk.settings.studies:
            return _("Choose the folder with the cases first.")
        return ""

    @property
    def own_server(self) -> bool:
        """Whether a server that this panel started is running."""
        return self.local is not None and self.local.running

    def close(self) -> None:
        """Stop the server if this panel started it."""
        if self.local is not None:
            self.local.stop()

    # === What the clinician does ===

    def _address_given(self) -> None:
        """Mean another server; not before the address is typed to its end."""
        address = self.ui.addressCombo.currentText.strip()
        if address == self.desk.address:
            return
        self.desk.use_server(address)
        self.ui.tokenEdit.text = self.desk.settings.token(self.desk.address)
        show_text(self.ui.testText, "")
        self.desk.changed()

    def _token_given(self) -> None:
        self.desk.settings.set_token(self.desk.address, self.ui.tokenEdit.text)

    def _name_given(self) -> None:
        self.desk.settings.user = self.ui.userEdit.text

    def _command_typed(self, text: str) -> None:
        try:
            words = words_of(text)
        except ValueError:  # a quotation mark is still to come
            self._command = None
        else:
            self.desk.settings.server_command = words
            self._command = find_command(words, _search_path())
        self.desk.changed()

    def _studies_chosen(self, folder: str) -> None:
        self.desk.settings.studies = folder
        self.desk.changed()

    # === The test ===

    def _test(self) -> None:
        self._address_given()
        self._token_given()
        self._name_given()
        connection = self.desk.connection()
        if not connection.address:
            return

        def work(reporter: Reporter) -> list[Step]:
            steps: list[Step] = []
            for step in diagnose(connection.address, connection.token, reporter.cancel):
                steps.append(step)
                reporter.hand_over(tuple(steps))
            if reporter.cancel.is_set():
                raise Cancelled()
            return steps

        self.desk.say(_("Testing the connection to {address} …").format(address=connection.address), BUSY)
        self.desk.run(TEST, work, self._tested, trouble=_("The test could not be made."), progress=self._show_progress)

    def _show_progress(self, _progress: Progress, partial: Any) -> None:
        if partial:
            self._show_steps(partial)

    def _tested(self, steps: list[Step]) -> None:
        self._show_steps(steps)
        last = steps[-1]
        if not last.ok:
            self.desk.forget_server()
            self.desk.unreachable = True
            self.desk.say(sentences.of_step(last), BAD)
            return
        self.desk.settings.use_address(self.desk.address)
        self._fill_addresses()
        self.desk.say(_("Connected. Now load a case, or choose four volumes."), GOOD)
        self.desk.on_lost()  # look at it at once

    def _show_steps(self, steps: Any) -> None:
        names = dict(zip(STEPS, (_("Name"), _("Connection"), _("Answer"), _("Token"), _("Version"), _("Model"))))
        lines = [f"{'✓' if step.ok else '✗'} {names[step.step]}: {sentences.of_step(step)}" for step in steps]
        if steps[-1].ok and self.desk.settings.token(self.desk.address) and self._is_in_the_clear():
            lines.append(_("⚠ The token travels unencrypted. Ask for an https address."))
        show_text(self.ui.testText, "\n".join(lines))

    def _is_in_the_clear(self) -> bool:
        return not self.desk.address.startswith("https:") and not is_this_machine(self.desk.address)

    # === The server on this machine ===

    def _start(self) -> None:
        studies, command = Path(self.desk.settings.studies), self._command or []
        log = self.desk.folder / "tumorloop-server.log"
        environment = slicer.util.startupEnvironment()

        def work(reporter: Reporter) -> LocalServer:
            server = LocalServer(command, studies, environment, log)
            reporter.hand_over(server)
            try:
                server.wait_until_ready(reporter)
            except ServerFailed:
                server.stop()  # a server that nobody can use must not keep the next one from being started
                raise
            return server

        self.desk.say(_("The server is starting; the first time this takes a minute …"), BUSY)
        trouble = _("No server was started.")
        self.desk.run(START_SERVER, work, self._started, trouble=trouble, progress=self._is_starting)

    def _is_starting(self, _progress: Progress, server: Any) -> None:
        self.local = server or self.local

    def _started(self, server: LocalServer) -> None:
        self.local = server
        self.ui.addressCombo.setEditText(server.address)
        self.desk.say(_("A server is running on this machine."), GOOD)
        self._test()

    def _fill_addresses(self) -> None:
        combo = self.ui.addressCombo
        was_blocked = combo.blockSignals(True)
        combo.clear()
        for address in self.desk.settings.addresses:
            combo.addItem(address)
        combo.setEditText(self.desk.address)
        combo.blockSignals(was_blocked)


def words_of(line: str, *, windows: bool = os.name == "nt") -> list[str]:
    r"""Cut a command into words as the system's own command line does, quotation marks around words with spaces.

    Raises:
        ValueError: If a quotation mark is missing.

    Examples:
        >>> words_of(r'"C:\Program Files\server.exe" --quiet', windows=True)
        ['C:\\Program Files\\server.exe', '--quiet']
    """
    words = shlex.split(line, posix=not windows)  # the other form takes backslashes away
    return [word.strip('"') for word in words] if windows else words


def line_of(words: Sequence[str], *, windows: bool = os.name == "nt") -> str:
    r"""Return the line of which :func:`words_of` makes the same words.

    Examples:
        >>> line_of(["/opt/my server", "-q"], windows=False), line_of([r"C:\my server.exe", "-q"], windows=True)
        ("'/opt/my server' -q", '"C:\\my server.exe" -q')
    """
    return subprocess.list2cmdline(words) if windows else shlex.join(words)


def _search_path() -> str | None:
    """The PATH with which Slicer was started: Slicer's own hides what else is installed."""
    return slicer.util.startupEnvironment().get("PATH")
