"""The form of names in an address, checked before any route gets them.

A path can be written in many ways: with dots, percent-encoded, encoded twice, or in Windows' form. None of these is
decoded here; whatever is not a plain name is refused. Whether a name exists is up to the routes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import parse_qsl

from training.errors import InputError

#: Maximum number of bytes in a path and in a query.
MAX_PATH, MAX_QUERY = 2048, 8192
#: Maximum number of characters in a name.
MAX_NAME = 200
_MAX_PARAMETERS = 64

#: Control characters, slashes, and the replacement character for bytes that are not text.
_FORBIDDEN = re.compile(r"[/\\\x00-\x1f\x7f-\x9f\u2028\u2029\ufffd]")
#: ``.hidden``, ``..``, and Windows' ``C:``.
_FORBIDDEN_START = re.compile(r"\.|[A-Za-z]:")
#: Percent-encoding that is left after decoding: it was encoded twice.
_CODE = re.compile(r"%[0-9A-Fa-f]{2}")
_ENCODED_SLASH = re.compile(rb"%(2f|5c|00)", re.IGNORECASE)


def is_plain_name(name: str) -> bool:
    """Return whether a name cannot be a path, on any system, however often it is decoded."""
    return (
        len(name) <= MAX_NAME
        and not _FORBIDDEN.search(name)
        and not _FORBIDDEN_START.match(name)
        and not _CODE.search(name)
    )


def check_path(raw: bytes, path: str) -> None:
    """Check the path of an address, as it was sent and decoded.

    Raises:
        InputError: If a part of it is not a plain name; ``field`` is ``"path"``.
    """
    if len(raw) > MAX_PATH:
        raise InputError(f"The address is longer than {MAX_PATH} bytes.", field="path")
    parts = [part for part in path.split("/") if part]
    wrong = next((part for part in parts if not is_plain_name(part)), None)
    if wrong is None and _ENCODED_SLASH.search(raw):
        wrong = path
    if wrong is not None:
        raise InputError(f"The address contains {wrong[:80]!r}, which cannot be a name here.", field="path")


def check_query(query: bytes) -> None:
    """Check the parameters of an address; raises InputError, with the name of one as ``field``, if it is wrong."""
    if len(query) > MAX_QUERY:
        raise InputError(f"The address has more than {MAX_QUERY} bytes of parameters.", field="query")
    try:
        pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=_MAX_PARAMETERS)
    except ValueError:
        raise InputError(f"The address has more than {_MAX_PARAMETERS} parameters.", field="query") from None
    names = [name for name, _ in pairs]
    for name, value in pairs:
        if names.count(name) > 1:  # no parameter here is a list, and one of the two would be ignored
            raise InputError(f"The address has {name[:80]} twice.", field=name[:80])
        accepts, form = _FORMS.get(name, _ANY)
        if not accepts(value):
            raise InputError(f"{name} cannot be {value[:80]!r}: {form}.", field=name[:80])


def _matches(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern)
    return lambda value: compiled.fullmatch(value) is not None


_NAME = (is_plain_name, "a name has at most 200 characters and is not a path")
_TAG = (_matches(r"[A-Za-z0-9_-]{0,32}"), "use at most 32 letters, digits, '-', '_'")
_ID = (_matches(r"[0-9A-Za-z-]{0,64}"), "use at most 64 letters, digits, '-'")
_WORD = (_matches(r"[A-Za-z0-9_.-]{0,64}"), "use letters, digits, '.', '-', '_'")
_ANY = (lambda value: not re.search(r"[\x00-\x1f\x7f\ufffd]", value), "it contains control characters")

#: The check of each parameter, and its description for the message.
_FORMS: dict[str, tuple[Callable[[str], bool], str]] = {
    **dict.fromkeys(("image", "id", "label"), _NAME),
    **dict.fromkeys(("tag", "label_tag"), _TAG),
    **dict.fromkeys(("session_id", "base"), _ID),
    **dict.fromkeys(("output", "ending", "version", "role", "model", "strategy"), _WORD),
    "check_sum": (_matches(r"([A-Za-z0-9]{1,16}:)?[0-9A-Fa-f]{0,128}"), "send it as SHA256:<hexadecimal>"),
}
