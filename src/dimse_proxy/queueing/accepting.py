"""The acceptor of a queued association: takes C-STOREs apart into chunks, and answers each when it is told to.

A core: what the SCU sends comes in as bytes, PDU for PDU as its relay lets it through; answers go out as bytes, chunks
and whatever else there is to do as events. It holds one chunk at most. What does not belong here: where chunks go, and
which contexts are accepted.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from dimse_proxy.dimse.command_set import CommandField, CommandSet, Tag
from dimse_proxy.dimse.services import VERIFICATION_SOP_CLASS, response_without_data_set
from dimse_proxy.dimse.tracking import COMMAND_LIMIT
from dimse_proxy.errors import RemoteProtocolError
from dimse_proxy.queueing.eligible import is_answered_here, is_ignored
from dimse_proxy.queueing.pdvs import Fragment, PdvReader
from dimse_proxy.upper_layer.association import Association, Role
from dimse_proxy.upper_layer.codec import (
    ASSOCIATE_RESERVED,
    encode_associate_accept,
    encode_p_data_tf,
    encode_release_response,
)
from dimse_proxy.upper_layer.events import (
    AbortReceived,
    ConnectionLost,
    PDataReceived,
    ProtocolViolated,
    ReleaseRequestReceived,
)
from dimse_proxy.upper_layer.implementation import own_user_information
from dimse_proxy.upper_layer.items import AbortReason, decode_uid
from dimse_proxy.upper_layer.negotiation import maximum_length
from dimse_proxy.upper_layer.pdu import AssociateRequest, ContextResult

SUCCESS: Final = 0x0000
CANNOT_UNDERSTAND: Final = 0xC000
"""Error: cannot understand (PS3.4 B.2.3)."""
NOT_SUPPORTED: Final = 0x0122
"""Refused: SOP class not supported (PS3.7 C.5.6)."""
MOST_OUTSTANDING: Final = 256
"""C-STOREs that wait for their answer: no asynchronous window was negotiated, so one is what there should be."""
_LONGEST_UID: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectBegun:
    """The command of a C-STORE has come."""

    number: int
    sop_class: str
    sop_instance: str
    transfer_syntax: str
    priority: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkFilled:
    """A piece of its data set is there."""

    number: int
    index: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectEnded:
    """Its data set has come to its end: it is to be answered."""

    number: int
    length: int
    chunks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedOver:
    """A command that is not for here: all bytes from its PDU on are the target's, and so is the association."""

    raw: bytes
    """From the beginning of its PDU to the end of what has come."""
    what: str
    """The command, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The association is over."""

    text: str


AcceptorEvent: TypeAlias = ObjectBegun | ChunkFilled | ObjectEnded | HandedOver | Ended


@dataclass(slots=True, kw_only=True)
class _Incoming:
    """The C-STORE whose data set is on its way."""

    number: int
    context_id: int
    command: CommandSet
    refusal: int | None
    """Status that it is answered with in any case."""
    parts: list[memoryview]
    held: int = 0
    length: int = 0
    chunks: int = 0
    is_discarded: bool = False


