"""The table of what happens to an association (design section 4): the target that cannot be had, the SCU that gives up.

A target that is asked for nothing more is left no association: no orphan, whenever it answers.
"""

import contextlib
import signal
import socket
import time
from collections.abc import Callable, Iterator
from typing import Final, Literal

import pytest

from tests.integration.peers.waiting import LOOPBACK, wait_until
from tests.integration.wire import pdus
from tests.integration.wire.conftest import SIDES, Route
from tests.integration.wire.raw_peers import SYN_SENT, Connection, TcpRow, tcp_state, wait_until_read

CONGESTION: Final = pdus.rj(2, 3, 1)
STORAGE: Final = pdus.rq(pdus.proposed(1, pdus.CT_STORAGE, pdus.IMPLICIT))
OBJECT_PDU: Final = pdus.p_data(pdus.pdv(1, bytes(16000), command=False, last=False))

Manner = Literal["abort", "fin", "rst"]
MANNERS: Final = pytest.mark.parametrize("manner", ["abort", "fin", "rst"])


def leave(connection: Connection, manner: str) -> None:
    """End a connection from this end, in one of three manners."""
    match manner:
        case "abort":
            connection.send(pdus.abort(0, 0))
        case "fin":
            connection.close()
        case _:
            connection.reset()


def refusal_logged(route: Route, *words: str) -> None:
    """Both sides log the refusal, and why."""
    for side in SIDES:
        line = route.wait_for_log(side, "association refused", calling="RAWSCU")
        cause = str(line["cause"])
        assert any(word in cause for word in words), line


# --- the target cannot be had -----------------------------------------------------------------------------------------


def test_target_refuses_the_connection(routes: Callable[[str], Route]) -> None:
    route = routes("quick")
    scu = route.call()
    scu.send(pdus.rq())
    scu.expect_exactly(CONGESTION)
    refusal_logged(route, "refused")


@contextlib.contextmanager
def full_backlog(port: int) -> Iterator[None]:
    """A listening socket whose queue is full: whoever connects gets no answer at all."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(socket.create_server((LOOPBACK, port), backlog=0))
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex((LOOPBACK, port))
        yield


def test_target_does_not_answer_the_connection(routes: Callable[[str], Route]) -> None:
    route = routes("quick")
    with full_backlog(route.target_port):
        scu = route.call()
        began = time.monotonic()
        scu.send(pdus.rq())
        scu.expect_exactly(CONGESTION)
        assert 1.5 < time.monotonic() - began < 5
    refusal_logged(route, "2 s", "time", "connect")


def test_target_does_not_answer_the_request(routes: Callable[[str], Route]) -> None:
    route = routes("quick")
    scu, scp, _ = route.request(pdus.rq())
    began = time.monotonic()
    scu.expect_exactly(CONGESTION)
    assert 1.5 < time.monotonic() - began < 6
    assert scp.expect(pdus.ABORT)[8] == 2
    refusal_logged(route, "3 s")


def test_target_answers_when_it_is_too_late(routes: Callable[[str], Route]) -> None:
    route = routes("quick")
    scu, scp, seen = route.request(pdus.rq())
    scu.expect_exactly(CONGESTION)
    scp.send(pdus.simple_ac(seen))
    assert scp.expect(pdus.ABORT)[8] == 2
    assert scp.expect_end(patience=5) in ("eof", "reset")


@pytest.mark.parametrize("manner", ["fin", "rst"])
def test_target_closes_after_the_request(routes: Callable[[str], Route], manner: str) -> None:
    route = routes("quick")
    scu, scp, _ = route.request(pdus.rq())
    leave(scp, manner)
    scu.expect_exactly(CONGESTION)
    refusal_logged(route, "closed", "lost", "reset", "ended")


@pytest.mark.parametrize("manner", ["fin", "rst"])
def test_target_closes_at_once(routes: Callable[[str], Route], manner: str) -> None:
    """As a PACS does that does not know the caller's address."""
    route = routes("quick")
    assert route.acceptor
    scu = route.call()
    scu.send(pdus.rq())
    leave(route.answer(), manner)
    scu.expect_exactly(CONGESTION)


