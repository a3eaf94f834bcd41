"""MONAI Label's own OIDC setting (``MONAI_LABEL_AUTH_ENABLE``), behind our middleware.

MONAI Label 0.8.5 calls PyJWT without a list of algorithms, which PyJWT 2 refuses, so no token would be accepted. So the
token is decoded here, with algorithms that need the realm's private key, and MONAI Label's endpoints get the same
function (see :mod:`server_app.access.setup`).
"""

from __future__ import annotations

import logging
from typing import Any

from server_app.common.identity import Identity, Role
from server_app.errors import refusal

logger = logging.getLogger(__name__)
_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]


def is_enabled() -> bool:
    """Return whether the setting is on."""
    from monailabel.config import settings

    return bool(settings.MONAI_LABEL_AUTH_ENABLE)


def identify(token: str) -> Identity | None:
    """Return whose token it is; ``None`` if it is not the realm's, has expired, or has none of our roles. May block.

    Raises:
        HTTPException: 503 if the realm's key is not available.
    """
    from jwt import InvalidTokenError, PyJWTError
    from requests import RequestException

    try:
        user = user_of(token)
    except InvalidTokenError:
        return None
    except (RequestException, PyJWTError, KeyError, ValueError) as error:
        logger.error("The OIDC realm's key is not available: %s", error)
        raise refusal(503, "token", "The identity server does not answer. Try again later.") from error
    role = role_of(user.roles)
    return Identity(user.username, role, tokens=True) if role is not None and user.username else None


def role_of(roles: list[str]) -> Role | None:
    """Return the highest of our roles that MONAI Label's roles correspond to; ``None`` for none."""
    from monailabel.config import settings

    meaning = {
        settings.MONAI_LABEL_AUTH_ROLE_ADMIN: Role.TRAINER,
        settings.MONAI_LABEL_AUTH_ROLE_REVIEWER: Role.ANNOTATOR,
        settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR: Role.ANNOTATOR,
        settings.MONAI_LABEL_AUTH_ROLE_USER: Role.READER,
    }
    return max((meaning[role] for role in roles if role in meaning), default=None)


def user_of(token: str) -> Any:
    """Return MONAI Label's ``User`` of a token; raises InvalidTokenError if it is not the realm's, or has expired."""
    import jwt
    from monailabel.config import settings
    from monailabel.endpoints.user.auth import User, get_public_key

    key = get_public_key(settings.MONAI_LABEL_AUTH_REALM_URI)
    claims = jwt.decode(token, key, algorithms=_ALGORITHMS, options={"verify_aud": False})
    roles: Any = claims
    for step in settings.MONAI_LABEL_AUTH_TOKEN_ROLES.split("#"):
        roles = roles.get(step) if isinstance(roles, dict) else None
    return User(
        username=str(claims.get(settings.MONAI_LABEL_AUTH_TOKEN_USERNAME) or ""),
        email=claims.get(settings.MONAI_LABEL_AUTH_TOKEN_EMAIL),
        name=claims.get(settings.MONAI_LABEL_AUTH_TOKEN_NAME),
        roles=[str(role) for role in roles] if isinstance(roles, list) else [],
    )
