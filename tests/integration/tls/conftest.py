"""Certificates and stores of a run, and the pairs of proxies that use them in every form.

`mutual` is a pair that demands certificates on both sides, with stores of keytool. `lenient` has a plain port and a TLS
port beside it, asks for no certificate, takes every TLS version, and verifies its target by PEM.
"""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.certificates import PASSWORD, Authority, Identity
from tests.integration.peers.nats import NatsServer
from tests.integration.peers.pair import Pair, Target
from tests.integration.peers.waiting import free_port
from tests.integration.tls.stores import import_certificate, import_key

ALL_VERSIONS = "TLSv1.0,TLSv1.1,TLSv1.2,TLSv1.3"


@dataclass(frozen=True, kw_only=True)
class Files:
    """What all tests share, in one folder."""

    folder: Path
    authority: Authority
    proxy: Identity
    """Of both proxies."""
    peer: Identity
    """Of SCUs and SCPs."""
    peer_key: Path
    peer_certificate: Path
    ca: Path
    stranger: Identity
    """Signed by an authority that nobody trusts."""
    expired: Identity

    def context(self, *, acceptor: bool = False, identity: Identity | None = None) -> ssl.SSLContext:
        """Python's side of a handshake, for pynetdicom: any version, verifying nothing but what the test adds."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if acceptor else ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE if acceptor else ssl.CERT_REQUIRED
        context.load_verify_locations(self.ca)
        if identity is not None:
            path = self.folder / f"context-{id(identity)}.pem"
            context.load_cert_chain(identity.pem(path))
        return context


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("tls")
    authority = Authority("Hospital CA")
    peer = authority.issue("PEER", kind="rsa")
    key, certificate = peer.key_and_certificate(folder, "peer")
    return Files(
        folder=folder,
        authority=authority,
        proxy=authority.issue("PROXY", kind="rsa"),
        peer=peer,
        peer_key=key,
        peer_certificate=certificate,
        ca=authority.pem(folder / "ca.pem"),
        stranger=Authority("Other CA").issue("STRANGER", kind="rsa"),
        expired=authority.issue("EXPIRED", kind="rsa", days=10, from_days=-20),
    )


@pytest.fixture(scope="session")
def mutual(nats_server: NatsServer, files: Files, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """A listens with JKS stores; B calls its target with PKCS12 stores in the encryption of old times."""
    folder = tmp_path_factory.mktemp("mutual")
    key = files.proxy.pkcs12(folder / "source.p12")
    jks = import_key(key, folder / "key.jks", "JKS")
    jks_trust = import_certificate(files.ca, folder / "trust.jks", "JKS")
    old = ("-J-Dkeystore.pkcs12.legacy",)
    p12 = import_key(key, folder / "key.p12", "PKCS12", *old)
    p12_trust = import_certificate(files.ca, folder / "trust.p12", "PKCS12", *old)
    secret = folder / "password"
    secret.write_text(f"{PASSWORD}\n")
    passwords = {
        "DIMSE_TLS_KEYSTORE_PASSWORD_FILE": str(secret),
        "DIMSE_TLS_TRUSTSTORE_PASSWORD": PASSWORD,
        "DIMSE_TLS_ENABLED": "true",
        "DIMSE_LOG_LEVEL": "DEBUG",
    }
    pair = Pair(
        nats_server.url,
        folder,
        target_b=Target(port=free_port()),
        env_a={
            **passwords,
            "DIMSE_TLS_KEYSTORE": str(jks),
            "DIMSE_TLS_KEYSTORE_TYPE": "JKS",
            "DIMSE_TLS_KEYSTORE_ALIAS": "own",
            "DIMSE_TLS_TRUSTSTORE": str(jks_trust),
            "DIMSE_TLS_TRUSTSTORE_TYPE": "JKS",
        },
        env_b={
            **passwords,
            "DIMSE_TLS_KEYSTORE": str(p12),
            "DIMSE_TLS_TRUSTSTORE": str(p12_trust),
            "DIMSE_TLS_VERIFY_HOSTNAME": "true",
        },
    )
    yield pair
    pair.stop()


@dataclass(frozen=True, kw_only=True)
class Lenient:
    """A pair with a plain and a TLS port at A."""

    pair: Pair
    plain_port: int
    tls_port: int
    key_store: Path
    """Of A; a test may put another one in its place, and leaves one that is right."""


@pytest.fixture(scope="session")
def lenient(nats_server: NatsServer, files: Files, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lenient]:
    folder = tmp_path_factory.mktemp("lenient")
    tls_port = free_port()
    key_store = files.proxy.pem(folder / "key.pem", PASSWORD)
    versions = {"DIMSE_TLS_PROTOCOL_VERSIONS": ALL_VERSIONS}
    pair = Pair(
        nats_server.url,
        folder,
        target_b=Target(port=free_port()),
        env_a={
            **versions,
            "DIMSE_TLS_PORT": str(tls_port),
            "DIMSE_TLS_KEYSTORE": str(key_store),
            "DIMSE_TLS_KEYSTORE_TYPE": "PEM",
            "DIMSE_TLS_KEYSTORE_PASSWORD": PASSWORD,
            "DIMSE_TLS_HANDSHAKE_TIMEOUTSECONDS": "1",
        },
        env_b={
            **versions,
            "DIMSE_TARGET_TLS_ENABLED": "true",
            "DIMSE_TLS_TRUSTSTORE": str(files.ca),
            "DIMSE_TLS_TRUSTSTORE_TYPE": "PEM",
            "DIMSE_TLS_HANDSHAKE_TIMEOUTSECONDS": "2",
        },
    )
    pair.allowed_troubles = "keys and certificates stay as they were"
    yield Lenient(pair=pair, plain_port=pair.a.port, tls_port=tls_port, key_store=key_store)
    pair.stop()
