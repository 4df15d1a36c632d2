"""Key stores and trust stores: PKCS12, JKS and PEM files become a private key with its chain, and trusted certificates.

Imports `cryptography`, so it is itself imported only where TLS is asked for. It knows no settings: what is wrong with a
store is a `StoreError`, and who asked for it says which variable that was.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_der_private_key,
    load_pem_private_key,
    pkcs12,
)

from dimse_proxy.config.jks import MAGIC, JksEntry, JksError, JksPasswordError, decrypt_key, read_jks

_JCEKS_MAGIC: Final = b"\xce\xce\xce\xce"
_PEM_BLOCK: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.+?-----END \1-----", re.DOTALL)
_PEM_KEY: Final = b"PRIVATE KEY"
_WRONG_PASSWORD: Final = "the password is wrong, or the file is damaged"
_KEY_AND_CHAIN: Final = ("tls.key", "tls.crt")
_LONGEST_FILE: Final = 4 * 1024 * 1024
"""Bytes: ten times the trust store that a JDK brings."""


class StoreError(ValueError):
    """A store cannot be used; the text is the end of a sentence and holds no secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyMaterial:
    """A private key and the certificates that go with it."""

    key: PrivateKeyTypes = field(repr=False)
    chain: tuple[x509.Certificate, ...]
    """The key's own certificate first, then as much of the way to its root as the store has."""
    notes: tuple[str, ...] = ()
    """Sentences worth a warning."""

    def pem(self, password: bytes) -> bytes:
        """Return key and chain as one PEM text, the key encrypted with `password`."""
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password))
        return key + b"".join(certificate.public_bytes(Encoding.PEM) for certificate in self.chain)


def read_key_store(path: Path, kind: str, password: str | None, alias: str | None = None) -> KeyMaterial:
    """Read the private key of a store, and its chain.

    Args:
        path: the file; or a folder with `tls.key` and `tls.crt` in PEM, as Kubernetes mounts a Secret of its TLS type.
        kind: what it is expected to be, PKCS12, JKS or PEM; a file that clearly is another of these is read as that,
            as Java does it.
        password: of the store and of the key in it; None when there is none.
        alias: of the key; None takes the first one.

    Raises:
        StoreError: it cannot be read, has no such key, or the key does not fit its certificate.
    """
    data = _read_with_key(path)
    match _kind_of(data, kind):
        case "JKS":
            key, certificates, notes = _jks_key(data, password, alias)
        case "PEM":
            key, certificates, notes = _pem_key(data, password, alias)
        case _:
            key, certificates, notes = _pkcs12_key(data, password, alias)
    return KeyMaterial(key=key, chain=_chain_of(key, certificates), notes=notes)


def read_trust_store(path: Path, kind: str, password: str | None) -> tuple[bytes, ...]:
    """Read the certificates of a store, in DER.

    Args:
        path: the file.
        kind: as in `read_key_store`.
        password: None when there is none; a JKS store can be read without its own.

    Raises:
        StoreError: it cannot be read, or holds no certificate.
    """
    data = _read(path)
    match _kind_of(data, kind):
        case "JKS":
            # Java trusts the certificates that stand alone, not those that belong to a key.
            found = [
                certificate
                for entry in _jks_entries(data, password)
                if entry.protected_key is None
                for certificate in entry.certificates
            ]
        case "PEM":
            found = [certificate.public_bytes(Encoding.DER) for certificate in _pem_certificates(data)]
        case _:
            found = [item.certificate.public_bytes(Encoding.DER) for item in _pkcs12(data, password).additional_certs]
    if not found:
        raise StoreError("it holds no trusted certificate")
    return tuple(found)


def _read_with_key(path: Path) -> bytes:
    if not path.is_dir():
        return _read(path)
    if missing := [name for name in _KEY_AND_CHAIN if not (path / name).is_file()]:
        raise StoreError(
            f"this is a folder, and one with {' and '.join(_KEY_AND_CHAIN)} is right: {missing[0]} is missing"
        )
    return b"\n".join(_read(path / name) for name in _KEY_AND_CHAIN)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_LONGEST_FILE + 1)
    except OSError as error:
        raise StoreError(error.strerror or "it cannot be read") from None
    if not data:
        raise StoreError("the file is empty")
    if len(data) > _LONGEST_FILE:
        raise StoreError("the file is too long to be a store")
    return data


def _kind_of(data: bytes, expected: str) -> str:
    """Return what the content is; JKS, PKCS12 and PEM cannot be mistaken for one another."""
    if data.startswith(MAGIC):
        return "JKS"
    if data.startswith(_JCEKS_MAGIC):
        raise StoreError("this is a JCEKS store; keytool -importkeystore makes a PKCS12 store of it")
    if _PEM_BLOCK.search(data):
        return "PEM"
    if data.startswith(b"\x30"):
        return "PKCS12"
    raise StoreError(f"this is no {expected} file, nor one of PKCS12, JKS and PEM")


# JKS


def _jks_entries(data: bytes, password: str | None) -> tuple[JksEntry, ...]:
    try:
        return read_jks(data, password)
    except JksError as error:
        raise StoreError(str(error)) from None


