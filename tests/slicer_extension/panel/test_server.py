"""The section Server: the connection test, a server that is lost, and a server on this machine."""

import shlex
import sys

import psutil
import pytest
from TumorLoopLib.jobs.local_server import LocalServer
from TumorLoopLib.panel.section_server import join_command, split_command
from TumorLoopLib.panel.settings import Settings

from tests.slicer_extension.client.http_server import file_answer, refusal
from tests.slicer_extension.client.tls import https_server, make_authority

CLOSED = "http://127.0.0.1:9"


def test_a_connection_is_tested_step_by_step_and_opens_the_next_section(user, server):
    user.connect(server.url)
    assert user.tone == "good", user.status
    assert user.ui.testText.text.count("✓") == 6
    assert (user.ui.caseSection.collapsed, user.ui.serverSection.collapsed) == (False, True)
    assert user.ui.addressCombo.items[0] == server.url


@pytest.mark.parametrize(
    ("failure", "count", "words"),
    [
        (refusal(401, "token", "Invalid token"), 4, "Enter the access token"),
        (file_answer(b"<html>Internal Server Error</html>", "text/html", 500), 3, "it is not a TumorLoop server"),
    ],
)
def test_the_connection_test_ends_at_the_problem(user, server, failure, count, words):
    user.type("addressCombo", server.url)
    user.panel.exit()  # the status is not polled
    server.failures["GET /info/"] = failure
    user.finish("testButton")
    lines = user.ui.testText.text.split("\n")
    assert [line[0] for line in lines] == ["✓"] * (count - 1) + ["✗"]
    assert words in lines[-1]
    assert words in user.status
    assert user.ui.serverLight.property("tone") == "bad"
    assert not user.ui.sampleButton.enabled


def test_an_unknown_authority_is_told_and_its_certificate_can_be_chosen_for_https(user, server, tmp_path):
    authority = make_authority(tmp_path)
    with https_server(server.answer, authority) as secured:
        assert not user.ui.caFileEdit.visible, "http needs no certificate"
        user.type("addressCombo", secured.url)
        user.finish("testButton")
        assert user.ui.testText.text.split("\n")[-1].startswith("✗ Answer: The certificate of https://")
        assert '"CA file"' in user.status
        assert user.ui.caFileEdit.visible
        user.services.folders.extend(["", str(authority.certificate)])
        user.click("caFileButton")  # and cancels
        assert user.panel.context.settings.ca_file == ""
        user.click("caFileButton")
        user.finish("testButton")
        assert user.tone == "good", user.status
        user.wait(lambda: user.panel.state().connected)
        user.type("caFileEdit", f' "{tmp_path / "gone.pem"}" ')
        user.wait(lambda: not user.panel.state().connected)
        assert "gone.pem" in user.status
        assert Settings(user.services.settings).ca_file == str(tmp_path / "gone.pem")


def test_a_lost_server_is_noticed_and_found_again_and_the_correction_stays_in_sight(corrected, server):
    user = corrected
    user.services.aliases[server.url] = CLOSED
    user.wait_for_status("connection to the server was lost")
    assert user.tone == "bad"
    assert "no connection to a server" in user.ui.segmentReason.text
    assert user.enabled() & {"submitButton", "testButton"} == {"testButton"}
    assert not user.ui.correctSection.collapsed
    del user.services.aliases[server.url]
    user.wait_for_status("The server is back.")
    assert user.tone == "good"
    assert user.ui.submitButton.enabled


def test_a_request_that_finds_no_server_says_so_and_looks_at_the_server_at_once(segmented, server):
    segmented.services.aliases[server.url] = CLOSED
    segmented.ui.mapCheck.checked = True
    segmented.click("segmentButton")
    segmented.wait(lambda: not segmented.panel.state().connected)
    assert segmented.status.startswith("Nothing was segmented")
    assert "No server answers" in segmented.status


def test_a_reason_is_shown_when_no_server_can_be_started_and_a_silent_one_is_stopped(user, tmp_path, monkeypatch):
    monkeypatch.setattr(LocalServer.wait_until_ready, "__defaults__", (0.5,))
    user.services.startup_environment = {"PATH": str(tmp_path)}
    (tmp_path / "server.py").write_text("import time\ntime.sleep(60)\n")
    program = shlex.join([sys.executable, str(tmp_path / "server.py")])
    for command, reason in (
        ("no-such-program", "not found on this machine"),
        ("", "No TumorLoop server is installed"),
        (f'"{sys.executable}" "unfinished', "quotation mark"),
        (program, "Choose the folder"),
    ):
        user.type("commandEdit", command)
        assert not user.ui.startServerButton.enabled
        assert reason in user.ui.startServerReason.text
    user.ui.studiesButton.directory = str(tmp_path)  # shown, but not chosen
    assert not user.ui.startServerButton.enabled
    user.ui.studiesButton.choose(str(tmp_path))
    assert (user.ui.startServerButton.enabled, user.ui.startServerReason.text) == (True, "")
    user.click("startServerButton")
    user.wait_for_status("did not answer")
    assert (user.panel.server.own_server, user.ui.startServerButton.enabled) == (False, True)


def test_a_click_starts_a_real_server_and_the_end_of_the_panel_stops_it(user, real_studies, tiny_model, tmp_path):
    workspace = tmp_path / "workspace"
    words = [sys.executable, "-m", "server_app", "--workspace", str(workspace), "--conf", f"model={tiny_model}"]
    user.type("commandEdit", shlex.join(words))
    user.ui.studiesButton.choose(str(real_studies))
    user.click("startServerButton")
    assert not user.ui.startServerButton.enabled
    user.wait(lambda: user.panel.state().connected, 120, "the server's start")
    assert "Connected" in user.ui.serverText.text
    assert user.ui.addressCombo.currentText == user.panel.server.local.address
    assert "running" in user.ui.startServerReason.text
    process = psutil.Process(user.panel.server.local.pid)
    assert str(real_studies) in process.cmdline()
    user.panel.cleanup()
    assert not process.is_running()


@pytest.mark.parametrize("windows", [False, True])
def test_a_command_with_spaces_is_shown_as_it_has_to_be_typed(windows):
    words = [r"C:\Program Files\tumorloop-server.exe" if windows else "/opt/my server", "--model", "v0001"]
    assert split_command(join_command(words, windows=windows), windows=windows) == words
