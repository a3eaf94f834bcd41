"""Who sends the request that is being answered, for whatever code answers it.

The layer sets it; routes, stores and MONAI Label's own endpoints run in the same context, also in a thread of the pool.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from enum import IntEnum

from server_app.errors import refusal


class Role(IntEnum):
    """What a user may do; each role may do what those before it may."""

    READER = 1
    ANNOTATOR = 2
    TRAINER = 3

    @property
    def title(self) -> str:
        """The role's name, as people write it."""
        return self.name.lower()


#: The roles by their titles, in rising order.
ROLES = {role.title: role for role in Role}


@dataclass(frozen=True)
class Identity:
    """One user, as far as the server knows.

    Attributes:
        name: Of the user; empty when nobody was asked.
        role: What they may do.
        tokens: Whether the server asked for a token.
    """

    name: str = ""
    role: Role = Role.TRAINER
    tokens: bool = False


#: Who uses a server that asks nobody for a name.
ANONYMOUS = Identity()
_CURRENT: ContextVar[Identity] = ContextVar("tumorloop-identity", default=ANONYMOUS)


def current() -> Identity:
    """Return who sends the request; :data:`ANONYMOUS` outside of one."""
    return _CURRENT.get()


def set_current(identity: Identity) -> None:
    """Set who sends the request, for the rest of the running context."""
    _CURRENT.set(identity)


def require(role: Role, field: str, deed: str) -> None:
    """Refuse what the sender's role does not allow; for what a route's rule cannot know.

    Args:
        role: The least one that may.
        field: Of the request that asks for it.
        deed: What may not be done, to complete the sentence "... may not".

    Raises:
        HTTPException: 403 if the role is less.
    """
    who = current()
    if who.role < role:
        raise refusal(403, field, insufficient_role(who, role, deed))


def insufficient_role(who: Identity, needed: Role, deed: str = "do this") -> str:
    """Return the sentence for a user whose role is too small."""
    return (
        f"{who.name} is {_a(who.role.title)} and may not {deed}: that takes {_a(needed.title)}. "
        "Ask whoever runs the server for that role."
    )


def _a(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"
