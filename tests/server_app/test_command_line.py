"""``python -m server_app`` with and without a command."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from server_app.__main__ import commands


def run(*words: str) -> Result:
    return CliRunner().invoke(commands, list(words), env={"COLUMNS": "200"})


@pytest.mark.parametrize("command", [[], ["serve"]])
def test_options_without_a_command_are_those_of_serve(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "studies").mkdir()
    inside = run(*command, "--studies", str(tmp_path / "studies"), "--workspace", str(tmp_path / "studies" / "ws"))
    assert (inside.exit_code, "inside the studies" in inside.output) == (2, True)
    nowhere = run(*command, "--studies", str(tmp_path / "nowhere"))
    assert (nowhere.exit_code, "does not exist" in nowhere.output) == (2, True)


@pytest.mark.parametrize("options", [("--host", "0.0.0.0"), ("--require-token",)])
def test_a_server_that_needs_users_and_has_none_does_not_start(tmp_path: Path, options: tuple[str, ...]) -> None:
    (tmp_path / "studies").mkdir()
    where = ("--studies", str(tmp_path / "studies"), "--workspace", str(tmp_path / "workspace"))
    refused = run(*where, "--port", "0", *options)
    assert (refused.exit_code, type(refused.exception)) == (2, SystemExit)  # no traceback
    assert "python -m server_app users add" in refused.stderr


def test_help_lists_the_commands_and_an_unknown_or_incomplete_one_does_nothing() -> None:
    shown = run("--help")
    assert (shown.exit_code, {"serve", "users", "check"} - set(shown.output.split())) == (0, set())
    for words in (["destroy"], ["users", "promote", "anna"], ["users", "add"], ["users", "revoke"]):
        assert run(*words).exit_code == 2
