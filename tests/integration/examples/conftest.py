"""Certificates for the examples on networks with TLS: one authority, a key of the proxies and one of all peers."""

import ssl
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.certificates import PASSWORD, Authority
from tests.integration.peers.orthanc import OrthancTls


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """The files that each kind of peer takes."""

    proxy: dict[str, str]
    """Variables of a proxy whose listener and target have TLS with certificates on both sides."""
    authority: Path
    pem: Path
    """Key and certificate of a peer, in one file."""
    orthanc: OrthancTls
    dcmtk: tuple[object, ...]
    """Options of DCMTK's programs."""

    @property
    def script(self) -> tuple[object, ...]:
        """Options of the examples' scripts."""
        return ("--tls-ca", self.authority, "--tls-key", self.pem)

    def context(self, *, acceptor: bool = False) -> ssl.SSLContext:
        """For pynetdicom."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if acceptor else ssl.PROTOCOL_TLS_CLIENT)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(self.authority)
        context.load_cert_chain(self.pem)
        return context


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    folder = tmp_path_factory.mktemp("tls")
    authority = Authority("Hospital CA")
    trust = authority.pem(folder / "ca.pem")
    peer = authority.issue("PEER", kind="rsa")
    key, certificate = peer.key_and_certificate(folder, "peer")
    return Tls(
        proxy={
            "DIMSE_TLS_ENABLED": "true",
            "DIMSE_TLS_KEYSTORE": str(authority.issue("PROXY", kind="rsa").pkcs12(folder / "proxy.p12")),
            "DIMSE_TLS_KEYSTORE_PASSWORD": PASSWORD,
            "DIMSE_TLS_TRUSTSTORE": str(authority.pkcs12(folder / "trust.p12")),
            "DIMSE_TLS_TRUSTSTORE_PASSWORD": PASSWORD,
        },
        authority=trust,
        pem=peer.pem(folder / "peer.pem"),
        orthanc=OrthancTls(key=key, certificate=certificate, authority=trust),
        dcmtk=("+tls", key, certificate, "+cf", trust),
    )
