"""A-ASSOCIATE-RJ and A-ABORT of either end, unchanged at the other one."""

from typing import Final

import pytest

from tests.integration.wire import pdus
from tests.integration.wire.conftest import SIDES, Route

SOURCES_AND_REASONS: Final = [
    *((1, reason) for reason in range(1, 11)),
    *((2, reason) for reason in (1, 2)),
    *((3, reason) for reason in range(8)),
]
"""PS3.8 Table 9-21, those that are reserved included: a relay has no opinion of them."""

ABORTS: Final = [(0, 0), (0, 2), (1, 0), *((2, reason) for reason in range(7))]
"""PS3.8 9.3.8, the reserved ones included."""


@pytest.mark.parametrize(("source", "reason"), SOURCES_AND_REASONS)
@pytest.mark.parametrize("result", [1, 2])
def test_rejection_comes_through(route: Route, result: int, source: int, reason: int) -> None:
    scu, scp, _ = route.request(pdus.rq())
    scp.send(pdus.rj(result, source, reason))
    assert scu.expect(pdus.RJ) == pdus.rj(result, source, reason)
    scu.close()
    if route.standing is not None:
        expected = {"result": result, "source": source, "reason": reason}
        for side in SIDES:
            route.wait_for_log(side, "association refused", **expected)


def test_rejection_with_reserved_bytes(route: Route) -> None:
    scu, scp, _ = route.request(pdus.rq())
    reject = pdus.pdu(pdus.RJ, b"\x99\2\1\1", reserved=0x42)
    scp.send(reject)
    assert scu.expect(pdus.RJ) == reject


@pytest.mark.parametrize(("source", "reason"), ABORTS)
def test_abort_instead_of_an_answer(route: Route, source: int, reason: int) -> None:
    scu, scp, _ = route.request(pdus.rq())
    scp.send(pdus.abort(source, reason))
    assert scu.expect(pdus.ABORT) == pdus.abort(source, reason)


@pytest.mark.parametrize(("source", "reason"), ABORTS)
def test_abort_of_the_acceptor(route: Route, source: int, reason: int) -> None:
    scu, scp = route.associate()
    scp.send(pdus.abort(source, reason))
    assert scu.expect(pdus.ABORT) == pdus.abort(source, reason)


@pytest.mark.parametrize(("source", "reason"), ABORTS)
def test_abort_of_the_requestor(route: Route, source: int, reason: int) -> None:
    scu, scp = route.associate()
    scu.send(pdus.abort(source, reason))
    assert scp.expect(pdus.ABORT) == pdus.abort(source, reason)


@pytest.mark.parametrize(("source", "reason"), ABORTS)
def test_abort_of_the_requestor_before_the_answer(route: Route, source: int, reason: int) -> None:
    scu, scp, _ = route.request(pdus.rq())
    scu.send(pdus.abort(source, reason))
    assert scp.expect(pdus.ABORT) == pdus.abort(source, reason)


def test_last_response_and_abort_in_one_segment(route: Route) -> None:
    scu, scp = route.associate()
    scu.send(pdus.command_pdu(pdus.echo_rq()))
    scp.expect(pdus.P_DATA)
    scp.send(pdus.command_pdu(pdus.echo_rsp()), pdus.abort(2, 6))
    assert scu.expect(pdus.P_DATA) == pdus.command_pdu(pdus.echo_rsp())
    assert scu.expect(pdus.ABORT) == pdus.abort(2, 6)


def test_last_response_abort_and_close_at_once(route: Route) -> None:
    scu, scp = route.associate()
    scu.send(pdus.command_pdu(pdus.echo_rq()))
    scp.expect(pdus.P_DATA)
    scp.send(pdus.command_pdu(pdus.echo_rsp()), pdus.abort(0, 0))
    scp.close()
    assert scu.expect(pdus.P_DATA) == pdus.command_pdu(pdus.echo_rsp())
    assert scu.expect(pdus.ABORT) == pdus.abort(0, 0)


def test_rejection_and_close_at_once(route: Route) -> None:
    scu, scp, _ = route.request(pdus.rq())
    scp.send(pdus.rj(1, 1, 3))
    scp.close()
    assert scu.expect(pdus.RJ) == pdus.rj(1, 1, 3)


def test_rejection_with_something_behind_it(route: Route) -> None:
    scu, scp, _ = route.request(pdus.rq())
    scp.send(pdus.rj(1, 1, 3), pdus.release_rq(), b"and so on")
    assert scu.expect(pdus.RJ) == pdus.rj(1, 1, 3)


def test_accept_and_close_at_once(route: Route) -> None:
    scu, scp, seen = route.request(pdus.rq())
    scp.send(pdus.simple_ac(seen))
    scp.close()
    assert scu.expect(pdus.AC) == pdus.simple_ac(seen)
    if route.standing is not None:
        assert scu.expect(pdus.ABORT) == pdus.abort(2, 0)


def test_request_and_abort_in_one_segment(route: Route) -> None:
    """The target is not asked, or it is told."""
    assert route.acceptor
    scu = route.call()
    scu.send(pdus.rq(), pdus.abort(0, 0))
    route.acceptor.expect_no_association(0.5, pdus.rq())


def test_accept_and_abort_in_one_segment(route: Route) -> None:
    scu, scp, seen = route.request(pdus.rq())
    scp.send(pdus.simple_ac(seen), pdus.abort(0, 0))
    assert scu.expect(pdus.AC) == pdus.simple_ac(seen)
    assert scu.expect(pdus.ABORT) == pdus.abort(0, 0)


def test_much_data_then_abort(route: Route) -> None:
    """An abort overtakes nothing that was sent before it."""
    scu, scp = route.associate()
    data = pdus.command_pdu(pdus.store_rq()) + pdus.data_pdus(bytes(300_000))
    scu.send(data, pdus.abort(0, 0))
    scp.expect_exactly(data)
    assert scp.expect(pdus.ABORT) == pdus.abort(0, 0)
