"""The table of what happens to an association (design section 4), rows that the acceptor side answers by itself."""

import signal
import time
from collections.abc import Callable
from typing import Final

import pytest

from tests.integration.peers.pair import LogLine, Proxy
from tests.integration.peers.waiting import free_port
from tests.integration.wire import pdus, raw_peers
from tests.integration.wire.conftest import SIDES, Route, StandingPairs

CONGESTION: Final = pdus.rj(2, 3, 1)
LIMIT: Final = pdus.rj(2, 3, 2)

TLS_HELLO: Final = bytes.fromhex("16030100c8010000c40303") + bytes(range(192))
STRANGERS: Final = {
    "HTTP": b"GET /health HTTP/1.1\r\nHost: pacs\r\n\r\n",
    "TLS": TLS_HELLO,
    "SSH": b"SSH-2.0-OpenSSH_9.6\r\n",
}


def loud(lines: list[LogLine]) -> list[LogLine]:
    """The lines above debug."""
    return [line for line in lines if line.get("level") != "debug"]


def test_connection_without_a_request_is_closed_quietly(routes: Callable[[str], Route]) -> None:
    """Load balancers and probes do this all day."""
    route = routes("quick")
    began = time.monotonic()
    with route.call() as scu:
        assert scu.expect_end(patience=5) == "eof"
    assert time.monotonic() - began > 0.8
    assert not loud(route.logged("a"))


def test_connection_closed_without_a_request_is_not_logged(routes: Callable[[str], Route]) -> None:
    route = routes("quick")
    for _ in range(5):
        route.call().close()
    for _ in range(5):
        route.call().reset()
    scu, scp = route.associate()
    scu.send(pdus.abort(0, 0))
    scp.expect(pdus.ABORT)
    route.wait_for_log("a", "association ended")
    strangers = [line for line in loud(route.logged("a")) if not line.get("calling")]
    assert not strangers


@pytest.mark.parametrize("count", [1, 5, 6, 40])
def test_part_of_a_request_is_given_no_longer(routes: Callable[[str], Route], count: int) -> None:
    """ARTIM runs until the whole A-ASSOCIATE-RQ has come (Sta2)."""
    route = routes("quick")
    with route.call() as scu:
        scu.send(pdus.rq()[:count])
        assert scu.expect_end(patience=5) in ("eof", "reset")


@pytest.mark.parametrize("what", STRANGERS)
def test_what_is_not_dicom_is_aborted_and_named_once(routes: Callable[[str], Route], what: str) -> None:
    route = routes("quick")
    with route.call() as scu:
        scu.send(STRANGERS[what])
        assert scu.expect(pdus.ABORT)[8] in (0, 2)
        assert scu.expect_end(patience=5) == "eof"
    warnings = [line for line in loud(route.logged("a")) if line.get("level") == "warning"]
    assert len(warnings) == 1, warnings
    assert what in str(warnings)
    assert "127.0.0.1" in str(warnings)
    assert len(loud(route.logged("a"))) == 1


def test_called_title_is_not_ours(routes: Callable[[str], Route]) -> None:
    route = routes("titles")
    scu = route.call()
    scu.send(pdus.rq(called=b"SOMEBODY".ljust(16)))
    scu.expect_exactly(pdus.rj(1, 1, 7))
    line = route.wait_for_log("a", "association refused", called="SOMEBODY", calling="RAWSCU")
    assert (line["result"], line["source"], line["reason"]) == (1, 1, 7)
    assert "127.0.0.1" in str(line["peer"])
    assert "SOMEBODY" in str(line["cause"])


@pytest.mark.parametrize("title", [b"RAWSCP", b"  SECOND", b"SECOND\0\0"])
def test_each_of_our_titles_is_ours(routes: Callable[[str], Route], title: bytes) -> None:
    scu, scp = routes("titles").associate(pdus.rq(called=title.ljust(16)))
    scu.send(pdus.release_rq())
    scp.expect(pdus.RELEASE_RQ)


def test_calling_title_is_not_allowed(routes: Callable[[str], Route]) -> None:
    route = routes("titles")
    scu = route.call()
    scu.send(pdus.rq(calling=b"STRANGER".ljust(16)))
    scu.expect_exactly(pdus.rj(1, 1, 3))
    line = route.wait_for_log("a", "association refused", calling="STRANGER")
    assert "DIMSE_ALLOWED_CALLING_AES" in str(line["cause"])


