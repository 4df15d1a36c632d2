"""The facade of a leg: every state with every input, and the cases that the table alone does not tell."""

from collections.abc import Callable, Sequence
from itertools import product

import pytest

from dimse_proxy.errors import LocalProtocolError
from dimse_proxy.upper_layer.association import Association, Role, State
from dimse_proxy.upper_layer.codec import decode_pdu
from dimse_proxy.upper_layer.events import (
    AbortReceived,
    AssociateAcceptReceived,
    AssociateRejectReceived,
    AssociateRequestReceived,
    CommandFragment,
    ConnectionLost,
    Event,
    PDataReceived,
    ProtocolViolated,
    ReleaseRequestReceived,
    ReleaseResponseReceived,
    TransportCloses,
)
from dimse_proxy.upper_layer.negotiation import AcceptedContext
from dimse_proxy.upper_layer.pdu import Abort
from dimse_proxy.upper_layer.state_machine import Event as TableEvent
from tests.unit.upper_layer.legs import (
    ABORT,
    ACCEPT,
    ARTIM,
    CT_IMAGE_STORAGE,
    EXPLICIT_VR,
    IMPLICIT_VR,
    NOW,
    P_DATA,
    REJECT,
    RELEASE_RP,
    RELEASE_RQ,
    REQUEST,
    VERIFICATION,
    WAYS,
    p_data,
    reach,
)
from tests.unit.upper_layer.test_state_machine import standard_table

BOTH = [Role.REQUESTOR, Role.ACCEPTOR]
LATER = NOW + 1

Input = Callable[[Association], None]


def received(data: bytes) -> Input:
    return lambda association: association.receive_data(data, LATER)


def sent(pdu: bytes) -> Input:
    return lambda association: association.send(pdu, LATER)


def artim_expires(association: Association) -> None:
    expires = association.next_timer()
    association.handle_timer(LATER + ARTIM if expires is None else expires)


INPUTS: dict[TableEvent, Input] = {
    TableEvent.A_ASSOCIATE_REQUEST: sent(REQUEST),
    TableEvent.TRANSPORT_CONNECTION_CONFIRMED: lambda association: association.transport_connected(LATER),
    TableEvent.A_ASSOCIATE_AC_PDU: received(ACCEPT),
    TableEvent.A_ASSOCIATE_RJ_PDU: received(REJECT),
    TableEvent.TRANSPORT_CONNECTION_INDICATED: lambda association: association.transport_connected(LATER),
    TableEvent.A_ASSOCIATE_RQ_PDU: received(REQUEST),
    TableEvent.A_ASSOCIATE_RESPONSE_ACCEPT: sent(ACCEPT),
    TableEvent.A_ASSOCIATE_RESPONSE_REJECT: sent(REJECT),
    TableEvent.P_DATA_REQUEST: lambda association: association.send_p_data(P_DATA, LATER),
    TableEvent.P_DATA_TF_PDU: received(P_DATA),
    TableEvent.A_RELEASE_REQUEST: sent(RELEASE_RQ),
    TableEvent.A_RELEASE_RQ_PDU: received(RELEASE_RQ),
    TableEvent.A_RELEASE_RP_PDU: received(RELEASE_RP),
    TableEvent.A_RELEASE_RESPONSE: sent(RELEASE_RP),
    TableEvent.A_ABORT_REQUEST: sent(ABORT),
    TableEvent.A_ABORT_PDU: received(ABORT),
    TableEvent.TRANSPORT_CONNECTION_CLOSED: lambda association: association.connection_lost(LATER, "reset"),
    TableEvent.ARTIM_EXPIRED: artim_expires,
    TableEvent.INVALID_PDU: received(b"\x00\x00\x00"),
}

