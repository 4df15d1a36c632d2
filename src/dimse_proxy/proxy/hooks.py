"""What an observer is told of an association's way through the proxy: the one seam for logs, metrics and audit.

An observer only listens: nothing it does changes what is relayed, and nothing here formats a line. All that it may send
is a word to the other proxy's observers, in `AssociationRecord.carried`. `Observers` passes every call on to each of
several; the relay knows one `Observer`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from dimse_proxy.dimse.contents import ContentSeen
from dimse_proxy.dimse.tracking import MessageSeen, RequestInProgress, ServiceCount
from dimse_proxy.upper_layer.pdu import AssociateAccept, AssociateRequest, ContextResult


class Side(StrEnum):
    """Which of the two proxies of an association this one is."""

    ACCEPTOR = "acceptor"
    """Accepted the local association."""
    REQUESTOR = "requestor"
    """Requests the association from the target."""


@dataclass(slots=True, kw_only=True)
class AssociationRecord:
    """What is known of one association on one side; filled in as it becomes known."""

    side: Side
    started: float
    """Seconds of the process's monotonic clock."""
    peer: str
    """Address of the association's requestor (the SCU in most cases), `host:port`."""
    calling: str = ""
    called: str = ""
    target: str = ""
    """Where it goes: `TITLE@host:port`, or the channel as long as only that is known here."""
    channel: str = ""
    """The channel at the other end of the session."""
    target_name: str = ""
    """Name of the target in this side's routes, whichever of its hosts was called; empty where it accepted."""
    target_host: str = ""
    """Address or name of the host that was called last; empty where it accepted, and before one is called."""
    session: str = ""
    """The session's short identifier, the same in the logs of both sides."""
    established: float | None = None
    """When the A-ASSOCIATE-AC passed."""
    refused: bool = False
    """An A-ASSOCIATE-RJ answered it, ours or the target's."""
    bytes_from_requestor: int = 0
    """Of P-DATA-TF PDUs, headers included."""
    bytes_from_acceptor: int = 0
    operations_refused: dict[str, int] = field(default_factory=dict)
    """Requests that this proxy swallowed and answered by itself, by service: `C-STORE`."""
    in_progress: Callable[[], tuple[RequestInProgress, ...]] = tuple
    """Returns the requests without a final response, the oldest first; none of an association that is over."""
    carried: dict[str, str] = field(default_factory=dict)
    """What goes to the other proxy with the open of the session. At the acceptor side an observer may put in, when the
    association is requested, a short text for its like at the requestor side, which finds it here: names that nobody
    knows are passed over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An association that was not accepted."""

    result: int
    source: int
    reason: int
    cause: str
    """A sentence for people: who refused it and why."""
    code: str
    """A short word for metrics: `called-ae`, `limit`, `no-peer`, `target-rejected`..."""


class EndCause(StrEnum):
    """What ended an association, as a short word for metrics: who or what began it, as this side saw it."""

    RELEASED = "released"
    END_POINT_ABORTED = "end-point-aborted"
    """This side's end point sent an A-ABORT."""
    END_POINT_LOST = "end-point-lost"
    """The connection to this side's end point is gone."""
    PROTOCOL_ERROR = "protocol-error"
    """This side's end point broke the protocol."""
    OTHER_SIDE = "other-side"
    """The other side ended it; its proxy counts why."""
    OTHER_PROXY = "other-proxy"
    """The other side's proxy broke the protocol between the two."""
    TUNNEL = "tunnel"
    """The session failed: a peer or NATS was gone for too long."""
    IDLE = "idle"
    RELEASE_TIMEOUT = "release-timeout"
    NOT_JUDGED = "not-judged"
    """A command that the rules have to judge could not be read, or answers to refused requests were not."""
    SHUTTING_DOWN = "shutting-down"
    OPERATOR = "operator"
    """Somebody aborted it on the status page or through the API."""
    FAULT = "fault"
    """A fault of this proxy's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How an association that was asked for ended."""

    cause: EndCause

    outcome: str
    """A sentence for people."""
    is_released: bool
    services: tuple[ServiceCount, ...]
    duration: float
    """Seconds since the association was asked for."""
    unanswered: tuple[RequestInProgress, ...] = ()
    """Requests that were under way."""


