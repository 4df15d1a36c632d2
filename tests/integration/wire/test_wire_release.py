"""A-RELEASE from either end, both ends at once, and behind whatever was sent before it."""

import signal
import threading
from typing import Final

import pytest

from tests.integration.wire import pdus
from tests.integration.wire.conftest import SIDES, Route
from tests.integration.wire.raw_peers import Connection, wait_until_read

FIND_CONTEXT: Final = pdus.rq(pdus.proposed(1, pdus.STUDY_FIND, pdus.IMPLICIT))
FIND: Final = pdus.command_pdu(pdus.find_rq()) + pdus.data_pdus(b"\x08\0\x52\0\x06\0\0\0STUDY ")


def finish(asking: Connection, answering: Connection) -> None:
    """A release that `asking` began with, up to the closed connection."""
    answering.expect_exactly(pdus.release_rq())
    answering.send(pdus.release_rp())
    asking.expect_exactly(pdus.release_rp())


def test_release_of_the_requestor(route: Route) -> None:
    scu, scp = route.associate()
    scu.send(pdus.release_rq())
    finish(scu, scp)
    scu.close()
    assert scp.expect_end() == "eof"


def test_release_of_the_acceptor(route: Route) -> None:
    scu, scp = route.associate()
    scp.send(pdus.release_rq())
    finish(scp, scu)
    scp.close()
    assert scu.expect_end() == "eof"


def test_release_keeps_reserved_bytes(route: Route) -> None:
    scu, scp = route.associate()
    scu.send(pdus.pdu(pdus.RELEASE_RQ, b"\1\2\3\4", reserved=5))
    scp.expect_exactly(pdus.pdu(pdus.RELEASE_RQ, b"\1\2\3\4", reserved=5))
    scp.send(pdus.pdu(pdus.RELEASE_RP, b"\5\6\7\x08", reserved=9))
    scu.expect_exactly(pdus.pdu(pdus.RELEASE_RP, b"\5\6\7\x08", reserved=9))


def test_release_and_then_no_more_sending(route: Route) -> None:
    """An end of file after one's own RELEASE-RQ is no abort."""
    scu, scp = route.associate()
    scu.send(pdus.release_rq())
    scu.finish_sending()
    scp.expect_exactly(pdus.release_rq())
    if route.standing is not None:
        scp.expect_silence(0.5)
    scp.send(pdus.release_rp())
    scu.expect_exactly(pdus.release_rp())
    if route.standing is not None:
        assert scu.expect_end() == "eof"


def test_release_of_the_acceptor_and_then_no_more_sending(route: Route) -> None:
    scu, scp = route.associate()
    scp.send(pdus.release_rq())
    scp.finish_sending()
    scu.expect_exactly(pdus.release_rq())
    if route.standing is not None:
        scu.expect_silence(0.5)
    scu.send(pdus.release_rp())
    scp.expect_exactly(pdus.release_rp())


def test_release_behind_a_running_find(route: Route) -> None:
    """RELEASE-RQ pipelined behind the C-FIND-RQ: its responses still arrive, then the RELEASE-RP."""
    scu, scp = route.associate(FIND_CONTEXT)
    scu.send(FIND, pdus.release_rq())
    scp.expect_exactly(FIND + pdus.release_rq())
    pending = pdus.command_pdu(pdus.find_rsp(status=0xFF00, data=True)) + pdus.data_pdus(b"an identifier.")
    for _ in range(3):
        scp.send(pending)
        scu.expect_exactly(pending)
    scp.send(pdus.command_pdu(pdus.find_rsp()), pdus.release_rp())
    scu.expect_exactly(pdus.command_pdu(pdus.find_rsp()))
    scu.expect_exactly(pdus.release_rp())


def test_release_behind_much_data_and_then_no_more_sending(route: Route) -> None:
    """More than the tunnel holds: the end of file is there long before the target has taken the object."""
    scu, scp = route.associate(pdus.rq(pdus.proposed(1, pdus.CT_STORAGE, pdus.IMPLICIT)))
    message = pdus.command_pdu(pdus.store_rq()) + pdus.data_pdus(bytes(range(256)) * 80_000) + pdus.release_rq()

    def send() -> None:
        scu.send(message)
        scu.finish_sending()

    scu.socket.settimeout(60)
    sending = threading.Thread(target=send)
    sending.start()
    if route.standing is not None:
        sending.join(1)
    assert scp.read(len(message), patience=30) == message
    sending.join()
    scp.send(pdus.command_pdu(pdus.store_rsp()), pdus.release_rp())
    scu.expect_exactly(pdus.command_pdu(pdus.store_rsp()) + pdus.release_rp())


def test_data_of_the_acceptor_after_its_own_release_request_is_a_violation_that_ends_both(route: Route) -> None:
    scu, scp = route.associate()
    scp.send(pdus.release_rq())
    scu.expect_exactly(pdus.release_rq())
    scp.send(pdus.command_pdu(pdus.echo_rq()))
    if route.standing is None:
        scu.expect(pdus.P_DATA)
        return
    assert scp.expect(pdus.ABORT) == pdus.abort(2, 2)
    assert scu.expect(pdus.ABORT)[8] == 2


def test_data_of_the_requestor_after_its_own_release_request_is_a_violation_that_ends_both(route: Route) -> None:
    scu, scp = route.associate()
    scu.send(pdus.release_rq())
    scp.expect_exactly(pdus.release_rq())
    scu.send(pdus.command_pdu(pdus.echo_rq()))
    if route.standing is None:
        scp.expect(pdus.P_DATA)
        return
    assert scu.expect(pdus.ABORT) == pdus.abort(2, 2)
    assert scp.expect(pdus.ABORT)[8] == 2


def collide(route: Route) -> tuple[Connection, Connection]:
    """An association whose two ends have asked for its release while nothing crossed the tunnel."""
    scu, scp = route.associate()
    if route.standing is None:
        scu.send(pdus.release_rq())
        scp.send(pdus.release_rq())
        return scu, scp
    server = route.standing.nats.process
    server.signal(signal.SIGSTOP)
    try:
        scu.send(pdus.release_rq())
        scp.send(pdus.release_rq())
        wait_until_read(scu)
        wait_until_read(scp)
    finally:
        server.signal(signal.SIGCONT)
    return scu, scp


def test_release_collision_in_the_tunnel(route: Route) -> None:
    """PS3.8 9.2.2: the requestor of the association answers first (Sta9), then its acceptor (Sta12)."""
    scu, scp = collide(route)
    scu.expect_exactly(pdus.release_rq())
    scp.expect_exactly(pdus.release_rq())
    scu.send(pdus.release_rp())
    scp.expect_exactly(pdus.release_rp())
    scp.send(pdus.release_rp())
    scu.expect_exactly(pdus.release_rp())
    scu.close()
    assert scp.expect_end() == "eof"


def test_release_collision_in_which_both_answer_at_once(route: Route) -> None:
    """Some acceptors answer without waiting for the requestor; both responses then cross each other."""
    scu, scp = collide(route)
    scu.expect_exactly(pdus.release_rq())
    scp.expect_exactly(pdus.release_rq())
    scp.send(pdus.release_rp())
    scu.send(pdus.release_rp())
    assert scu.read_pdu()[0] in (pdus.RELEASE_RP, pdus.ABORT)
    assert scp.read_pdu()[0] in (pdus.RELEASE_RP, pdus.ABORT)


@pytest.mark.parametrize("side", ["scu", "scp"])
def test_abort_while_a_release_is_answered(route: Route, side: str) -> None:
    scu, scp = route.associate()
    scu.send(pdus.release_rq())
    scp.expect_exactly(pdus.release_rq())
    aborting, other = (scu, scp) if side == "scu" else (scp, scu)
    aborting.send(pdus.abort(0, 0))
    assert other.expect(pdus.ABORT) == pdus.abort(0, 0)


def test_reset_while_a_release_is_answered(route: Route) -> None:
    """A RST is no half-closed connection: nobody waits for the RELEASE-RP any more."""
    scu, scp = route.associate()
    scu.send(pdus.release_rq())
    scp.expect_exactly(pdus.release_rq())
    scu.reset()
    if route.standing is not None:
        assert scp.expect(pdus.ABORT) == pdus.abort(2, 0)


@pytest.mark.parametrize("manner", ["fin", "rst"])
def test_response_and_close_at_once(route: Route, manner: str) -> None:
    """Many acceptors do not wait for the requestor to close."""
    scu, scp = route.associate()
    scu.send(pdus.release_rq())
    scp.expect_exactly(pdus.release_rq())
    scp.send(pdus.release_rp())
    if route.standing is not None:
        wait_until_read(scp)
    scp.reset() if manner == "rst" and route.standing is not None else scp.close()
    scu.expect_exactly(pdus.release_rp())


def test_response_with_something_behind_it(route: Route) -> None:
    """What an acceptor says after its RELEASE-RP is of no interest; the release is a release."""
    scu, scp = route.associate()
    scu.send(pdus.release_rq())
    scp.expect_exactly(pdus.release_rq())
    scp.send(pdus.release_rp(), pdus.command_pdu(pdus.echo_rsp()), b"and so on")
    scu.expect_exactly(pdus.release_rp())


@pytest.mark.parametrize("answers", [True, False])
def test_requestor_that_asks_and_is_gone(route: Route, answers: bool) -> None:
    """It closes without waiting for the RELEASE-RP: for the target it is a release all the same."""
    scu, scp = route.associate()
    scu.send(pdus.release_rq())
    scu.close()
    scp.expect_exactly(pdus.release_rq())
    if answers:
        scp.send(pdus.release_rp())
    scp.close()
    if route.standing is not None:
        for side in SIDES:
            route.wait_for_log(side, "association ended")
