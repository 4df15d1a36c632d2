"""What a subscriber of `proxy.hooks` and of peers starts from: it hears everything, and does nothing.

Who wants to know of something overrides it. `PeerListeners` passes peers and NATS on to several.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from dimse_proxy.dimse.contents import ContentSeen
from dimse_proxy.dimse.tracking import MessageSeen
from dimse_proxy.proxy.exchange import PeerObserver
from dimse_proxy.proxy.hooks import AssociationRecord, Ending, Refusal
from dimse_proxy.upper_layer.pdu import AssociateAccept, AssociateRequest, ContextResult


class Listener:
    """Implements `proxy.hooks.Observer` and `proxy.exchange.PeerObserver`."""

    def association_requested(self, record: AssociationRecord, request: AssociateRequest) -> None:
        """See `Observer`."""

    def association_accepted(
        self,
        record: AssociationRecord,
        accept: AssociateAccept,
        request: AssociateRequest,
        refused: Sequence[ContextResult],
    ) -> None:
        """See `Observer`."""

    def association_refused(self, record: AssociationRecord, refusal: Refusal) -> None:
        """See `Observer`."""

    def message_seen(self, record: AssociationRecord, message: MessageSeen) -> None:
        """See `Observer`."""

    def content_seen(self, record: AssociationRecord, content: ContentSeen) -> None:
        """See `Observer`."""

    def operation_refused(self, record: AssociationRecord, service: str, *, from_end_point: bool) -> None:
        """See `Observer`."""

    def association_ended(self, record: AssociationRecord, ending: Ending) -> None:
        """See `Observer`."""

    def connection_idle(self, record: AssociationRecord, cause: str) -> None:
        """See `Observer`."""

    def connection_turned_away(self, record: AssociationRecord, cause: str) -> None:
        """See `Observer`."""

    def stranger_called(self, record: AssociationRecord, cause: str) -> None:
        """See `Observer`."""

    def peer_appeared(self, channel: str, instance: str, version: str) -> None:
        """See `PeerObserver`."""

    def peer_lost(self, channel: str, instance: str, code: str) -> None:
        """See `PeerObserver`."""

    def peer_refused(self, channel: str, instance: str, code: str) -> None:
        """See `PeerObserver`."""

    def nats_connected(self, server: str, max_payload: int) -> None:
        """See `PeerObserver`."""

    def nats_disconnected(self, reason: str) -> None:
        """See `PeerObserver`."""

    def nats_error(self, text: str, fatal: bool) -> None:
        """See `PeerObserver`."""


@dataclass(slots=True)
class PeerListeners:
    """Passes what happens to peers and NATS on to several, in order."""

    members: list[PeerObserver] = field(default_factory=list)

    def peer_appeared(self, channel: str, instance: str, version: str) -> None:
        """See `PeerObserver`."""
        for member in self.members:
            member.peer_appeared(channel, instance, version)

    def peer_lost(self, channel: str, instance: str, code: str) -> None:
        """See `PeerObserver`."""
        for member in self.members:
            member.peer_lost(channel, instance, code)

    def peer_refused(self, channel: str, instance: str, code: str) -> None:
        """See `PeerObserver`."""
        for member in self.members:
            member.peer_refused(channel, instance, code)

    def nats_connected(self, server: str, max_payload: int) -> None:
        """See `PeerObserver`."""
        for member in self.members:
            member.nats_connected(server, max_payload)

    def nats_disconnected(self, reason: str) -> None:
        """See `PeerObserver`."""
        for member in self.members:
            member.nats_disconnected(reason)

    def nats_error(self, text: str, fatal: bool) -> None:
        """See `PeerObserver`."""
        for member in self.members:
            member.nats_error(text, fatal)