# What each action sends, indicates and leads to (PS3.8 Tables 9-6 to 9-9), and whether ARTIM runs afterwards.
# `*` stands for the PDU or the indication that belongs to the event.
SENDS_NOTHING: list[bytes] = []
A_ABORT_USER, A_ABORT_UNEXPECTED, A_ABORT_UNRECOGNIZED = (
    bytes.fromhex(f"07 00 00000004 0000 {source_and_reason}") for source_and_reason in ("0000", "0202", "0201")
)
SENT_AND_INDICATED: dict[str, tuple[bool, tuple[type[Event], ...]]] = {
    "AE-1": (False, ()),
    "AE-2": (True, ()),
    "AE-3": (False, (AssociateAcceptReceived,)),
    "AE-4": (False, (AssociateRejectReceived, TransportCloses)),
    "AE-5": (False, ()),
    "AE-6": (False, (AssociateRequestReceived,)),
    "AE-7": (True, ()),
    "AE-8": (True, ()),
    "DT-1": (True, ()),
    "DT-2": (False, (PDataReceived,)),
    "AR-1": (True, ()),
    "AR-2": (False, (ReleaseRequestReceived,)),
    "AR-3": (False, (ReleaseResponseReceived, TransportCloses)),
    "AR-4": (True, ()),
    "AR-5": (False, (TransportCloses,)),
    "AR-6": (False, (PDataReceived,)),
    "AR-7": (True, ()),
    "AR-8": (False, (ReleaseRequestReceived,)),
    "AR-9": (True, ()),
    "AR-10": (False, (ReleaseResponseReceived,)),
    "AA-1": (True, (ProtocolViolated,)),
    "AA-2": (False, (TransportCloses,)),
    "AA-3": (False, (AbortReceived, TransportCloses)),
    "AA-4": (False, (ConnectionLost, TransportCloses)),
    "AA-5": (False, (TransportCloses,)),
    "AA-6": (False, ()),
    "AA-7": (True, ()),
    "AA-8": (True, (ProtocolViolated,)),
    "RELAY-1": (True, ()),
}
AFTERWARDS = {
    "AE-1": "Sta4",
    "AE-2": "Sta5",
    "AE-3": "Sta6",
    "AE-6": "Sta3",
    "AE-5": "Sta2",
    "AE-7": "Sta6",
    "DT-1": "Sta6",
    "DT-2": "Sta6",
    "AR-1": "Sta7",
    "AR-2": "Sta8",
    "AR-6": "Sta7",
    "AR-7": "Sta8",
    "AR-9": "Sta11",
    "AR-10": "Sta12",
    **dict.fromkeys(("AE-4", "AR-3", "AR-5", "AA-2", "AA-3", "AA-4", "AA-5"), "Sta1"),
    **dict.fromkeys(("AE-8", "AR-4", "AA-1", "AA-6", "AA-7", "AA-8"), "Sta13"),
}


def sent_pdu(action: str, event: TableEvent) -> bytes:
    if event is TableEvent.A_ABORT_REQUEST:
        return ABORT
    if action == "AA-1":
        return A_ABORT_USER
    if action in ("AA-7", "AA-8"):
        return A_ABORT_UNRECOGNIZED if event is TableEvent.INVALID_PDU else A_ABORT_UNEXPECTED
    return {
        TableEvent.TRANSPORT_CONNECTION_CONFIRMED: REQUEST,
        TableEvent.A_ASSOCIATE_RESPONSE_ACCEPT: ACCEPT,
        TableEvent.A_ASSOCIATE_RESPONSE_REJECT: REJECT,
        TableEvent.P_DATA_REQUEST: P_DATA,
        TableEvent.A_RELEASE_REQUEST: RELEASE_RQ,
        TableEvent.A_RELEASE_RESPONSE: RELEASE_RP,
    }[event]


OTHER_ROLES = {
    (Role.ACCEPTOR, TableEvent.A_ASSOCIATE_REQUEST, State.STA1),
    *((Role.ACCEPTOR, TableEvent.TRANSPORT_CONNECTION_CONFIRMED, state) for state in State),
    *((Role.REQUESTOR, TableEvent.TRANSPORT_CONNECTION_INDICATED, state) for state in State),
    # A requestor may be connected before its user requests: tested by itself.
    (Role.REQUESTOR, TableEvent.TRANSPORT_CONNECTION_CONFIRMED, State.STA1),
}
"""What the table has for one role only, as it does not know the roles apart."""


