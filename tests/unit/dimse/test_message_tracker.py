import pytest

from dimse_proxy.dimse import tracking
from dimse_proxy.dimse.command_set import CommandField
from dimse_proxy.dimse.status import StatusClass
from dimse_proxy.dimse.tracking import MessageSeen, MessageTracker, ServiceCount
from dimse_proxy.upper_layer.events import CommandFragment, DataSetEnd
from tests.unit.dimse.messages import command_bytes, echo_request, move_request, store_request, us

CT_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
CONTEXTS = {1: "1.2.840.10008.1.1", 3: CT_STORAGE, 5: "1.2.840.10008.5.1.4.1.2.2.2"}


class Wire:
    """Sends whole commands to a tracker."""

    def __init__(self) -> None:
        self.tracker = MessageTracker(CONTEXTS)

    def command(
        self, data: bytes, now: float = 0.0, *, context_id: int = 1, from_requestor: bool = True, pieces: int = 1
    ) -> tuple[MessageSeen, ...]:
        size = -(-len(data) // pieces)
        fragments = [data[start : start + size] for start in range(0, len(data), size)]
        for fragment in fragments[:-1]:
            mark = CommandFragment(context_id=context_id, data=fragment, is_last=False)
            assert self.tracker.observe(mark, from_requestor=from_requestor, now=now) == ()
        mark = CommandFragment(context_id=context_id, data=fragments[-1], is_last=True)
        return self.tracker.observe(mark, from_requestor=from_requestor, now=now)

    def data_set(
        self, length: int, now: float = 0.0, *, context_id: int = 1, from_requestor: bool = True
    ) -> tuple[MessageSeen, ...]:
        mark = DataSetEnd(context_id=context_id, length=length)
        return self.tracker.observe(mark, from_requestor=from_requestor, now=now)

    def service(self, name: str) -> ServiceCount:
        return next(count for count in self.tracker.summary() if count.service == name)


def response(field: int, to: int | None, status: int | None, *, data_set_type: int = 0x0101) -> bytes:
    return command_bytes(
        (0x0100, us(field)),
        *(() if to is None else ((0x0120, us(to)),)),
        (0x0800, us(data_set_type)),
        *(() if status is None else ((0x0900, us(status)),)),
    )


@pytest.fixture
def wire() -> Wire:
    return Wire()


def test_echo_and_its_response(wire: Wire) -> None:
    (request,) = wire.command(echo_request(message_id=9), 10.0)
    assert request.from_requestor
    assert request.context_id == 1
    assert request.abstract_syntax == "1.2.840.10008.1.1"
    assert request.service == "C-ECHO"
    assert request.command.command_field is CommandField.C_ECHO_RQ
    assert request.data_set_length == 0
    assert request.duration is None
    (pending,) = wire.tracker.in_progress()
    assert (pending.service, pending.message_id, pending.since) == ("C-ECHO", 9, 10.0)
    (answer,) = wire.command(response(0x8030, 9, 0), 10.25, from_requestor=False)
    assert not answer.from_requestor
    assert answer.duration == 0.25
    assert wire.tracker.in_progress() == ()
    assert wire.tracker.summary() == (
        ServiceCount(
            service="C-ECHO",
            requests_from_requestor=1,
            requests_from_acceptor=0,
            responses={StatusClass.SUCCESS: 1},
            data_set_bytes_from_requestor=0,
            data_set_bytes_from_acceptor=0,
        ),
    )


def test_store_is_complete_with_its_data_set(wire: Wire) -> None:
    assert wire.command(store_request(), 1.0, context_id=3) == ()
    assert wire.tracker.in_progress()[0].since == 1.0
    assert not wire.tracker.in_progress()[0].is_whole
    (request,) = wire.data_set(5000, 4.0, context_id=3)
    assert request.data_set_length == 5000
    assert request.abstract_syntax == CT_STORAGE
    assert wire.tracker.in_progress()[0].since == 4.0
    assert (wire.tracker.in_progress()[0].is_whole, request.request) == (True, None)
    (answer,) = wire.command(response(0x8001, 1, 0xB000), 4.5, context_id=3, from_requestor=False)
    assert answer.duration == 0.5
    assert answer.request is not None
    assert (answer.request.begun, answer.request.since, answer.request.data_set_length) == (1.0, 4.0, 5000)
    assert answer.request.sop_class_uid == CT_STORAGE
    count = wire.service("C-STORE")
    assert count.responses == {StatusClass.WARNING: 1}
    assert count.data_set_bytes_from_requestor == 5000
    assert count.data_set_bytes_from_acceptor == 0


def test_response_that_does_not_wait_for_the_data_set(wire: Wire) -> None:
    wire.command(store_request(), 1.0, context_id=3)
    (answer,) = wire.command(response(0x8001, 1, 0xA700), 1.5, context_id=3, from_requestor=False)
    assert answer.duration == 0.5
    (request,) = wire.data_set(5000, 4.0, context_id=3)
    assert request.data_set_length == 5000
    assert wire.tracker.in_progress() == ()


def test_pending_responses_leave_the_request_in_progress(wire: Wire) -> None:
    wire.command(move_request(message_id=7), context_id=5)
    wire.data_set(60, context_id=5)
    for now in (1.0, 2.0):
        (pending,) = wire.command(response(0x8021, 7, 0xFF00), now, context_id=5, from_requestor=False)
        assert pending.duration == now
        assert [request.heard for request in wire.tracker.in_progress()] == [now]
    assert [request.message_id for request in wire.tracker.in_progress()] == [7]
    wire.command(response(0x8021, 7, 0xFE00), 3.0, context_id=5, from_requestor=False)
    assert wire.tracker.in_progress() == ()
    assert wire.service("C-MOVE").responses == {StatusClass.PENDING: 2, StatusClass.CANCEL: 1}


def test_find_responses_with_identifiers(wire: Wire) -> None:
    assert wire.command(response(0x8020, 7, 0xFF00, data_set_type=1), from_requestor=False) == ()
    (seen,) = wire.data_set(82, from_requestor=False)
    assert seen.command.status == 0xFF00
    assert seen.duration is None
    count = wire.service("C-FIND")
    assert count.data_set_bytes_from_acceptor == 82
    assert count.data_set_bytes_from_requestor == 0


def test_both_directions_may_use_the_same_message_id(wire: Wire) -> None:
    get_request = command_bytes((0x0100, us(0x0010)), (0x0110, us(1)), (0x0800, us(1)))
    wire.command(get_request, 0.0, context_id=5)
    wire.data_set(66, 0.0, context_id=5)
    wire.command(store_request(message_id=1), 1.0, context_id=3, from_requestor=False)
    wire.data_set(4000, 2.0, context_id=3, from_requestor=False)
    assert [request.service for request in wire.tracker.in_progress()] == ["C-GET", "C-STORE"]
    (stored,) = wire.command(response(0x8001, 1, 0), 2.5, context_id=3)
    assert stored.duration == 0.5
    (got,) = wire.command(response(0x8010, 1, 0), 4.0, context_id=5, from_requestor=False)
    assert got.duration == 4.0
    count = wire.service("C-STORE")
    assert (count.requests_from_requestor, count.requests_from_acceptor) == (0, 1)
    assert (count.data_set_bytes_from_requestor, count.data_set_bytes_from_acceptor) == (0, 4000)


def test_several_outstanding_and_answered_in_another_order(wire: Wire) -> None:
    for message_id in (1, 2, 3):
        wire.command(echo_request(message_id=message_id), float(message_id))
    durations = []
    for message_id in (3, 1, 2):
        (seen,) = wire.command(response(0x8030, message_id, 0), 10.0, from_requestor=False)
        durations.append(seen.duration)
    assert durations == [7.0, 9.0, 8.0]


def test_message_id_used_again_counts_from_the_last_request(wire: Wire) -> None:
    wire.command(echo_request(), 1.0)
    wire.command(echo_request(message_id=2), 2.0)
    wire.command(echo_request(), 3.0)
    assert [(request.message_id, request.since) for request in wire.tracker.in_progress()] == [(2, 2.0), (1, 3.0)]


def test_response_to_nothing(wire: Wire) -> None:
    (seen,) = wire.command(response(0x8030, 1, 0), from_requestor=False)
    assert seen.duration is None
    (seen,) = wire.command(response(0x8030, None, 0), from_requestor=False)
    assert seen.duration is None
    assert wire.service("C-ECHO").responses == {StatusClass.SUCCESS: 2}


def test_response_without_status_is_a_failure_and_final(wire: Wire) -> None:
    wire.command(echo_request(), 0.0)
    wire.command(response(0x8030, 1, None), 1.0, from_requestor=False)
    assert wire.service("C-ECHO").responses == {StatusClass.FAILURE: 1}
    assert wire.tracker.in_progress() == ()


def test_cancel_awaits_no_response(wire: Wire) -> None:
    cancel = command_bytes((0x0100, us(0x0FFF)), (0x0110, us(8)), (0x0120, us(7)), (0x0800, us(0x0101)))
    (seen,) = wire.command(cancel, context_id=5)
    assert seen.service == "C-CANCEL"
    assert wire.tracker.in_progress() == ()
    assert wire.service("C-CANCEL").requests_from_requestor == 1


def test_request_without_message_id_awaits_no_response(wire: Wire) -> None:
    wire.command(command_bytes((0x0100, us(0x0030)), (0x0800, us(0x0101))))
    assert wire.tracker.in_progress() == ()
    assert wire.service("C-ECHO").requests_from_requestor == 1


@pytest.mark.parametrize("pieces", [2, 3, 50])
def test_command_in_several_fragments(wire: Wire, pieces: int) -> None:
    (seen,) = wire.command(echo_request(), pieces=pieces)
    assert seen.command.encode() == echo_request()


def test_fragments_on_two_contexts_and_directions_do_not_mix(wire: Wire) -> None:
    halves = echo_request()[:20], echo_request()[20:]
    ways = [(context_id, way) for context_id in (1, 3) for way in (True, False)]
    seen: list[MessageSeen] = []
    for number, half in enumerate(halves):
        for context_id, way in ways:
            mark = CommandFragment(context_id=context_id, data=half, is_last=number == 1)
            seen.extend(wire.tracker.observe(mark, from_requestor=way, now=0.0))
    assert [(one.context_id, one.from_requestor) for one in seen] == ways
    assert all(one.command.encode() == echo_request() for one in seen)


def test_command_that_cannot_be_read_is_unknown_with_its_data_set(wire: Wire) -> None:
    assert wire.command(b"no command set") == ()
    assert wire.data_set(100) == ()
    count = wire.service("unknown")
    assert count.requests_from_requestor == 1
    assert count.data_set_bytes_from_requestor == 100


def test_command_field_that_the_standard_does_not_know(wire: Wire) -> None:
    (request,) = wire.command(command_bytes((0x0100, us(0x0777)), (0x0110, us(1)), (0x0800, us(0x0101))))
    assert request.service == "unknown"
    (answer,) = wire.command(response(0x8777, 1, 0), 2.0, from_requestor=False)
    assert answer.duration == 2.0
    assert wire.service("unknown").responses == {StatusClass.SUCCESS: 1}


def test_context_that_nobody_named(wire: Wire) -> None:
    (seen,) = wire.command(echo_request(), context_id=7)
    assert seen.abstract_syntax == ""


def test_data_set_that_never_comes(wire: Wire) -> None:
    wire.command(store_request(), context_id=3)
    (seen,) = wire.command(echo_request(message_id=2), context_id=3)
    assert seen.service == "C-ECHO"
    wire.data_set(10, context_id=3)
    assert wire.service("unknown").data_set_bytes_from_requestor == 10


def test_endless_command_is_given_up_and_the_next_one_seen(wire: Wire) -> None:
    piece = bytes(1 << 19)
    for _ in range(5):
        mark = CommandFragment(context_id=1, data=piece, is_last=False)
        assert wire.tracker.observe(mark, from_requestor=True, now=0.0) == ()
    held = next(iter(wire.tracker._incoming.values()))
    assert len(held.fragments) <= tracking.COMMAND_LIMIT
    assert wire.command(b"end") == ()
    assert wire.service("unknown").requests_from_requestor == 1
    (seen,) = wire.command(echo_request())
    assert seen.service == "C-ECHO"
    assert wire.tracker._incomplete_bytes == 0


def test_limit_is_one_for_all_contexts(wire: Wire) -> None:
    piece = bytes(1 << 18)
    for context_id in range(1, 256, 2):
        mark = CommandFragment(context_id=context_id, data=piece, is_last=False)
        wire.tracker.observe(mark, from_requestor=False, now=0.0)
    held = sum(len(incoming.fragments) for incoming in wire.tracker._incoming.values())
    assert held <= tracking.COMMAND_LIMIT


def test_requests_that_nobody_answers_are_forgotten(wire: Wire) -> None:
    for message_id in range(tracking.OUTSTANDING_LIMIT + 5):
        wire.command(echo_request(message_id=message_id))
    outstanding = wire.tracker.in_progress()
    assert len(outstanding) == tracking.OUTSTANDING_LIMIT
    assert outstanding[0].message_id == 5
    assert wire.service("C-ECHO").requests_from_requestor == tracking.OUTSTANDING_LIMIT + 5


def test_nothing_seen() -> None:
    tracker = MessageTracker({})
    assert tracker.summary() == ()
    assert tracker.in_progress() == ()
