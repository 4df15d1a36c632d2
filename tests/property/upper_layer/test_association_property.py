"""Any inputs in any order, in any state: nothing a peer does raises, and every association ends just once."""

from collections.abc import Callable
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from dimse_proxy.errors import LocalProtocolError
from dimse_proxy.upper_layer.association import Association, Role, State
from dimse_proxy.upper_layer.events import Event, PDataReceived, ProtocolViolated, TransportCloses
from dimse_proxy.upper_layer.pdu import PduType
from tests.unit.upper_layer.legs import (
    ABORT,
    ACCEPT,
    ARTIM,
    NOW,
    P_DATA,
    REJECT,
    RELEASE_RP,
    RELEASE_RQ,
    REQUEST,
    WAYS,
    p_data,
    reach,
)

Input = Callable[[Association, float], None]

PDUS = st.sampled_from([REQUEST, ACCEPT, REJECT, RELEASE_RQ, RELEASE_RP, ABORT, P_DATA, p_data(5), p_data(3, 0x03)])
STREAMS = st.lists(PDUS | st.binary(max_size=12), max_size=4).map(b"".join)


def _receives(data: bytes) -> Input:
    return lambda association, now: association.receive_data(data, now)


def _sends(pdu: bytes) -> Input:
    return lambda association, now: association.send(pdu, now)


def _timer(association: Association, now: float) -> None:
    association.handle_timer(now)


OF_THE_PEER = st.one_of(
    STREAMS.map(_receives),
    PDUS.map(_receives),
    PDUS.map(lambda pdu: _receives(pdu[:-1])),
    st.just(lambda association, now: association.receive_eof(now)),
    st.just(lambda association, now: association.connection_lost(now, "lost")),
    st.just(_timer),
)
OF_THE_USER = st.one_of(
    PDUS.map(_sends),
    st.binary(max_size=12).map(_sends),
    st.just(lambda association, now: association.send_p_data(P_DATA, now)),
    st.just(lambda association, now: association.transport_connected(now)),
    st.just(lambda association, now: association.send_abort(2, 0, now)),
)
INPUTS = st.lists(st.tuples(st.booleans(), OF_THE_PEER, OF_THE_USER, st.sampled_from([0.0, 1.0, ARTIM])), max_size=8)
STATES = st.sampled_from(list(WAYS))
CONNECTED = STATES.filter(lambda way: way[1] not in (State.STA1, State.STA4))


def _check_end(events: list[Event], *, is_ended: bool) -> None:
    closes = [event for event in events if isinstance(event, TransportCloses)]
    assert len(closes) == is_ended
    if is_ended:
        assert events[-1] == TransportCloses()


@settings(deadline=None, max_examples=400)
@given(way=STATES, inputs=INPUTS)
def test_every_state_with_any_inputs(way: tuple[Role, State], inputs: list[tuple[bool, Input, Input, float]]) -> None:
    association = reach(*way)
    now = NOW
    events: list[Event] = []
    sent: list[bytes] = []
    is_connected = way[1] not in (State.STA1, State.STA4)
    for is_of_the_peer, peer_input, user_input, delay in inputs:
        now += delay
        was_over = association.is_over
        state = association.state
        if is_of_the_peer and is_connected:
            peer_input(association, now)
        else:
            try:
                user_input(association, now)
            except LocalProtocolError:
                assert not was_over
                assert association.state is state
        is_connected = is_connected or association.state not in (State.STA1, State.STA4)
        assert not (was_over and not association.is_over)
        events += association.events_received()
        sent += map(bytes, association.data_to_send())
        assert (association.next_timer() is not None) == (association.state in (State.STA2, State.STA13))
    association.connection_lost(now, "the end of the test")
    events += association.events_received()
    _check_end(events, is_ended=True)
    assert association.data_to_send() == []
    assert association.next_timer() is None
    # One of the user's or for a violation, and at most one more (AA-7).
    assert sum(pdu[0] == PduType.A_ABORT for pdu in sent) <= 2


@settings(deadline=None, max_examples=200)
@given(way=CONNECTED, parts=st.lists(st.binary(max_size=200), max_size=5))
def test_every_state_with_random_bytes(way: tuple[Role, State], parts: list[bytes]) -> None:
    association = reach(*way)
    for part in parts:
        association.receive_data(part, NOW)
    association.receive_eof(NOW)
    association.send_abort(2, 0, NOW)
    if (expires := association.next_timer()) is not None:
        association.handle_timer(expires)
    _check_end(association.events_received(), is_ended=True)


@settings(deadline=None, max_examples=200)
@given(way=CONNECTED, stream=STREAMS, cuts=st.lists(st.integers(0, 1000), max_size=8))
def test_any_split_tells_the_same(way: tuple[Role, State], stream: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    p_data_bytes, indicated, *rest = _run(way, [stream])
    for split_p_data_bytes, split_indicated, *split_rest in (
        _run(way, [stream[start:end] for start, end in pairwise(edges)]),
        _run(way, [stream[index : index + 1] for index in range(len(stream))]),
    ):
        violations = [index for index, event in enumerate(indicated) if isinstance(event, ProtocolViolated)]
        if not violations:
            assert (split_p_data_bytes, split_indicated, split_rest) == (p_data_bytes, indicated, rest)
            continue
        # Cut through, what came of the faulty PDU before the fault has been passed on; or its first byte was the
        # fault, as no P-DATA was due. In one piece it is judged as a whole.
        assert split_p_data_bytes.startswith(p_data_bytes)
        assert split_indicated[: violations[0]] == indicated[: violations[0]]
        assert any(isinstance(event, ProtocolViolated) for event in split_indicated)


def _run(way: tuple[Role, State], parts: list[bytes]) -> tuple[bytes, list[object], list[bytes | memoryview], State]:
    """Return the P-DATA, what else was indicated, what was sent and the state."""
    association = reach(*way)
    for part in parts:
        association.receive_data(part, NOW)
    p_data_bytes = b""
    others: list[object] = []
    for event in association.events_received():
        if isinstance(event, PDataReceived):
            p_data_bytes += event.data
            others += event.marks
        else:
            others.append(event)
    return p_data_bytes, others, association.data_to_send(), association.state