def cells(*, filled: bool) -> Sequence[object]:
    table = {**standard_table(), (State.STA8, TableEvent.A_RELEASE_REQUEST): "RELAY-1"}
    return [
        pytest.param(role, state, event, table[state, event], id=f"{role.value}-{state.value}-{event.name}")
        for (role, state), event in product(WAYS, TableEvent)
        if (table[state, event] != ".") is filled and (role, event, state) not in OTHER_ROLES
    ]


def types(events: list[Event]) -> tuple[type[Event], ...]:
    return tuple(type(event) for event in events)


@pytest.mark.parametrize(("role", "state", "event", "action"), cells(filled=True))
def test_every_filled_cell(role: Role, state: State, event: TableEvent, action: str) -> None:
    association = reach(role, state)
    INPUTS[event](association)
    sends, indicated = SENT_AND_INDICATED[action]
    if event is TableEvent.A_ABORT_REQUEST and action == "AA-1":
        indicated = ()
    assert association.data_to_send() == ([sent_pdu(action, event)] if sends else SENDS_NOTHING)
    assert types(association.events_received()) == indicated
    collision = "Sta9" if role is Role.REQUESTOR else "Sta10"
    assert association.state.value == AFTERWARDS.get(action, collision)
    assert association.is_over == (AFTERWARDS.get(action) in ("Sta1", "Sta13"))
    if action in ("AE-5", "AE-8", "AR-4", "AA-1", "AA-8"):
        assert association.next_timer() == LATER + ARTIM
    elif action not in ("AA-6", "AA-7"):
        assert association.next_timer() is None


@pytest.mark.parametrize(("role", "state", "event", "action"), cells(filled=False))
def test_every_empty_cell(role: Role, state: State, event: TableEvent, action: str) -> None:
    association = reach(role, state)
    timer = association.next_timer()
    apply = INPUTS[event]
    if event is TableEvent.ARTIM_EXPIRED or state is State.STA13:
        # The timer does not run; or the association is over, and nothing can go wrong any more.
        apply(association)
    elif event in (TableEvent.A_ABORT_REQUEST, TableEvent.TRANSPORT_CONNECTION_CLOSED):
        # There is no association yet, so nothing but the connection is given up or lost.
        apply(association)
        assert association.events_received() == [TransportCloses()]
        assert association.is_over
        timer, state = None, State.STA1
    else:
        with pytest.raises(LocalProtocolError):
            apply(association)
    assert association.state is state
    assert association.next_timer() == timer
    assert association.data_to_send() == []
    assert association.events_received() == []


@pytest.mark.parametrize("event", TableEvent)
@pytest.mark.parametrize("role", BOTH)
def test_after_the_close_everything_is_ignored(role: Role, event: TableEvent) -> None:
    association = reach(role, State.STA6)
    association.connection_lost(NOW, "reset")
    association.events_received()
    INPUTS[event](association)
    association.receive_eof(LATER)
    association.send_abort(2, 0, LATER)
    assert association.events_received() == []
    assert association.data_to_send() == []
    assert association.next_timer() is None
    assert association.state is State.STA1
    assert association.is_over


# Establishment.


def test_the_contexts_of_an_acceptor_are_those_of_the_accept_it_sends() -> None:
    association = reach(Role.ACCEPTOR, State.STA3)
    assert association.request is not None
    assert association.request.raw == REQUEST
    assert association.accepted_contexts == {}
    association.send(ACCEPT, NOW)
    assert association.accept is not None
    assert association.accept.raw == ACCEPT
    assert association.accepted_contexts == {
        1: AcceptedContext(abstract_syntax=VERIFICATION, transfer_syntax=IMPLICIT_VR),
        3: AcceptedContext(abstract_syntax=CT_IMAGE_STORAGE, transfer_syntax=EXPLICIT_VR),
    }


def test_the_contexts_of_a_requestor_are_those_of_the_accept_it_gets() -> None:
    association = reach(Role.REQUESTOR, State.STA6)
    assert association.request is not None
    assert association.request.raw == REQUEST
    assert list(association.accepted_contexts) == [1, 3]