def test_host_is_not_allowed(routes: Callable[[str], Route]) -> None:
    route = routes("hosts")
    scu = route.call()
    scu.send(pdus.rq())
    scu.expect_exactly(pdus.rj(1, 1, 3))
    line = route.wait_for_log("a", "association refused")
    assert "DIMSE_ALLOWED_HOSTS" in str(line["cause"])
    assert "127.0.0.1" in str(line["cause"])


@pytest.mark.parametrize("kind", ["limit-a", "limit-b"])
def test_limit_on_either_side(routes: Callable[[str], Route], kind: str) -> None:
    route = routes(kind)
    scu, scp = route.associate()
    for _ in range(2):
        other = route.call()
        other.send(pdus.rq(calling=b"ONETOOMANY".ljust(16)))
        other.expect_exactly(LIMIT)
        other.close()
    line = route.wait_for_log("a", "association refused", calling="ONETOOMANY")
    assert "DIMSE_MAX_ASSOCIATIONS" in str(line["cause"])
    assert (line["result"], line["source"], line["reason"]) == (2, 3, 2)

    scu.send(pdus.release_rq())
    scp.expect(pdus.RELEASE_RQ)
    scp.send(pdus.release_rp())
    scu.expect(pdus.RELEASE_RP)
    scu.close()
    assert scp.ending() == "eof"
    scp.close()
    route.wait_for_log("a", "association ended")
    route.wait_for_log("b", "association ended")
    route.associate()


def refused(proxy: Proxy, *, patience: float = raw_peers.PATIENCE) -> float:
    """Seconds until the proxy answered an A-ASSOCIATE-RQ with temporary congestion."""
    began = time.monotonic()
    with raw_peers.connect(proxy.port) as scu:
        scu.send(pdus.rq())
        assert scu.expect(pdus.RJ, patience=patience) == CONGESTION
    return time.monotonic() - began


def test_nobody_on_the_other_channel(pairs: StandingPairs, lone_proxy: Callable[..., Proxy]) -> None:
    """At once; only in the first seconds after our own start is a peer's hello waited for."""
    proxy = lone_proxy(pairs.server().url)
    proxy.wait_for("ready")
    refused(proxy)
    assert refused(proxy) < 1
    lines = [line for line in proxy.log_lines() if line.get("event") == "association refused"]
    assert len(lines) == 2
    assert "channel B" in str(lines[0]["cause"]), lines[0]


def test_nats_is_not_there(lone_proxy: Callable[..., Proxy]) -> None:
    proxy = lone_proxy(f"127.0.0.1:{free_port()}")
    refused(proxy)
    refused(proxy)
    lines = [line for line in proxy.log_lines() if line.get("event") == "association refused"]
    assert "NATS" in str(lines[-1]["cause"]), lines[-1]


def test_peer_that_does_not_answer(routes: Callable[[str], Route]) -> None:
    """A suspended process: refused in time, and when it runs on it leaves no association at the target."""
    route = routes("short-of-time")
    assert route.acceptor
    stopped = route.pair.b.process
    stopped.signal(signal.SIGSTOP)
    try:
        scu = route.call()
        began = time.monotonic()
        scu.send(pdus.rq())
        scu.expect_exactly(CONGESTION)
        assert 1.5 < time.monotonic() - began < 5
        scu.close()
    finally:
        stopped.signal(signal.SIGCONT)
    line = route.wait_for_log("a", "association refused")
    assert "2 s" in str(line["cause"]), line
    route.acceptor.expect_no_association(1.5, pdus.rq())
    route.associate()


@pytest.mark.parametrize("asking", ["scu", "scp"])
def test_release_limit_if_one_is_set(routes: Callable[[str], Route], asking: str) -> None:
    scu, scp = routes("release-limit").associate()
    one, other = (scu, scp) if asking == "scu" else (scp, scu)
    one.send(pdus.release_rq())
    other.expect(pdus.RELEASE_RQ)
    assert one.expect(pdus.ABORT, patience=5) == pdus.abort(2, 0)
    assert other.expect(pdus.ABORT, patience=5) == pdus.abort(2, 0)


