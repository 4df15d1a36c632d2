"""What is on disk, unreadable for whoever runs NATS: the tunnel key's own scheme for stored objects.

The one module here that imports `cryptography`, and imported only where there is a tunnel key. Each object has 32
random bytes (its salt) from which the tunnel key makes keys that are used for nothing else. No forward secrecy: a
stored object has to be opened again. No random number is made here.
"""

import hmac
from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from dimse_proxy.queueing.records import Seal, SealError

_KEY_SIZE: Final = 32
_NONCE_SIZE: Final = 12


class QueueKeys:
    """The tunnel keys of this process, for what is stored: the first seals, all of them open."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """Take the tunnel keys, 32 bytes each; not empty."""
        self._keys: Final = {_expand(key, b"id")[:8].hex(): key for key in keys}
        self._first: Final = next(iter(self._keys))
        self._title_key: Final = _expand(keys[0], b"title")

    def token(self, title: str) -> str:
        """Return what stands for an AE title in subjects."""
        return hmac.digest(self._title_key, title.encode(), "sha256")[:8].hex()

    def new_seal(self, salt: bytes) -> "ObjectSeal":
        """Return the seal of a new object."""
        return ObjectSeal(self._first, salt, self._keys[self._first])

    def seal_of(self, key_id: str, salt: bytes) -> "ObjectSeal":
        """Return the seal of a stored object.

        Raises:
            SealError: it was sealed with a key that is not here.
        """
        key = self._keys.get(key_id)
        if key is None:
            raise SealError(f"it is sealed with the tunnel key {key_id}, which this proxy does not have")
        return ObjectSeal(key_id, salt, key)


class ObjectSeal(Seal):
    """The keys of one object."""

    def __init__(self, key_id: str, salt: bytes, key: bytes) -> None:
        self.key_id = key_id
        self.salt = salt
        self._record: Final = AESGCM(_derive(key, salt, b"record"))
        self._chunks: Final = AESGCM(_derive(key, salt, b"chunk"))

    def seal_text(self, text: bytes, place: bytes) -> bytes:
        """See `records.Seal`."""
        return self._record.encrypt(bytes(_NONCE_SIZE), text, place)

    def open_text(self, sealed: bytes, place: bytes) -> bytes:
        """See `records.Seal`."""
        return _opened(self._record, 0, sealed, place)

    def seal_chunk(self, index: int, data: bytes, place: bytes) -> bytes:
        """See `records.Seal`."""
        return self._chunks.encrypt(index.to_bytes(_NONCE_SIZE, "big"), data, place)

    def open_chunk(self, index: int, sealed: bytes, place: bytes) -> bytes:
        """See `records.Seal`."""
        return _opened(self._chunks, index, sealed, place)


def _opened(cipher: AESGCM, nonce: int, sealed: bytes, place: bytes) -> bytes:
    try:
        return cipher.decrypt(nonce.to_bytes(_NONCE_SIZE, "big"), sealed, place)
    except (InvalidTag, ValueError):
        raise SealError("it is not as a holder of the tunnel key has stored it") from None


def _expand(key: bytes, use: bytes) -> bytes:
    return HKDF(SHA256(), _KEY_SIZE, None, b"dimse-proxy 1 queue " + use).derive(key)


def _derive(key: bytes, salt: bytes, use: bytes) -> bytes:
    return HKDF(SHA256(), _KEY_SIZE, salt, b"dimse-proxy 1 queue " + use).derive(key)
