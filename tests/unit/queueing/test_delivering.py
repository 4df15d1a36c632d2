"""The requestor of a queued association: contexts, commands, answers, and what ends it."""

import pytest

from dimse_proxy.dimse.command_set import CommandSet
from dimse_proxy.queueing.delivering import Answered, Associated, Over, Rejected, StorageRequestor
from dimse_proxy.queueing.records import Parties, QueuedObject
from dimse_proxy.upper_layer.codec import (
    decode_pdu,
    encode_abort,
    encode_associate_reject,
    encode_release_request,
    encode_release_response,
)
from dimse_proxy.upper_layer.pdu import AssociateRequest
from tests.unit.dimse.messages import command_bytes, pdu, pdv, us
from tests.unit.queueing.dialogue import CT, EXPLICIT, IMPLICIT, INSTANCE, MR, accept, command_pdu, result

PARTIES = Parties(calling="CT1", called="ARCHIVE", peer="10.0.0.1:4242")


def record(sop_class: str = CT, transfer: str = IMPLICIT) -> QueuedObject:
    return QueuedObject(
        number=1,
        parties=PARTIES,
        sop_class=sop_class,
        sop_instance=INSTANCE,
        transfer_syntax=transfer,
        priority=1,
        length=4,
        chunks=1,
        chunk_size=1000,
        accepted=0.0,
    )


def rsp(message_id: int, status: int | None = 0x0000) -> bytes:
    return command_bytes(
        (0x0100, us(0x8001)),
        (0x0120, us(message_id)),
        (0x0800, us(0x0101)),
        *(() if status is None else ((0x0900, us(status)),)),
    )


def asked(*contexts: tuple[str, str]) -> StorageRequestor:
    return StorageRequestor(PARTIES, contexts or ((CT, IMPLICIT), (MR, EXPLICIT)), 0.0)


def established() -> StorageRequestor:
    core = asked()
    core.data_to_send()
    core.receive_data(accept(result(1, 0), result(3, 0, EXPLICIT)), 0.0)
    assert core.events_received() == [Associated()]
    return core


def test_the_request_has_the_contexts_of_the_original_association() -> None:
    core = asked((CT, IMPLICIT), (MR, EXPLICIT), (CT, IMPLICIT))
    raw = b"".join(core.data_to_send())
    request = decode_pdu(raw)
    assert isinstance(request, AssociateRequest)
    assert [(one.context_id, one.abstract_syntax, one.transfer_syntaxes) for one in request.presentation_contexts] == [
        (1, CT, (IMPLICIT,)),
        (3, MR, (EXPLICIT,)),
    ]
    assert (request.calling_ae_title.strip(), request.called_ae_title.strip()) == (b"CT1", b"ARCHIVE")
    assert core.proposed == ((CT, IMPLICIT), (MR, EXPLICIT))
    assert not core.is_usable


def test_no_more_contexts_than_an_association_can_have() -> None:
    core = asked(*((f"1.2.{number}", IMPLICIT) for number in range(200)))
    request = decode_pdu(b"".join(core.data_to_send()))
    assert isinstance(request, AssociateRequest)
    assert [context.context_id for context in request.presentation_contexts] == list(range(1, 257, 2))


def test_only_what_was_accepted_just_so_has_a_context() -> None:
    core = asked((CT, IMPLICIT), (MR, EXPLICIT), (CT, EXPLICIT))
    core.receive_data(accept(result(1, 0), result(3, 3), result(5, 0, IMPLICIT)), 0.0)
    assert core.is_usable
    assert core.has_context(record())
    assert not core.has_context(record(MR, EXPLICIT))
    assert not core.has_context(record(CT, EXPLICIT)), "accepted with a transfer syntax that was not proposed"


def test_an_object_is_sent_and_answered() -> None:
    core = established()
    core.begin(record(), 1.0)
    core.add(b"abcd", 1.0, is_last=True)
    raw = b"".join(core.data_to_send())
    end = 6 + int.from_bytes(raw[2:6], "big")
    command = CommandSet.decode(raw[12:end])
    assert command.affected_sop_class_uid == CT
    assert command.message_id == 1
    assert command.move_originator_ae_title is None
    assert raw[end:] == pdu(pdv(1, 0x02, b"abcd"))
    core.receive_data(command_pdu(1, rsp(1, 0xB000)), 2.0)
    assert core.events_received() == [Answered(status=0xB000)]
    core.begin(record(MR, EXPLICIT), 3.0)
    core.add(b"ab", 3.0, is_last=False)
    core.add(b"cd", 3.0, is_last=True)
    raw = b"".join(core.data_to_send())
    assert raw.endswith(pdu(pdv(3, 0x00, b"ab")) + pdu(pdv(3, 0x02, b"cd")))
    answer = rsp(2, None)
    core.receive_data(pdu(pdv(3, 0x01, answer[:9])) + pdu(pdv(3, 0x03, answer[9:])), 4.0)
    assert core.events_received() == [Answered(status=None)]


def test_answers_to_something_else_are_none() -> None:
    core = established()
    core.begin(record(), 1.0)
    find = command_bytes((0x0100, us(0x8020)), (0x0120, us(1)), (0x0800, us(0x0001)), (0x0900, us(0)))
    core.receive_data(command_pdu(1, rsp(9)) + command_pdu(1, find) + pdu(pdv(1, 0x02, b"ab")), 2.0)
    assert core.events_received() == []


def test_message_ids_begin_anew() -> None:
    core = established()
    core._message_id = 0xFFFF
    core.begin(record(), 1.0)
    assert core._message_id == 1


def test_a_release() -> None:
    core = established()
    core.release(1.0)
    assert core.data_to_send()[0][0] == 0x05
    core.release(1.0)
    assert core.data_to_send() == []
    core.receive_data(encode_release_response(), 2.0)
    assert core.events_received() == [Over(text="released", is_released=True)]
    core.lost("nothing new")
    assert core.events_received() == []


def test_a_rejection() -> None:
    core = asked()
    core.receive_data(encode_associate_reject(result=1, source=1, reason=7), 0.0)
    assert core.events_received() == [Rejected(result=1, source=1, reason=7)]


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (encode_abort(source=2, reason=1), "aborted (source 2, reason 1)"),
        (encode_release_request(), "asked for the release"),
        (b"\x99" * 10, "99H is not a type of PDU"),
        (command_pdu(1, b"garbage"), "command set"),
    ],
)
def test_what_ends_the_association(said: bytes, text: str) -> None:
    core = established()
    core.receive_data(said, 1.0)
    (over,) = core.events_received()
    assert isinstance(over, Over)
    assert text in over.text
    assert not core.is_usable


def test_an_answer_without_end() -> None:
    core = established()
    for _ in range(1100):
        core.receive_data(pdu(pdv(1, 0x01, bytes(1000))), 1.0)
    assert core.events_received() == [Over(text="aborted by this proxy")]
    assert core.data_to_send()[-1][0] == 0x07
