"""How the NATS credential is presented: as user and password, or as a token.

A JSON Web Token is only looked into for its `sub` claim; whether it is valid is for the NATS server to say.
"""

import base64
import binascii
import json
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class NatsCredentials:
    """What the CONNECT to NATS carries: either user and password, or a token."""

    user: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)


def nats_credentials(token: str) -> NatsCredentials:
    """Return what to present for `DIMSE_NATS_AUTH_TOKEN`.

    A JWT with a `sub` claim gives the user, which is the last part of `sub` between colons, and is itself the
    password. Anything else is a NATS token.
    """
    subject = _subject_claim(token)
    user = subject.rpartition(":")[2] if subject is not None else ""
    return NatsCredentials(user=user, password=token) if user else NatsCredentials(token=token)


def _subject_claim(token: str) -> str | None:
    """Return the `sub` claim of a JWT (RFC 7519): header, payload and signature in base64url, joined by dots."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        json.loads(_base64url(parts[0]))
        payload = json.loads(_base64url(parts[1]))
        _base64url(parts[2])
    except ValueError:
        return None
    subject = payload.get("sub") if isinstance(payload, dict) else None
    return subject if isinstance(subject, str) else None


def _base64url(part: str) -> bytes:
    """Decode base64url without padding (RFC 7515 section 2)."""
    try:
        return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not base64url") from error
