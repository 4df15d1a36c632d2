"""What both sides of the proxy do alike: one leg (an association with an end point) joined to one session.

Pure: bytes, time and the session's news come in through methods; what is to be done goes out through ports. Which
side's rules apply is in `acceptor_relay` and `requestor_relay`. Table 9-10 lives in `upper_layer`, not here: what
comes out of the session is given to the association as its local user's primitives.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final, assert_never

from dimse_proxy.errors import LocalProtocolError, RemoteProtocolError
from dimse_proxy.proxy.admission import Admission, Applicant
from dimse_proxy.proxy.hooks import AssociationRecord, EndCause, Ending, Observer, Refusal, Side
from dimse_proxy.proxy.passage import HEARD_BELOW, Passage
from dimse_proxy.proxy.policy import Policy
from dimse_proxy.proxy.ports import EndPointPort, SessionPort
from dimse_proxy.proxy.refusals import Aborted, Refused, parse_detail
from dimse_proxy.proxy.timers import FLUSH_BOUND, RelaySettings, Timer
from dimse_proxy.upper_layer.association import Association, Role
from dimse_proxy.upper_layer.codec import encode_release_response
from dimse_proxy.upper_layer.events import (
    AbortReceived,
    AssociateAcceptReceived,
    AssociateRejectReceived,
    AssociateRequestReceived,
    ConnectionLost,
    Event,
    PDataReceived,
    ProtocolViolated,
    ReleaseRequestReceived,
    ReleaseResponseReceived,
    TransportCloses,
)
from dimse_proxy.upper_layer.pdu import AssociateAccept, AssociateReject, AssociateRequest, ContextResult
from dimse_proxy.upper_layer.reader import PduReader
from dimse_proxy.upper_layer.state_machine import State


class Relay(ABC):
    """One leg joined to one session."""

    def __init__(
        self,
        *,
        role: Role,
        record: AssociationRecord,
        end_point: EndPointPort,
        policy: Policy,
        admission: Admission,
        settings: RelaySettings,
        observer: Observer,
    ) -> None:
        self.record: Final = record
        self.session: SessionPort | None = None
        self._association: Final = Association(
            role, artim=settings.artim, max_associate_length=settings.max_associate_length
        )
        self._end_point: Final = end_point
        self._policy: Final = policy
        self._admission: Final = admission
        self._settings: Final = settings
        self._observer: Final = observer
        self._from_session: Final = PduReader(
            accepted_contexts=None, max_associate_length=settings.max_associate_length
        )
        self._end_point_is_requestor: Final = record.side is Side.ACCEPTOR
        self._passage: Passage | None = None
        self._deadlines: Final[dict[Timer, float]] = {}
        self._uncredited = 0
        self._is_requested = False
        self._admitted: Applicant | None = None
        self._is_paused = False
        self._close_due = False
        self._outcome: str | None = None
        self._cause = EndCause.OTHER_SIDE
        self._is_released = False
        self._is_ended = False
        self._unsaid_end: float | None = None
        self._last_activity = record.started

    # What the end point does.

    def end_point_received(self, data: bytes, now: float) -> None:
        """Bytes from the end point."""
        self._association.receive_data(data, now)
        self._process(now)

    def end_point_eof(self, now: float) -> None:
        """The end point will send no more."""
        self._association.receive_eof(now)
        self._process(now)

    def end_point_lost(self, description: str, now: float) -> None:
        """The connection is gone, whoever ended it."""
        self._association.connection_lost(now, description)
        self._process(now)
        self._forget_session_bytes(now)

    def end_point_drained(self, now: float) -> None:
        """The end point has taken most of what was written."""
        self._credit(now)
        if self._end_point.unsent == 0:
            self._deadlines.pop(Timer.FLUSH, None)

    # What the session does.

    def session_received(self, data: bytes | memoryview, now: float) -> None:
        """Bytes from the other side, in order."""
        self._uncredited += len(data)
        if self._association.is_over:
            self._forget_session_bytes(now)
            return
        self._last_activity = now
        try:
            for piece in self._from_session.feed(data):
                if isinstance(piece, PDataReceived):
                    self._carry(piece, now, from_end_point=False)
                else:
                    self.take_note()
                    if self._flush_passage(now, from_end_point=False):
                        self._control_from_session(piece.raw, now)
        except (RemoteProtocolError, LocalProtocolError) as error:
            self._abort_both(f"the other side's proxy broke the protocol: {error}", EndCause.OTHER_PROXY, now)
        self._process(now)
        self._credit(now)

    def session_ended(self, now: float) -> None:
        """The other leg is over and all its bytes have been received."""
        self._abort_if_running("the session ended before the association did", EndCause.OTHER_PROXY, now)

    def session_aborted(self, detail: Mapping[str, object], now: float) -> None:
        """The other side ended the session."""
        self.session = None
        if self._association.is_over:
            return
        match parse_detail(detail):
            case Refused() as refused:
                self._refused_by_other_side(refused, now)
            case Aborted(source=source, reason=reason, text=text):
                text = text or f"aborted at the other side (source {source}, reason {reason})"
                self._set_outcome(text, EndCause.OTHER_SIDE)
                self._abort_leg(source, reason, now)
            case unreachable:
                assert_never(unreachable)
        self._process(now)

    def session_failed(self, code: str, text: str, now: float) -> None:
        """The tunnel gave the session up."""
        self.session = None
        if self._association.is_over:
            return
        self._tunnel_failed(code, text, now)
        self._process(now)

    def session_writable(self, now: float) -> None:
        """There is credit again."""
        if self._is_paused:
            self._is_paused = False
            self._end_point.resume_reading()

    # Time.

    def next_timer(self) -> float | None:
        """When `handle_timer` is due, or None."""
        artim = self._association.next_timer()
        if not self._deadlines:
            return artim
        first = min(self._deadlines.values())
        return first if artim is None else min(first, artim)

    def handle_timer(self, now: float) -> None:
        """Does what is due."""
        artim = self._association.next_timer()
        if artim is not None and artim <= now:
            self._association.handle_timer(now)
        for timer in [timer for timer, due in self._deadlines.items() if due <= now]:
            del self._deadlines[timer]
            self._timer_due(timer, now)
        self._process(now)

    def shut_down(self, now: float) -> None:
        """The grace period is over: aborts what still runs."""
        self._abort_if_running("this proxy is shutting down", EndCause.SHUTTING_DOWN, now)

    def abort(self, now: float) -> None:
        """An operator wants it ended."""
        self._abort_if_running("aborted by an operator of this proxy", EndCause.OPERATOR, now)

    def broken(self, now: float) -> None:
        """This proxy itself has failed: ends both ends without asking the association what it thinks of it."""
        self._set_outcome("a fault in this proxy", EndCause.FAULT)
        self._abort_session(Aborted(text="a fault in the other side's proxy"), now)
        self._end_point.reset()
        self._association.connection_lost(now, "a fault in this proxy")
        self._association.events_received()
        if not self._is_ended or self._unsaid_end is not None:
            self._unsaid_end = None
            with suppress(Exception):  # an observer may be what has failed
                self._say_ended(now)
        self._is_ended = True
        self._dismiss()
        self._deadlines.clear()

    @property
    def is_over(self) -> bool:
        """The association is over, or was refused before it began."""
        return self._is_ended or (self.record.refused and self._association.state is State.STA1)

    # Each side's own rules.

    @property
    @abstractmethod
    def _applicant(self) -> Applicant:
        """Who asks for the association, for the limits."""

    def _requested(self, _request: AssociateRequest, _now: float) -> None:
        """The end point asks for an association; only an acceptor's leg has this indication (Table 9-10)."""
        raise LocalProtocolError("an A-ASSOCIATE indication on the requestor side")

    def _accepted(self, _accept: AssociateAccept, _now: float) -> None:
        """The end point accepts; only a requestor's leg has this confirmation (Table 9-10)."""
        raise LocalProtocolError("an A-ASSOCIATE confirmation on the acceptor side")

    def _rejected(self, _reject: AssociateReject, _now: float) -> None:
        """The end point rejects; only a requestor's leg has this confirmation (Table 9-10)."""
        raise LocalProtocolError("an A-ASSOCIATE confirmation on the acceptor side")

    @abstractmethod
    def _control_from_session(self, raw: bytes, now: float) -> None:
        """A PDU other than P-DATA-TF came from the other side."""

    @abstractmethod
    def _refused_by_other_side(self, refused: Refused, now: float) -> None:
        """The other side cannot or will not carry the association."""

    @abstractmethod
    def _tunnel_failed(self, code: str, text: str, now: float) -> None:
        """The session is gone while the association is not over."""

    @abstractmethod
    def _answer_overdue(self, now: float) -> None:
        """The answer to the association request has not come in time."""

    @abstractmethod
    def _lost_before_answer(self, description: str, now: float) -> bool:
        """The end point is gone; True if this side has dealt with it because no answer had passed yet."""

    def _process(self, now: float) -> None:
        """Deals with all events, then hands what is to be sent to the end point."""
        association = self._association
        while events := association.events_received():
            for event in events:
                if type(event) is PDataReceived:
                    self._p_data_from_end_point(event, now)
                else:
                    self.take_note()
                    self._handle(event, now)
        if parts := association.data_to_send():
            self._end_point.writelines(parts)
        if association.is_over and not self._is_ended:
            self._end(now)
        if self._close_due:
            self._close_due = False
            self._end_point.close()
            if self._end_point.unsent:
                self._deadlines[Timer.FLUSH] = now + self._settings.artim

    def _handle(self, event: Event, now: float) -> None:
        match event:
            case PDataReceived():
                self._p_data_from_end_point(event, now)
            case AssociateRequestReceived(request=request):
                self._requested(request, now)
            case AssociateAcceptReceived(accept=accept):
                self._accepted(accept, now)
            case AssociateRejectReceived(reject=reject):
                self._rejected(reject, now)
            case ReleaseRequestReceived(request=release):
                if self._flush_passage(now, from_end_point=True):
                    self._release_requested(release.raw, now)
            case ReleaseResponseReceived(response=response):
                if self._flush_passage(now, from_end_point=True):
                    self._release_confirmed()
                    self._send_to_session(response.raw, now)
            case AbortReceived(abort=abort):
                text = f"aborted by {self._end_point_name} (source {abort.source}, reason {abort.reason})"
                self._set_outcome(text, EndCause.END_POINT_ABORTED)
                self._abort_session(Aborted(source=abort.source, reason=abort.reason, text=self._outcome or ""), now)
            case ProtocolViolated(description=description):
                if not self._is_requested:
                    self._observer.stranger_called(self.record, description)
                text = f"aborted: {self._end_point_name} broke the protocol: {description}"
                self._set_outcome(text, EndCause.PROTOCOL_ERROR)
                self._abort_session(Aborted(text=self._outcome or ""), now)
                if self._from_session.inside_pdu:
                    self._reset_leg(now)
            case ConnectionLost(description=description):
                if not self._lost_before_answer(description, now):
                    text = f"connection to {self._end_point_name} lost: {description}"
                    self._set_outcome(text, EndCause.END_POINT_LOST)
                    self._abort_session(Aborted(text=self._outcome or ""), now)
            case TransportCloses():
                self._close_due = True
            case unreachable:
                assert_never(unreachable)

    def _p_data_from_end_point(self, event: PDataReceived, now: float) -> None:
        session = self.session
        if session is None:
            return
        self._last_activity = now
        self._carry(event, now, from_end_point=True)
        if not session.writable and not self._is_paused:
            self._is_paused = True
            self._end_point.pause_reading()

    def _carry(self, event: PDataReceived, now: float, *, from_end_point: bool) -> None:
        if self._passage is None:
            self.pass_on(event.data, now, from_end_point=from_end_point)  # Table 9-10 decides.
        elif self.session is not None:
            try:
                self._passage.carry(event.data, event.marks, now, from_end_point=from_end_point)
            except RemoteProtocolError as error:
                self._abort_both(f"aborted: {error}", EndCause.NOT_JUDGED, now, reason=error.reason)

    def _flush_passage(self, now: float, *, from_end_point: bool) -> bool:
        """Sends on what the passage holds; false if that must not pass, and the association was aborted."""
        if self._passage is not None and self.session is not None:
            try:
                self._passage.flush(now, from_end_point=from_end_point)
            except RemoteProtocolError as error:
                self._abort_both(f"aborted: {error}", EndCause.NOT_JUDGED, now, reason=error.reason)
                return False
        return True

    def take_note(self) -> None:
        """Tell the observer of the messages that have passed, and of the end; for when all bytes have left."""
        if self._passage is not None:
            self._passage.take_note()
        if self._unsaid_end is not None:
            ended, self._unsaid_end = self._unsaid_end, None
            self._say_ended(ended)

    # What the passage asks for (`passage.Ends`).

    def pass_on(self, data: bytes | memoryview, now: float, *, from_end_point: bool) -> None:
        """Sends P-DATA on in its direction."""
        if not from_end_point:
            self._association.send_p_data(data, now)
        else:
            self._send_to_session(data, now)

    def can_answer(self, *, to_end_point: bool) -> bool:
        """Whether one end still takes P-DATA: behind its own A-RELEASE-RQ only what the other had to say."""
        takes = (State.STA6, State.STA8) if to_end_point else (State.STA6, State.STA7)
        return self.session is not None and self._association.state in takes

    def is_heard(self, *, to_end_point: bool) -> bool:
        """Whether one end takes what it is sent."""
        if to_end_point:
            return self._end_point.unsent < HEARD_BELOW
        return self.session is None or self.session.writable

    def _release_requested(self, raw: bytes, now: float) -> None:
        if self.session is None:
            self._association.send(encode_release_response(), now)
            self._release_confirmed()
            return
        self._send_to_session(raw, now)
        if self._settings.release_timeout:
            self._deadlines[Timer.RELEASE] = now + self._settings.release_timeout

    def _release_confirmed(self) -> None:
        """An A-RELEASE-RP passed."""
        self._is_released = True
        self._set_outcome("released", EndCause.RELEASED)
        self._deadlines.pop(Timer.RELEASE, None)

    def _send_to_session(self, raw: bytes | memoryview, now: float) -> None:
        if self.session is not None:
            self.session.send_data(raw, now)

    def _abort_session(self, aborted: Aborted | Refused, now: float) -> None:
        if self.session is not None:
            self.session.send_abort(aborted.detail(), now)
            self.session = None

    def _abort_if_running(self, outcome: str, cause: EndCause, now: float) -> None:
        if not self._association.is_over:
            self._abort_both(outcome, cause, now)
            self._process(now)

    def _abort_both(self, outcome: str, cause: EndCause, now: float, *, source: int = 2, reason: int = 0) -> None:
        """Aborts the leg and the session."""
        self._set_outcome(outcome, cause)
        self._abort_session(Aborted(source=source, reason=reason, text=outcome), now)
        self._abort_leg(source, reason, now)

    def _abort_leg(self, source: int, reason: int, now: float) -> None:
        """Sends an A-ABORT to the end point, or resets the connection where an A-ABORT would stand inside a PDU."""
        if self._from_session.inside_pdu:
            self._reset_leg(now)
            return
        self._association.send_abort(source, reason, now)
        self._deadlines[Timer.FLUSH] = now + FLUSH_BOUND

    def _reset_leg(self, now: float) -> None:
        self._association.data_to_send()
        self._end_point.reset()
        self._association.connection_lost(now, "reset by this proxy")

    def _established(
        self, accept: AssociateAccept, request: AssociateRequest, refused: Sequence[ContextResult], now: float
    ) -> None:
        """An A-ASSOCIATE-AC passed, in whichever direction."""
        self._deadlines.pop(Timer.ANSWER, None)
        self.record.established = now
        self._passage = Passage(
            record=self.record,
            observer=self._observer,
            ends=self,
            policy=self._policy,
            asker=self._asker,
            contexts=self._association.accepted_contexts,
            request=request,
            accept=accept,
            reads_contents=self._settings.reads_contents,
        )
        self.record.in_progress = self._passage.unanswered
        if self._settings.idle_timeout:
            self._deadlines[Timer.IDLE] = now + self._settings.idle_timeout
        self._observer.association_accepted(self.record, accept, request, refused)

    @property
    def _asker(self) -> str | None:
        """The asker behind the Move alias that was called, if it was one."""
        return None

    def _credit(self, now: float) -> None:
        """Tells the tunnel how much of what it brought has left for the end point."""
        left = self._uncredited - self._end_point.unsent
        if left > 0 and self.session is not None:
            self._uncredited -= left
            self.session.consumed(left, now)

    def _forget_session_bytes(self, now: float) -> None:
        """Nobody takes what the session brings any more: it must not hold the other side up."""
        if self.session is not None and self._uncredited:
            self.session.consumed(self._uncredited, now)
        self._uncredited = 0

    def _admit(self) -> None:
        """This association counts towards the limits, until `_dismiss`."""
        self._admitted = self._applicant
        self._admission.enter(self._admitted)

    def _dismiss(self) -> None:
        if self._admitted is not None:
            self._admission.leave(self._admitted)
            self._admitted = None

    def _refuse(self, refusal: Refusal) -> None:
        """Records that the association was not accepted."""
        self._dismiss()
        self.record.refused = True
        self._deadlines.pop(Timer.ANSWER, None)
        self._observer.association_refused(self.record, refusal)

    def _timer_due(self, timer: Timer, now: float) -> None:
        match timer:
            case Timer.ANSWER:
                self._answer_overdue(now)
            case Timer.RELEASE:
                text = f"no A-RELEASE-RP within {self._settings.release_timeout:g} s"
                self._abort_if_running(text, EndCause.RELEASE_TIMEOUT, now)
            case Timer.IDLE:
                self._idle_due(now)
            case Timer.FLUSH:
                if self._end_point.unsent:
                    self._reset_leg(now)
            case unreachable:
                assert_never(unreachable)

    def _idle_due(self, now: float) -> None:
        idle = now - self._last_activity
        if self._association.is_over:
            return
        if idle >= self._settings.idle_timeout:
            self._abort_both(f"idle for {idle:.0f} s", EndCause.IDLE, now)
        else:
            self._deadlines[Timer.IDLE] = self._last_activity + self._settings.idle_timeout

    def _set_outcome(self, outcome: str, cause: EndCause) -> None:
        """The first cause is the one that counts."""
        if self._outcome is None:
            self._outcome, self._cause = outcome, cause

    @property
    def _end_point_name(self) -> str:
        record = self.record
        caller = f"{record.calling or 'the caller'} at {record.peer}"
        return caller if self._end_point_is_requestor else f"the target {record.target}"

    def _end(self, now: float) -> None:
        """The association is over: nothing more comes from this leg."""
        self._is_ended = True
        self._dismiss()
        for timer in (Timer.ANSWER, Timer.RELEASE, Timer.IDLE):
            self._deadlines.pop(timer, None)
        if self._is_paused:
            self._is_paused = False
            self._end_point.resume_reading()
        if self.session is not None:
            self.session.send_end(now)
        self._forget_session_bytes(now)
        self._unsaid_end = now

    def _say_ended(self, now: float) -> None:
        if self._is_requested and not self.record.refused:
            self._observer.association_ended(
                self.record,
                Ending(
                    cause=self._cause,
                    outcome=self._outcome or "ended",
                    is_released=self._is_released,
                    services=() if self._passage is None else self._passage.summary(),
                    duration=now - self.record.started,
                    unanswered=self.record.in_progress(),
                ),
            )
        self.record.in_progress = tuple