@pytest.mark.parametrize("context_id", [5, 7, 9])
@pytest.mark.parametrize("role", BOTH)
def test_p_data_on_a_context_that_was_not_accepted(role: Role, context_id: int) -> None:
    association = reach(role, State.STA6)
    association.receive_data(P_DATA + p_data(context_id), NOW)
    data, violation = association.events_received()
    assert isinstance(data, PDataReceived)
    assert data.data == P_DATA
    assert isinstance(violation, ProtocolViolated)
    assert (violation.source, violation.reason) == (2, 6)
    assert f"presentation context {context_id}" in violation.description
    assert association.data_to_send() == [bytes.fromhex("07 00 00000004 00000206")]
    assert association.state is State.STA13


def test_the_accept_and_p_data_in_one_segment() -> None:
    association = reach(Role.REQUESTOR, State.STA5)
    association.receive_data(ACCEPT + P_DATA, NOW)
    assert types(association.events_received()) == (AssociateAcceptReceived, PDataReceived)


def test_an_acceptor_cannot_request() -> None:
    with pytest.raises(LocalProtocolError):
        Association(Role.ACCEPTOR).send(REQUEST, NOW)


def test_a_requestor_may_be_connected_before_its_user_requests() -> None:
    association = Association(Role.REQUESTOR)
    association.transport_connected(NOW)
    assert association.data_to_send() == []
    association.send(REQUEST, NOW)
    assert association.data_to_send() == [REQUEST]
    assert association.state is State.STA5


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (ACCEPT, "bytes before the A-ASSOCIATE-RQ"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "an SSH banner instead of DICOM (bytes before the A-ASSOCIATE-RQ)"),
    ],
)
def test_bytes_before_the_request_of_a_connected_requestor(data: bytes, expected: str) -> None:
    association = Association(Role.REQUESTOR, artim=ARTIM)
    association.transport_connected(NOW)
    association.receive_data(data, NOW)
    assert association.events_received() == [ProtocolViolated(source=2, reason=2, description=expected)]
    assert association.state is State.STA13
    assert association.next_timer() == NOW + ARTIM


def test_an_abort_while_connecting_closes_and_a_late_connection_is_ignored() -> None:
    association = reach(Role.REQUESTOR, State.STA4)
    association.send_abort(2, 0, NOW)
    association.transport_connected(NOW)
    assert association.events_received() == [TransportCloses()]
    assert association.data_to_send() == []


def test_a_late_accept_after_an_abort_is_ignored() -> None:
    association = reach(Role.REQUESTOR, State.STA5)
    association.send_abort(0, 0, NOW)
    association.receive_data(ACCEPT, NOW)
    assert association.events_received() == []
    assert association.data_to_send() == [ABORT]
    assert association.accept is None


def test_no_request_within_artim() -> None:
    association = reach(Role.ACCEPTOR, State.STA2)
    assert association.next_timer() == NOW + ARTIM
    association.handle_timer(NOW + ARTIM - 0.001)
    assert association.events_received() == []
    association.handle_timer(NOW + ARTIM)
    assert association.events_received() == [TransportCloses()]
    assert association.data_to_send() == []


def test_a_probe_that_connects_and_closes_is_no_loss() -> None:
    association = reach(Role.ACCEPTOR, State.STA2)
    association.receive_eof(NOW)
    assert association.events_received() == [TransportCloses()]


# Violations.


@pytest.mark.parametrize(
    ("first_bytes", "look"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "an HTTP request instead of DICOM"),
        (bytes.fromhex("16030102000100"), "a TLS handshake instead of DICOM"),
        (bytes(20), "00H is not a type of PDU"),
    ],
)
def test_first_bytes_that_are_not_dicom(first_bytes: bytes, look: str) -> None:
    association = reach(Role.ACCEPTOR, State.STA2)
    association.receive_data(first_bytes, NOW)
    [violation] = association.events_received()
    assert isinstance(violation, ProtocolViolated)
    assert violation.description.startswith(look)
    assert (violation.source, violation.reason) == (0, 0)
    assert association.data_to_send() == [A_ABORT_USER]


