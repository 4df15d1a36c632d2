"""Whether this process is ready for associations, and if not, why: listening, NATS connected, a peer or a queue there.

It asks when it is asked; it remembers only what NATS said last. Being alive is for `http` to say, by answering.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, Protocol

from dimse_proxy.observability.counts import OUT
from dimse_proxy.observability.listener import Listener
from dimse_proxy.observability.queue_view import ALARM, FlowView, no_flows
from dimse_proxy.proxy.hooks import AssociationRecord, Refusal, Side
from dimse_proxy.proxy.refusals import RefusalCode, tunnel_cause
from dimse_proxy.proxy.routes import STORE_AND_FORWARD, Routes
from dimse_proxy.tunnel.events import Peer
from dimse_proxy.upper_layer.pdu import AssociateAccept, AssociateRequest, ContextResult


class TunnelView(Protocol):
    """What is asked of the tunnel."""

    @property
    def is_connected(self) -> bool:
        """Messages can be sent."""

    def peers(self) -> tuple[Peer, ...]:
        """Who is known."""


_TARGET_CODES: Final = frozenset(
    {RefusalCode.TARGET_UNREACHABLE, RefusalCode.TARGET_TIMEOUT, RefusalCode.TARGET_CLOSED}
)


class Health(Listener):
    """Of one process."""

    def __init__(
        self,
        tunnel: TunnelView,
        routes: Callable[[], Routes],
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
        flows: Callable[[], Sequence[FlowView]] = no_flows,
    ) -> None:
        """Begin before the listener is open.

        Args:
            tunnel: of this process.
            routes: the table in use: which channels are to be there, and which targets there are.
            clock: seconds, that of the tunnel.
            wall_clock: seconds since the epoch.
            flows: of store and forward.
        """
        self.is_listening = False
        self.is_stopping = False
        self.nats_trouble = "not connected yet"
        """What NATS, or the loss of it, said last; empty while connected."""
        self._nats_since = wall_clock()
        """When it was last connected, or when this began."""
        self._wall_clock: Final = wall_clock
        self._tunnel: Final = tunnel
        self._routes: Final = routes
        self._clock: Final = clock
        self._flows: Final = flows
        self._refused_peers: Final[dict[str, str]] = {}
        self._targets: Final[dict[str, str | None]] = {}

    @property
    def reasons(self) -> Mapping[str, str]:
        """Return what is in the way of an association, a word and a sentence each; empty when ready."""
        reasons: dict[str, str] = {}
        if not self.is_listening:
            reasons["listener"] = "the DICOM listener is not open"
        if self.is_stopping:
            reasons["stopping"] = "this proxy is shutting down and refuses new associations"
        channels = self._routes().queued_channels
        queued = [flow for flow in self._flows() if flow.direction == OUT and flow.channel in channels]
        usable = [flow for flow in queued if not flow.trouble]
        takes_objects = any(not flow.needs_target for flow in usable)
        if not self._tunnel.is_connected:
            if not takes_objects:
                reasons["nats"] = self._nats_sentence()
        elif queued and not usable and self._is_everything_queued():
            reasons["queue"] = "; ".join(map(queue_trouble, queued))
        elif (trouble := self.peer_trouble()) and not takes_objects:
            reasons["peer"] = trouble
        return reasons

    @property
    def degraded(self) -> Mapping[str, str]:
        """Return what is wrong though associations are carried, a word and a sentence each."""
        reasons, flows = self.reasons, self._flows()
        if not self._tunnel.is_connected:
            return {} if "nats" in reasons else {"nats": self._nats_sentence()}
        found = {}
        if flows and "peer" not in reasons and (troubles := self.peer_troubles()):
            found["peer"] = "; ".join(troubles)
        for flow in flows:
            if flow.trouble and not ("queue" in reasons and flow.direction == OUT):
                found[f"queue-{flow.direction}-{flow.channel}"] = queue_trouble(flow)
            for target in flow.targets:
                if target.state == ALARM:
                    found[f"target-{target.called}"] = (
                        f"nothing is delivered to {target.called} before somebody changes something: {target.text}"
                    )
        return found

    def _nats_sentence(self) -> str:
        return f"NATS: {self.nats_trouble}; not connected since {_moment(self._nats_since)}"

    def _is_everything_queued(self) -> bool:
        """No association that may be relayed is accepted here, as far as the routes tell."""
        routes = self._routes()
        return not routes.move_aliases and all(local.delivery == STORE_AND_FORWARD for local in routes.local_aes)

    def peer_trouble(self) -> str | None:
        """Why no peer can be asked for an association; None if one can, on whatever channel."""
        troubles = self.peer_troubles()
        return "; ".join(troubles) if len(troubles) == len(self._routes().channels) else None

    def peer_troubles(self) -> list[str]:
        """Why no peer can be asked, for each channel of which that is so."""
        return [trouble for channel in self._routes().channels if (trouble := self._trouble_of(channel)) is not None]

    def _trouble_of(self, channel: str) -> str | None:
        now = self._clock()
        peers = [peer for peer in self._tunnel.peers() if peer.channel == channel and peer.accepts]
        if any(is_usable(peer, now) for peer in peers):
            return None
        present = [peer for peer in peers if is_heard(peer, now)]
        if any(peer.going_away for peer in present):
            return f"every proxy on channel {channel} is shutting down"
        if any(not peer.compatible for peer in present):
            return f"the proxies on channel {channel} speak other versions of the tunnel's protocol"
        if silent := [peer for peer in peers if not is_heard(peer, now)]:
            last = max(silent, key=lambda peer: peer.last_seen)
            since = _moment(self._wall_clock() - (now - last.last_seen))
            return (
                f"no proxy on channel {channel} has been heard since {since} (the last was {last.instance}): it has "
                "ended without a word, or cannot reach NATS"
            )
        return self._refused_peers.get(channel) or f"no proxy is present on channel {channel}"

    # Targets.

    @property
    def targets(self) -> Mapping[str, str | None]:
        """By name of those that were asked: why it could not be had when it was asked last, None if it could."""
        names = {target.name for target in self._routes().targets}
        return {name: trouble for name, trouble in self._targets.items() if name in names}

    @property
    def is_target_known(self) -> bool:
        """A target was asked at least once."""
        return bool(self.targets)

    @property
    def target_trouble(self) -> str | None:
        """Why targets could not be had when they were asked last; None when they could, or never were."""
        return "; ".join(trouble for trouble in self.targets.values() if trouble is not None) or None

    # `proxy.hooks.Observer`

    def association_refused(self, record: AssociationRecord, refusal: Refusal) -> None:
        """Only what says something about the target; a rejection is an answer, so the target is there."""
        if record.side is not Side.REQUESTOR:
            return
        if refusal.code in _TARGET_CODES:
            self.target_said(record.target_name, refusal.cause)
        elif refusal.code == RefusalCode.TARGET_REJECTED:
            self.target_said(record.target_name, None)

    def association_accepted(
        self,
        record: AssociationRecord,
        accept: AssociateAccept,
        request: AssociateRequest,
        refused: Sequence[ContextResult],
    ) -> None:
        """The target is there."""
        if record.side is Side.REQUESTOR:
            self.target_said(record.target_name, None)

    def target_said(self, name: str, trouble: str | None) -> None:
        """A target was asked: what was wrong, or None."""
        self._targets[name] = trouble

    # `proxy.exchange.PeerObserver`

    def nats_connected(self, server: str, max_payload: int) -> None:
        """All is well."""
        self.nats_trouble = ""

    def nats_disconnected(self, reason: str) -> None:
        """The reason stands until something newer is known."""
        self.nats_trouble = reason
        self._nats_since = self._wall_clock()

    def nats_error(self, text: str, fatal: bool) -> None:
        """Why it cannot be reached; while connected it is about one message, and for the log."""
        if not self._tunnel.is_connected:
            self.nats_trouble = text

    def peer_appeared(self, channel: str, instance: str, version: str) -> None:
        """Whoever was refused is not the whole story any more."""
        self._refused_peers.pop(channel, None)

    def peer_refused(self, channel: str, instance: str, code: str) -> None:
        """Kept for the sentence that says why nobody can be asked."""
        self._refused_peers[channel] = tunnel_cause(code, channel, "")


def queue_trouble(flow: FlowView) -> str:
    """Say why a flow cannot be used, and what that means."""
    verb = "be queued" if flow.direction == OUT else "be delivered"
    return f"objects {flow.name} cannot {verb}: {flow.trouble}"


def _moment(seconds: float) -> str:
    """Return a moment as text: a sentence that counted seconds would be read out again every second."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def is_heard(peer: Peer, now: float) -> bool:
    """Whether a peer is there, as far as its hellos tell."""
    return peer.present and now < peer.late_at


def is_usable(peer: Peer, now: float) -> bool:
    """Whether a peer can be asked for an association now; one that is full can be, a little later."""
    return is_heard(peer, now) and peer.accepts and peer.compatible and not peer.going_away
