"""The log's view of associations and peers: one line when one ends, one when it is refused, the rest at debug.

No line holds anything of a data set: commands are named by service, SOP class and status only.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import structlog

from dimse_proxy.dimse.command_set import CommandSet
from dimse_proxy.dimse.contents import ContentSeen
from dimse_proxy.dimse.status import status_class, status_name
from dimse_proxy.dimse.tracking import MessageSeen, RequestInProgress, ServiceCount
from dimse_proxy.dimse.uids import uid_name
from dimse_proxy.observability.flood import Flood
from dimse_proxy.proxy.hooks import AssociationRecord, Ending, Refusal, Side
from dimse_proxy.proxy.refusals import RefusalCode, tunnel_cause
from dimse_proxy.tunnel.events import TunnelCode
from dimse_proxy.upper_layer.dump import describe_accept, describe_request
from dimse_proxy.upper_layer.pdu import (
    AssociateAccept,
    AssociateRequest,
    ContextResult,
    ProposedContext,
    UserIdentityRequest,
    UserItem,
)

RESULTS: Final = {
    1: "refused by the user",
    2: "refused, no reason given",
    3: "abstract syntax not supported",
    4: "no transfer syntax supported",
}
"""Of a presentation context that was not accepted (PS3.8 Table 9-18)."""
_LOST: Final[dict[str, str]] = {
    TunnelCode.SILENT: "it is not heard any more: it has ended without a word, or cannot reach NATS",
    TunnelCode.PEER_LOST: "it was not heard for too long (DIMSE_RESUME_TIMEOUTSECONDS): its associations are aborted",
    TunnelCode.PEER_RESTARTED: "it has restarted: the associations that it had are aborted",
    TunnelCode.GOING_AWAY: "it has shut down",
}
MOST_REQUESTS: Final = 5
"""Requests without a response that are named one by one."""


class AssociationLog:
    """Writes what happens to associations, peers and the NATS connection to the log."""

    def __init__(self, *, is_tunnel_sealed: bool = True) -> None:
        """Writes to structlog.

        Args:
            is_tunnel_sealed: False if whoever runs NATS can read what crosses: the first user identity is a warning.
        """
        self._is_identity_safe = is_tunnel_sealed
        self._floods: Final = {kind: Flood() for kind in (RefusalCode.RATE, "turned-away", "stranger")}
        self._log: Final[structlog.typing.FilteringBoundLogger] = structlog.get_logger("dimse_proxy")
        self._is_verbose: Final = self._log.is_enabled_for(logging.DEBUG)
        """Of the level that was configured before, which a process keeps; asking costs more than all else here."""

    # `proxy.hooks.Observer`

    def association_requested(self, record: AssociationRecord, request: AssociateRequest) -> None:
        """The request with every context, at debug; a user identity that crosses unsealed, once, for everybody."""
        if not self._is_identity_safe and any(map(_is_credential, request.user_information)):
            self._is_identity_safe = True
            self._log.warning(
                "user identity without tunnel key",
                cause="an association request brings a password, a ticket or a token, and whoever runs NATS can read "
                "it; DIMSE_TUNNEL_KEY encrypts it. This is said once.",
                calling=record.calling,
                called=record.called,
                peer=record.peer,
            )
        if self._is_verbose:
            sign = "<" if record.side is Side.ACCEPTOR else ">"
            for line in describe_request(request, name=uid_name):
                self._log.debug(f"{sign} {line}", session=record.session or None)

    def association_accepted(
        self,
        record: AssociationRecord,
        accept: AssociateAccept,
        request: AssociateRequest,
        refused: Sequence[ContextResult],
    ) -> None:
        """The answer with every context, at debug; the contexts that were refused, and by whom, for everybody."""
        if self._is_verbose:
            sign = ">" if record.side is Side.ACCEPTOR else "<"
            for line in describe_accept(accept, request, name=uid_name):
                self._log.debug(f"{sign} {line}", session=record.session or None)
        ours = {result.context_id: result for result in refused}
        theirs = {result.context_id: result for result in accept.presentation_contexts if result.result}
        other = "the other side" if record.side is Side.ACCEPTOR else "the target"
        by_us = _contexts_named(request.presentation_contexts, ours)
        by_other = _contexts_named(request.presentation_contexts, {n: r for n, r in theirs.items() if n not in ours})
        for by, contexts in (("this proxy's filter (DIMSE_CONFIG_PATH)", by_us), (other, by_other)):
            if contexts:
                self._log.info(
                    "presentation contexts refused",
                    by=by,
                    calling=record.calling,
                    called=record.called,
                    contexts=contexts,
                    session=record.session or None,
                )

    def association_refused(self, record: AssociationRecord, refusal: Refusal) -> None:
        """The one line of an association that was not accepted; of a flood of them one a second."""
        left_out = self._floods[refusal.code].left_out() if refusal.code in self._floods else 0
        if left_out is None:
            return
        self._log.warning(
            "association refused",
            side=str(record.side),
            calling=record.calling,
            called=record.called,
            peer=record.peer,
            target=record.target or None,
            result=refusal.result,
            source=refusal.source,
            reason=refusal.reason,
            code=str(refusal.code),
            cause=refusal.cause,
            session=record.session or None,
            left_out=left_out or None,
        )

    def message_seen(self, record: AssociationRecord, message: MessageSeen) -> None:
        """Each DIMSE message, at debug."""
        if self._is_verbose:
            from_end_point = message.from_requestor is (record.side is Side.ACCEPTOR)
            self._log.debug(
                f"{'<' if from_end_point else '>'} {describe_message(message.command)}",
                context=message.context_id,
                bytes=message.data_set_length,
                milliseconds=None if message.duration is None else round(message.duration * 1000, 1),
                session=record.session or None,
            )

    def content_seen(self, record: AssociationRecord, content: ContentSeen) -> None:
        """Nothing: what identifies a patient is not for the log, at no level."""

    def operation_refused(self, record: AssociationRecord, service: str, *, from_end_point: bool) -> None:
        """The first of each service in an association; the others at debug."""
        is_first = record.operations_refused.get(service) == 1
        (self._log.warning if is_first else self._log.debug)(
            "operation refused",
            operation=service,
            by="DIMSE_ALLOWED_OPERATIONS_OUT" if from_end_point else "DIMSE_ALLOWED_OPERATIONS_IN",
            calling=record.calling,
            called=record.called,
            peer=record.peer,
            session=record.session or None,
        )

    def association_ended(self, record: AssociationRecord, ending: Ending) -> None:
        """The one line of an association that is over."""
        write = self._log.info if ending.is_released else self._log.warning
        write(
            "association ended",
            side=str(record.side),
            calling=record.calling,
            called=record.called,
            peer=record.peer,
            target=record.target or None,
            services="; ".join(services_in_words(ending.services)) or "none",
            operations_refused=_counts(record.operations_refused) or None,
            bytes_from_requestor=record.bytes_from_requestor,
            bytes_from_acceptor=record.bytes_from_acceptor,
            duration=round(ending.duration, 3),
            outcome=ending.outcome,
            unanswered=requests_in_words(ending.unanswered, record.started + ending.duration) or None,
            session=record.session or None,
        )

    def connection_idle(self, record: AssociationRecord, cause: str) -> None:
        """Load balancers and probes do this all day: debug only."""
        self._log.debug("connection without an association request", peer=record.peer, cause=cause)

    def connection_turned_away(self, record: AssociationRecord, cause: str) -> None:
        """Too many wait; one line a second."""
        self._sparingly("turned-away", "connection without an association request ended", record, cause)

    def stranger_called(self, record: AssociationRecord, cause: str) -> None:
        """Something that does not speak DICOM; one line a second."""
        self._sparingly("stranger", "not a DICOM peer", record, cause)

    def _sparingly(self, kind: str, text: str, record: AssociationRecord, cause: str) -> None:
        left_out = self._floods[kind].left_out()
        if left_out is not None:
            self._log.warning(text, peer=record.peer, cause=cause, left_out=left_out or None)

    # `proxy.exchange.PeerObserver`

    def peer_appeared(self, channel: str, instance: str, version: str) -> None:
        """A proxy on the other side."""
        self._log.info("peer appeared", channel=channel, instance=instance, version=version)

    def peer_lost(self, channel: str, instance: str, code: str) -> None:
        """It went away, or is not heard any more."""
        write = self._log.info if code == TunnelCode.GOING_AWAY else self._log.warning
        write("peer lost", channel=channel, instance=instance, code=code, cause=_LOST.get(code, code))

    def peer_refused(self, channel: str, instance: str, code: str) -> None:
        """It is there, and cannot be talked to."""
        self._log.warning("peer refused", channel=channel, instance=instance, cause=tunnel_cause(code, channel, ""))

    def nats_connected(self, server: str, max_payload: int) -> None:
        """Connected, subscribed and flushed."""
        self._log.info("NATS connected", server=server, max_payload=max_payload)

    def nats_disconnected(self, reason: str) -> None:
        """Being made again."""
        self._log.warning("NATS disconnected", reason=reason)

    def nats_error(self, text: str, fatal: bool) -> None:
        """What the server said, or why it cannot be reached."""
        if fatal:
            self._log.error("NATS error", text=text)
        else:
            self._log.warning("NATS error", text=f"{text}; trying again")


def describe_message(command: CommandSet) -> str:
    """A DIMSE message in a few words: `C-STORE-RQ 7 CT Image Storage`, `C-STORE-RSP 7 0000H Success (success)`."""
    field = command.command_field
    words = [field.message_name if field is not None else "unknown command"]
    number = command.message_id_being_responded_to if command.is_response else command.message_id
    if number is not None:
        words.append(str(number))
    if command.is_response and command.status is not None:
        status = command.status
        words.append(f"{status:04X}H {status_name(status)} ({status_class(status).value})")
    elif command.sop_class_uid:
        words.append(uid_name(command.sop_class_uid))
    return " ".join(words)


def _contexts_named(proposed: Sequence[ProposedContext], results: dict[int, ContextResult]) -> list[str]:
    return [
        f"{context.context_id}: {uid_name(context.abstract_syntax)}"
        f" ({RESULTS.get(results[context.context_id].result, 'refused')})"
        for context in proposed
        if context.context_id in results
    ]


def _counts(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in numbers.items())


def _is_credential(item: UserItem) -> bool:
    """Tell whether a sub-item proves who somebody is, more than naming them (PS3.7 D.3.3.7)."""
    return isinstance(item, UserIdentityRequest) and (item.identity_type != 1 or bool(item.secondary_field))


def requests_in_words(requests: Sequence[RequestInProgress], now: float) -> str:
    """Return requests without a response: `C-STORE 7 of 512 bytes, 31.2 s ago; C-STORE 8, 0.1 s under way`."""
    words = []
    for request in requests[:MOST_REQUESTS]:
        size = f" of {request.data_set_length} bytes" if request.data_set_length else ""
        age = f"{now - request.since:.1f} s ago" if request.is_whole else f"{now - request.begun:.1f} s under way"
        words.append(f"{request.service} {request.message_id}{size}, {age}")
    if len(requests) > MOST_REQUESTS:
        words.append(f"{len(requests) - MOST_REQUESTS} more")
    return "; ".join(words)


def services_in_words(counts: Sequence[ServiceCount]) -> Iterator[str]:
    """Return for each service a few words: `C-STORE 20 (success 20), 10485760 bytes`."""
    for count in counts:
        requests = count.requests_from_requestor + count.requests_from_acceptor
        statuses = ", ".join(f"{kind.value} {number}" for kind, number in count.responses.items() if number)
        length = count.data_set_bytes_from_requestor + count.data_set_bytes_from_acceptor
        text = f"{count.service} {requests}"
        if statuses:
            text += f" ({statuses})"
        if length:
            text += f", {length} bytes"
        yield text
