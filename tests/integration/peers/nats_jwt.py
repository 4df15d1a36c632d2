"""JWTs of NATS' operator mode, as `nsc` makes them: an operator, accounts, and users with permissions."""

import base64
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tests.unit.config.nkey_texts import ACCOUNT, OPERATOR, USER, KeyPair, credentials

UNLIMITED: Final = {"subs": -1, "data": -1, "payload": -1}


def signed(signer: KeyPair, subject: str, name: str, claims: dict[str, Any]) -> str:
    """A JWT for the key `subject`, signed by `signer`."""
    head = {"typ": "JWT", "alg": "ed25519-nkey"}
    body = {"jti": name, "iat": int(time.time()), "iss": signer.public, "name": name, "sub": subject, "nats": claims}
    text = ".".join(_part(json.dumps(value).encode()) for value in (head, body))
    return f"{text}.{_part(signer.key.sign(text.encode()))}"


def _part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class Operator:
    """The root of trust of one NATS system."""

    def __init__(self) -> None:
        self.keys: Final = KeyPair(OPERATOR)
        self.jwt: Final = signed(self.keys, self.keys.public, "operator", {"type": "operator", "version": 2})

    def server_config(self, *accounts: "Account") -> str:
        """What a server's configuration says of this operator and its accounts."""
        preload = "\n".join(f"  {account.keys.public}: {account.jwt}" for account in accounts)
        return f"operator: {self.jwt}\nresolver: MEMORY\nresolver_preload: {{\n{preload}\n}}\n"


class Account:
    """An account that the operator signed."""

    def __init__(self, operator: Operator, name: str) -> None:
        self.keys: Final = KeyPair(ACCOUNT)
        limits = {**UNLIMITED, "imports": -1, "exports": -1, "wildcards": True, "conn": -1, "leaf": -1}
        claims = {"limits": limits, "default_permissions": {"pub": {}, "sub": {}}, "type": "account", "version": 2}
        self.jwt: Final = signed(operator.keys, self.keys.public, name, claims)

    def user(self, path: Path, *, subscribe: Sequence[str], publish: Sequence[str]) -> Path:
        """Writes a new user's credentials file, and returns its path."""
        keys = KeyPair(USER)
        permissions = {"pub": {"allow": list(publish)}, "sub": {"allow": list(subscribe)}}
        claims = {**permissions, **UNLIMITED, "type": "user", "version": 2}
        path.write_text(credentials(signed(self.keys, keys.public, path.stem, claims), keys.seed))
        return path
