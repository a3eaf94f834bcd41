"""The one exception for input that a user can mend."""

from __future__ import annotations


class InputError(ValueError):
    """Something that was given cannot be used.

    The message says what is wrong, where, and what to do about it. The command line prints it and exits
    with 2; the server answers 422 (404 for an unknown name) with ``field`` and the message.

    Args:
        message: One or two plain sentences for the person who gave the input.
        field: The argument, modality or file role it concerns (``"t2"``, ``"label"``, ``"max_epochs"`` ...).
    """

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.field = field
