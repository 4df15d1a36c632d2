"""An authentication service for nats-server's auth callout, as clusters have it: it lets users in for a few seconds.

Answers are JSON Web Tokens signed with an NKey (ed25519), made by hand. It runs in a thread of the test's process.
"""

import asyncio
import base64
import json
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ACCOUNT_PREFIX: Final = 0 << 3
SERVICE_USER: Final = "auth-service"


def crc16(data: bytes) -> int:
    """CRC-16/XMODEM, the check sum of an NKey."""
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


def public_nkey(prefix: int, key: bytes) -> str:
    """A public key as NATS writes it."""
    raw = bytes([prefix]) + key
    return base64.b32encode(raw + crc16(raw).to_bytes(2, "little")).decode().rstrip("=")


def part(value: dict[str, Any] | bytes) -> str:
    """A part of a JSON Web Token."""
    raw = value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def claims_of(token: str) -> dict[str, Any]:
    """What a JSON Web Token says."""
    payload = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return found


class AuthService:
    """Lets everybody in whom `is_welcome` knows by user and password; use `with`."""

    def __init__(self, url: Callable[[], str], *, seconds: float, is_welcome: Callable[[str, str], bool]) -> None:
        """Prepare it.

        Args:
            url: of the server, once that runs.
            seconds: for how long a user is let in.
            is_welcome: given user and password.
        """
        self._key: Final = Ed25519PrivateKey.generate()
        raw = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.issuer: Final = public_nkey(ACCOUNT_PREFIX, raw)
        self.granted = 0
        self._url: Final = url
        self._seconds: Final = seconds
        self._is_welcome: Final = is_welcome
        self._over: Final = threading.Event()
        self._is_ready: Final = threading.Event()
        self._thread: Final = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def config(self) -> dict[str, Any]:
        """The `authorization` block of the server."""
        return {
            "users": [{"user": SERVICE_USER, "password": SERVICE_USER}],
            "auth_callout": {"issuer": self.issuer, "auth_users": [SERVICE_USER]},
        }

    def _signed(self, claims: dict[str, Any]) -> str:
        text = part({"typ": "JWT", "alg": "ed25519-nkey"}) + "." + part({"iss": self.issuer, "jti": "1", **claims})
        return f"{text}.{part(self._key.sign(text.encode()))}"

    def _answer(self, request: str) -> str:
        asked = claims_of(request)["nats"]
        now = int(time.time())
        options = asked["connect_opts"]
        nats: dict[str, Any] = {"type": "authorization_response", "version": 2}
        if self._is_welcome(options.get("user", ""), options.get("pass", "")):
            self.granted += 1
            nats["jwt"] = self._signed(
                {
                    "sub": asked["user_nkey"],
                    "aud": "$G",
                    "iat": now,
                    "exp": now + int(self._seconds),
                    "nats": {"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1},
                }
            )
        else:
            nats["error"] = "not welcome"
        return self._signed({"sub": asked["user_nkey"], "aud": asked["server_id"]["id"], "iat": now, "nats": nats})

    async def _serve(self) -> None:
        import nats
        from nats.aio.msg import Msg

        async def asked(message: Msg) -> None:
            await message.respond(self._answer(message.data.decode()).encode())

        connection = await nats.connect(self._url(), user=SERVICE_USER, password=SERVICE_USER)
        await connection.subscribe("$SYS.REQ.USER.AUTH", cb=asked)
        await connection.flush()
        self._is_ready.set()
        await asyncio.to_thread(self._over.wait)
        await connection.close()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._is_ready.wait(10), "the authentication service is not connected"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._over.set()
        self._thread.join(10)
