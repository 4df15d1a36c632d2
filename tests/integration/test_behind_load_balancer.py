"""DIMSE_PROXY_PROTOCOL: whose connection it is comes from the load balancer's header, and nothing goes without."""

import socket
import ssl
import struct
from pathlib import Path

from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from tests.certificates import PASSWORD, Authority
from tests.integration.conftest import PairFactory
from tests.integration.peers.pair import Pair, Target
from tests.integration.peers.pynetdicom_peers import Scp, offers
from tests.integration.peers.waiting import LOOPBACK, free_port
from tests.integration.wire import pdus
from tests.integration.wire.raw_peers import Connection, connect

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def header(source: str) -> bytes:
    body = socket.inet_aton(source) + socket.inet_aton("198.51.100.1") + struct.pack(">HH", 40000, 11112)
    return SIGNATURE + b"\x21\x11" + len(body).to_bytes(2, "big") + body


REQUEST = pdus.rq(
    pdus.proposed(1, pdus.VERIFICATION, pdus.IMPLICIT),
    pdus.USER,
    called=b"TARGET".ljust(16),
    calling=b"ASKER".ljust(16),
)


def echo(connection: Connection) -> None:
    connection.expect(pdus.AC, patience=20)
    connection.send(pdus.command_pdu(pdus.echo_rq(1), 1))
    connection.expect(pdus.P_DATA, patience=20)
    connection.send(pdus.release_rq())
    connection.expect(pdus.RELEASE_RP, patience=20)


def target_port(pair: Pair) -> int:
    assert pair.target_b is not None
    return pair.target_b.port


def test_the_address_of_the_header_counts(make_pair: PairFactory) -> None:
    pair = make_pair(
        target_b=Target(port=free_port()),
        env_a={"DIMSE_PROXY_PROTOCOL": "true", "DIMSE_ALLOWED_HOSTS": "192.0.2.0/24", "DIMSE_LOG_LEVEL": "DEBUG"},
    )
    with Scp(target_port(pair), offers(Verification), []):
        with connect(pair.a.port) as connection:
            connection.send(header("192.0.2.7") + REQUEST)
            echo(connection)
        with connect(pair.a.port) as connection:
            connection.send_in_pieces(b"PROXY TCP4 192.0.2.8 198.51.100.1 40001 11112\r\n" + REQUEST[:50])
            connection.send(REQUEST[50:])
            echo(connection)
        with connect(pair.a.port) as connection:
            connection.send(header("203.0.113.9") + REQUEST)
            connection.expect(pdus.RJ, patience=20)
        for wrong in (REQUEST, b"GET / HTTP/1.1\r\n\r\n"):
            with connect(pair.a.port) as connection:
                connection.send(wrong)
                assert connection.socket.recv(100) == b""
    assert pair.a.wait_for('"event": "association ended".*192.0.2.7:40000')
    assert pair.b.wait_for('"event": "association ended".*192.0.2.7:40000')
    assert pair.a.find('"event": "association ended".*192.0.2.8:40001')
    assert "203.0.113.9" in str(pair.a.find("association refused"))
    assert pair.a.find("no PROXY protocol header")


def test_the_header_comes_before_tls(make_pair: PairFactory, tmp_path: Path) -> None:
    authority = Authority("hospital")
    store = authority.issue().pkcs12(tmp_path / "key.p12")
    pair = make_pair(
        target_b=Target(port=free_port()),
        env_a={
            "DIMSE_PROXY_PROTOCOL": "true",
            "DIMSE_TLS_ENABLED": "true",
            "DIMSE_TARGET_TLS_ENABLED": "false",
            "DIMSE_TLS_KEYSTORE": str(store),
            "DIMSE_TLS_KEYSTORE_PASSWORD": PASSWORD,
        },
    )
    context = ssl.create_default_context(cafile=str(authority.pem(tmp_path / "authority.pem")))
    with Scp(target_port(pair), offers(Verification), []):
        plain = socket.create_connection((LOOPBACK, pair.a.port), timeout=20)
        plain.sendall(header("192.0.2.7"))
        with Connection(context.wrap_socket(plain, server_hostname="localhost")) as connection:
            connection.send(REQUEST)
            echo(connection)
    assert pair.a.wait_for('"event": "association ended".*192.0.2.7:40000')
