"""The user's settings: servers, tokens, certificates, name, consent, and the local server.

Slicer's settings return a list of one item as a string and numbers as strings, so everything is stored as JSON.
"""

from __future__ import annotations

import getpass
import json
from collections.abc import Sequence
from typing import Any, Protocol

from TumorLoopLib.client.address import Address
from TumorLoopLib.client.errors import ClientError

DEFAULT_ADDRESS = "http://127.0.0.1:8000"
#: Addresses that are kept.
HISTORY = 10
_GROUP = "TumorLoop"


class Store(Protocol):
    """The part of ``QSettings`` that is used."""

    def value(self, key: str) -> Any:
        """Return what is stored under a key, ``None`` if nothing is."""

    def setValue(self, key: str, value: Any) -> None:
        """Store a value."""


def _text(key: str) -> Any:
    def read(settings: Settings) -> str:
        return str(settings._read(key, ""))

    return property(read, lambda settings, text: settings._write(key, text))


class Settings:
    """The settings, typed."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # === Servers ===

    @property
    def addresses(self) -> list[str]:
        """The servers used so far, last one first; never empty."""
        kept = self._read("addresses", [])
        return [str(address) for address in kept] if isinstance(kept, list) and kept else [DEFAULT_ADDRESS]

    def use_address(self, address: str) -> None:
        """Put an address first."""
        others = [known for known in self.addresses if known != address]
        self._write("addresses", [address, *others][:HISTORY])

    def token(self, address: str) -> str:
        """Return the access token of a server; it is never sent to another one."""
        return str(self._dictionary("tokens").get(_server(address), ""))

    def set_token(self, address: str, token: str) -> None:
        """Store the access token of a server; an empty one deletes it."""
        self._change("tokens", _server(address), token.strip())

    def consented(self, address: str) -> bool:
        """Return whether images may be sent to a server: the user agreed, or it is this machine."""
        return is_this_machine(address) or bool(self._dictionary("consent").get(_server(address)))

    def consent(self, address: str) -> None:
        """Record that the user agreed."""
        self._change("consent", _server(address), "yes")

    #: A file of certificates that are trusted beside the system's; empty for none.
    ca_file = _text("CA file")

    # === The user ===

    @property
    def user(self) -> str:
        """The name under which labels are submitted."""
        kept = self._read("user", None)
        return str(kept) if kept else _login_name()

    @user.setter
    def user(self, name: str) -> None:
        self._write("user", name.strip())

    # === The server on this machine ===

    @property
    def server_command(self) -> list[str]:
        """The command that starts a server on this machine; empty for the installed one."""
        kept = self._read("server command", [])
        return [str(word) for word in kept] if isinstance(kept, list) else []

    @server_command.setter
    def server_command(self, words: Sequence[str]) -> None:
        self._write("server command", list(words))

    #: The folder of cases that a server on this machine serves; empty if none was chosen.
    studies = _text("studies")
    #: The folder from which a case was loaded last.
    case_folder = _text("case folder")
    #: The folder into which a DICOM SEG was saved last.
    export_folder = _text("export folder")

    def _read(self, key: str, default: Any) -> Any:
        kept = self._store.value(f"{_GROUP}/{key}")
        if not isinstance(kept, str):
            return default
        try:
            return json.loads(kept)
        except ValueError:
            return default

    def _write(self, key: str, value: Any) -> None:
        self._store.setValue(f"{_GROUP}/{key}", json.dumps(value))

    def _dictionary(self, key: str) -> dict[str, str]:
        kept = self._read(key, {})
        return kept if isinstance(kept, dict) else {}

    def _change(self, key: str, name: str, value: str) -> None:
        kept = {known: text for known, text in self._dictionary(key).items() if known != name}
        self._write(key, {**kept, name: value} if value else kept)


def is_this_machine(address: str) -> bool:
    """Return whether an address is this machine.

    Examples:
        >>> is_this_machine("http://127.0.0.1:8000"), is_this_machine("localhost:9"), is_this_machine("127.example.org")
        (True, True, False)
    """
    try:
        return Address.parse(address).is_this_machine
    except ClientError:
        return False


def _server(address: str) -> str:
    """Return the canonical form of an address, as a key."""
    try:
        return str(Address.parse(address))
    except ClientError:
        return address.strip()


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a machine without user accounts
        return ""
