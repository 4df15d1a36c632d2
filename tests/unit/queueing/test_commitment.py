"""Storage commitment behind a queue: what passes, what waits, and the failure that a request is answered with."""

import pytest

from dimse_proxy.dimse.command_set import CommandField, CommandSet, Tag
from dimse_proxy.queueing.commitment import (
    PROCESSING_FAILURE,
    STORAGE_COMMITMENT,
    CommitmentGate,
    Depth,
    asks_for_commitment,
)
from dimse_proxy.queueing.subjects import AssociationKey, Kind, Place
from dimse_proxy.upper_layer.codec import decode_pdu, encode_release_request
from dimse_proxy.upper_layer.pdu import AssociateRequest, ProposedContext
from tests.unit.dimse.messages import command_bytes, pdu, pdv, us
from tests.unit.queueing.dialogue import (
    CT,
    IMPLICIT,
    VERIFICATION,
    accept,
    command_pdu,
    object_pdus,
    proposed,
    request,
    result,
)

COMMITMENT = 5
INSTANCE = b"1.2.840.10008.1.20.1.1"


def asked(*contexts: ProposedContext) -> AssociateRequest:
    decoded = decode_pdu(request(*contexts))
    assert isinstance(decoded, AssociateRequest)
    return decoded


REQUEST = asked(proposed(3, CT, IMPLICIT), proposed(COMMITMENT, STORAGE_COMMITMENT, IMPLICIT))


def action(message_id: int | None = 7, *, has_data_set: bool = True) -> bytes:
    """An N-ACTION-RQ's command."""
    return command_bytes(
        (0x0003, STORAGE_COMMITMENT.encode()),
        (0x0100, us(CommandField.N_ACTION_RQ)),
        *(() if message_id is None else ((0x0110, us(message_id)),)),
        (0x0800, us(1 if has_data_set else 0x0101)),
        (0x1001, INSTANCE),
        (0x1008, us(1)),
    )


def data_set(size: int = 100) -> bytes:
    return pdu(pdv(COMMITMENT, 0x02, bytes(size)))


def begun() -> CommitmentGate:
    gate = CommitmentGate(REQUEST)
    assert b"".join(gate.from_requestor(REQUEST.raw)) == REQUEST.raw
    answer = accept(result(3, 0), result(COMMITMENT, 0))
    assert b"".join(gate.from_acceptor(answer)) == answer
    return gate


def test_who_asks_for_commitment() -> None:
    assert asks_for_commitment(REQUEST)
    assert not asks_for_commitment(asked(proposed(1, VERIFICATION, IMPLICIT), proposed(3, CT, IMPLICIT)))


def test_everything_else_passes_as_it_came() -> None:
    gate = begun()
    stored = object_pdus(bytes(5000))
    onward = b"".join(b"".join(gate.from_requestor(stored[at : at + 7])) for at in range(0, len(stored), 7))
    assert onward == stored
    answer = command_pdu(3, command_bytes((0x0100, us(0x8001)), (0x0120, us(1)), (0x0800, us(0x0101)), (0x0900, us(0))))
    assert b"".join(gate.from_acceptor(answer)) == answer
    report = command_pdu(COMMITMENT, command_bytes((0x0100, us(0x8100)), (0x0120, us(1)), (0x0800, us(0x0101))))
    assert b"".join(gate.from_requestor(report)) == report
    release = encode_release_request()
    assert b"".join(gate.from_requestor(release)) == release
    assert (gate.is_holding, gate.held) == (False, 0)


@pytest.mark.parametrize("step", [1, 50, 10_000])
def test_a_request_is_held_with_all_that_follows_and_let_go_in_order(step: int) -> None:
    gate = begun()
    stored = object_pdus(bytes(40))
    asks = command_pdu(COMMITMENT, action()) + data_set()
    behind = object_pdus(bytes(60), message_id=2) + command_pdu(COMMITMENT, action(8)) + data_set(20)
    everything = stored + asks + behind
    onward = b""
    for at in range(0, len(everything), step):
        onward += b"".join(gate.from_requestor(everything[at : at + step]))
    onward += b"".join(gate.from_requestor(encode_release_request()))
    assert gate.is_holding
    assert len(onward) + gate.held <= len(everything) + 10
    assert b"".join((onward,)) == stored[: len(onward)]
    onward += b"".join(gate.let_go())
    assert gate.is_holding is (step < len(everything)), "the second one waits for itself, unless it came with the first"
    if gate.is_holding:
        onward += b"".join(gate.let_go())
    assert onward == everything + encode_release_request()
    assert (gate.is_holding, gate.held) == (False, 0)