class StorageAcceptor:
    """One queued association, seen from its acceptor."""

    def __init__(self, chunk_size: int, now: float) -> None:
        """Wait for the A-ASSOCIATE-RQ.

        Args:
            chunk_size: bytes of a data set in each chunk but the last.
            now: seconds.
        """
        self._chunk_size: Final = chunk_size
        self._association: Final = Association(Role.ACCEPTOR)
        self._association.transport_connected(now)
        self._reader: Final = PdvReader()
        self._events: list[AcceptorEvent] = []
        self._command = bytearray()
        self._command_context: int | None = None
        self._raw: list[bytes | memoryview] = []
        self._raw_from = 0
        self._can_hand_over = False
        self._incoming: _Incoming | None = None
        self._unanswered: Final[dict[int, tuple[int, CommandSet]]] = {}
        self._numbers = 0
        self._is_handed_over = False

    @property
    def request(self) -> AssociateRequest | None:
        """The A-ASSOCIATE-RQ, once it has come."""
        return self._association.request

    @property
    def is_over(self) -> bool:
        """Nothing more comes, and nothing can be answered."""
        return self._association.is_over or self._is_handed_over

    @property
    def unanswered(self) -> int:
        """C-STOREs that wait for their answer."""
        return len(self._unanswered)

    def contexts(self) -> tuple[tuple[str, str], ...]:
        """Return abstract and transfer syntax of the accepted contexts that are not Verification's, each pair once."""
        pairs = ((one.abstract_syntax, one.transfer_syntax) for one in self._association.accepted_contexts.values())
        return tuple(dict.fromkeys(pair for pair in pairs if pair[0] != VERIFICATION_SOP_CLASS))

    def accepted(self) -> dict[int, str]:
        """Return the transfer syntax of each accepted context, by presentation context id."""
        return {number: one.transfer_syntax for number, one in self._association.accepted_contexts.items()}

    def accept(self, results: Iterable[ContextResult], longest: int, now: float) -> None:
        """Answer the A-ASSOCIATE-RQ.

        Args:
            results: of all its contexts.
            longest: P-DATA-TF that is taken, bytes; 0 for no limit.
            now: seconds.
        """
        request = self._association.request
        if request is None or self.is_over:
            return
        raw = encode_associate_accept(
            called_ae_title=request.called_ae_title,
            calling_ae_title=request.calling_ae_title,
            presentation_contexts=results,
            user_information=own_user_information(longest),
            reserved=request.raw[ASSOCIATE_RESERVED],
        )
        self._association.send(raw, now)

    def receive_data(self, data: bytes | memoryview, now: float) -> None:
        """Take what the SCU's relay lets through."""
        if self._is_handed_over:
            return
        self._association.receive_data(data, now)
        for event in self._association.events_received():
            match event:
                case PDataReceived(data=p_data):
                    self._take_p_data(memoryview(p_data), now)
                case ReleaseRequestReceived():
                    self._association.send(encode_release_response(), now)
                    self._end("released")
                case AbortReceived(abort=abort):
                    self._end(f"aborted (source {abort.source}, reason {abort.reason})")
                case ProtocolViolated(description=text) | ConnectionLost(description=text):
                    self._end(text)
                case _:
                    pass  # The request is looked at where it is decided on.

    def discard(self, number: int) -> None:
        """Let the rest of an object's data set go nowhere; it will be answered with a failure."""
        if self._incoming is not None and self._incoming.number == number:
            self._incoming.is_discarded = True
            self._incoming.parts.clear()
            self._incoming.held = 0

    def answer(self, number: int, status: int, now: float) -> None:
        """Answer the C-STORE that is object `number`."""
        request = self._unanswered.pop(number, None)
        if request is not None:
            self._respond(*request, status, now)

    def abort(self, now: float) -> None:
        """End the association at once."""
        self._association.send_abort(2, 0, now)
        self._end("aborted by this proxy")

    def data_to_send(self) -> list[bytes | memoryview]:
        """Hand out, once, what is for the SCU."""
        return self._association.data_to_send()

    def events_received(self) -> list[AcceptorEvent]:
        """Hand out, once, what there is to do, in order."""
        events, self._events = self._events, []
        return events

    # Inside.

    def _take_p_data(self, data: memoryview, now: float) -> None:
        self._raw_from = 0
        try:
            for fragment in self._reader.feed(data):
                if fragment.is_command:
                    self._take_command(fragment, data, now)
                else:
                    self._take_data_set(fragment, now)
                if self.is_over:
                    return
        except RemoteProtocolError as error:
            self._association.send_abort(error.source, error.reason, now)
            self._end(str(error))
            return
        if self._command_context is not None:
            self._raw.append(bytes(data[self._raw_from :]))

    def _take_command(self, fragment: Fragment, data: memoryview, now: float) -> None:
        if self._incoming is not None:
            raise _unexpected("a command within a data set")
        if self._command_context is None:
            self._command_context = fragment.context_id
            self._raw = [fragment.head]
            self._raw_from = fragment.end - len(fragment.data)
            self._can_hand_over = bool(fragment.head)
        elif fragment.context_id != self._command_context:
            raise _unexpected("two commands mixed")
        self._command += fragment.data
        if len(self._command) > COMMAND_LIMIT:
            raise _unexpected("a command without end")
        if not (fragment.is_last and fragment.ends):
            return
        command = CommandSet.decode(bytes(self._command))
        self._command.clear()
        self._command_context = None
        if is_ignored(command):
            return
        if not is_answered_here(command):
            self._hand_over(command, data)
        elif command.command_field is CommandField.C_ECHO_RQ:
            self._respond(fragment.context_id, command, SUCCESS, now)
        else:
            self._begin_object(fragment.context_id, command, now)

    def _hand_over(self, command: CommandSet, data: memoryview) -> None:
        if not self._can_hand_over:
            raise _unexpected("a command that is not for the queue behind another message in one PDU")
        field = command.command_field
        what = "a command that is not known" if field is None else field.message_name
        if command.move_originator_ae_title is not None:
            what = f"{what} of a C-MOVE"
        self._is_handed_over = True
        raw = b"".join((*self._raw, data[self._raw_from :]))
        self._raw.clear()
        self._events.append(HandedOver(raw=raw, what=what))

    def _begin_object(self, context_id: int, command: CommandSet, now: float) -> None:
        if command.message_id is None:
            raise _unexpected("a C-STORE-RQ without a Message ID")
        if len(self._unanswered) >= MOST_OUTSTANDING:
            raise _unexpected(f"more than {MOST_OUTSTANDING} C-STORE-RQs without waiting for an answer")
        context = self._association.accepted_contexts[context_id]
        sop_class = command.affected_sop_class_uid or ""
        instance = decode_uid(command.elements.get(Tag.AFFECTED_SOP_INSTANCE_UID, b""))
        refusal = None
        if context.abstract_syntax == VERIFICATION_SOP_CLASS:
            refusal = NOT_SUPPORTED
        elif not (0 < len(instance) <= _LONGEST_UID and 0 < len(sop_class) <= _LONGEST_UID):
            refusal = CANNOT_UNDERSTAND
        if not command.has_data_set:
            self._respond(context_id, command, refusal or CANNOT_UNDERSTAND, now)
            return
        self._numbers += 1
        number = self._numbers
        self._incoming = _Incoming(number=number, context_id=context_id, command=command, refusal=refusal, parts=[])
        if refusal is None:
            self._unanswered[number] = (context_id, command)
            priority = command.elements.get(Tag.PRIORITY, b"")
            self._events.append(
                ObjectBegun(
                    number=number,
                    sop_class=sop_class,
                    sop_instance=instance,
                    transfer_syntax=context.transfer_syntax,
                    priority=int.from_bytes(priority[:2], "little"),
                )
            )
        else:
            self._incoming.is_discarded = True

    def _take_data_set(self, fragment: Fragment, now: float) -> None:
        incoming = self._incoming
        if incoming is None or self._command_context is not None or fragment.context_id != incoming.context_id:
            raise _unexpected("a data set that no command has announced")
        incoming.length += len(fragment.data)
        if not incoming.is_discarded:
            self._keep(incoming, fragment.data)
        if fragment.is_last and fragment.ends:
            self._end_object(incoming, now)

    def _keep(self, incoming: _Incoming, data: memoryview) -> None:
        """Add to the chunk that is being filled; a chunk leaves only once there is more behind it."""
        while data:
            room = self._chunk_size - incoming.held
            if not room:
                self._emit(incoming)
                continue
            piece = data[:room]
            incoming.parts.append(piece)
            incoming.held += len(piece)
            data = data[len(piece) :]

    def _emit(self, incoming: _Incoming) -> None:
        data = b"".join(incoming.parts)
        self._events.append(ChunkFilled(number=incoming.number, index=incoming.chunks, data=data))
        incoming.chunks += 1
        incoming.parts.clear()
        incoming.held = 0

    def _end_object(self, incoming: _Incoming, now: float) -> None:
        self._incoming = None
        if incoming.refusal is not None:
            self._respond(incoming.context_id, incoming.command, incoming.refusal, now)
            return
        if not incoming.is_discarded:
            self._emit(incoming)
        self._events.append(ObjectEnded(number=incoming.number, length=incoming.length, chunks=incoming.chunks))

    def _respond(self, context_id: int, command: CommandSet, status: int, now: float) -> None:
        request = self._association.request
        assert request is not None, "there is no command before the association"
        if command.message_id is None:
            raise _unexpected("a request without a Message ID")
        pdus = encode_p_data_tf(
            context_id=context_id,
            data=response_without_data_set(command, status).encode(),
            is_command=True,
            maximum_length=maximum_length(request.user_information),
        )
        self._association.send_p_data(b"".join(pdus), now)

    def _end(self, text: str) -> None:
        self._incoming = None
        self._unanswered.clear()
        self._events.append(Ended(text=text))


def _unexpected(what: str) -> RemoteProtocolError:
    return RemoteProtocolError(what, reason=AbortReason.UNEXPECTED_PDU)
