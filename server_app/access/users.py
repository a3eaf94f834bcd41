"""The users of one server: names, roles and salted hashes of their tokens, in one file of the workspace.

The file is read again whenever it changes, so adding and revoking users needs no restart; while it cannot be read,
nobody has access. A token is 256 bits from the operating system's generator, so one round of SHA-256 with a salt
protects it as well as a slow hash protects a password, and is fast enough for every request.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

from filelock import FileLock

from server_app.common.identity import ROLES, Identity, Role
from training.atomic import write_with
from training.errors import InputError

#: The prefix of every token, by which a scanner for leaked secrets can recognize it.
PREFIX = "tumorloop_"
_TOKEN = re.compile(PREFIX + r"([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
#: Format of the file.
_VERSION = 1


@dataclass(frozen=True)
class User:
    """One entry of the file.

    Attributes:
        name: Unique among those who are not revoked.
        role: Title of a :class:`Role`.
        key: The token's public part, by which the entry is found.
        salt: Hexadecimal.
        hash: SHA-256 of the salt and the token, hexadecimal.
        created: When, in UTC (ISO 8601).
        expires: When the token expires; empty for never.
        revoked: When it was revoked; empty if it was not.
    """

    name: str
    role: str
    key: str
    salt: str
    hash: str
    created: str
    expires: str = ""
    revoked: str = ""

    @property
    def state(self) -> str:
        """``active``, ``expired`` or ``revoked``."""
        if self.revoked:
            return "revoked"
        return "expired" if self.expires and datetime.fromisoformat(self.expires) <= _now() else "active"


class Users:
    """The users in a file. Thread-safe; other processes may change the file.

    Args:
        path: The file; need not exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._seen: tuple[tuple[int, int, int] | None, list[User]] = (None, [])

    def all(self) -> list[User]:
        """Return all entries, oldest first; raises InputError if the file cannot be read."""
        with self._lock:
            stamp = self._stamp()
            if stamp is None or stamp != self._seen[0]:
                self._seen = (stamp, self._read() if stamp is not None else [])
            return list(self._seen[1])

    def active(self) -> list[User]:
        """Return the users whose tokens are valid."""
        return [user for user in self.all() if user.state == "active"]

    def add(self, name: str, role: Role, *, days: int | None = None) -> str:
        """Add a user, whose token expires after some days or never; return the token, which is not stored.

        Raises:
            InputError: If the name is not allowed or taken.
        """
        if not _NAME.fullmatch(name):
            message = f"{name[:80]!r} cannot be a user's name: use letters, digits, '.', '_', '@' and '-'."
            raise InputError(message, field="name")
        key, salt = secrets.token_hex(8), secrets.token_hex(16)
        token = f"{PREFIX}{key}_{secrets.token_urlsafe(32)}"
        expires = (_now() + timedelta(days=days)).isoformat() if days is not None else ""
        user = User(name, role.title, key, salt, _hash(salt, token), _now().isoformat(), expires)
        with self._changing() as users:
            if any(other.name.casefold() == name.casefold() and not other.revoked for other in users):
                raise InputError(f"There is already a user {name}. Revoke that user's token first.", field="name")
            self._write([*users, user])
        return token

    def revoke(self, name: str) -> None:
        """Revoke a user's token, from the next request on; raises InputError if there is no such user."""
        with self._changing() as users:
            found = [user for user in users if user.name == name and not user.revoked]
            if not found:
                raise InputError(f"There is no user {name[:80]!r} whose token could be revoked.", field="name")
            ended = _now().isoformat()
            self._write([replace(user, revoked=ended) if user in found else user for user in users])

    def identify(self, token: str) -> Identity | None:
        """Return whose token it is; ``None`` if it is unknown, expired or revoked.

        Raises:
            InputError: If the file cannot be read.
        """
        parts = _TOKEN.fullmatch(token)
        if parts is None:
            return None
        for user in self.active():
            if user.key == parts[1] and hmac.compare_digest(user.hash, _hash(user.salt, token)):
                return Identity(user.name, ROLES[user.role], tokens=True)
        return None

    # === The file ===

    @contextmanager
    def _changing(self) -> Iterator[list[User]]:
        """Lock the file against other processes and yield its entries."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self._path.with_suffix(".lock"), timeout=30, mode=0o600):
            yield self.all()

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unreadable(error) from error
        return stat.st_ino, stat.st_size, stat.st_mtime_ns

    def _read(self) -> list[User]:
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
            users = [User(**entry) for entry in content["users"]]
            if content["version"] != _VERSION or any(user.role not in ROLES for user in users):
                raise ValueError("written by another version")
            return [user for user in users if user.state]  # raises if a date cannot be read
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> InputError:
        return InputError(
            f"The file of users {self._path.name} cannot be read ({type(error).__name__}), so nobody has access. "
            "Restore it from a backup, or move it away and add the users again.",
            field="users",
        )

    def _write(self, users: list[User]) -> None:
        content = {"version": _VERSION, "users": [asdict(user) for user in users]}

        def write(temporary: Path) -> None:
            # Never readable by others, not even briefly.
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
                json.dump(content, handle, indent=2)

        write_with(self._path, write)


def _hash(salt: str, token: str) -> str:
    return hashlib.sha256(bytes.fromhex(salt) + token.encode()).hexdigest()


def _now() -> datetime:
    return datetime.now(timezone.utc).replace(microsecond=0)
