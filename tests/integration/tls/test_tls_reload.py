"""Keys and certificates that are replaced while the proxy runs, and stores that are wrong when it starts."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509

from tests.certificates import PASSWORD, Identity, new_key
from tests.integration.peers import dcmtk
from tests.integration.peers.waiting import LOOPBACK, wait_until
from tests.integration.tls.conftest import Files, Lenient
from tests.integration.wire import pdus


def certificate_of(port: int, files: Files) -> x509.Certificate:
    """What the listener shows."""
    with socket.create_connection((LOOPBACK, port), timeout=10) as raw, files.context().wrap_socket(raw) as secured:
        shown = secured.getpeercert(binary_form=True)
    assert shown is not None
    return x509.load_der_x509_certificate(shown)


def test_rotation_without_dropping_an_association(lenient: Lenient, files: Files, tmp_path: Path) -> None:
    pair = lenient.pair
    assert pair.target_b is not None
    key, certificate = files.peer.key_and_certificate(tmp_path, "target")
    new = files.authority.issue("NEW", kind="rsa")
    with (
        dcmtk.storescp(pair.target_b.port, tmp_path, "-ic", "+tls", key, certificate),
        socket.create_connection((LOOPBACK, lenient.tls_port), timeout=10) as raw,
        files.context().wrap_socket(raw) as running,
    ):
        running.sendall(pdus.rq())
        assert running.recv(65536)[0] == 2
        # By SIGHUP.
        new.pem(lenient.key_store, PASSWORD)
        pair.a.process.signal(signal.SIGHUP)
        wait_until(
            lambda: certificate_of(lenient.tls_port, files) == new.certificate, seconds=10, what="the new certificate"
        )
        # A file that is broken changes nothing.
        seen = len(pair.a.find("keys and certificates stay as they were"))
        lenient.key_store.write_text("broken")
        wait_until(
            lambda: len(pair.a.find("keys and certificates stay as they were")) == seen + 1,
            seconds=10,
            what="the error of a broken file",
        )
        assert certificate_of(lenient.tls_port, files) == new.certificate
        # By a change of the file alone.
        files.proxy.pem(lenient.key_store, PASSWORD)
        wait_until(
            lambda: certificate_of(lenient.tls_port, files) == files.proxy.certificate,
            seconds=10,
            what="the old certificate again",
        )
        running.sendall(pdus.release_rq())
        assert running.recv(65536) == pdus.release_rp()
    assert len(pair.a.find("keys and certificates stay as they were")) == seen + 1
    assert len(pair.a.find("allows TLS before 1.2")) == 1


def start(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("DIMSE_")}
    environ |= {"DIMSE_NATS_URL": "127.0.0.1:1", "DIMSE_TLS_ENABLED": "true", "DIMSE_CONFIG_PATH": str(folder / "none")}
    environ |= {f"DIMSE_TLS_{name}": value for name, value in variables.items()}
    command = [sys.executable, "-m", "dimse_proxy", "run"]
    return subprocess.run(command, env=environ, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("case", ["password", "alias", "fit", "suite", "missing"])
def test_a_start_that_cannot_be(files: Files, tmp_path: Path, case: str) -> None:
    """One line that names the file and the fault, exit code 2, and no stack trace."""
    store = files.proxy.pkcs12(tmp_path / "key.p12")
    settings = {"KEYSTORE": str(store), "KEYSTORE_PASSWORD": PASSWORD}
    match case:
        case "password":
            settings["KEYSTORE_PASSWORD"] = "hunter2"
            fault = f"DIMSE_TLS_KEYSTORE={store}: the password is wrong, or the file is damaged."
        case "alias":
            settings["KEYSTORE_ALIAS"] = "missing"
            fault = f"DIMSE_TLS_KEYSTORE={store}: it holds no key with the alias 'missing'"
        case "fit":
            Identity(key=new_key(), chain=files.proxy.chain).pem(store)
            fault = f"DIMSE_TLS_KEYSTORE={store}: its private key does not fit its certificate."
        case "suite":
            settings["CIPHER_SUITES"] = "SSL_RSA_WITH_RC4_128_SHA"
            fault = "DIMSE_TLS_CIPHER_SUITES=SSL_RSA_WITH_RC4_128_SHA"
        case _:
            store.unlink()
            fault = f"DIMSE_TLS_KEYSTORE={store}: No such file or directory."
    done = start(tmp_path, **settings)
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert line.startswith(fault)
    assert "hunter2" not in done.stdout + done.stderr
