"""Removing tokens from log lines, whichever library writes them."""

from __future__ import annotations

import logging
import re
from typing import Any

from server_app.access.users import PREFIX

#: Our tokens, signed ones (JWT), and whatever follows ``Bearer``.
_SECRET = re.compile(
    rf"{PREFIX}[0-9a-f]{{8,}}_[\w-]+|\beyJ[\w-]{{8,}}\.[\w-]+\.[\w-]*|(?<=\bBearer )\S+|(?<=\bbearer )\S+"
)
_HIDDEN = "[token]"


class TokenFilter(logging.Filter):
    """Replaces tokens in a record's message, arguments and traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record; it is always logged."""
        record.msg = redacted(record.msg)
        if isinstance(record.args, tuple):
            record.args = tuple(redacted(value) for value in record.args)
        elif isinstance(record.args, dict):
            record.args = {name: redacted(value) for name, value in record.args.items()}
        if record.exc_info and record.exc_info[0] is not None:
            record.exc_text = redacted(logging.Formatter().formatException(record.exc_info))
        return True


def redacted(value: Any) -> Any:
    """Return a value without tokens: a text with them replaced; anything else as text if that contains one."""
    if isinstance(value, str):
        return _SECRET.sub(_HIDDEN, value)
    if value is None or isinstance(value, int | float):
        return value
    text = str(value)
    return _SECRET.sub(_HIDDEN, text) if _SECRET.search(text) else value


def hide_tokens() -> None:
    """Add the filter to every handler; logging must have been configured before."""
    loggers = [logging.getLogger(), *map(logging.getLogger, list(logging.root.manager.loggerDict))]
    for handler in {handler for logger in loggers for handler in logger.handlers}:
        if not any(isinstance(found, TokenFilter) for found in handler.filters):
            handler.addFilter(TokenFilter())
