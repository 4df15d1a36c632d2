"""Writes JKS key stores, for tests of the reader; that the real keytool writes the same: tests/integration/tls."""

import hashlib
import os
import struct
from collections.abc import Sequence

SUN_KEY_PROTECTOR = bytes.fromhex("300e060a2b060104012a021101010500")
"""AlgorithmIdentifier of 1.3.6.1.4.1.42.2.17.1.1 without parameters."""


def utf(text: str) -> bytes:
    raw = text.encode()
    return struct.pack(">H", len(raw)) + raw


def block(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def der(tag: int, content: bytes) -> bytes:
    return bytes([tag, 0x82]) + struct.pack(">H", len(content)) + content


def protect(key: bytes, password: str) -> bytes:
    """A PKCS #8 key, encrypted with Sun's key protection."""
    secret = password.encode("utf-16-be")
    salt = digest = os.urandom(20)
    stream = b""
    while len(stream) < len(key):
        digest = hashlib.sha1(secret + digest).digest()
        stream += digest
    encrypted = bytes(a ^ b for a, b in zip(key, stream, strict=False))
    check = hashlib.sha1(secret + key).digest()
    return der(0x30, SUN_KEY_PROTECTOR + der(0x04, salt + encrypted + check))


def certificate(data: bytes, version: int = 2) -> bytes:
    return (utf("X.509") if version == 2 else b"") + block(data)


def key_entry(alias: str, key: bytes, chain: Sequence[bytes], *, version: int = 2) -> bytes:
    certificates = b"".join(certificate(data, version) for data in chain)
    head = struct.pack(">I", 1) + utf(alias) + bytes(8)
    return head + block(key) + struct.pack(">I", len(chain)) + certificates


def trusted_entry(alias: str, data: bytes) -> bytes:
    return struct.pack(">I", 2) + utf(alias) + bytes(8) + certificate(data)


def store(*entries: bytes, password: str, version: int = 2) -> bytes:
    content = bytes.fromhex("feedfeed") + struct.pack(">II", version, len(entries)) + b"".join(entries)
    return content + hashlib.sha1(password.encode("utf-16-be") + b"Mighty Aphrodite" + content).digest()
