"""An SCU and its objects, for the tests of the acceptor's core; and an archive, for those of the requestor's."""

from dataclasses import dataclass, field

from dimse_proxy.queueing.accepting import AcceptorEvent, ChunkFilled, ObjectEnded, StorageAcceptor
from dimse_proxy.queueing.pdvs import data_set_pdus
from dimse_proxy.upper_layer.codec import encode_associate_accept, encode_associate_request
from dimse_proxy.upper_layer.implementation import own_user_information
from dimse_proxy.upper_layer.pdu import ContextResult, ProposedContext, UserItem
from tests.unit.dimse.messages import command_bytes, pdu, pdv, us

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
VERIFICATION = "1.2.840.10008.1.1"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
INSTANCE = "1.2.826.0.1.3680043.8.498.1"
CALLED = b"ARCHIVE".ljust(16)
CALLING = b"CT1".ljust(16)
LONGEST = 16384


def proposed(context_id: int, abstract: str, *transfers: str) -> ProposedContext:
    return ProposedContext(context_id=context_id, abstract_syntax=abstract, transfer_syntaxes=transfers)


def result(context_id: int, value: int, transfer: str = IMPLICIT) -> ContextResult:
    return ContextResult(context_id=context_id, result=value, transfer_syntax=transfer)


def request(*contexts: ProposedContext, items: tuple[UserItem, ...] = ()) -> bytes:
    return encode_associate_request(
        called_ae_title=CALLED,
        calling_ae_title=CALLING,
        presentation_contexts=contexts or (proposed(1, VERIFICATION, IMPLICIT), proposed(3, CT, IMPLICIT)),
        user_information=(*own_user_information(), *items),
    )


def accept(*results: ContextResult) -> bytes:
    return encode_associate_accept(
        called_ae_title=CALLED,
        calling_ae_title=CALLING,
        presentation_contexts=results,
        user_information=own_user_information(LONGEST),
    )


def store_rq(
    *,
    message_id: int | None = 1,
    sop_class: bytes = CT.encode() + b"\0",
    instance: bytes = INSTANCE.encode() + b"\0",
    originator: bytes | None = None,
    has_data_set: bool = True,
) -> bytes:
    return command_bytes(
        (0x0002, sop_class),
        (0x0100, us(0x0001)),
        *(() if message_id is None else ((0x0110, us(message_id)),)),
        (0x0700, us(2)),
        (0x0800, us(0x0001 if has_data_set else 0x0101)),
        (0x1000, instance),
        *(() if originator is None else ((0x1030, originator),)),
    )


def command_pdu(context_id: int, command: bytes) -> bytes:
    return pdu(pdv(context_id, 0x03, command))


def object_pdus(data_set: bytes, *, context_id: int = 3, message_id: int = 1) -> bytes:
    """A whole C-STORE, as an SCU sends it."""
    return command_pdu(context_id, store_rq(message_id=message_id)) + data_set_pdus(
        context_id, data_set, LONGEST, is_last=True
    )


@dataclass
class Talk:
    """A queued association that was accepted."""

    core: StorageAcceptor
    events: list[AcceptorEvent] = field(default_factory=list)

    @classmethod
    def begin(cls, *, chunk_size: int = 1000) -> "Talk":
        core = StorageAcceptor(chunk_size, 0.0)
        core.receive_data(request(), 0.0)
        core.accept([result(1, 0), result(3, 0)], LONGEST, 0.0)
        talk = cls(core)
        assert talk.said()[0] == 0x02
        return talk

    def hear(self, data: bytes) -> list[AcceptorEvent]:
        """The SCU says something; what there is to do."""
        self.core.receive_data(data, 1.0)
        events = self.core.events_received()
        self.events += events
        return events

    def said(self) -> bytes:
        """What the SCU was told since the last look."""
        return b"".join(self.core.data_to_send())

    def data_set(self, number: int) -> bytes:
        """The data set of an object, put together from its chunks, which must come in order."""
        chunks = [event for event in self.events if isinstance(event, ChunkFilled) and event.number == number]
        assert [chunk.index for chunk in chunks] == list(range(len(chunks)))
        return b"".join(chunk.data for chunk in chunks)

    def ended(self, number: int) -> ObjectEnded:
        return next(event for event in self.events if isinstance(event, ObjectEnded) and event.number == number)