def test_idle_limit_if_one_is_set(routes: Callable[[str], Route]) -> None:
    route = routes("idle-limit")
    scu, scp = route.associate()
    began = time.monotonic()
    while time.monotonic() - began < 2:
        scu.send(pdus.command_pdu(pdus.echo_rq()))
        scp.expect(pdus.P_DATA)
        scu.expect_silence(0.3)
    assert scu.expect(pdus.ABORT, patience=5) == pdus.abort(2, 0)
    assert scp.expect(pdus.ABORT, patience=5) == pdus.abort(2, 0)
    scu.close()
    scp.close()
    for side in SIDES:
        assert "idle" in str(route.wait_for_log(side, "association ended")["outcome"])


def send_ten_megabytes(scu: raw_peers.Connection) -> None:
    """Whatever the other end makes of it, it must take it."""
    piece = pdus.p_data(pdus.pdv(1, bytes(100_000), command=False, last=False))
    for _ in range(100):
        scu.send(piece)


def test_rejection_of_the_proxy_is_read_behind_ten_megabytes(routes: Callable[[str], Route]) -> None:
    scu = routes("titles").call()
    scu.send(pdus.rq(called=b"SOMEBODY".ljust(16)))
    scu.wait_until_readable()
    send_ten_megabytes(scu)
    scu.expect_exactly(pdus.rj(1, 1, 7))


def test_answer_is_read_behind_ten_megabytes_sent_with_the_request(routes: Callable[[str], Route]) -> None:
    """P-DATA that does not wait for the answer is a violation (Sta3), if it comes before our rejection is sent."""
    scu = routes("titles").call()
    scu.send(pdus.rq(called=b"SOMEBODY".ljust(16)), pdus.command_pdu(pdus.echo_rq()))
    send_ten_megabytes(scu)
    assert scu.read_pdu() in (pdus.rj(1, 1, 7), pdus.abort(2, 2))


def test_rejection_of_the_target_is_read_behind_ten_megabytes(routes: Callable[[str], Route]) -> None:
    scu, scp, _ = routes("plain").request(pdus.rq())
    scp.send(pdus.rj(1, 1, 3))
    scu.wait_until_readable()
    send_ten_megabytes(scu)
    scu.expect_exactly(pdus.rj(1, 1, 3))


@pytest.mark.parametrize("aborting", ["scu", "scp"])
def test_abort_is_read_behind_ten_megabytes(routes: Callable[[str], Route], aborting: str) -> None:
    scu, scp = routes("plain").associate()
    sender, reader = (scu, scp) if aborting == "scu" else (scp, scu)
    sender.send(pdus.abort(0, 0))
    reader.wait_until_readable()
    send_ten_megabytes(reader)
    reader.expect_exactly(pdus.abort(0, 0))


def test_connection_is_closed_by_artim_after_a_rejection(routes: Callable[[str], Route]) -> None:
    """A requestor that never closes does not hold the connection open."""
    scu, scp, _ = routes("quick").request(pdus.rq())
    scp.send(pdus.rj(1, 1, 3))
    scu.expect_exactly(pdus.rj(1, 1, 3))
    assert scu.expect_end(patience=5) == "eof"


def test_connection_is_closed_by_artim_after_a_release(routes: Callable[[str], Route]) -> None:
    scu, scp = routes("quick").associate()
    scu.send(pdus.release_rq())
    scp.expect(pdus.RELEASE_RQ)
    scp.send(pdus.release_rp())
    scu.expect_exactly(pdus.release_rp())
    assert scp.expect_end(patience=5) == "eof"
    assert scu.expect_end(patience=5) == "eof"


def test_connection_is_closed_by_artim_after_an_abort(routes: Callable[[str], Route]) -> None:
    scu, scp = routes("quick").associate()
    scp.send(pdus.abort(0, 0))
    scu.expect_exactly(pdus.abort(0, 0))
    assert scu.expect_end(patience=5) == "eof"


def test_target_that_never_closes_is_closed_by_artim_after_an_abort(routes: Callable[[str], Route]) -> None:
    scu, scp = routes("quick").associate()
    scu.send(pdus.abort(0, 0))
    scp.expect_exactly(pdus.abort(0, 0))
    assert scp.expect_end(patience=5) == "eof"


def test_target_that_never_closes_is_closed_by_artim_after_its_own_release(routes: Callable[[str], Route]) -> None:
    scu, scp = routes("quick").associate()
    scp.send(pdus.release_rq())
    scu.expect(pdus.RELEASE_RQ)
    scu.send(pdus.release_rp())
    scp.expect_exactly(pdus.release_rp())
    assert scp.expect_end(patience=5) == "eof"
    assert scu.expect_end(patience=5) == "eof"
