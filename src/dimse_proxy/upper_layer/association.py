"""One leg: an association with one end point, from its transport connection to the close of it (PS3.8 9.2).

Bytes and time come in, bytes and indications go out. `state_machine` says what happens when, `reader` cuts what the
peer sends, `codec` decodes what is not P-DATA. A primitive of the user is given as the PDU that it becomes and is sent
verbatim. Nothing here raises because of what the peer did. What does not belong here: sockets, the other leg, and
whether an association is wanted.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, TypeAlias, assert_never

from dimse_proxy.errors import LocalProtocolError, RemoteProtocolError
from dimse_proxy.upper_layer.codec import encode_abort
from dimse_proxy.upper_layer.events import (
    AbortReceived,
    AssociateAcceptReceived,
    AssociateRejectReceived,
    AssociateRequestReceived,
    ConnectionLost,
    PDataReceived,
    ProtocolViolated,
    ReleaseRequestReceived,
    ReleaseResponseReceived,
    TransportCloses,
)
from dimse_proxy.upper_layer.events import Event as Indication
from dimse_proxy.upper_layer.items import AbortReason
from dimse_proxy.upper_layer.negotiation import AcceptedContext, accepted
from dimse_proxy.upper_layer.pdu import (
    Abort,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    ControlPdu,
    PduType,
    ReleaseRequest,
    ReleaseResponse,
)
from dimse_proxy.upper_layer.reader import MAX_ASSOCIATE_LENGTH, PduReader, looks_like
from dimse_proxy.upper_layer.recent import decode_pdu
from dimse_proxy.upper_layer.state_machine import (
    ACTIONS,
    STATE_MEANINGS,
    TRANSITIONS,
    Action,
    Effect,
    Event,
    Role,
    State,
    next_state,
)

__all__ = ["Association", "Role", "State"]

_Bytes: TypeAlias = bytes | memoryview

_PRIMITIVES: Final[dict[int, Event]] = {
    PduType.A_ASSOCIATE_AC: Event.A_ASSOCIATE_RESPONSE_ACCEPT,
    PduType.A_ASSOCIATE_RJ: Event.A_ASSOCIATE_RESPONSE_REJECT,
    PduType.A_RELEASE_RQ: Event.A_RELEASE_REQUEST,
    PduType.A_RELEASE_RP: Event.A_RELEASE_RESPONSE,
    PduType.A_ABORT: Event.A_ABORT_REQUEST,
}
"""What the user asks for with a PDU of this type; the A-ASSOCIATE-RQ has a way of its own."""

_RECEIVED: Final[dict[int, Event]] = {
    PduType.A_ASSOCIATE_RQ: Event.A_ASSOCIATE_RQ_PDU,
    PduType.A_ASSOCIATE_AC: Event.A_ASSOCIATE_AC_PDU,
    PduType.A_ASSOCIATE_RJ: Event.A_ASSOCIATE_RJ_PDU,
    PduType.A_RELEASE_RQ: Event.A_RELEASE_RQ_PDU,
    PduType.A_RELEASE_RP: Event.A_RELEASE_RP_PDU,
    PduType.A_ABORT: Event.A_ABORT_PDU,
}
"""What a PDU of this type from the peer is."""

_PEER_HAS_FINISHED: Final = (State.STA8, State.STA12)
"""The peer has said all that it has to say and only our A-RELEASE-RP is missing: its end of file is no loss."""

_NO_CONTEXTS: Final[Mapping[int, AcceptedContext]] = MappingProxyType({})
_BEGINNING_LENGTH: Final = 16
"""Bytes of the stream remembered until the first PDU, to tell what a peer speaks that does not speak DICOM."""


class Association:
    """A state machine of PS3.8 with its reader, its timer and its queues.

    Primitives and losses may cross on their way through a tunnel: once the association is over, everything is taken
    and ignored.
    """

    def __init__(self, role: Role, *, artim: float = 30.0, max_associate_length: int = MAX_ASSOCIATE_LENGTH) -> None:
        """Make an association in Sta1.

        Args:
            role: of our own end.
            artim: seconds that an association request, or the close after the last PDU, may take (PS3.8 9.1.5).
            max_associate_length: the longest A-ASSOCIATE-RQ or -AC taken, bytes without its header.
        """
        self._role: Final = role
        self._artim: Final = artim
        self._reader: Final = PduReader(accepted_contexts=None, max_associate_length=max_associate_length)
        self._state = State.STA1
        self._is_connected = False
        self._peer_ended = False
        self._ignores_bytes = False
        self._is_closed = False
        self._artim_expires: float | None = None
        self._beginning = b""
        self._request: AssociateRequest | None = None
        self._accept: AssociateAccept | None = None
        self._accepted_contexts = _NO_CONTEXTS
        self._output: list[_Bytes] = []
        self._indications: list[Indication] = []

    @property
    def state(self) -> State:
        """State of PS3.8 9.2.1; Sta1 again after the transport connection's close."""
        return self._state

    @property
    def is_over(self) -> bool:
        """The association no longer exists; only the transport connection may still be there."""
        return self._state is State.STA13 or self._is_closed

    @property
    def request(self) -> AssociateRequest | None:
        """The A-ASSOCIATE-RQ, whichever direction it went; None before."""
        return self._request

    @property
    def accept(self) -> AssociateAccept | None:
        """The A-ASSOCIATE-AC, whichever direction it went; None before."""
        return self._accept

    @property
    def accepted_contexts(self) -> Mapping[int, AcceptedContext]:
        """Presentation contexts on which P-DATA may come, by id; empty before the A-ASSOCIATE-AC."""
        return self._accepted_contexts

    # The transport connection.

    def transport_connected(self, now: float) -> None:
        """The transport connection is open.

        An acceptor waits for the A-ASSOCIATE-RQ from here on (AE-5). A requestor sends the one given before (AE-2), or
        waits for its user to give it.

        Raises:
            LocalProtocolError: it has been open already.
        """
        if self.is_over:
            return
        if self._is_connected:
            raise LocalProtocolError("the transport connection opened twice")
        self._is_connected = True
        if self._role is Role.ACCEPTOR:
            self._perform(TRANSITIONS[self._state, Event.TRANSPORT_CONNECTION_INDICATED], now)
        elif self._request is not None:
            self._transport_confirmed(self._request, now)

    def receive_data(self, data: _Bytes, now: float) -> None:
        """Take the next bytes from the peer.

        Raises:
            LocalProtocolError: there is no transport connection that they could have come on.
        """
        if self._state is not State.STA6 and not self._expects_bytes(data, now):
            return
        try:
            for piece in self._reader.feed(data):
                if not isinstance(piece, PDataReceived):
                    self._receive_control(piece.raw, now)
                elif self._state is State.STA6:
                    self._indications.append(piece)  # DT-2, without a detour: this is the hot path
                else:
                    self._receive(Event.P_DATA_TF_PDU, now, piece)
                if self._ignores_bytes:
                    return
        except RemoteProtocolError as error:
            self._receive_invalid(error, now)

    def receive_eof(self, now: float) -> None:
        """The peer will send no more, but may still read.

        Behind the peer's own A-RELEASE-RQ that is no loss: data and the A-RELEASE-RP are still sent.
        """
        if self._is_closed:
            return
        if self._state in _PEER_HAS_FINISHED:
            self._peer_ended = True
            return
        place = " inside a P-DATA-TF" if self._reader.inside_pdu else ""
        self._transport_closed(f"the peer closed the connection{place}", now)

    def connection_lost(self, now: float, description: str) -> None:
        """The transport connection is gone, or could not be made: nothing can be written either.

        Args:
            now: seconds.
            description: how it ended, for the log.
        """
        if self._is_closed:
            return
        self._output.clear()
        self._transport_closed(description, now)

    # The user's primitives.

    def send(self, pdu: bytes | AssociateRequest | AssociateAccept, now: float) -> None:
        """Take a primitive of the user, given as the PDU that it becomes.

        Args:
            pdu: one whole PDU, sent verbatim: A-ASSOCIATE-RQ (kept until the transport connection is open), -AC, -RJ,
                A-RELEASE-RQ, -RP or A-ABORT. The first two are long: who has decoded one may give that.
            now: seconds.

        Raises:
            LocalProtocolError: it is no such PDU, it cannot be decoded, or the state does not allow it.
        """
        if self.is_over:
            return
        try:
            primitive = decode_pdu(pdu) if isinstance(pdu, bytes) else pdu
        except RemoteProtocolError as error:
            raise LocalProtocolError(f"no primitive becomes such a PDU: {error}") from error
        match primitive:
            case AssociateRequest():
                self._request_association(primitive, now)
            case Abort() if self._state in (State.STA1, State.STA2):
                # Empty cells of Table 9-10, since there is nothing to abort: what the user gives up is the connection.
                self._close()
            case _:
                raw = primitive.raw
                action = self._allowed(_PRIMITIVES[raw[0]])
                if isinstance(primitive, AssociateAccept):
                    self._establish(primitive)
                self._perform(action, now, pdu=raw)

    def send_abort(self, source: int, reason: int, now: float) -> None:
        """End the association at once: the peer gets an A-ABORT (PS3.8 9.3.8). Never raises.

        Before there is an association, the transport connection is just closed.
        """
        self.send(encode_abort(source=source, reason=reason), now)

    def send_p_data(self, data: _Bytes, now: float) -> None:
        """Send bytes of P-DATA-TF PDUs (DT-1, AR-7). They are not looked at, and may begin and end anywhere in one.

        Args:
            data: kept by reference until it is handed out.
            now: seconds.

        Raises:
            LocalProtocolError: the state does not allow it.
        """
        if self._state is State.STA6 or self._state is State.STA8:
            self._output.append(data)
        elif not self.is_over:
            self._allowed(Event.P_DATA_REQUEST)

    # What comes of it.

    def data_to_send(self) -> list[_Bytes]:
        """Hand out, once, what is to be written to the peer, in order."""
        output, self._output = self._output, []
        return output

    def events_received(self) -> list[Indication]:
        """Hand out, once, the indications and confirmations for the user, in order."""
        indications, self._indications = self._indications, []
        return indications

    def next_timer(self) -> float | None:
        """Return when `handle_timer` is due, or None."""
        return self._artim_expires

    def handle_timer(self, now: float) -> None:
        """Do what is due: the ARTIM timer is the only one."""
        if self._artim_expires is not None and self._artim_expires <= now:
            self._perform(TRANSITIONS[self._state, Event.ARTIM_EXPIRED], now)

    # Inside.

    def _request_association(self, request: AssociateRequest, now: float) -> None:
        action = self._allowed(Event.A_ASSOCIATE_REQUEST)
        if self._role is Role.ACCEPTOR:
            raise LocalProtocolError("an acceptor requests no association")
        self._request = request
        self._perform(action, now)
        if self._is_connected:
            self._transport_confirmed(request, now)

    def _transport_confirmed(self, request: AssociateRequest, now: float) -> None:
        self._perform(TRANSITIONS[self._state, Event.TRANSPORT_CONNECTION_CONFIRMED], now, pdu=request.raw)

    def _allowed(self, event: Event) -> Action:
        """Return what the table has for a primitive of the user."""
        action = TRANSITIONS.get((self._state, event))
        if action is None:
            raise LocalProtocolError(f"{event.value} in {self._state_text}")
        return action

    def _expects_bytes(self, data: _Bytes, now: float) -> bool:
        """Judge bytes that come in another state than Sta6; return whether they are to be read."""
        if self._ignores_bytes:
            return False
        if not self._is_connected:
            raise LocalProtocolError("bytes without a transport connection")
        if self._state in (State.STA1, State.STA2, State.STA5) and len(self._beginning) < _BEGINNING_LENGTH:
            self._beginning += data[:_BEGINNING_LENGTH]
        if self._state is State.STA1:
            # A requestor whose user has not requested yet. Table 9-10 has no such case; Sta5 is the nearest one.
            self._state = State.STA5
            error = RemoteProtocolError("bytes before the A-ASSOCIATE-RQ", reason=AbortReason.UNEXPECTED_PDU)
            self._receive_invalid(error, now)
            return False
        return True

    def _receive_control(self, raw: bytes, now: float) -> None:
        if self._state is State.STA13:
            # Whatever it says, its type is all that matters any more.
            self._receive(_RECEIVED[raw[0]], now)
            return
        pdu = decode_pdu(raw)
        if isinstance(pdu, AssociateRequest) and self._state is State.STA2:
            self._request = pdu
        elif isinstance(pdu, AssociateAccept) and self._state is State.STA5:
            self._establish(pdu)
        self._receive(_RECEIVED[raw[0]], now, _indication(pdu))

    def _receive(self, event: Event, now: float, *indications: Indication) -> None:
        """Deal with a PDU of the peer that is valid in itself."""
        action = TRANSITIONS[self._state, event]
        if Effect.SEND_ABORT in ACTIONS[action].effects:
            error = RemoteProtocolError(f"{event.value} in {self._state_text}", reason=AbortReason.UNEXPECTED_PDU)
            self._answer_violation(action, error, now)
        else:
            self._perform(action, now, indications=indications)

    def _receive_invalid(self, error: RemoteProtocolError, now: float) -> None:
        """Deal with bytes that are no valid PDU; what follows them cannot be told apart and is dropped."""
        self._ignores_bytes = True
        self._answer_violation(TRANSITIONS[self._state, Event.INVALID_PDU], error, now)

    def _answer_violation(self, action: Action, error: RemoteProtocolError, now: float) -> None:
        """Send the A-ABORT of AA-1, AA-7 or AA-8 that the peer has caused."""
        description = str(error)
        if self._state in (State.STA2, State.STA5) and (look := looks_like(self._beginning)):
            description = f"{look} instead of DICOM ({description})"
        source, reason = error.source, error.reason
        if action is Action.AA_1:
            # Service-user source, as the table has it; a reason is not significant then (PS3.8 9.3.8).
            source, reason = 0, 0
        elif action is Action.AA_7:
            # Once is enough.
            self._ignores_bytes = True
        violation = ProtocolViolated(source=source, reason=reason, description=description)
        self._perform(action, now, pdu=encode_abort(source=source, reason=reason), indications=(violation,))
        if action is Action.AA_1:
            # There is no indication in the table, as no association was indicated; but somebody will want to know.
            self._indications.append(violation)

    def _establish(self, accept: AssociateAccept) -> None:
        assert self._request is not None  # Sta3 and Sta5 come after it
        self._accept = accept
        self._accepted_contexts = accepted(self._request, accept)
        self._reader.accepted_contexts = self._accepted_contexts

    def _transport_closed(self, description: str, now: float) -> None:
        if self._state is State.STA1:
            # No association was requested or indicated: nobody has lost one.
            self._close()
            return
        action = TRANSITIONS[self._state, Event.TRANSPORT_CONNECTION_CLOSED]
        self._perform(action, now, indications=(ConnectionLost(description=description),))

    def _perform(self, action: Action, now: float, *, pdu: bytes = b"", indications: Sequence[Indication] = ()) -> None:
        """Carry out an action of Tables 9-6 to 9-9."""
        self._state = next_state(action, self._role)
        for effect in ACTIONS[action].effects:
            match effect:
                case Effect.SEND | Effect.SEND_ABORT:
                    self._output.append(pdu)
                case Effect.INDICATE | Effect.INDICATE_P_ABORT:
                    self._indications.extend(indications)
                case Effect.START_ARTIM:
                    self._artim_expires = now + self._artim
                case Effect.STOP_ARTIM:
                    self._artim_expires = None
                case Effect.CLOSE:
                    self._close()
                case unreachable:
                    assert_never(unreachable)
        if self._state is State.STA13:
            # P-DATA is dropped without a look at its contexts.
            self._reader.accepted_contexts = None
        if self._peer_ended and not self._is_closed and self._state not in _PEER_HAS_FINISHED:
            self._transport_closed("the peer closed the connection behind its A-RELEASE-RQ", now)

    def _close(self) -> None:
        self._state = State.STA1
        self._is_closed = True
        self._ignores_bytes = True
        self._artim_expires = None
        self._indications.append(TransportCloses())

    @property
    def _state_text(self) -> str:
        return f"{self._state.value} ({STATE_MEANINGS[self._state]})"


def _indication(pdu: ControlPdu) -> Indication:
    match pdu:
        case AssociateRequest():
            return AssociateRequestReceived(request=pdu)
        case AssociateAccept():
            return AssociateAcceptReceived(accept=pdu)
        case AssociateReject():
            return AssociateRejectReceived(reject=pdu)
        case ReleaseRequest():
            return ReleaseRequestReceived(request=pdu)
        case ReleaseResponse():
            return ReleaseResponseReceived(response=pdu)
        case Abort():
            return AbortReceived(abort=pdu)
        case unreachable:
            assert_never(unreachable)
