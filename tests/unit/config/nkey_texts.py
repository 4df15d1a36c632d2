"""NKeys as text, made for tests: the prefixes and the check sum of NATS around an Ed25519 key."""

import base64
import binascii

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ACCOUNT, OPERATOR, USER = 0, 14 << 3, 20 << 3
SEED = 18 << 3


def encode(raw: bytes) -> str:
    return base64.b32encode(raw + binascii.crc_hqx(raw, 0).to_bytes(2, "little")).decode().rstrip("=")


class KeyPair:
    """An operator's, account's or user's key pair."""

    def __init__(self, kind: int) -> None:
        self.key = Ed25519PrivateKey.generate()
        self.public = encode(bytes([kind]) + self.key.public_key().public_bytes_raw())
        first, second = SEED | kind >> 5, (kind & 0x1F) << 3
        self.seed = encode(bytes([first, second]) + self.key.private_bytes_raw())


def credentials(jwt: str, seed: str) -> str:
    """A credentials file in the form that nsc writes."""
    return (
        f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"
        "************************* IMPORTANT *************************\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )
