"""What can be wrong at a handshake: each is one warning that says what it was, and nothing else in the log."""

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.certificates import Identity
from tests.integration.peers import dcmtk
from tests.integration.peers.pair import Pair, Proxy
from tests.integration.peers.waiting import LOOPBACK
from tests.integration.tls.conftest import Files, Lenient
from tests.integration.wire import pdus


@contextmanager
def one_warning(proxy: Proxy, pattern: str) -> Iterator[None]:
    """Within, the proxy logs exactly one line of level warning or worse, and it matches."""
    before = len(warnings_of(proxy))
    yield
    proxy.wait_for(pattern)
    time.sleep(0.1)  # Nothing may follow.
    assert len(warnings_of(proxy)) == before + 1, warnings_of(proxy)[before:]


def warnings_of(proxy: Proxy) -> list[dict[str, object]]:
    return [line for line in proxy.log_lines() if line.get("level") not in ("info", "debug")]


def handshake(port: int, context: ssl.SSLContext) -> None:
    """Until the acceptor's answer: in TLS 1.3 it comes behind our side of the handshake."""
    with socket.create_connection((LOOPBACK, port), timeout=10) as raw, context.wrap_socket(raw) as secured:
        secured.recv(1)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("who", "pattern"),
    [
        ("nobody", "it shows no certificate, and one is required"),
        ("stranger", "its certificate is not trusted: unable to get local issuer certificate"),
        ("expired", "its certificate is not trusted: certificate has expired"),
    ],
)
def test_requestors_that_are_not_trusted(
    mutual: Pair, files: Files, who: str, pattern: str, version: ssl.TLSVersion
) -> None:
    identity = {"nobody": None, "stranger": files.stranger, "expired": files.expired}[who]
    context = files.context(identity=identity)
    context.minimum_version = context.maximum_version = version
    with one_warning(mutual.a, f"TLS with .* failed: {pattern}"), pytest.raises((ssl.SSLError, ConnectionError)):
        handshake(mutual.a.port, context)


def test_a_requestor_that_does_not_trust_us(lenient: Lenient) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    with (
        one_warning(lenient.pair.a, "TLS with .* failed: it does not accept our certificate: it does not know who"),
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        handshake(lenient.tls_port, context)


def test_plain_dicom_on_the_tls_port(lenient: Lenient) -> None:
    with one_warning(lenient.pair.a, "it speaks plain DICOM on a port for TLS: an A-ASSOCIATE-RQ without TLS"):
        assert dcmtk.scu("echoscu", lenient.tls_port).code != 0


def test_http_on_the_tls_port(lenient: Lenient) -> None:
    with (
        one_warning(lenient.pair.a, "it does not speak TLS, but sent an HTTP request"),
        socket.create_connection((LOOPBACK, lenient.tls_port), timeout=10) as raw,
    ):
        raw.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert raw.recv(100) == b""


def test_tls_on_the_plain_port(lenient: Lenient, files: Files) -> None:
    with one_warning(lenient.pair.a, "a TLS handshake instead of DICOM"):
        assert dcmtk.scu("echoscu", lenient.plain_port, "+tla", "+cf", files.ca).code != 0


def test_a_probe_and_a_handshake_that_never_ends(lenient: Lenient) -> None:
    before = len(warnings_of(lenient.pair.a))
    socket.create_connection((LOOPBACK, lenient.tls_port), timeout=10).close()
    with (
        one_warning(lenient.pair.a, "TLS with .* failed: the handshake was not done within 1 s"),
        socket.create_connection((LOOPBACK, lenient.tls_port), timeout=10) as raw,
    ):
        raw.sendall(bytes.fromhex("1603010200"))
        with pytest.raises(ConnectionResetError):
            raw.recv(1)
    assert len(warnings_of(lenient.pair.a)) == before + 1


@contextmanager
def target(port: int, folder: Path, identity: Identity | None, *options: object) -> Iterator[None]:
    """A storescp with the key of `identity`, or without TLS."""
    if identity is not None:
        key, certificate = identity.key_and_certificate(folder, "target")
        options = ("+tls", key, certificate, *options)
    with dcmtk.storescp(port, folder, *options):
        yield


@pytest.mark.parametrize(
    ("who", "reason"),
    [
        ("stranger", "its certificate is not trusted: unable to get local issuer certificate"),
        ("expired", "its certificate is not trusted: certificate has expired"),
        ("plain", "TLS with 127.0.0.1:PORT failed: .*it does not speak TLS"),
    ],
)
def test_targets_that_are_not_trusted(lenient: Lenient, files: Files, tmp_path: Path, who: str, reason: str) -> None:
    """The requestor is told to come again later, and both sides know why."""
    pair = lenient.pair
    assert pair.target_b is not None
    identity = {"stranger": files.stranger, "expired": files.expired, "plain": None}[who]
    reason = reason.replace("PORT", str(pair.target_b.port))
    options = ("-ic",) if identity is not None else ()
    with (
        target(pair.target_b.port, tmp_path, identity, *options),
        one_warning(pair.a, f"association refused.*{reason}"),
        one_warning(pair.b, f"association refused.*{reason}"),
    ):
        result = dcmtk.scu("echoscu", lenient.plain_port)
    assert result.code != 0
    assert "Temporary Congestion" in result.output


def test_a_target_that_demands_a_certificate_that_is_not_there(lenient: Lenient, files: Files, tmp_path: Path) -> None:
    pair = lenient.pair
    assert pair.target_b is not None
    with (
        target(pair.target_b.port, tmp_path, files.peer, "+cf", files.ca),
        one_warning(pair.a, "association refused.*certificate"),
        one_warning(pair.b, "association refused.*certificate"),
    ):
        result = dcmtk.scu("echoscu", lenient.plain_port)
    assert "Temporary Congestion" in result.output


def test_the_response_to_a_half_closed_direction(lenient: Lenient, files: Files, tmp_path: Path) -> None:
    """FIN right behind the A-RELEASE-RQ: the A-RELEASE-RP is still delivered, over TLS too."""
    pair = lenient.pair
    assert pair.target_b is not None
    context = files.context()
    with (
        target(pair.target_b.port, tmp_path, files.peer, "-ic"),
        socket.create_connection((LOOPBACK, lenient.tls_port), timeout=10) as raw,
        context.wrap_socket(raw) as secured,
    ):
        secured.sendall(pdus.rq())
        assert secured.recv(1) == b"\x02"
        secured.sendall(pdus.release_rq())
        socket.socket.shutdown(secured, socket.SHUT_WR)
        received = b""
        while not received.endswith(pdus.release_rp()):
            piece = secured.recv(65536)
            assert piece, received
            received += piece