def _jks_key(
    data: bytes, password: str | None, alias: str | None
) -> tuple[PrivateKeyTypes, Sequence[x509.Certificate], tuple[str, ...]]:
    entries = [entry for entry in _jks_entries(data, password) if entry.protected_key is not None]
    if not entries:
        raise StoreError("it holds no private key")
    names = ", ".join(entry.alias for entry in entries)
    # Java writes aliases of JKS in lower case and looks them up whatever their case.
    chosen = entries if alias is None else [entry for entry in entries if entry.alias.lower() == alias.lower()]
    if not chosen:
        raise StoreError(f"it holds no key with the alias {alias!r}, but: {names}")
    if password is None:
        raise StoreError("it needs its password")
    entry = chosen[0]
    try:
        key = load_der_private_key(decrypt_key(entry, password), None)
    except JksPasswordError as error:
        raise StoreError(f"{error}; keytool -keypasswd makes them the same") from None
    except JksError as error:
        raise StoreError(str(error)) from None
    except (ValueError, UnsupportedAlgorithm):
        raise StoreError(f"the key {entry.alias!r} is of a kind that cannot be used") from None
    notes = () if len(chosen) == 1 else (f"it holds several keys ({names}), and {entry.alias!r}, the first, is used",)
    return key, [_certificate(der) for der in entry.certificates], notes


def _certificate(der: bytes) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(der)
    except ValueError:
        raise StoreError("it holds a certificate that cannot be read") from None


# PKCS12


def _pkcs12(data: bytes, password: str | None) -> pkcs12.PKCS12KeyAndCertificates:
    try:
        return pkcs12.load_pkcs12(data, None if password is None else password.encode())
    except UnsupportedAlgorithm as error:
        raise StoreError(f"it is encrypted in a way that is not supported: {error}") from None
    except ValueError:
        raise StoreError("it needs its password" if password is None else _WRONG_PASSWORD) from None


def _pkcs12_key(
    data: bytes, password: str | None, alias: str | None
) -> tuple[PrivateKeyTypes, Sequence[x509.Certificate], tuple[str, ...]]:
    store = _pkcs12(data, password)
    if store.key is None:
        raise StoreError("it holds no private key")
    if store.cert is None:
        raise StoreError("it holds a private key, and no certificate that belongs to it")
    name = (store.cert.friendly_name or b"").decode("utf-8", "replace")
    if alias is not None and alias.lower() != name.lower():
        has = f"its first key has the alias {name!r}" if name else "its first key has none"
        raise StoreError(
            f"it holds no key with the alias {alias!r}, or not as the first: {has}. Of a PKCS12 store only the first "
            "key can be used"
        )
    return store.key, [store.cert.certificate, *(item.certificate for item in store.additional_certs)], ()


# PEM


def _pem_certificates(data: bytes) -> list[x509.Certificate]:
    blocks = [match[0] for match in _PEM_BLOCK.finditer(data) if match[1].endswith(b"CERTIFICATE")]
    try:
        return [x509.load_pem_x509_certificate(block) for block in blocks]
    except ValueError:
        raise StoreError("it holds a certificate that cannot be read") from None


def _pem_key(
    data: bytes, password: str | None, alias: str | None
) -> tuple[PrivateKeyTypes, Sequence[x509.Certificate], tuple[str, ...]]:
    if alias is not None:
        raise StoreError(f"a PEM file has no aliases, and {alias!r} is asked for")
    blocks = [match[0] for match in _PEM_BLOCK.finditer(data) if match[1].endswith(_PEM_KEY)]
    if not blocks:
        raise StoreError("it holds no private key")
    is_encrypted = b"ENCRYPTED" in blocks[0]
    if is_encrypted and password is None:
        raise StoreError("its key is encrypted: it needs its password")
    try:
        key = load_pem_private_key(blocks[0], password.encode() if is_encrypted and password is not None else None)
    except UnsupportedAlgorithm as error:
        raise StoreError(f"its key is encrypted in a way that is not supported: {error}") from None
    except ValueError:
        raise StoreError(_WRONG_PASSWORD if is_encrypted else "its private key cannot be read") from None
    certificates = _pem_certificates(data)
    if not certificates:
        raise StoreError("it holds a private key, and no certificate that belongs to it")
    return key, certificates, ()


# The chain


def _chain_of(key: PrivateKeyTypes, certificates: Sequence[x509.Certificate]) -> tuple[x509.Certificate, ...]:
    """Return the key's certificate and its issuers, as far as they are among `certificates`; all others are left out.

    Raises:
        StoreError: no certificate belongs to the key.
    """
    public = key.public_key()
    own = next((certificate for certificate in certificates if _public_key_of(certificate) == public), None)
    if own is None:
        raise StoreError("its private key does not fit its certificate")
    chain = [own]
    while issuer := next((other for other in certificates if other not in chain and _issued(other, chain[-1])), None):
        chain.append(issuer)
    return tuple(chain)


def _public_key_of(certificate: x509.Certificate) -> object:
    try:
        return certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None  # A kind of key that is not ours, then.


def _issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    if issuer.subject != certificate.issuer:
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True
