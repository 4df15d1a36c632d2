"""NKeys of NATS: the user's seed, its public key, and the signature that answers a server's nonce.

A seed is base32 of a two-byte prefix (seed, and whose: user), 32 bytes of Ed25519 private key and a CRC-16. Imports
`cryptography`, so it is itself imported only where such a key is used.
"""

import base64
import binascii
import re
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_SEED: Final = 18 << 3
_USER: Final = 20 << 3
_LENGTH: Final = 2 + 32 + 2
_BLOCK: Final = re.compile(r"-+BEGIN ([A-Z ]+)-+\s*(\S+)\s*-+END \1-+")


class NKeyError(ValueError):
    """The text is no seed of a user; what is said of it holds nothing of the seed."""


class UserKey:
    """The key pair of a NATS user."""

    def __init__(self, seed: str) -> None:
        """Reads a seed, `SU...`.

        Raises:
            NKeyError: it is none.
        """
        text = seed.strip()
        try:
            raw = base64.b32decode(text + "=" * (-len(text) % 8))
        except binascii.Error:
            raise NKeyError("it is no NKey seed, which begins with SU") from None
        if len(raw) != _LENGTH or binascii.crc_hqx(raw[:-2], 0) != int.from_bytes(raw[-2:], "little"):
            raise NKeyError("it is no NKey seed: its check sum is wrong")
        kind = (raw[0] & 0x07) << 5 | raw[1] >> 3
        if raw[0] & 0xF8 != _SEED or kind != _USER:
            raise NKeyError("it is not the seed of a user, which begins with SU")
        self._key: Final = Ed25519PrivateKey.from_private_bytes(raw[2:-2])

    @property
    def public(self) -> str:
        """The public key, `U...`, by which the server knows this user."""
        raw = bytes([_USER]) + self._key.public_key().public_bytes_raw()
        raw += binascii.crc_hqx(raw, 0).to_bytes(2, "little")
        return base64.b32encode(raw).decode().rstrip("=")

    def sign(self, nonce: bytes) -> bytes:
        """Return the signature of the server's nonce, 64 bytes."""
        return self._key.sign(nonce)


def read_credentials(text: str) -> tuple[str, UserKey]:
    """Read a credentials file as `nsc` writes it: the user's JWT and the seed of its key.

    Raises:
        NKeyError: one of the two is missing or wrong.
    """
    blocks = {match[1]: match[2] for match in _BLOCK.finditer(text)}
    jwt, seed = blocks.get("NATS USER JWT"), blocks.get("USER NKEY SEED")
    if jwt is None or seed is None:
        missing = "user JWT" if jwt is None else "user NKey seed"
        raise NKeyError(f"it is no credentials file: it has no {missing}")
    return jwt, UserKey(seed)
