"""Each TLS version by itself, in both roles, with pynetdicom; and the way back of a half-closed direction."""

import ssl
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pynetdicom import AE, evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from tests.integration.peers.waiting import LOOPBACK
from tests.integration.tls.conftest import Files, Lenient

VERSIONS = ["TLSv1", "TLSv1_1", "TLSv1_2", "TLSv1_3"]


def only(context: ssl.SSLContext, version: str) -> ssl.SSLContext:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    return context


@contextmanager
def echo_scp(port: int, context: ssl.SSLContext) -> Iterator[list[str]]:
    """A Verification SCP; gives the TLS version of each association."""
    seen: list[str] = []

    def established(event: evt.Event) -> None:
        dul: Any = event.assoc.dul
        seen.append(dul.socket.socket.version())

    ae = AE("TARGET")
    ae.add_supported_context(Verification)
    server = ae.start_server(
        (LOOPBACK, port),
        block=False,
        ssl_context=context,
        evt_handlers=[(evt.EVT_C_ECHO, lambda _event: 0), (evt.EVT_ACCEPTED, established)],
    )
    assert server is not None
    try:
        yield seen
    finally:
        server.shutdown()


def echo(port: int, context: ssl.SSLContext) -> tuple[int, str]:
    """Status of a C-ECHO, and the TLS version it went with."""
    ae = AE("ASKER")
    ae.add_requested_context(Verification)
    association = ae.associate(LOOPBACK, port, ae_title="TARGET", tls_args=(context, "localhost"))
    assert association.is_established
    dul: Any = association.dul
    version = dul.socket.socket.version()
    status = association.send_c_echo().Status
    association.release()
    return status, version


@pytest.mark.parametrize("way", ["direct", "pair"])
@pytest.mark.parametrize("version", VERSIONS)
def test_each_version_in_both_roles(lenient: Lenient, files: Files, version: str, way: str) -> None:
    assert lenient.pair.target_b is not None
    target = lenient.pair.target_b.port
    scp = only(files.context(acceptor=True, identity=files.peer), version)
    scu = only(files.context(), version)
    text = version.replace("_", ".").replace("TLSv1.0", "TLSv1")
    with echo_scp(target, scp) as seen:
        status, used = echo(lenient.tls_port if way == "pair" else target, scu)
    assert (status, used, seen) == (0, text, [text])


def test_a_version_that_is_not_offered(mutual: Any, files: Files) -> None:
    """The defaults of the other pair end at TLS 1.2."""
    ae = AE("ASKER")
    ae.add_requested_context(Verification)
    context = only(files.context(identity=files.peer), "TLSv1_1")
    association = ae.associate(LOOPBACK, mutual.a.port, ae_title="TARGET", tls_args=(context, "localhost"))
    assert not association.is_established
    mutual.a.wait_for(r"TLS with 127\.0\.0\.1:\d+ failed: no TLS version in common")
