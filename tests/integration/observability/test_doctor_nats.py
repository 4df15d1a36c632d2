"""`dimse-proxy doctor` with one fault of NATS planted at a time."""

import contextlib
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from tests.certificates import Authority
from tests.chaos.fault_link import FaultNetwork
from tests.integration.observability.doctor import WARNING, Env, Site, cause, plants
from tests.integration.peers.nats import NatsServer
from tests.integration.peers.pynetdicom_peers import Scp, offers
from tests.integration.peers.waiting import LOOPBACK, free_port


@plants("the name of the NATS server is unknown")
def test_the_name_of_nats_is_unknown(site: Site, tmp_path: Path) -> None:
    cause(site.env("A", DIMSE_NATS_URL="nats.invalid"), tmp_path, "NATS reachable", "nats.invalid is not known")


@plants("nobody listens there, or a firewall is between")
def test_nats_is_down(site: Site, tmp_path: Path) -> None:
    env = site.env("A", DIMSE_NATS_URL=f"{LOOPBACK}:{free_port()}")
    cause(env, tmp_path, "NATS reachable", "cannot be reached")


def test_a_firewall_is_between(site: Site, tmp_path: Path) -> None:
    """Nothing answers: the queue of this port is full, so the system drops what asks for a connection."""
    with socket.socket() as full, contextlib.ExitStack() as stack:
        full.bind((LOOPBACK, 0))
        full.listen(0)
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        env = site.env("A", DIMSE_NATS_URL=f"{LOOPBACK}:{full.getsockname()[1]}")
        cause(env, tmp_path, "NATS reachable", "no answer within 5 s")


def test_one_of_two_servers_is_down(site: Site, tmp_path: Path) -> None:
    site.start_b()
    site.start_target()
    env = site.env("A", DIMSE_NATS_URL=f"{LOOPBACK}:{free_port()},{site.nats.url}")
    cause(env, tmp_path, "NATS reachable", "cannot be reached", code=WARNING)


@plants("something else than NATS listens there")
def test_it_is_no_nats_server(site: Site, tmp_path: Path) -> None:
    with Scp(port := free_port(), offers(Verification), []):
        cause(
            site.env("A", DIMSE_NATS_URL=f"{LOOPBACK}:{port}"), tmp_path, "NATS sign-in", "no answer|cannot|closed|EOF"
        )


@plants("only one of the two speaks TLS, or a certificate is not trusted")
def test_nats_wants_no_tls(site: Site, tmp_path: Path) -> None:
    cause(site.env("A", DIMSE_NATS_TLS_ENABLED="true"), tmp_path, "NATS sign-in", "offers no TLS")


USER = {"user": "a", "password": "right"}


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[Callable[..., NatsServer]]:
    """Makes a NATS server with a configuration of its own."""
    with contextlib.ExitStack() as stack:

        def make(**config: object) -> NatsServer:
            return stack.enter_context(NatsServer(tmp_path / "strict", config=config))

        yield make


def as_user(site: Site, server: NatsServer, password: str) -> Env:
    return site.env("A", DIMSE_NATS_URL=server.url, DIMSE_NATS_USER="a", DIMSE_NATS_PASSWORD=password)


@plants("the credential is wrong")
def test_the_password_is_wrong(site: Site, tmp_path: Path, strict: Callable[..., NatsServer]) -> None:
    server = strict(authorization={"users": [USER]})
    cause(as_user(site, server, "wrong"), tmp_path, "NATS sign-in", "does not accept our credentials")


@plants("the user may not subscribe", "the user may not publish")
@pytest.mark.parametrize(
    ("permissions", "words"),
    [
        ({"subscribe": "X.>", "publish": ">"}, r"subscribe to D\d+\.A\."),
        ({"subscribe": ">", "publish": "X.>"}, r"publish to D\d+\.B\.A\.hello"),
        ({"subscribe": ">", "publish": "*.B.A.hello"}, r"publish to D\d+\.B\.A\.i\."),
    ],
)
def test_a_permission_is_missing(
    site: Site,
    tmp_path: Path,
    strict: Callable[..., NatsServer],
    permissions: Mapping[str, str],
    words: str,
) -> None:
    server = strict(authorization={"users": [{**USER, "permissions": permissions}]})
    cause(as_user(site, server, "right"), tmp_path, "NATS permissions", words)


@plants("messages may only be short")
def test_messages_are_too_short(tmp_path: Path, strict: Callable[..., NatsServer]) -> None:
    site = Site(strict(max_payload=4096), tmp_path)
    site.start_b()
    site.start_target()
    cause(site.env("A"), tmp_path, "NATS max_payload", "4096 bytes", code=WARNING)
    site.close()


def test_the_certificate_of_nats_is_not_trusted(site: Site, tmp_path: Path, strict: Callable[..., NatsServer]) -> None:
    key, certificate = Authority("authority").issue().key_and_certificate(tmp_path, "nats")
    server = strict(tls={"cert_file": str(certificate), "key_file": str(key)})
    env = site.env("A", DIMSE_NATS_URL=server.url, DIMSE_NATS_TLS_ENABLED="true")
    cause(env, tmp_path, "NATS sign-in", "is not trusted")


@plants("NATS is far away")
def test_nats_is_far_away(site: Site, tmp_path: Path) -> None:
    site.start_b()
    site.start_target()
    with FaultNetwork() as network:
        link = network.link([site.nats.port])
        link.slow(delay=0.26)
        cause(site.env("A", DIMSE_NATS_URL=link.url), tmp_path, "NATS round trip", r"\d{3,} ms", code=WARNING)