def test_target_is_tried_again_for_the_next_association(routes: Callable[[str], Route]) -> None:
    route = routes("quick")
    with route.call() as scu:
        scu.send(pdus.rq())
        scu.expect_exactly(CONGESTION)
    route.associate()


def test_bind_address_of_outgoing_connections(routes: Callable[[str], Route]) -> None:
    _, scp = routes("bound").associate()
    assert scp.socket.getpeername()[0] == "127.0.0.2"


# --- the SCU gives up -------------------------------------------------------------------------------------------------


def expect_no_orphan(scp: Connection) -> None:
    """The target is told, or its connection is gone; and it is left with no association."""
    kind = None
    with contextlib.suppress(AssertionError):
        kind = scp.read_pdu(patience=5)[0]
    assert kind in (pdus.ABORT, None)
    assert scp.expect_end(patience=5) in ("eof", "reset")


@MANNERS
def test_scu_gives_up_and_the_target_accepts_later(routes: Callable[[str], Route], manner: str) -> None:
    route = routes("quick")
    scu, scp, seen = route.request(pdus.rq())
    leave(scu, manner)
    scp.wait_until_readable(patience=5)
    with contextlib.suppress(ConnectionError):
        scp.send(pdus.simple_ac(seen))
    expect_no_orphan(scp)


def test_scu_gives_up_after_two_seconds_and_the_target_accepts_after_three(routes: Callable[[str], Route]) -> None:
    """The time-outs of the field (29 s, and an answer after 31 s) at a tenth: nobody is told but the target."""
    route = routes("patient")
    scu, scp, seen = route.request(pdus.rq())
    scu.expect_silence(2)
    scu.close()
    scp.wait_until_readable(patience=5)
    with contextlib.suppress(ConnectionError):
        scp.send(pdus.simple_ac(seen))
    scp.finish_sending()
    scp.expect(pdus.ABORT)
    assert scp.expect_end(patience=5) in ("eof", "reset")


@MANNERS
def test_scu_gives_up_while_the_accept_is_in_the_tunnel(routes: Callable[[str], Route], manner: str) -> None:
    route = routes("patient")
    scu, scp, seen = route.request(pdus.rq())
    assert route.standing is not None
    server = route.standing.nats.process
    server.signal(signal.SIGSTOP)
    try:
        scp.send(pdus.simple_ac(seen))
        wait_until_read(scp)
        leave(scu, manner)
        scu.close()
    finally:
        server.signal(signal.SIGCONT)
    scp.expect(pdus.ABORT)


@MANNERS
def test_scu_gives_up_before_the_target_takes_the_connection(routes: Callable[[str], Route], manner: str) -> None:
    route = routes("patient")
    with full_backlog(route.target_port):
        fillers = {row.local for row in route.open_sockets()}

        def sockets(state: int | None = None) -> list[TcpRow]:
            others = [row for row in route.open_sockets() if row.local not in fillers]
            return [row for row in others if state in (None, row.state)]

        scu = route.call()
        scu.send(pdus.rq())
        wait_until(lambda: sockets(SYN_SENT), seconds=5, what="the proxy to connect")
        leave(scu, manner)
        scu.close()
        wait_until(lambda: not sockets(), seconds=5, what="the proxy to give the connection up")


@pytest.mark.parametrize("manner", ["fin", "rst"])
def test_request_followed_at_once_by_the_end(routes: Callable[[str], Route], manner: str) -> None:
    """The target may never be asked; if it is, it is told."""
    route = routes("quick")
    assert route.acceptor
    scu = route.call()
    scu.send(pdus.rq())
    leave(scu, manner)
    route.acceptor.expect_no_association(1, pdus.rq())


# --- the connection is lost -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("manner", ["fin", "rst"])
@pytest.mark.parametrize("lost", ["scu", "scp"])
def test_lost_connection_is_an_abort_at_the_other_end(routes: Callable[[str], Route], lost: str, manner: str) -> None:
    scu, scp = routes("plain").associate()
    going, staying = (scu, scp) if lost == "scu" else (scp, scu)
    leave(going, manner)
    assert staying.expect(pdus.ABORT) == pdus.abort(2, 0)


