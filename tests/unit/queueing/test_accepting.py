"""The acceptor of a queued association: chunks, answers, what is handed over, and what ends it."""

import pytest

from dimse_proxy.dimse.command_set import CommandSet
from dimse_proxy.queueing.accepting import (
    MOST_OUTSTANDING,
    ChunkFilled,
    Ended,
    HandedOver,
    ObjectBegun,
    ObjectEnded,
    StorageAcceptor,
)
from dimse_proxy.upper_layer.codec import encode_abort, encode_release_request
from tests.unit.dimse.messages import command_bytes, echo_request, pdu, pdv, us
from tests.unit.queueing.dialogue import (
    CT,
    IMPLICIT,
    INSTANCE,
    LONGEST,
    VERIFICATION,
    Talk,
    command_pdu,
    object_pdus,
    request,
    result,
    store_rq,
)


def response(said: bytes) -> CommandSet:
    """The one command in what the SCU was told."""
    return CommandSet.decode(said[12:])


def test_an_object_becomes_chunks_and_is_answered_when_it_is_told_to() -> None:
    talk = Talk.begin(chunk_size=1000)
    data_set = bytes(range(250)) * 10
    talk.hear(object_pdus(data_set, message_id=7))
    assert talk.events == [
        ObjectBegun(number=1, sop_class=CT, sop_instance=INSTANCE, transfer_syntax=IMPLICIT, priority=2),
        ChunkFilled(number=1, index=0, data=data_set[:1000]),
        ChunkFilled(number=1, index=1, data=data_set[1000:2000]),
        ChunkFilled(number=1, index=2, data=data_set[2000:]),
        ObjectEnded(number=1, length=2500, chunks=3),
    ]
    assert talk.said() == b""
    assert talk.core.unanswered == 1
    talk.core.answer(1, 0xA700, 2.0)
    answer = response(talk.said())
    assert (answer.status, answer.message_id_being_responded_to) == (0xA700, 7)
    assert (answer.affected_sop_class_uid, talk.core.unanswered) == (CT, 0)
    talk.core.answer(1, 0x0000, 3.0)
    assert talk.said() == b"", "an object is answered once"


@pytest.mark.parametrize(("length", "chunks"), [(0, 1), (1000, 1), (1002, 2), (2000, 2)])
def test_the_number_of_chunks(length: int, chunks: int) -> None:
    talk = Talk.begin(chunk_size=1000)
    talk.hear(object_pdus(bytes(length)))
    assert talk.ended(1) == ObjectEnded(number=1, length=length, chunks=chunks)
    assert talk.data_set(1) == bytes(length)


def test_the_accepted_contexts_and_the_announced_length() -> None:
    talk = Talk.begin()
    assert talk.core.contexts() == ((CT, IMPLICIT),)
    assert talk.core.accepted() == {1: IMPLICIT, 3: IMPLICIT}
    assert talk.core.request is not None


def test_c_echo_is_answered_here_and_what_needs_no_answer_gets_none() -> None:
    talk = Talk.begin()
    assert talk.hear(command_pdu(1, echo_request(message_id=5))) == []
    answer = response(talk.said())
    assert (answer.status, answer.message_id_being_responded_to) == (0x0000, 5)
    cancel = command_bytes((0x0100, us(0x0FFF)), (0x0120, us(5)), (0x0800, us(0x0101)))
    assert talk.hear(command_pdu(3, cancel)) == []
    assert talk.said() == b""


@pytest.mark.parametrize(
    ("context_id", "command", "status"),
    [
        (3, store_rq(instance=b""), 0xC000),
        (3, store_rq(instance=b"1" * 66), 0xC000),
        (3, store_rq(sop_class=b""), 0xC000),
        (1, store_rq(), 0x0122),
    ],
    ids=["no instance", "long instance", "no class", "verification"],
)
def test_a_c_store_that_cannot_be_stored_is_refused_behind_its_data_set(
    context_id: int, command: bytes, status: int
) -> None:
    talk = Talk.begin()
    assert talk.hear(command_pdu(context_id, command)) == []
    assert talk.said() == b""
    assert talk.hear(pdu(pdv(context_id, 0x02, bytes(100)))) == []
    assert response(talk.said()).status == status
    assert talk.core.unanswered == 0


@pytest.mark.parametrize(("context_id", "status"), [(3, 0xC000), (1, 0x0122)])
def test_a_c_store_without_a_data_set_is_refused_at_once(context_id: int, status: int) -> None:
    talk = Talk.begin()
    assert talk.hear(command_pdu(context_id, store_rq(has_data_set=False))) == []
    assert response(talk.said()).status == status


def test_an_object_that_is_discarded_brings_no_more_chunks() -> None:
    talk = Talk.begin(chunk_size=100)
    talk.hear(command_pdu(3, store_rq()) + pdu(pdv(3, 0x00, bytes(250))))
    assert [type(event) for event in talk.events] == [ObjectBegun, ChunkFilled, ChunkFilled]
    talk.core.discard(2)
    talk.core.discard(1)
    assert talk.hear(pdu(pdv(3, 0x02, bytes(250)))) == [ObjectEnded(number=1, length=500, chunks=2)]
    talk.core.discard(1)
    talk.core.answer(1, 0xA700, 2.0)
    assert response(talk.said()).status == 0xA700


