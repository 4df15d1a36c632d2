"""Which events there are: what `proxy.hooks` and the parts tell, made into audit messages.

It runs in the event loop, so it only makes values and hands them over. Nothing here knows where they go.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, Protocol, assert_never

from dimse_proxy.dimse.command_set import CommandField
from dimse_proxy.dimse.contents import ContentSeen, Identifier, Unread
from dimse_proxy.dimse.data_set_head import StudyHead
from dimse_proxy.dimse.tracking import MessageSeen
from dimse_proxy.observability.audit import codes
from dimse_proxy.observability.audit.codes import Code, Outcome
from dimse_proxy.observability.audit.dead_letters import DeadLetterOffice, DeadLetters, Original
from dimse_proxy.observability.audit.events import Alert, End, Events, Exchange
from dimse_proxy.observability.audit.messages import AuditMessage
from dimse_proxy.observability.audit.sieve import AlertSieve
from dimse_proxy.observability.audit.transfers import StudyBegins, Transfer, TransferKey, Transfers
from dimse_proxy.observability.listener import Listener
from dimse_proxy.proxy.hooks import AssociationRecord, Ending, Refusal, Side
from dimse_proxy.proxy.refusals import RefusalCode, tunnel_cause
from dimse_proxy.tunnel.events import TunnelCode, TunnelCounters
from dimse_proxy.upper_layer.ae_title import ae_title_from_bytes
from dimse_proxy.upper_layer.pdu import AssociateRequest

_STRANGERS: Final = frozenset(
    {RefusalCode.CALLING_NOT_ALLOWED, RefusalCode.CALLED_NOT_ALLOWED, RefusalCode.NOT_ALLOWED, RefusalCode.NO_ROUTE}
)
"""Refusals of somebody who may not; all others are of something that cannot."""


class SealCounters(Protocol):
    """What is read of the tunnel."""

    @property
    def counters(self) -> TunnelCounters:
        """Only ever grow."""


class _Association:
    """What is kept of a running association, where contents are told."""

    __slots__ = ("note", "record", "sent_titles", "transfers")

    def __init__(self, record: AssociationRecord, request: AssociateRequest) -> None:
        self.record: Final = record
        self.sent_titles: Final = (
            ae_title_from_bytes(request.calling_ae_title),
            ae_title_from_bytes(request.called_ae_title),
        )
        """Calling and called title of the request: on the requestor side as it was sent to the target."""
        self.transfers: Final = Transfers()
        self.note = ""
        """What is to be said beside its transfers."""


class AuditObserver(Listener):
    """Makes the audit messages of one process."""

    def __init__(
        self,
        events: Events,
        emit: Callable[[AuditMessage], None],
        *,
        clock: Callable[[], float],
        wall_clock: Callable[[], datetime],
        nats_uri: str,
        with_contents: bool,
    ) -> None:
        """Listens.

        Args:
            events: makes messages.
            emit: takes each; returns at once.
            clock: seconds of any monotonic clock.
            wall_clock: the time of day, with its zone.
            nats_uri: of the first server of NATS.
            with_contents: contents are told too.
        """
        self._events: Final = events
        self._emit: Final = emit
        self._clock: Final = clock
        self._wall_clock: Final = wall_clock
        self._nats_uri: Final = nats_uri
        self._with_contents: Final = with_contents
        self._sieve: Final = AlertSieve(clock)
        self._associations: Final[dict[int, _Association]] = {}
        self._annotated: Final[set[str]] = set()
        """Sessions of associations that have a note."""
        self._dead_letters: Final = DeadLetterOffice()
        self._is_attached = False
        self._spoilt = 0
        self.contents_unread = 0
        """Heads of data sets that could not be read."""

    # The process.

    def stop(self, trouble: str | None) -> None:
        """The process ends: because it is told to, or because of `trouble`."""
        for association in list(self._associations.values()):
            self._tell(association, association.transfers.rest())
        self._associations.clear()
        self._tell_dead(self._dead_letters.rest())
        if self._is_attached:
            self._is_attached = False
            self._emit(self._events.detached())
        self._emit(self._events.stopped(trouble))

    def look(self, tunnel: SealCounters) -> None:
        """What nobody tells by itself; once a second or so."""
        now = self._clock()
        for association in self._associations.values():
            self._tell(association, association.transfers.over(now))
        self._tell_dead(self._dead_letters.over(now))
        counters = tunnel.counters
        spoilt = counters.forged + counters.replayed
        if spoilt > self._spoilt:
            text = f"{spoilt - self._spoilt} messages came through NATS that were forged, changed or sent once more"
            if self._alert(codes.NODE_AUTHENTICATION, "sealed", self._nats_uri, text, subject_type=codes.URI):
                self._spoilt = spoilt

    def annotate(self, session: str, note: str) -> None:
        """Something is to be said beside the transfers of a running association."""
        if not self._with_contents or session in self._annotated:
            return
        for association in self._associations.values():
            if association.record.session == session:
                association.note = note
                self._annotated.add(session)
                return

    def given_up(self, original: Original, study: str | None, sop_class: str, reason: str) -> None:
        """An object that was taken into a queue will not be delivered."""
        if self._with_contents:
            self._dead_letters.add(original, study, sop_class, reason, now=self._clock(), when=self._wall_clock())

    def tls_failed(self, peer: str, cause: str) -> None:
        """There is no TLS with a DICOM peer."""
        host = host_of(peer)
        text = f"no TLS with {peer}: {cause}"
        self._alert(codes.NODE_AUTHENTICATION, "tls", host, text, performer=End(titles=(), host=host))

    # `proxy.hooks.Observer`

    def association_requested(self, record: AssociationRecord, request: AssociateRequest) -> None:
        """Remembers who it is between."""
        if self._with_contents:
            self._associations[id(record)] = _Association(record, request)

    def association_refused(self, record: AssociationRecord, refusal: Refusal) -> None:
        """An alert, if somebody asked who may not."""
        self._associations.pop(id(record), None)
        if refusal.code not in _STRANGERS:
            return
        host = host_of(record.peer)
        text = f"association of {record.calling} at {record.peer} with {record.called} refused: {refusal.cause}"
        performer = End(titles=(record.calling,), host=host)
        self._alert(codes.NODE_AUTHENTICATION, refusal.code, host or record.calling, text, performer=performer)

    def message_seen(self, record: AssociationRecord, message: MessageSeen) -> None:
        """The answer to an instance."""
        association = self._associations.get(id(record))
        if association is not None and message.command.command_field is CommandField.C_STORE_RSP:
            association.transfers.answer(
                message.command, from_requestor=message.from_requestor, now=self._clock(), when=self._wall_clock()
            )

    def content_seen(self, record: AssociationRecord, content: ContentSeen) -> None:
        """An instance, or a query."""
        association = self._associations.get(id(record))
        if association is None:
            return
        match content.content:
            case StudyHead() as head:
                self._instance(association, content, head)
            case Unread():
                self.contents_unread += 1
                self._instance(association, content, None)
            case Identifier() as identifier:
                self._query(association, content, identifier)
            case unreachable:
                assert_never(unreachable)

    def operation_refused(self, record: AssociationRecord, service: str, *, from_end_point: bool) -> None:
        """An alert for the first of each service in an association."""
        if record.operations_refused.get(service) != 1:
            return
        setting = "DIMSE_ALLOWED_OPERATIONS_OUT" if from_end_point else "DIMSE_ALLOWED_OPERATIONS_IN"
        requestor, acceptor = self._ends(record, None)
        asks = requestor if from_end_point is (record.side is Side.ACCEPTOR) else acceptor
        host = asks.host or asks.titles[0]
        text = f"{service} of {asks.titles[0]} refused: {setting} does not allow it"
        self._alert(codes.RESTRICTED_FUNCTION, service, host, text, performer=asks)

    def association_ended(self, record: AssociationRecord, ending: Ending) -> None:
        """What was transferred and is not told yet."""
        association = self._associations.pop(id(record), None)
        if association is not None:
            self._tell(association, association.transfers.rest())
            self._annotated.discard(record.session)

    # `proxy.exchange.PeerObserver`

    def peer_refused(self, channel: str, instance: str, code: str) -> None:
        """An alert, if it is about keys."""
        if code == TunnelCode.KEY_MISMATCH:
            text = tunnel_cause(code, channel, "")
            self._alert(codes.NODE_AUTHENTICATION, code, f"{instance}@{channel}", text)

    def nats_connected(self, server: str, max_payload: int) -> None:
        """This process enters the network."""
        self._is_attached = True
        self._emit(self._events.attached())

    def nats_disconnected(self, reason: str) -> None:
        """It is thrown out of it."""
        if self._is_attached:
            self._is_attached = False
            self._emit(self._events.detached(f"NATS disconnected: {reason}"))

    def nats_error(self, text: str, fatal: bool) -> None:
        """An alert, if NATS does not take us for who we say we are, or does not let us do what we need."""
        if fatal:
            self._alert(
                codes.NODE_AUTHENTICATION,
                "nats",
                self._nats_uri,
                f"NATS refuses this proxy: {text}",
                subject_type=codes.URI,
                outcome=Outcome.SERIOUS_FAILURE,
            )

    # Inside.

    def _alert(
        self,
        kind: Code,
        word: str,
        subject: str,
        description: str,
        *,
        performer: End | None = None,
        subject_type: Code = codes.NODE_ID,
        outcome: Outcome = Outcome.MINOR_FAILURE,
    ) -> bool:
        """Emits an alert, unless there were enough like it; says whether it did."""
        left_out = self._sieve.left_out((kind, word), subject)
        if left_out is None:
            return False
        if left_out:
            description += f" ({left_out} more like it were left out)"
        alert = Alert(
            kind=kind,
            outcome=outcome,
            subject=subject,
            subject_type=subject_type,
            description=description,
            performer=performer,
        )
        self._emit(self._events.alert(alert))
        return True

    def _instance(self, association: _Association, content: ContentSeen, head: StudyHead | None) -> None:
        begins = association.transfers.instance(
            content.command,
            head,
            from_requestor=content.from_requestor,
            now=self._clock(),
            when=self._wall_clock(),
        )
        if begins is not None:
            self._begins(association, begins)

    def _begins(self, association: _Association, begins: StudyBegins) -> None:
        exchange = self._exchange(association, begins.key)
        self._emit(self._events.transfer_begins(exchange, begins.key.patient, begins.study, begins.sop_class))

    def _tell(self, association: _Association, transfers: Sequence[Transfer]) -> None:
        for transfer in transfers:
            exchange = self._exchange(association, transfer.key)
            self._emit(
                self._events.transferred(
                    exchange,
                    transfer.key.patient,
                    transfer.studies,
                    failure=transfer.failure,
                    note=association.note,
                    when=transfer.when,
                )
            )

    def _tell_dead(self, letters: Sequence[DeadLetters]) -> None:
        for letter in letters:
            original = letter.original
            exchange = Exchange(
                source=End(titles=(original.calling,), host=original.host or None),
                destination=End(titles=(original.called,)),
                is_source_requestor=True,
            )
            self._emit(
                self._events.transferred(
                    exchange,
                    None,
                    letter.studies,
                    failure=letter.reasons,
                    note=f"given up, kept as dead letters in the queue of channel {original.channel}, "
                    f"association {original.session}",
                    outcome=Outcome.SERIOUS_FAILURE,
                    when=letter.when,
                )
            )

    def _query(self, association: _Association, content: ContentSeen, identifier: Identifier) -> None:
        requestor, acceptor = self._ends(association.record, association.sent_titles)
        destination = content.command.move_destination
        self._emit(
            self._events.query(
                Exchange(
                    source=requestor if content.from_requestor else acceptor,
                    destination=acceptor if content.from_requestor else requestor,
                    is_source_requestor=True,
                    third=End(titles=(destination,)) if destination else None,
                ),
                content.command.affected_sop_class_uid or "",
                identifier.data,
                content.transfer_syntax,
                length=identifier.length,
            )
        )

    def _exchange(self, association: _Association, key: TransferKey) -> Exchange:
        """Who gives what to whom; what comes from the association's acceptor was asked for by a C-GET."""
        requestor, acceptor = self._ends(association.record, association.sent_titles)
        return Exchange(
            source=requestor if key.from_requestor else acceptor,
            destination=acceptor if key.from_requestor else requestor,
            is_source_requestor=key.from_requestor,
            third=End(titles=(key.originator,)) if key.originator else None,
            is_third_requestor=key.originator is not None,
        )

    def _ends(self, record: AssociationRecord, sent_titles: tuple[str, str] | None) -> tuple[End, End]:
        """The association's requestor and its acceptor, as far as they are known on this side."""
        calling, called = sent_titles or (record.calling, record.called)
        if record.side is Side.ACCEPTOR:
            return End(titles=(record.calling,), host=host_of(record.peer)), End(titles=(record.called,))
        return (
            End(titles=(record.calling, calling), host=host_of(record.peer)),
            End(titles=(called, record.called), host=record.target_host or None),
        )


def host_of(peer: str) -> str:
    """Return the address of `host:port` or `[host]:port`."""
    return peer.rpartition(":")[0].strip("[]")