@pytest.mark.parametrize("manner", ["fin", "rst"])
@pytest.mark.parametrize("lost", ["scu", "scp"])
def test_lost_connection_inside_a_pdu_is_a_reset_at_the_other_end(
    routes: Callable[[str], Route], lost: str, manner: str
) -> None:
    """An A-ABORT in the middle of a PDU would be taken for a part of it."""
    scu, scp = routes("plain").associate(STORAGE)
    going, staying = (scu, scp) if lost == "scu" else (scp, scu)
    part = pdus.command_pdu(pdus.store_rq()) + OBJECT_PDU[:9000]
    going.send(part)
    staying.expect_exactly(part)
    leave(going, manner)
    assert staying.expect_end(patience=5) == "reset"


@pytest.mark.parametrize("lost", ["scu", "scp"])
def test_header_of_a_pdu_is_a_part_of_it(routes: Callable[[str], Route], lost: str) -> None:
    """Three bytes of a PDU's header: either they have not been sent on, or the connection is reset."""
    scu, scp = routes("plain").associate(STORAGE)
    going, staying = (scu, scp) if lost == "scu" else (scp, scu)
    going.send(OBJECT_PDU[:3])
    wait_until_read(going)
    leave(going, "fin")
    staying.expect_abort_or_reset(patience=5)


@pytest.mark.parametrize("with_abort", [False, True])
@pytest.mark.parametrize("lost", ["scu", "scp"])
def test_reset_while_its_reading_is_paused(routes: Callable[[str], Route], lost: str, with_abort: bool) -> None:
    """In the middle of an object, with the other end stalled: both legs are gone in 5 s."""
    route = routes("plain")
    scu, scp = route.associate(STORAGE)
    going, stalled = (scu, scp) if lost == "scu" else (scp, scu)
    sent = going.send_until_blocked(OBJECT_PDU, quiet=0.5)
    if with_abort:
        going.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
        going.send(OBJECT_PDU[sent % len(OBJECT_PDU) :], pdus.abort(0, 0))
    going.reset()
    closed = 7
    wait_until(lambda: tcp_state(stalled) == closed, seconds=5.5, what="the stalled leg to be reset")
    wait_until(lambda: not route.open_sockets(), seconds=5, what="both legs to be gone")
    for side in SIDES:
        route.wait_for_log(side, "association ended")


@pytest.mark.parametrize("aborting", ["scu", "scp"])
def test_abort_against_a_stream_that_is_held_up(routes: Callable[[str], Route], aborting: str) -> None:
    """The end that does not read aborts: the one that is held up learns it at once."""
    scu, scp = routes("plain").associate(STORAGE)
    stalled, sender = (scu, scp) if aborting == "scu" else (scp, scu)
    sender.send_until_blocked(OBJECT_PDU, quiet=0.5)
    stalled.send(pdus.abort(0, 0))
    assert sender.expect(pdus.ABORT, patience=5) == pdus.abort(0, 0)


@pytest.mark.parametrize("aborting", ["scu", "scp"])
def test_abort_behind_bytes_that_a_stalled_end_does_not_take(routes: Callable[[str], Route], aborting: str) -> None:
    """All of it fits into the tunnel; the abort waits for it a little, then the stalled connection is reset."""
    route = routes("plain")
    scu, scp = route.associate(STORAGE)
    going, stalled = (scu, scp) if aborting == "scu" else (scp, scu)
    stalled.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
    going.send(OBJECT_PDU * 400, pdus.abort(0, 0))
    closed = 7
    wait_until(lambda: tcp_state(stalled) == closed, seconds=5.5, what="the stalled leg to be reset")
    wait_until(lambda: not route.open_sockets(), seconds=5, what="both legs to be gone")


@pytest.mark.parametrize("aborting", ["scu", "scp"])
def test_abort_behind_bytes_that_are_taken_slowly(routes: Callable[[str], Route], aborting: str) -> None:
    """As long as the end takes its bytes in time, all of them and the A-ABORT reach it."""
    scu, scp = routes("plain").associate(STORAGE)
    going, slow = (scu, scp) if aborting == "scu" else (scp, scu)
    going.send(OBJECT_PDU * 200, pdus.abort(0, 0))
    for _ in range(200):
        slow.expect_exactly(OBJECT_PDU)
    slow.expect_exactly(pdus.abort(0, 0))
