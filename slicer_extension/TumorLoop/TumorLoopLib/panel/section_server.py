"""The section Server: where it is, whether it answers, and a server on this machine."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from TumorLoopLib.client.diagnosis import STEPS, Step, diagnose
from TumorLoopLib.client.errors import Cancelled, ServerFailed
from TumorLoopLib.i18n import _
from TumorLoopLib.jobs.jobs import Progress, Reporter
from TumorLoopLib.jobs.local_server import LocalServer, find_command
from TumorLoopLib.panel import messages
from TumorLoopLib.panel.context import PanelContext
from TumorLoopLib.panel.section import Section
from TumorLoopLib.panel.settings import is_this_machine
from TumorLoopLib.panel.state import START_SERVER, TEST, PanelState
from TumorLoopLib.panel.widgets import BAD, BUSY, GOOD, PLAIN, enable, show_light, show_text


class ServerSection(Section):
    """Address, token, name, connection test, and the local server."""

    def __init__(self, context: PanelContext) -> None:
        super().__init__(context)
        self.local: LocalServer | None = None
        self._command: list[str] | None = self._find(context.settings.server_command)
        ui, settings = self.ui, context.settings
        self._fill_addresses()
        ui.tokenEdit.text = settings.token(context.address)
        ui.caFileEdit.text = settings.ca_file
        ui.userEdit.text = settings.user
        ui.commandEdit.text = join_command(settings.server_command)
        if settings.studies:
            ui.studiesButton.directory = settings.studies
        ui.addressCombo.connect("activated(int)", self._address_changed)
        ui.addressCombo.lineEdit().connect("editingFinished()", self._address_changed)
        ui.addressCombo.lineEdit().connect("returnPressed()", self._test)
        ui.tokenEdit.connect("editingFinished()", self._token_changed)
        ui.caFileEdit.connect("editingFinished()", self._ca_file_changed)
        ui.caFileButton.connect("clicked(bool)", self._choose_ca_file)
        ui.userEdit.connect("editingFinished()", self._user_changed)
        ui.commandEdit.connect("textChanged(QString)", self._command_changed)
        # Not directoryChanged: choosing the folder that the button shows already changes nothing.
        ui.studiesButton.connect("directorySelected(QString)", self._studies_selected)
        ui.testButton.connect("clicked(bool)", self._test)
        ui.startServerButton.connect("clicked(bool)", self._start)

    def show(self, state: PanelState) -> None:
        """Show the light and what is known of the server."""
        enable(self.ui.testButton, state.reason_test(), _("Check step by step whether the server can be used"))
        reason = state.reason_start_server()
        enable(self.ui.startServerButton, reason, _("Start a TumorLoop server on this machine; it stops with Slicer"))
        show_text(self.ui.startServerReason, reason)
        for widget in (self.ui.caFileLabel, self.ui.caFileEdit, self.ui.caFileButton):
            widget.setVisible(state.address.lower().startswith("https:"))
        status = self.context.server_status
        if status is not None:
            model = status.model_version or _("none")
            text = _("Connected: {name} {version}, model {model}")
            self.ui.serverText.text = text.format(name=status.name, version=status.version, model=model)
            show_light(self.ui.serverLight, GOOD if status.model_version else BUSY)
        elif state.busy & {TEST, START_SERVER}:
            self.ui.serverText.text = _("Checking …")
            show_light(self.ui.serverLight, BUSY)
        else:
            self.ui.serverText.text = _("Not connected")
            show_light(self.ui.serverLight, BAD if self.context.unreachable else PLAIN)

    def reason_no_local_server(self) -> str:
        """Why no server can be started on this machine; empty if one can."""
        if self._command is None:
            return _("A quotation mark is missing in the program's command line.")
        if not self._command:
            if self.context.settings.server_command:
                return _("The program above was not found on this machine.")
            return _("No TumorLoop server is installed on this machine. If it is, enter its program above.")
        if not self.context.settings.studies:
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

    # === User input ===

    def _address_changed(self) -> None:
        """Use another server; called when the address has been typed completely."""
        address = self.ui.addressCombo.currentText.strip()
        if address == self.context.address:
            return
        self.context.use_server(address)
        self.ui.tokenEdit.text = self.context.settings.token(self.context.address)
        show_text(self.ui.testText, "")
        self.context.changed()

    def _token_changed(self) -> None:
        self.context.settings.set_token(self.context.address, self.ui.tokenEdit.text)

    def _ca_file_changed(self) -> None:
        self.context.settings.ca_file = self.ui.caFileEdit.text.strip().strip('"')  # as Windows copies paths

    def _choose_ca_file(self) -> None:
        kinds = _("Certificates") + " (*.pem *.crt *.cer *.der);;" + _("All files") + " (*)"
        start = self.context.settings.ca_file
        path = self.context.services.choose_file(_("Certificate of the authority that the server uses"), start, kinds)
        if path:
            self.ui.caFileEdit.text = path
            self._ca_file_changed()

    def _user_changed(self) -> None:
        self.context.settings.user = self.ui.userEdit.text

    def _command_changed(self, text: str) -> None:
        try:
            words = split_command(text)
        except ValueError:  # the closing quotation mark is not typed yet
            self._command = None
        else:
            self.context.settings.server_command = words
            self._command = self._find(words)
        self.context.changed()

    def _studies_selected(self, folder: str) -> None:
        self.context.settings.studies = folder
        self.context.changed()

    def _find(self, command: Sequence[str]) -> list[str]:
        """Return the command that starts a server; looked for in the PATH with which Slicer was started."""
        return find_command(command, self.context.services.startup_environment.get("PATH"))

    # === Connection test ===

    def _test(self) -> None:
        self._address_changed()
        self._token_changed()
        self._ca_file_changed()
        self._user_changed()
        connection = self.context.connection()
        if not connection.address:
            return

        def work(reporter: Reporter) -> list[Step]:
            steps: list[Step] = []
            for step in diagnose(connection.address, connection.token, reporter.cancel, ca_file=connection.ca_file):
                steps.append(step)
                reporter.publish(tuple(steps))
            if reporter.cancel.is_set():
                raise Cancelled()
            return steps

        self.context.show_status(_("Testing the connection to {address} …").format(address=connection.address), BUSY)
        failure = _("The connection could not be tested.")
        self.context.run(TEST, work, self._tested, failure=failure, progress=self._show_progress)

    def _show_progress(self, _progress: Progress, partial: Any) -> None:
        if partial:
            self._show_steps(partial)

    def _tested(self, steps: list[Step]) -> None:
        self._show_steps(steps)
        last = steps[-1]
        if not last.ok:
            self.context.forget_server()
            self.context.unreachable = True
            self.context.show_status(messages.step_text(last), BAD)
            return
        self.context.settings.use_address(self.context.address)
        self._fill_addresses()
        self.context.show_status(_("Connected. Now load a case, or choose four volumes."), GOOD)
        self.context.poll_server_soon()

    def _show_steps(self, steps: Any) -> None:
        names = dict(zip(STEPS, (_("Name"), _("Connection"), _("Answer"), _("Token"), _("Version"), _("Model"))))
        lines = [f"{'✓' if step.ok else '✗'} {names[step.step]}: {messages.step_text(step)}" for step in steps]
        address = self.context.address
        encrypted = address.startswith("https:") or is_this_machine(address)
        if steps[-1].ok and self.context.settings.token(address) and not encrypted:
            lines.append(_("⚠ The token is sent unencrypted. Ask for an https address."))
        show_text(self.ui.testText, "\n".join(lines))

    # === The server on this machine ===

    def _start(self) -> None:
        studies, command = Path(self.context.settings.studies), self._command or []
        log = self.context.folder / "tumorloop-server.log"
        environment = self.context.services.startup_environment

        def work(reporter: Reporter) -> LocalServer:
            server = LocalServer(command, studies, environment, log)
            reporter.publish(server)
            try:
                server.wait_until_ready(reporter)
            except ServerFailed:
                server.stop()  # otherwise it would keep the next one from being started
                raise
            return server

        self.context.show_status(_("The server is starting; this takes a minute the first time …"), BUSY)
        failure = _("The server could not be started.")
        self.context.run(START_SERVER, work, self._started, failure=failure, progress=self._starting)

    def _starting(self, _progress: Progress, server: Any) -> None:
        self.local = server or self.local

    def _started(self, server: LocalServer) -> None:
        self.local = server
        self.ui.addressCombo.setEditText(server.address)
        self.context.show_status(_("A server is running on this machine."), GOOD)
        self._test()

    def _fill_addresses(self) -> None:
        combo = self.ui.addressCombo
        was_blocked = combo.blockSignals(True)
        combo.clear()
        for address in self.context.settings.addresses:
            combo.addItem(address)
        combo.setEditText(self.context.address)
        combo.blockSignals(was_blocked)


def split_command(line: str, *, windows: bool = os.name == "nt") -> list[str]:
    r"""Split a command line as the system's shell does: words with spaces stand in quotation marks.

    Raises:
        ValueError: If a quotation mark is missing.

    Examples:
        >>> split_command(r'"C:\Program Files\server.exe" --quiet', windows=True)
        ['C:\\Program Files\\server.exe', '--quiet']
    """
    words = shlex.split(line, posix=not windows)  # POSIX rules would remove backslashes
    return [word.strip('"') for word in words] if windows else words


def join_command(words: Sequence[str], *, windows: bool = os.name == "nt") -> str:
    r"""Return the command line that :func:`split_command` splits into these words.

    Examples:
        >>> join_command(["/my server", "-q"], windows=False), join_command([r"C:\my server.exe", "-q"], windows=True)
        ("'/my server' -q", '"C:\\my server.exe" -q')
    """
    return subprocess.list2cmdline(words) if windows else shlex.join(words)
