"""``python -m server_app``: the command line of the server.

``python -m server_app --studies DIR`` is short for ``python -m server_app serve --studies DIR``. A command is a
function in a module of its own, added to :data:`commands` here.
"""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from server_app.access.commands import users
from server_app.integrity.command import check
from server_app.serve import serve

_DEFAULT = "serve"


class _ServeByDefault(TyperGroup):
    """Treats options without a command as those of ``serve``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Insert the name of the command before its options."""
        if args and args[0].startswith("-") and args[0] not in ctx.help_option_names:
            args = [_DEFAULT, *args]
        return super().parse_args(ctx, args)


commands = typer.Typer(
    cls=_ServeByDefault, no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False
)
commands.command(name=_DEFAULT)(serve)
commands.command()(check)
commands.add_typer(users, name="users")


@commands.callback()
def describe() -> None:
    """Serve a folder of cases; manage its users and check its files. The default command is serve."""


def main() -> None:
    """Run the command line."""
    commands()


if __name__ == "__main__":
    main()