class Observer(Protocol):
    """Listens to everything that happens to associations and peers."""

    def association_requested(self, record: AssociationRecord, request: AssociateRequest) -> None:
        """An A-ASSOCIATE-RQ came in (acceptor side) or is about to be sent to the target (requestor side)."""

    def association_accepted(
        self,
        record: AssociationRecord,
        accept: AssociateAccept,
        request: AssociateRequest,
        refused: Sequence[ContextResult],
    ) -> None:
        """An A-ASSOCIATE-AC passed; `refused` are the contexts that this proxy's own filter took out."""

    def association_refused(self, record: AssociationRecord, refusal: Refusal) -> None:
        """The association was refused, by this proxy, the other one or the target."""

    def message_seen(self, record: AssociationRecord, message: MessageSeen) -> None:
        """A DIMSE message passed completely."""

    def content_seen(self, record: AssociationRecord, content: ContentSeen) -> None:
        """Whose data set passes, or what is asked for; only with `RelaySettings.reads_contents`. Not for a log."""

    def operation_refused(self, record: AssociationRecord, service: str, *, from_end_point: bool) -> None:
        """A request for `C-STORE`, `N-DELETE`... was swallowed and answered by this proxy.

        `from_end_point`: it came from this side's end point; else through the tunnel.
        """

    def association_ended(self, record: AssociationRecord, ending: Ending) -> None:
        """The association is over. Said once for each that was not refused."""

    def connection_idle(self, record: AssociationRecord, cause: str) -> None:
        """A transport connection ended without ever asking for an association: load balancers do it all day."""

    def connection_turned_away(self, record: AssociationRecord, cause: str) -> None:
        """A connection without an association request was ended to make room for a new one."""

    def stranger_called(self, record: AssociationRecord, cause: str) -> None:
        """Something that does not speak DICOM called."""


@dataclass(slots=True)
class Observers:
    """Passes everything on to several observers, in order."""

    members: list[Observer] = field(default_factory=list)

    def association_requested(self, record: AssociationRecord, request: AssociateRequest) -> None:
        """See `Observer`."""
        for member in self.members:
            member.association_requested(record, request)

    def association_accepted(
        self,
        record: AssociationRecord,
        accept: AssociateAccept,
        request: AssociateRequest,
        refused: Sequence[ContextResult],
    ) -> None:
        """See `Observer`."""
        for member in self.members:
            member.association_accepted(record, accept, request, refused)

    def association_refused(self, record: AssociationRecord, refusal: Refusal) -> None:
        """See `Observer`."""
        for member in self.members:
            member.association_refused(record, refusal)

    def message_seen(self, record: AssociationRecord, message: MessageSeen) -> None:
        """See `Observer`."""
        for member in self.members:
            member.message_seen(record, message)

    def content_seen(self, record: AssociationRecord, content: ContentSeen) -> None:
        """See `Observer`."""
        for member in self.members:
            member.content_seen(record, content)

    def operation_refused(self, record: AssociationRecord, service: str, *, from_end_point: bool) -> None:
        """See `Observer`."""
        for member in self.members:
            member.operation_refused(record, service, from_end_point=from_end_point)

    def association_ended(self, record: AssociationRecord, ending: Ending) -> None:
        """See `Observer`."""
        for member in self.members:
            member.association_ended(record, ending)

    def connection_idle(self, record: AssociationRecord, cause: str) -> None:
        """See `Observer`."""
        for member in self.members:
            member.connection_idle(record, cause)

    def connection_turned_away(self, record: AssociationRecord, cause: str) -> None:
        """See `Observer`."""
        for member in self.members:
            member.connection_turned_away(record, cause)

    def stranger_called(self, record: AssociationRecord, cause: str) -> None:
        """See `Observer`."""
        for member in self.members:
            member.stranger_called(record, cause)


def observers(members: Iterable[Observer]) -> Observers:
    """All of `members` as one observer."""
    return Observers(list(members))
