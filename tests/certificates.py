"""Certificates and key stores made for one run of the tests: an authority, what it signs, and the files of it.

What only `keytool` and `openssl` can show is made with them, in the integration tests.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from cryptography.x509.oid import NameOID

PASSWORD = "secret1"

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
KeyKind = Literal["rsa", "ec", "rsa1024"]


def new_key(kind: KeyKind = "ec") -> Key:
    if kind == "ec":
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(public_exponent=65537, key_size=1024 if kind == "rsa1024" else 2048)


def encryption(password: str | None) -> KeySerializationEncryption:
    return NoEncryption() if password is None else BestAvailableEncryption(password.encode())


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A key and its certificates, its own first."""

    key: Key
    chain: tuple[x509.Certificate, ...]

    @property
    def certificate(self) -> x509.Certificate:
        return self.chain[0]

    def key_pem(self, password: str | None = None) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption(password))

    def chain_pem(self) -> bytes:
        return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in self.chain)

    def pem(self, path: Path, password: str | None = None) -> Path:
        """One file with the key and the chain."""
        path.write_bytes(self.key_pem(password) + self.chain_pem())
        return path

    def key_and_certificate(self, folder: Path, name: str) -> tuple[Path, Path]:
        """Two PEM files, as DCMTK, pynetdicom and nats-server take them."""
        key, certificate = folder / f"{name}-key.pem", folder / f"{name}-cert.pem"
        key.write_bytes(self.key_pem())
        certificate.write_bytes(self.chain_pem())
        return key, certificate

    def pkcs12(self, path: Path, *, alias: str = "own", password: str | None = PASSWORD) -> Path:
        path.write_bytes(
            pkcs12.serialize_key_and_certificates(
                alias.encode(), self.key, self.certificate, self.chain[1:], encryption(password)
            )
        )
        return path


class Authority:
    """Signs certificates; its own is signed by itself or by another authority."""

    def __init__(self, name: str, *, above: "Authority | None" = None) -> None:
        self.key = new_key()
        self._above = above
        signer = self if above is None else above
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = (
            signer._builder(self._name, self.key, (datetime.now(UTC) - timedelta(days=2), 100))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(signer.key, hashes.SHA256())
        )

    def issue(
        self,
        name: str = "proxy",
        *,
        kind: KeyKind = "ec",
        hosts: Sequence[str] = ("localhost", "127.0.0.1"),
        days: int = 90,
        from_days: int = -1,
    ) -> Identity:
        """A certificate valid from `from_days` days from now, for `days` days; negative ones make it expired."""
        key = new_key(kind)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        start = datetime.now(UTC) + timedelta(days=from_days)
        certificate = (
            self._builder(subject, key, (start, days))
            .add_extension(x509.SubjectAlternativeName([_general_name(host) for host in hosts]), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        above = () if self._above is None else (self.certificate,)
        return Identity(key=key, chain=(certificate, *above))

    def pem(self, path: Path) -> Path:
        path.write_bytes(self.certificate.public_bytes(Encoding.PEM))
        return path

    def pkcs12(self, path: Path, password: str | None = PASSWORD) -> Path:
        """A trust store as keytool writes it."""
        entry = pkcs12.PKCS12Certificate(self.certificate, b"authority")
        path.write_bytes(pkcs12.serialize_java_truststore([entry], encryption(password)))
        return path

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    def _builder(self, subject: x509.Name, key: Key, validity: tuple[datetime, int]) -> x509.CertificateBuilder:
        start, days = validity
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + timedelta(days=days))
        )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
