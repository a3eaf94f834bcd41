"""What is remembered between two sessions, and that a token or a consent belongs to one server."""

import pytest
from TumorLoopLib.panel.settings import DEFAULT_ADDRESS, HISTORY, Settings, is_this_machine

from tests.slicer_extension.panel.services import Store


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def settings(store):
    return Settings(store)


def test_the_last_server_comes_first_no_server_twice_and_the_history_is_short(store, settings):
    assert settings.addresses == [DEFAULT_ADDRESS]
    for address in ("http://a", "http://b", "http://a"):
        settings.use_address(address)
    assert Settings(store).addresses == ["http://a", "http://b", DEFAULT_ADDRESS]
    for number in range(30):
        settings.use_address(f"http://server-{number}")
    assert (len(settings.addresses), settings.addresses[0]) == (HISTORY, "http://server-29")


def test_a_token_is_given_to_its_own_server_only(store, settings):
    settings.set_token("http://hospital:8000", "secret")
    assert Settings(store).token("hospital:8000") == "secret"
    assert settings.token("http://elsewhere:8000") == settings.token("https://hospital:8000") == ""
    settings.set_token("http://hospital:8000", " ")
    assert settings.token("http://hospital:8000") == ""
    assert all("secret" not in value for value in store.kept.values())


def test_consent_is_asked_for_every_server_but_this_machine(settings):
    for address in ("http://127.0.0.1:8000", "localhost:8000", "http://[::1]:8000"):
        assert settings.consented(address)
    assert not settings.consented("http://hospital:8000")
    settings.consent("http://hospital:8000")
    assert settings.consented("hospital:8000")
    assert not settings.consented("http://hospital:9000")
    for address in ("http://127.0.0.1.example.org", "127.example.org:80", "http://localhost.example", "", "::"):
        assert not is_this_machine(address), address


def test_the_command_and_the_folders_come_back_and_broken_settings_are_passed_over(store, settings):
    settings.server_command = ["/opt/venv/bin/python", "-m", "server_app"]
    settings.studies, settings.case_folder = "/data/cases with spaces", "/data/one"
    settings.user = "  Dr. Ärztin "
    again = Settings(store)
    assert again.server_command == ["/opt/venv/bin/python", "-m", "server_app"]
    assert (again.studies, again.case_folder, again.user) == ("/data/cases with spaces", "/data/one", "Dr. Ärztin")
    store.kept = {"TumorLoop/addresses": "{", "TumorLoop/tokens": "[1, 2]", "TumorLoop/studies": 7}  # broken
    assert (settings.addresses, settings.token("http://a"), settings.studies) == ([DEFAULT_ADDRESS], "", "")
