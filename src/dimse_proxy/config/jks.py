"""The JKS key store of Java: entries out of bytes. Nothing here reads files or knows settings.

The format is the one that the JDK has written since 1.2: big-endian numbers, strings and certificates, and a SHA-1
digest at the end, keyed with the password. Private keys are encrypted with Sun's own key protection. Its hashes are
what the format prescribes, and no choice of ours. Why there is no library for it: docs/decisions/0006.
"""

import hashlib
import hmac
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

MAGIC: Final = b"\xfe\xed\xfe\xed"

_DIGEST_LENGTH: Final = 20  # SHA-1
_WHITENER: Final = b"Mighty Aphrodite"
"""Part of what the digest at the end is taken over."""
_KEY_PROTECTOR: Final = bytes.fromhex("060a2b060104012a02110101")
"""The object identifier 1.3.6.1.4.1.42.2.17.1.1 in DER: Sun's key protection."""


class JksError(ValueError):
    """The store cannot be read; the text says why."""


class JksPasswordError(JksError):
    """The password is wrong, or the store was altered: the format cannot tell one from the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JksEntry:
    """One alias of a store."""

    alias: str
    protected_key: bytes | None = field(default=None, repr=False)
    """Encrypted private key; None for a trusted certificate."""
    certificates: tuple[bytes, ...]
    """In DER: the key's chain, its own certificate first, or the one trusted certificate."""


def read_jks(data: bytes, password: str | None) -> tuple[JksEntry, ...]:
    """Read all entries, in the order of the store.

    Args:
        data: the whole file.
        password: of the store; without it the digest at the end is not checked, as Java does it.

    Raises:
        JksError: it is no such store, or it is damaged.
        JksPasswordError: the digest at the end does not fit the password.
    """
    content, digest = data[:-_DIGEST_LENGTH], data[-_DIGEST_LENGTH:]
    if password is not None:
        ours = _sha1(password.encode("utf-16-be") + _WHITENER + content)
        if not hmac.compare_digest(ours, digest):
            raise JksPasswordError("the password is wrong, or the file is damaged")
    try:
        return tuple(_entries(_Reader(content)))
    except (struct.error, UnicodeDecodeError) as error:
        raise JksError("the file is damaged") from error


def decrypt_key(entry: JksEntry, password: str) -> bytes:
    """Return the private key of an entry: PKCS #8 in DER.

    Raises:
        JksError: it is protected in a way that JKS does not have.
        JksPasswordError: the password is not that of the key.
    """
    protected = _protected_bytes(entry.protected_key or b"")
    salt, encrypted, check = (
        protected[:_DIGEST_LENGTH],
        protected[_DIGEST_LENGTH:-_DIGEST_LENGTH],
        protected[-_DIGEST_LENGTH:],
    )
    secret = password.encode("utf-16-be")
    key = bytearray()
    block = salt
    for start in range(0, len(encrypted), _DIGEST_LENGTH):
        block = _sha1(secret + block)
        key += bytes(a ^ b for a, b in zip(encrypted[start : start + _DIGEST_LENGTH], block, strict=False))
    if not hmac.compare_digest(_sha1(secret + key), check):
        raise JksPasswordError(f"the key {entry.alias!r} has another password than the store")
    return bytes(key)


def _sha1(data: bytes) -> bytes:
    return hashlib.sha1(data, usedforsecurity=False).digest()


class _Reader:
    """Big-endian fields, one behind the other."""

    def __init__(self, data: bytes) -> None:
        self._data: Final = data
        self._offset = 0

    def number(self, form: str) -> int:
        [value] = struct.unpack_from(form, self._data, self._offset)
        self._offset += struct.calcsize(form)
        return int(value)

    def block(self, length_form: str) -> bytes:
        """A length, and as many bytes."""
        length = self.number(length_form)
        end = self._offset + length
        if end > len(self._data):
            raise struct.error("a length points behind the end")
        block = self._data[self._offset : end]
        self._offset = end
        return block

    def text(self) -> str:
        return self.block(">H").decode("utf-8")


def _entries(reader: _Reader) -> Iterator[JksEntry]:
    if reader.number(">I") != int.from_bytes(MAGIC, "big"):
        raise JksError("this is no JKS key store")
    version = reader.number(">I")
    if version not in (1, 2):
        raise JksError(f"version {version} of the JKS format is unknown")
    for _ in range(reader.number(">I")):
        kind, alias = reader.number(">I"), reader.text()
        reader.number(">Q")  # When the entry was made: milliseconds since 1970.
        match kind:
            case 1:
                key = reader.block(">I")
                chain = tuple(_certificate(reader, version) for _ in range(reader.number(">I")))
                yield JksEntry(alias=alias, protected_key=key, certificates=chain)
            case 2:
                yield JksEntry(alias=alias, certificates=(_certificate(reader, version),))
            case _:
                raise JksError(f"the entry {alias!r} is of a kind that JKS does not have")


def _certificate(reader: _Reader, version: int) -> bytes:
    if version == 2 and (kind := reader.text()) not in ("X.509", "X509"):
        raise JksError(f"it holds a certificate of type {kind!r}")
    return reader.block(">I")


def _protected_bytes(encoded: bytes) -> bytes:
    """Return the octet string of an EncryptedPrivateKeyInfo (RFC 5958) that Sun's key protection made."""
    body, _ = _der(encoded, 0x30)
    algorithm, rest = _der(body, 0x30)
    if not algorithm.startswith(_KEY_PROTECTOR):
        raise JksError("its key is encrypted in a way that JKS does not have")
    protected, _ = _der(rest, 0x04)
    if len(protected) < 2 * _DIGEST_LENGTH:
        raise JksError("the file is damaged")
    return protected


def _der(data: bytes, tag: int) -> tuple[bytes, bytes]:
    """Split one DER element of the wanted tag: its content, and what follows it."""
    if len(data) < 2 or data[0] != tag:
        raise JksError("the file is damaged")
    length, start = data[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(data[2:start], "big")
    if start + length > len(data):
        raise JksError("the file is damaged")
    return data[start : start + length], data[start + length :]
