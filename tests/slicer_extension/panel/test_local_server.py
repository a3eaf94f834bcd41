"""A server on this machine: found or not, started by a click, stopped with the panel, and plain words when it fails."""

from __future__ import annotations

import os
import shlex
import sys
import time
from pathlib import Path

import psutil
import pytest
from TumorLoopLib.client.errors import Cancelled, ServerFailed
from TumorLoopLib.jobs.jobs import Reporter
from TumorLoopLib.jobs.local_server import LocalServer, find_command

from tests.slicer_extension.harness import gui


def program(folder: Path, text: str) -> list[str]:
    """Write a program and return the words that start it."""
    path = folder / "server.py"
    path.write_text(text)
    return [sys.executable, str(path)]


def test_the_installed_command_is_found_and_a_configured_one_goes_first(tmp_path):
    installed = tmp_path / "tumorloop-server"
    installed.write_text("#!/bin/sh\n")
    installed.chmod(0o755)
    assert find_command([], str(tmp_path)) == [str(installed)]
    assert find_command([], str(tmp_path / "elsewhere")) == []
    assert find_command([sys.executable, "-m", "server_app"]) == [sys.executable, "-m", "server_app"]
    assert find_command(["no-such-program", "-m"]) == []


def test_a_server_that_ends_at_once_is_told_with_its_last_words(tmp_path):
    command = program(tmp_path, "print('loading')\nraise SystemExit('Port 8000 is taken.')")
    server = LocalServer(command, tmp_path, os.environ, tmp_path / "log")
    with pytest.raises(ServerFailed, match=r"Port 8000 is taken\."):
        server.wait_until_ready(Reporter())


def test_a_program_that_cannot_be_run_is_told(tmp_path):
    with pytest.raises(ServerFailed, match="cannot be started"):
        LocalServer([str(tmp_path / "nothing")], tmp_path, os.environ, tmp_path / "log")


def test_a_server_that_never_answers_is_given_up_and_waiting_can_be_cancelled(tmp_path):
    command = program(tmp_path, "import time\nprint('warming up', flush=True)\ntime.sleep(60)")
    server = LocalServer(command, tmp_path, os.environ, tmp_path / "log")
    try:
        with pytest.raises(ServerFailed, match="warming up"):
            server.wait_until_ready(Reporter(), timeout=3.0)
        reporter = Reporter()
        reporter.cancel.set()
        with pytest.raises(Cancelled):
            server.wait_until_ready(reporter, timeout=30.0)
        assert server.running
    finally:
        server.stop()
    assert not server.running


def test_a_server_that_does_not_listen_to_reason_is_ended_all_the_same(tmp_path):
    text = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('up', flush=True)\ntime.sleep(60)"
    server = LocalServer(program(tmp_path, text), tmp_path, os.environ, tmp_path / "log")
    give_up = time.monotonic() + 20
    while server.log_tail() != "up":
        assert time.monotonic() < give_up
        time.sleep(0.05)
    server.stop(timeout=0.5)
    assert not psutil.pid_exists(server.pid)


def test_a_server_that_cannot_be_used_is_ended_so_that_another_can_be_started(user, monkeypatch, tmp_path):
    monkeypatch.setattr(LocalServer.wait_until_ready, "__defaults__", (0.5,))
    user.type("commandEdit", shlex.join(program(tmp_path, "import time\ntime.sleep(60)\n")))
    user.choose_studies(tmp_path)
    user.click("startServerButton")
    user.wait(lambda: "did not answer" in user.status, 20)
    assert not user.panel.server.own_server
    assert user.ui.startServerButton.enabled


@pytest.mark.parametrize("windows", [False, True])
def test_a_command_with_spaces_is_shown_as_it_has_to_be_typed(windows):
    from TumorLoopLib.panel.section_server import join_command, split_command

    words = [r"C:\Program Files\tumorloop-server.exe" if windows else "/opt/my server", "--model", "v0001"]
    assert split_command(join_command(words, windows=windows), windows=windows) == words


def test_it_is_said_why_no_server_can_be_started(user, tmp_path):
    user.panel.context.services.startup_environment = {"PATH": str(tmp_path)}
    user.type("commandEdit", "no-such-program")
    assert not user.ui.startServerButton.enabled
    assert "not found on this machine" in user.ui.startServerReason.text
    user.type("commandEdit", "")
    assert "No TumorLoop server is installed" in user.ui.startServerReason.text
    user.type("commandEdit", f'"{sys.executable}" "unfinished')
    assert "quotation mark" in user.ui.startServerReason.text
    user.type("commandEdit", shlex.quote(sys.executable))
    assert "Choose the folder" in user.ui.startServerReason.text
    user.choose_studies(tmp_path)
    assert user.ui.startServerButton.enabled
    assert user.ui.startServerReason.text == ""


def test_a_click_starts_a_real_server_and_the_panels_end_stops_it(user, panel_studies, tiny_model, tmp_path):
    workspace = tmp_path / "workspace"
    words = [sys.executable, "-m", "server_app", "--workspace", str(workspace), "--conf", f"model={tiny_model}"]
    user.type("commandEdit", shlex.join(words))
    user.choose_studies(panel_studies)
    user.click("startServerButton")
    assert not user.ui.startServerButton.enabled
    user.wait(lambda: user.panel.state().connected, 120, "the server's start")
    assert "Connected" in user.ui.serverText.text
    assert user.ui.addressCombo.currentText == user.panel.server.local.address
    assert "running" in user.ui.startServerReason.text
    process = psutil.Process(user.panel.server.local.pid)
    assert str(panel_studies) in process.cmdline()
    user.widget.cleanup()
    gui.process_events(0.1)
    assert not process.is_running()