def test_a_target_that_is_a_web_server() -> None:
    association = reach(Role.REQUESTOR, State.STA5)
    association.receive_data(b"HTTP/1.1 400 Bad Request\r\n", NOW)
    [violation] = association.events_received()
    assert isinstance(violation, ProtocolViolated)
    assert violation.description.startswith("an HTTP response instead of DICOM")
    assert (violation.source, violation.reason) == (2, 1)


def test_a_request_that_cannot_be_decoded() -> None:
    association = reach(Role.ACCEPTOR, State.STA2)
    association.receive_data(bytes.fromhex("01 00 00000002 0001"), NOW)
    [violation] = association.events_received()
    assert isinstance(violation, ProtocolViolated)
    assert association.state is State.STA13
    assert association.request is None


def test_an_accept_that_cannot_be_decoded() -> None:
    association = reach(Role.REQUESTOR, State.STA5)
    association.receive_data(bytes.fromhex("02 00 00000002 0001"), NOW)
    [violation] = association.events_received()
    assert isinstance(violation, ProtocolViolated)
    assert (violation.source, violation.reason) == (2, 6)


def test_an_associate_pdu_over_the_limit_is_refused_at_its_header() -> None:
    association = Association(Role.ACCEPTOR, max_associate_length=1000)
    association.transport_connected(NOW)
    association.receive_data(bytes.fromhex("01 00 000003E9"), NOW)
    [violation] = association.events_received()
    assert isinstance(violation, ProtocolViolated)
    assert "over the limit of 1000" in violation.description


def test_the_description_names_the_pdu_and_the_state() -> None:
    association = reach(Role.ACCEPTOR, State.STA6)
    association.receive_data(REQUEST, NOW)
    assert association.events_received() == [
        ProtocolViolated(source=2, reason=2, description="A-ASSOCIATE-RQ in Sta6 (ready for data transfer)")
    ]


def test_p_data_behind_the_peers_release_request() -> None:
    association = reach(Role.ACCEPTOR, State.STA6)
    association.receive_data(P_DATA + RELEASE_RQ + P_DATA, NOW)
    assert types(association.events_received()) == (PDataReceived, ReleaseRequestReceived, ProtocolViolated)
    assert association.data_to_send() == [A_ABORT_UNEXPECTED]


# Sta13.


def test_ten_megabytes_behind_a_reject_are_dropped() -> None:
    association = reach(Role.ACCEPTOR, State.STA13)
    chunk = p_data(99, 0x00, bytes(16384)) * 16
    for _ in range(40):
        association.receive_data(chunk, LATER)
    assert association.events_received() == []
    assert association.data_to_send() == []
    assert association.next_timer() == NOW + ARTIM
    association.receive_eof(LATER)
    assert association.events_received() == [TransportCloses()]


def test_only_the_first_invalid_pdu_behind_a_reject_is_answered() -> None:
    association = reach(Role.ACCEPTOR, State.STA13)
    for _ in range(3):
        association.receive_data(b"\x00garbage", LATER)
    assert association.data_to_send() == [A_ABORT_UNRECOGNIZED]
    association.receive_data(ABORT, LATER)
    assert association.events_received() == []
    association.handle_timer(NOW + ARTIM)
    assert association.events_received() == [TransportCloses()]


def test_only_the_first_request_in_sta13_is_answered() -> None:
    association = reach(Role.ACCEPTOR, State.STA13)
    association.receive_data(REQUEST * 3, LATER)
    association.receive_data(REQUEST, LATER)
    assert association.data_to_send() == [A_ABORT_UNEXPECTED]


def test_garbage_is_answered_with_one_abort() -> None:
    association = reach(Role.REQUESTOR, State.STA6)
    for _ in range(3):
        association.receive_data(b"\x00garbage", LATER)
    assert association.data_to_send() == [A_ABORT_UNRECOGNIZED]
    assert types(association.events_received()) == (ProtocolViolated,)


def test_nothing_is_decoded_in_sta13() -> None:
    association = reach(Role.REQUESTOR, State.STA13)
    association.receive_data(bytes.fromhex("02 00 00000002 0001") + ABORT + RELEASE_RQ, LATER)
    assert association.data_to_send() == []
    assert association.events_received() == [TransportCloses()]


