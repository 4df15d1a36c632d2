"""The requestor of a queued association: one association with the target, and one C-STORE after the other on it.

A core: what the target sends comes in as bytes, what it is sent goes out as bytes, its answers are events. It holds no
data set. What does not belong here: what an answer makes of an object (`outcome`), and AE titles, contexts and
connections, which are the requestor relay's.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from dimse_proxy.dimse.command_set import CommandField, CommandSet, Tag, encode_ui, encode_us
from dimse_proxy.dimse.tracking import COMMAND_LIMIT
from dimse_proxy.errors import RemoteProtocolError
from dimse_proxy.queueing.pdvs import data_set_pdus
from dimse_proxy.queueing.records import Parties, QueuedObject
from dimse_proxy.upper_layer.ae_title import ae_title_to_bytes
from dimse_proxy.upper_layer.association import Association, Role, State
from dimse_proxy.upper_layer.codec import encode_associate_request, encode_p_data_tf, encode_release_request
from dimse_proxy.upper_layer.events import (
    AbortReceived,
    AssociateAcceptReceived,
    AssociateRejectReceived,
    CommandFragment,
    ConnectionLost,
    PDataReceived,
    PdvMark,
    ProtocolViolated,
    ReleaseRequestReceived,
    ReleaseResponseReceived,
)
from dimse_proxy.upper_layer.implementation import own_user_information
from dimse_proxy.upper_layer.negotiation import maximum_length
from dimse_proxy.upper_layer.pdu import ProposedContext

MOST_CONTEXTS: Final = 128
"""Presentation contexts of one association: odd ids from 1 to 255 (PS3.8 9.3.2.2)."""
_A_DATA_SET_FOLLOWS: Final = 0x0001
"""Command Data Set Type; anything but 0101H (PS3.7 E.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Associated:
    """The target accepts the association."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """The target rejects it."""

    result: int
    source: int
    reason: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The target has answered the C-STORE that was sent last."""

    status: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Over:
    """There is no association any more."""

    text: str
    is_released: bool = False


RequestorEvent: TypeAlias = Associated | Rejected | Answered | Over


class StorageRequestor:
    """One association with the target."""

    def __init__(self, parties: Parties, contexts: Iterable[tuple[str, str]], now: float) -> None:
        """Ask for the association; `data_to_send` has the A-ASSOCIATE-RQ.

        Args:
            parties: who asked for the original one; the relay puts in what this side's configuration says.
            contexts: abstract and transfer syntax of each, the first `MOST_CONTEXTS` of which are proposed.
            now: seconds.
        """
        self._association: Final = Association(Role.REQUESTOR)
        self._pairs: Final[dict[int, tuple[str, str]]] = {
            2 * place + 1: pair for place, pair in enumerate(list(dict.fromkeys(contexts))[:MOST_CONTEXTS])
        }
        self._contexts: Final[dict[tuple[str, str], int]] = {}
        self._events: list[RequestorEvent] = []
        self._maximum_length = 0
        self._message_id = 0
        self._context_id = 0
        self._command = bytearray()
        self._is_said = False
        request = encode_associate_request(
            called_ae_title=ae_title_to_bytes(parties.called),
            calling_ae_title=ae_title_to_bytes(parties.calling),
            presentation_contexts=[
                ProposedContext(context_id=number, abstract_syntax=abstract, transfer_syntaxes=(transfer,))
                for number, (abstract, transfer) in self._pairs.items()
            ],
            user_information=own_user_information(),
        )
        self._association.send(request, now)
        self._association.transport_connected(now)

    @property
    def is_usable(self) -> bool:
        """Objects can be sent."""
        return self._association.state is State.STA6

    @property
    def proposed(self) -> Sequence[tuple[str, str]]:
        """Abstract and transfer syntax of each context that was proposed."""
        return tuple(self._pairs.values())

    def has_context(self, record: QueuedObject) -> bool:
        """Whether the target has accepted a context for an object."""
        return (record.sop_class, record.transfer_syntax) in self._contexts

    def begin(self, record: QueuedObject, now: float) -> None:
        """Send the C-STORE-RQ of an object for which there is a context; `add` sends its data set."""
        self._message_id = self._message_id % 0xFFFF + 1
        self._context_id = self._contexts[record.sop_class, record.transfer_syntax]
        command = CommandSet(
            elements={
                Tag.AFFECTED_SOP_CLASS_UID: encode_ui(record.sop_class),
                Tag.COMMAND_FIELD: encode_us(CommandField.C_STORE_RQ),
                Tag.MESSAGE_ID: encode_us(self._message_id),
                Tag.PRIORITY: encode_us(record.priority),
                Tag.COMMAND_DATA_SET_TYPE: encode_us(_A_DATA_SET_FOLLOWS),
                Tag.AFFECTED_SOP_INSTANCE_UID: encode_ui(record.sop_instance),
            }
        )
        pdus = encode_p_data_tf(
            context_id=self._context_id, data=command.encode(), is_command=True, maximum_length=self._maximum_length
        )
        self._association.send_p_data(b"".join(pdus), now)

    def add(self, data: bytes, now: float, *, is_last: bool) -> None:
        """Send the next piece of the data set, as PDUs that the target takes."""
        pdus = data_set_pdus(self._context_id, data, self._maximum_length, is_last=is_last)
        self._association.send_p_data(pdus, now)

    def release(self, now: float) -> None:
        """Ask for the release, unless the association is over."""
        if self.is_usable:
            self._association.send(encode_release_request(), now)

    def abort(self, now: float) -> None:
        """End the association at once."""
        self._association.send_abort(0, 0, now)
        self.lost("aborted by this proxy")

    def lost(self, text: str) -> None:
        """There is no association any more, whatever the target thinks of it."""
        if not self._is_said:
            self._is_said = True
            self._events.append(Over(text=text))

    def receive_data(self, data: bytes | memoryview, now: float) -> None:
        """Take what the target sent."""
        self._association.receive_data(data, now)
        for event in self._association.events_received():
            match event:
                case PDataReceived(marks=marks):
                    self._take(marks, now)
                case AssociateAcceptReceived(accept=accept):
                    self._maximum_length = maximum_length(accept.user_information)
                    for number, accepted in self._association.accepted_contexts.items():
                        pair = self._pairs[number]
                        if accepted.transfer_syntax == pair[1]:
                            self._contexts[pair] = number
                    self._events.append(Associated())
                case AssociateRejectReceived(reject=reject):
                    self._is_said = True
                    self._events.append(Rejected(result=reject.result, source=reject.source, reason=reject.reason))
                case ReleaseResponseReceived():
                    self._is_said = True
                    self._events.append(Over(text="released", is_released=True))
                case ReleaseRequestReceived():
                    self._association.send_abort(0, 0, now)
                    self.lost("the target asked for the release, which is not its to ask for here")
                case AbortReceived(abort=abort):
                    self.lost(f"the target aborted (source {abort.source}, reason {abort.reason})")
                case ProtocolViolated(description=text) | ConnectionLost(description=text):
                    self.lost(text)
                case _:
                    pass

    def data_to_send(self) -> list[bytes | memoryview]:
        """Hand out, once, what is for the target."""
        return self._association.data_to_send()

    def events_received(self) -> list[RequestorEvent]:
        """Hand out, once, what has happened, in order."""
        events, self._events = self._events, []
        return events

    def _take(self, marks: Iterable[PdvMark], now: float) -> None:
        for mark in marks:
            if not isinstance(mark, CommandFragment):
                continue
            self._command += mark.data
            if len(self._command) > COMMAND_LIMIT:
                self.abort(now)
                return
            if not mark.is_last:
                continue
            raw, self._command = bytes(self._command), bytearray()
            try:
                command = CommandSet.decode(raw)
            except RemoteProtocolError as error:
                self._association.send_abort(error.source, error.reason, now)
                self.lost(str(error))
                return
            if command.command_field is CommandField.C_STORE_RSP and self._is_ours(command):
                self._events.append(Answered(status=command.status))

    def _is_ours(self, command: CommandSet) -> bool:
        return command.message_id_being_responded_to == self._message_id
