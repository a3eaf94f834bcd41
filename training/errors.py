"""The exception for input errors that a user can fix, and the causes of an error."""

from __future__ import annotations

from collections.abc import Iterator


class InputError(ValueError):
    """Input that cannot be used.

    The message says what is wrong, where, and how to fix it. The command line prints it and exits with 2; the server
    answers 422 (404 for an unknown name) with ``field`` and the message.

    Args:
        message: One or two sentences for the user.
        field: The argument, modality or file role concerned (``"t2"``, ``"label"``, ``"max_epochs"`` ...).
        roles: The modalities concerned if they are several; whoever knows their files may name them.
    """

    def __init__(self, message: str, *, field: str = "", roles: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.roles = roles


def with_causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and the errors that led to it, each once."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