def test_a_sub_operation_is_handed_over_with_all_its_bytes() -> None:
    talk = Talk.begin()
    talk.hear(object_pdus(b"12"))
    talk.core.answer(1, 0x0000, 1.0)
    talk.said()
    raw = pdu(pdv(3, 0x03, store_rq(originator=b"PACS")), pdv(3, 0x00, b"ab")) + pdu(pdv(3, 0x02, b"cd"))
    assert talk.hear(raw) == [HandedOver(raw=raw, what="C-STORE-RQ of a C-MOVE")]
    assert talk.core.is_over
    assert talk.hear(raw) == []


def test_a_command_in_pieces_is_handed_over_from_the_beginning_of_its_pdu() -> None:
    command = store_rq(originator=b"PACS")
    raw = pdu(pdv(3, 0x01, command[:50])) + pdu(pdv(3, 0x03, command[50:]))
    for cut in range(1, len(raw)):
        talk = Talk.begin()
        assert talk.hear(raw[:cut]) == []
        assert talk.hear(raw[cut:]) == [HandedOver(raw=raw, what="C-STORE-RQ of a C-MOVE")], cut


@pytest.mark.parametrize(
    ("command", "what"),
    [
        (command_bytes((0x0100, us(0x0020)), (0x0110, us(1)), (0x0800, us(0x0101))), "C-FIND-RQ"),
        (command_bytes((0x0100, us(0x7FFF)), (0x0110, us(1)), (0x0800, us(0x0101))), "a command that is not known"),
    ],
)
def test_other_commands_are_handed_over(command: bytes, what: str) -> None:
    (event,) = Talk.begin().hear(command_pdu(3, command))
    assert isinstance(event, HandedOver)
    assert event.what == what


def test_what_is_handed_over_must_begin_a_pdu() -> None:
    talk = Talk.begin()
    talk.hear(command_pdu(3, store_rq()))
    (*_, ended) = talk.hear(pdu(pdv(3, 0x02, b"ab"), pdv(3, 0x03, store_rq(originator=b"PACS"))))
    assert isinstance(ended, Ended)
    assert talk.said()[-10] == 0x07


@pytest.mark.parametrize(
    "pdus",
    [
        command_pdu(3, store_rq()) + command_pdu(3, store_rq()),
        pdu(pdv(3, 0x02, b"ab")),
        command_pdu(3, store_rq()) + pdu(pdv(1, 0x02, b"ab")),
        pdu(pdv(3, 0x01, store_rq()[:20])) + pdu(pdv(1, 0x03, store_rq()[20:])),
        pdu(pdv(3, 0x01, store_rq()[:20])) + pdu(pdv(3, 0x02, b"ab")),
        command_pdu(3, store_rq(message_id=None)),
        command_pdu(1, command_bytes((0x0100, us(0x0030)), (0x0800, us(0x0101)))),
        command_pdu(3, b"garbage"),
    ],
    ids=[
        "command within data set",
        "data set without command",
        "data set on another context",
        "two commands mixed",
        "data set within command",
        "no message id",
        "echo without message id",
        "no command",
    ],
)
def test_what_breaks_the_protocol_aborts_the_association(pdus: bytes) -> None:
    talk = Talk.begin()
    (*_, ended) = talk.hear(pdus)
    assert isinstance(ended, Ended)
    assert talk.said()[-10] == 0x07
    talk.core.answer(1, 0x0000, 2.0)
    assert talk.said() == b""


def test_a_command_without_end_and_requests_without_waiting() -> None:
    talk = Talk.begin()
    for _ in range(1100):
        talk.hear(pdu(pdv(3, 0x01, bytes(1000))))
    assert isinstance(talk.events[-1], Ended)
    talk = Talk.begin()
    for number in range(MOST_OUTSTANDING + 1):
        talk.hear(object_pdus(b"ab", message_id=number + 1))
    assert isinstance(talk.events[-1], Ended)


def test_the_ends_of_an_association() -> None:
    talk = Talk.begin()
    assert talk.hear(encode_release_request()) == [Ended(text="released")]
    assert talk.said()[0] == 0x06
    assert talk.core.is_over
    talk = Talk.begin()
    assert talk.hear(encode_abort(source=0, reason=0)) == [Ended(text="aborted (source 0, reason 0)")]
    talk = Talk.begin()
    (ended,) = talk.hear(b"\x99" * 10)
    assert isinstance(ended, Ended)
    talk = Talk.begin()
    talk.core.abort(1.0)
    assert talk.said()[0] == 0x07
    assert talk.core.events_received() == [Ended(text="aborted by this proxy")]


def test_an_answer_without_a_question_does_nothing() -> None:
    core = StorageAcceptor(1000, 0.0)
    core.accept([], LONGEST, 0.0)
    assert core.data_to_send() == []
    core.receive_data(request(), 0.0)
    core.abort(0.0)
    core.accept([result(1, 0)], LONGEST, 0.0)
    assert VERIFICATION not in str(core.data_to_send())