# Release.


@pytest.mark.parametrize("role", BOTH)
def test_data_after_the_release_was_requested(role: Role) -> None:
    association = reach(role, State.STA7)
    association.receive_data(P_DATA, NOW)
    association.receive_data(P_DATA + RELEASE_RP, NOW)
    assert types(association.events_received()) == (
        PDataReceived,
        PDataReceived,
        ReleaseResponseReceived,
        TransportCloses,
    )


@pytest.mark.parametrize("role", BOTH)
def test_data_is_sent_behind_the_peers_release_request(role: Role) -> None:
    association = reach(role, State.STA8)
    association.send_p_data(memoryview(P_DATA), NOW)
    association.send(RELEASE_RP, NOW)
    assert association.data_to_send() == [P_DATA, RELEASE_RP]
    assert association.state is State.STA13
    association.receive_eof(LATER)
    assert association.events_received() == [TransportCloses()]


@pytest.mark.parametrize("relayed_first", [False, True])
@pytest.mark.parametrize(
    ("role", "steps_after_both_requests", "states"),
    [
        (Role.REQUESTOR, [sent(RELEASE_RP), received(RELEASE_RP)], [State.STA9, State.STA11, State.STA1]),
        (
            Role.ACCEPTOR,
            [received(RELEASE_RP), sent(RELEASE_RP), lambda association: association.receive_eof(NOW)],
            [State.STA10, State.STA12, State.STA13, State.STA1],
        ),
    ],
)
def test_release_collision(
    role: Role, relayed_first: bool, steps_after_both_requests: list[Input], states: list[State]
) -> None:
    association = reach(role, State.STA6)
    # The other end point's request comes out of the tunnel before or behind the one from this end point.
    requests = [sent(RELEASE_RQ), received(RELEASE_RQ)]
    for step in requests if relayed_first else reversed(requests):
        step(association)
    seen = [association.state]
    for step in steps_after_both_requests:
        step(association)
        seen.append(association.state)
    assert seen == states
    assert association.data_to_send() == [RELEASE_RQ, RELEASE_RP]
    assert types(association.events_received()) == (ReleaseRequestReceived, ReleaseResponseReceived, TransportCloses)


@pytest.mark.parametrize("role", BOTH)
def test_end_of_file_behind_the_release_request_is_no_loss(role: Role) -> None:
    association = reach(role, State.STA8)
    association.receive_eof(NOW)
    assert association.events_received() == []
    assert not association.is_over
    association.send_p_data(P_DATA, NOW)
    assert association.events_received() == []
    association.send(RELEASE_RP, NOW)
    assert association.data_to_send() == [P_DATA, RELEASE_RP]
    assert association.events_received() == [TransportCloses()]
    assert association.next_timer() is None


def test_end_of_file_behind_the_release_response_of_a_collision_is_no_loss() -> None:
    association = reach(Role.ACCEPTOR, State.STA12)
    association.receive_eof(NOW)
    assert association.events_received() == []
    association.send(RELEASE_RP, NOW)
    assert association.data_to_send() == [RELEASE_RP]
    assert association.events_received() == [TransportCloses()]


@pytest.mark.parametrize("role", BOTH)
def test_a_collision_after_end_of_file_cannot_end_well(role: Role) -> None:
    association = reach(role, State.STA8)
    association.receive_eof(NOW)
    association.send(RELEASE_RQ, NOW)
    assert types(association.events_received()) == (ConnectionLost, TransportCloses)


def test_an_abort_after_end_of_file_closes_at_once() -> None:
    association = reach(Role.ACCEPTOR, State.STA8)
    association.receive_eof(NOW)
    association.send_abort(2, 0, NOW)
    assert association.data_to_send() == [bytes.fromhex("07 00 00000004 00000200")]
    assert association.events_received() == [TransportCloses()]


def test_a_reset_after_end_of_file_is_a_loss() -> None:
    association = reach(Role.ACCEPTOR, State.STA8)
    association.receive_eof(NOW)
    association.connection_lost(NOW, "reset by the peer")
    assert association.events_received() == [ConnectionLost(description="reset by the peer"), TransportCloses()]


