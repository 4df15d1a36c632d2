"""Certificates of a run, and what a proxy's environment says of them."""

from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.integration.peers.rsyslog import PROXY_NAME


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority("Audit CA")


@pytest.fixture(scope="session")
def tls_env(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The certificate that rsyslog takes."""
    folder = tmp_path_factory.mktemp("audit-tls")
    key, certificate = authority.issue("proxy", kind="rsa", hosts=[PROXY_NAME]).key_and_certificate(folder, "proxy")
    return {
        "DIMSE_AUDIT_TLS_CA_FILE": str(authority.pem(folder / "ca.pem")),
        "DIMSE_AUDIT_TLS_CERT_FILE": str(certificate),
        "DIMSE_AUDIT_TLS_KEY_FILE": str(key),
    }


@pytest.fixture
def spool_env(tmp_path: Path) -> dict[str, str]:
    return {"DIMSE_AUDIT_SPOOL": str(tmp_path / "spool")}