@pytest.mark.parametrize("step", [1, 10_000])
def test_a_refused_request_does_not_reach_the_target(step: int) -> None:
    gate = begun()
    behind = object_pdus(bytes(60), message_id=2)
    everything = command_pdu(COMMITMENT, action()) + data_set() + behind
    onward = b""
    for at in range(0, len(everything), step):
        onward += b"".join(gate.from_requestor(everything[at : at + step]))
    more, back = gate.refuse("3 queued objects are not delivered yet")
    assert onward + b"".join(more) == behind
    answer = CommandSet.decode(b"".join(back)[12:])
    assert answer.command_field is CommandField.N_ACTION_RSP
    assert (answer.status, answer.message_id_being_responded_to) == (PROCESSING_FAILURE, 7)
    assert answer.affected_sop_class_uid == STORAGE_COMMITMENT
    assert answer.elements[Tag.AFFECTED_SOP_INSTANCE_UID] == INSTANCE
    assert answer.elements[Tag.ACTION_TYPE_ID] == us(1)
    assert answer.elements[Tag.ERROR_COMMENT] == b"3 queued objects are not delivered yet"
    assert not gate.is_holding


def test_a_request_in_fragments_is_held_too() -> None:
    gate = begun()
    command = action(has_data_set=False)
    first, second = pdu(pdv(COMMITMENT, 0x01, command[:40])), pdu(pdv(COMMITMENT, 0x03, command[40:]))
    assert (gate.from_requestor(first), gate.held) == ([], 0)
    assert (gate.from_requestor(second), gate.held) == ([], len(second))
    assert b"".join(gate.let_go()) == first + second


def test_a_comment_fits_its_element() -> None:
    for comment, expected in (("x" * 70, b"x" * 64), ("odd", b"odd "), ("caf\u00e9", b"caf?")):
        gate = begun()
        gate.from_requestor(command_pdu(COMMITMENT, action(has_data_set=False)))
        _, back = gate.refuse(comment)
        assert CommandSet.decode(b"".join(back)[12:]).elements[Tag.ERROR_COMMENT] == expected


def test_the_failure_stands_between_whole_messages_of_the_target() -> None:
    gate = begun()
    gate.from_requestor(command_pdu(COMMITMENT, action()) + data_set())
    report = command_pdu(COMMITMENT, command_bytes((0x0100, us(0x0100)), (0x0110, us(1)), (0x0800, us(1))))
    first = report + pdu(pdv(COMMITMENT, 0x00, bytes(10)))
    assert b"".join(gate.from_acceptor(first)) == first
    _, back = gate.refuse("later")
    assert back == []
    last = pdu(pdv(COMMITMENT, 0x02, bytes(10)))
    out = b"".join(gate.from_acceptor(last))
    assert out.startswith(last)
    assert CommandSet.decode(out[len(last) + 12 :]).command_field is CommandField.N_ACTION_RSP


@pytest.mark.parametrize(
    "command",
    [action(None), b"\x01\x00\x00\x00", command_bytes((0x0100, us(0x0100)), (0x0110, us(1)), (0x0800, us(0x0101)))],
    ids=["without a Message ID", "unreadable", "another one"],
)
def test_what_cannot_be_answered_passes(command: bytes) -> None:
    gate = begun()
    whole = command_pdu(COMMITMENT, command)
    assert b"".join(gate.from_requestor(whole)) == whole
    assert not gate.is_holding


def test_the_same_command_on_another_context_does_not_wait() -> None:
    gate = begun()
    whole = command_pdu(3, action(has_data_set=False))
    assert b"".join(gate.from_requestor(whole)) == whole
    together = pdu(pdv(COMMITMENT, 0x03, action(has_data_set=False)) + pdv(3, 0x03, action(9, has_data_set=False)))
    assert gate.from_requestor(together) == []
    onward, back = gate.refuse("no")
    assert CommandSet.decode(b"".join(onward)[12:]).message_id == 9, "only what is for commitment is refused"
    assert CommandSet.decode(b"".join(back)[12:]).message_id_being_responded_to == 7


def test_what_was_queued_when_the_question_came() -> None:
    first, second = (AssociationKey("CT", f"{number:032x}") for number in (1, 2))

    def record(key: AssociationKey, number: int) -> Place:
        return Place(kind=Kind.RECORD, key=key, number=number)

    depth = Depth()
    for number in (2, 3, 1):
        depth.note(record(first, number))
    assert depth.is_waiting(record(first, 3), frozenset())
    assert not depth.is_waiting(record(first, 4), frozenset()), "it came later"
    assert not depth.is_waiting(record(second, 1), frozenset())
    assert not depth.is_waiting(record(first, 2), {(first, 2)}), "it was given up"