# Losses and aborts.


@pytest.mark.parametrize(
    ("role", "state"),
    [key for key in WAYS if key[1] not in (State.STA1, State.STA2, State.STA8, State.STA12, State.STA13)],
)
def test_end_of_file_is_a_loss_in_other_states(role: Role, state: State) -> None:
    association = reach(role, state)
    association.receive_eof(NOW)
    assert association.events_received() == [
        ConnectionLost(description="the peer closed the connection"),
        TransportCloses(),
    ]


def test_end_of_file_inside_a_pdu() -> None:
    association = reach(Role.ACCEPTOR, State.STA6)
    association.receive_data(P_DATA[:-1], NOW)
    association.receive_eof(NOW)
    assert association.events_received()[1:] == [
        ConnectionLost(description="the peer closed the connection inside a P-DATA-TF"),
        TransportCloses(),
    ]


def test_what_cannot_be_written_any_more_is_forgotten() -> None:
    association = reach(Role.ACCEPTOR, State.STA6)
    association.send_p_data(P_DATA, NOW)
    association.connection_lost(NOW, "timed out")
    assert association.data_to_send() == []
    assert association.events_received() == [ConnectionLost(description="timed out"), TransportCloses()]


def test_a_last_response_and_an_abort_in_one_segment() -> None:
    association = reach(Role.REQUESTOR, State.STA6)
    response = p_data(1, 0x03, b"response")
    association.receive_data(response + ABORT + b"\x00behind it", NOW)
    data, abort, closes = association.events_received()
    assert isinstance(data, PDataReceived)
    assert data.data == response
    assert data.marks == (CommandFragment(context_id=1, data=b"response", is_last=True),)
    assert isinstance(abort, AbortReceived)
    assert abort.abort.raw == ABORT
    assert closes == TransportCloses()
    assert association.data_to_send() == []


@pytest.mark.parametrize(("source", "reason"), [(0, 0), (2, 0), (2, 6)])
def test_an_abort_keeps_its_source_and_reason(source: int, reason: int) -> None:
    association = reach(Role.ACCEPTOR, State.STA6)
    association.send_abort(source, reason, NOW)
    [raw] = association.data_to_send()
    pdu = decode_pdu(bytes(raw))
    assert isinstance(pdu, Abort)
    assert (pdu.source, pdu.reason) == (source, reason)
    assert association.next_timer() == NOW + ARTIM


# Misuse.


@pytest.mark.parametrize("pdu", [b"", b"\x00", P_DATA, REQUEST[:-1], RELEASE_RQ + b"\x00"])
def test_what_is_no_primitive(pdu: bytes) -> None:
    association = reach(Role.ACCEPTOR, State.STA6)
    with pytest.raises(LocalProtocolError):
        association.send(pdu, NOW)
    assert association.state is State.STA6
    assert association.data_to_send() == []


@pytest.mark.parametrize("role", BOTH)
def test_what_is_handed_out_is_forgotten(role: Role) -> None:
    association = reach(role, State.STA6)
    chunk = p_data() * 4
    association.receive_data(chunk, NOW)
    association.send_p_data(chunk, NOW)
    [event] = association.events_received()
    assert isinstance(event, PDataReceived)
    assert event.data is chunk
    [data] = association.data_to_send()
    assert data is chunk
    assert association.events_received() == []
    assert association.data_to_send() == []


@pytest.mark.parametrize("cut", range(1, 25))
def test_p_data_before_any_request_in_two_pieces_is_just_a_violation(cut: int) -> None:
    p_data = bytes.fromhex("04000000000c") + bytes.fromhex("000000080102") + b"DATA.."
    association = Association(Role.ACCEPTOR)
    association.transport_connected(0.0)
    association.receive_data(p_data[:cut], 0.0)
    association.receive_data(p_data[cut:] + p_data, 0.0)
    assert association.state is State.STA13
    assert b"".join(bytes(part) for part in association.data_to_send()).startswith(b"\x07")
