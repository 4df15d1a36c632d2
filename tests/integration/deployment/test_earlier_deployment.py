"""The settings of an earlier deployment, every variable of the contract set, start this proxy unchanged."""

import json
import ssl
import sys
from pathlib import Path

import pytest

from tests.certificates import PASSWORD, Authority
from tests.integration.peers.nats import NatsServer
from tests.integration.peers.processes import ChildProcess
from tests.integration.peers.waiting import LOOPBACK, free_port, wait_until
from tests.integration.tls.stores import import_certificate, import_key

TOKEN = "a-token"

ENV = """\
DIMSE_ACTOR=PROXY
DIMSE_DEVICE=dimse-proxy
DIMSE_CONFIG_PATH=./dimse-config
DIMSE_AE=INGESTION
DIMSE_HOST={loopback}
DIMSE_PORT={port}
DIMSE_NATS_URL=127.0.0.1:{nats_port}
DIMSE_NATS_TLS_ENABLED=true
DIMSE_NATS_SUBJECT_ROOT=DIMSE
DIMSE_NATS_SUBJECT_CHANNEL=A
DIMSE_NATS_AUTH_TOKEN={token}
DIMSE_NATS_TRACECONNECTION=true
DIMSE_NATS_REPLY_TIMEOUTSECONDS=60
DIMSE_NATS_CHUNK_SIZE=262144
DIMSE_TARGET_AE=DCM4CHEE
DIMSE_TARGET_HOST=127.0.0.1
DIMSE_TARGET_PORT=11112
DIMSE_TLS_ENABLED=true
DIMSE_TLS_KEYSTORE={keystore}
DIMSE_TLS_KEYSTORE_TYPE={kind}
DIMSE_TLS_KEYSTORE_PASSWORD={password}
DIMSE_TLS_TRUSTSTORE={truststore}
DIMSE_TLS_TRUSTSTORE_TYPE={kind}
DIMSE_TLS_TRUSTSTORE_PASSWORD={password}
DIMSE_TLS_PROTOCOL_VERSIONS=TLSv1.2
DIMSE_TLS_CIPHER_SUITES=TLS_RSA_WITH_AES_128_CBC_SHA,SSL_RSA_WITH_3DES_EDE_CBC_SHA
"""


@pytest.mark.parametrize("kind", ["PKCS12", "JKS"])
def test_it_starts_and_warns_of_nothing_else(tmp_path: Path, kind: str) -> None:
    authority = Authority("Hospital CA")
    own = authority.issue("PROXY", kind="rsa").pkcs12(tmp_path / "own.p12")
    nats_key, nats_certificate = authority.issue("NATS", kind="rsa").key_and_certificate(tmp_path, "nats")
    ca = authority.pem(tmp_path / "ca.pem")
    keystore = own if kind == "PKCS12" else import_key(own, tmp_path / "own.jks", kind)
    truststore = import_certificate(ca, tmp_path / f"trust.{kind}", kind)
    config = {
        "authorization": {"token": TOKEN},
        "tls": {"cert_file": str(nats_certificate), "key_file": str(nats_key)},
    }
    (tmp_path / "dimse-config").mkdir()
    for name in ("IMAGE_CUIDS", "IMAGE_TSUIDS"):
        (tmp_path / "dimse-config" / name).write_text("*\n")
    with NatsServer(tmp_path / "nats", config=config) as nats:
        env_file = tmp_path / "earlier.env"
        env_file.write_text(
            ENV.format(
                loopback=LOOPBACK,
                port=free_port(),
                nats_port=nats.port,
                token=TOKEN,
                keystore=keystore,
                truststore=truststore,
                kind=kind,
                password=PASSWORD,
            )
        )
        warnings = _warnings_of_a_start(env_file, tmp_path, trusted=ca)
    assert [word for word in ("DIMSE_ACTOR", "DIMSE_DEVICE") if not any(word in line for line in warnings)] == []
    others = [line for line in warnings if "DIMSE_ACTOR" not in line and "DIMSE_DEVICE" not in line]
    assert all("DIMSE_TLS_CIPHER_SUITES" in line for line in others), others
    assert others or _has_3des()


def _warnings_of_a_start(env_file: Path, folder: Path, *, trusted: Path) -> list[str]:
    """Starts a proxy as an operator does, waits for it to be connected, stops it; its lines above INFO.

    What the system trusts is this run's authority, the way that a hospital's own one is put among those of a machine.
    """
    command = [sys.executable, "-m", "dimse_proxy", "run", "--env-file", str(env_file)]
    env = {"PATH": "/usr/bin:/bin", "SSL_CERT_FILE": str(trusted), "DIMSE_HTTP_PORT": ""}
    process = ChildProcess("earlier", command, folder, env=env)
    try:
        wait_until(
            lambda: "NATS connected" in process.output() or not process.is_running(),
            seconds=40,
            what="the proxy to be ready and connected",
        )
        assert process.is_running(), process.output()
    finally:
        code = process.stop()
    assert code == 0, process.output()
    lines = [json.loads(line) for line in process.output().splitlines()]
    return [str(line["event"]) for line in lines if line["level"] not in ("debug", "info")]


def _has_3des() -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).set_ciphers("DES-CBC3-SHA")
    except ssl.SSLError:
        return False
    return True
