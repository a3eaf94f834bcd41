"""Who sends the current request.

The access middleware sets it; routes, stores and MONAI Label's own endpoints run in the same context, even in a thread
of the pool.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from enum import IntEnum

from server_app.errors import refusal


class Role(IntEnum):
    """What a user may do; each role includes those before it."""

    READER = 1
    ANNOTATOR = 2
    TRAINER = 3

    @property
    def title(self) -> str:
        """The role's name in lower case."""
        return self.name.lower()


#: The roles by title, in ascending order.
ROLES = {role.title: role for role in Role}


@dataclass(frozen=True)
class Identity:
    """One user, as far as the server knows.

    Attributes:
        name: Of the user; empty without authentication.
        role: What they may do.
        tokens: Whether the server required a token.
    """

    name: str = ""
    role: Role = Role.TRAINER
    tokens: bool = False


#: The user of a server without authentication.
ANONYMOUS = Identity()
_CURRENT: ContextVar[Identity] = ContextVar("tumorloop-identity", default=ANONYMOUS)


def current() -> Identity:
    """Return who sends the request; :data:`ANONYMOUS` outside of one."""
    return _CURRENT.get()


def set_current(identity: Identity) -> None:
    """Set who sends the request, for the rest of the current context."""
    _CURRENT.set(identity)


def require(role: Role, field: str, action: str) -> None:
    """Refuse what the sender's role does not allow; for what the table of routes cannot express.

    Args:
        role: The least one that is allowed to.
        field: Of the request.
        action: Completes the sentence "... may not".

    Raises:
        HTTPException: 403 if the role is less.
    """
    who = current()
    if who.role < role:
        raise refusal(403, field, insufficient_role(who, role, action))


def insufficient_role(who: Identity, needed: Role, action: str = "do this") -> str:
    """Return the message for a user whose role is not sufficient."""
    return (
        f"{who.name} is {_a(who.role.title)} and may not {action}: that takes {_a(needed.title)}. "
        "Ask the server's administrator for that role."
    )


def _a(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"
