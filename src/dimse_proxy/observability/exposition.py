"""Metrics in Prometheus' text format: names, help and labels of what `counts` counted and of what the parts say now.

It is imported with the HTTP listener, and prometheus-client with it. It reads; it counts nothing.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from prometheus_client import GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from dimse_proxy.observability.audit.codes import EVENTS
from dimse_proxy.observability.counts import Counts
from dimse_proxy.observability.families import PREFIX, counter_of, gauge_of, histogram_of
from dimse_proxy.observability.health import Health, is_heard
from dimse_proxy.observability.queue_exposition import queue_families
from dimse_proxy.observability.queue_view import FlowView, no_flows
from dimse_proxy.proxy.hooks import Side
from dimse_proxy.tunnel.events import Peer, TunnelCounters

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_DISCARDED: Final = {
    "bad_subjects": "bad-subject",
    "bad_frames": "bad-frame",
    "unknown_versions": "unknown-version",
    "bad_hellos": "bad-hello",
    "stale_epochs": "stale-epoch",
    "strangers": "stranger",
    "unknown_sessions": "unknown-session",
    "forged_offsets": "forged-offset",
    "beyond_limit": "beyond-limit",
    "duplicates": "duplicate",
    "forged": "forged",
    "replayed": "replayed",
    "mismatches": "key-mismatch",
}
"""Counters of the tunnel that count messages which were not used, and the value of the label `reason` of each."""

_TUNNEL: Final = {
    "gaps": "Times that bytes were found to be missing, and asked for.",
    "resends": "Times that bytes were sent again because the peer asked for them.",
    "resent_bytes": "Bytes that were sent again.",
    "probes": "Times that a peer was asked what it has, because nothing moved.",
    "credit_stalls": "Times that a session had sent all that its peer allows.",
    "resumes": "Sessions that went on after a reconnect of this proxy.",
    "resets_sent": "Messages that told a peer of sessions which are not known here.",
    "resets_received": "Messages of a peer about sessions which are not known there.",
}


class TunnelNumbers(Protocol):
    """What is read of the tunnel."""

    @property
    def counters(self) -> TunnelCounters:
        """Only ever grow."""

    @property
    def is_connected(self) -> bool:
        """Messages can be sent."""

    def peers(self) -> tuple[Peer, ...]:
        """Who is known."""

    def sessions(self) -> tuple[object, ...]:
        """Those that are not over."""


class NatsNumbers(Protocol):
    """What is read of the connection to NATS."""

    @property
    def server(self) -> str:
        """URL; empty when not connected."""

    @property
    def max_payload(self) -> int:
        """Bytes; 0 when not connected."""

    @property
    def unsent(self) -> int:
        """Bytes."""

    @property
    def round_trip(self) -> float | None:
        """Seconds."""


class DeliveryNumbers(Protocol):
    """What is read of a target of audit messages."""

    @property
    def name(self) -> str:
        """URL or path, as it is set."""

    @property
    def is_reachable(self) -> bool:
        """The last try went well."""

    @property
    def waiting(self) -> int:
        """Messages."""

    @property
    def waiting_bytes(self) -> int:
        """Bytes."""

    @property
    def sent(self) -> int:
        """Messages; only ever grows."""

    @property
    def dropped(self) -> int:
        """Messages that had to make room; only ever grows."""

    @property
    def too_long(self) -> int:
        """Messages that no datagram takes; only ever grows."""


class AuditNumbers(Protocol):
    """What is read of the audit trail."""

    @property
    def deliveries(self) -> Sequence[DeliveryNumbers]:
        """Its targets."""

    @property
    def made(self) -> Mapping[str, int]:
        """Messages by event; only ever grow."""

    @property
    def contents_unread(self) -> int:
        """Data sets; only ever grows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where the numbers come from."""

    counts: Counts
    health: Health
    tunnel: TunnelNumbers
    nats: NatsNumbers
    build: Mapping[str, str]
    """Labels of `dimse_proxy_build_info`."""
    clock: Callable[[], float]
    """Seconds, that of the tunnel."""
    wall_clock: Callable[[], float]
    """Seconds since 1970."""
    audit: AuditNumbers | None = None
    """None where no audit messages are made: then their metrics have no samples."""
    flows: Callable[[], Sequence[FlowView]] = no_flows
    """Of store and forward; without any their metrics have no samples."""


class Exposition(Collector):
    """All metrics of one process, in a registry of its own."""

    def __init__(self, sources: Sources) -> None:
        self._sources: Final = sources
        self._registry: Final = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        self._registry.register(self)

    def text(self) -> bytes:
        """Return what a scrape gets."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Yield every family; all of them are there from the start, with zeros where the labels are known."""
        yield from self._process()
        yield from self._associations()
        yield from self._messages()
        yield from self._tunnel()
        yield from self._nats()
        yield from self._audit()
        yield from queue_families(self._sources.flows(), self._sources.wall_clock())

    def _process(self) -> Iterator[Metric]:
        build, health = self._sources.build, self._sources.health
        info = GaugeMetricFamily(f"{PREFIX}build_info", "What this process is; always 1.", labels=tuple(build))
        info.add_metric(tuple(build.values()), 1)
        yield info
        yield gauge_of("ready", "Whether an association would be carried now: 1 or 0.", not health.reasons)
        target = GaugeMetricFamily(
            f"{PREFIX}target_reachable", "Whether the target could be had when it was asked last; absent before."
        )
        if health.is_target_known:
            target.add_metric((), health.target_trouble is None)
        yield target

    def _associations(self) -> Iterator[Metric]:
        counts = self._sources.counts
        active = Counter(record.side for record in counts.active.values())
        gauge = GaugeMetricFamily(
            f"{PREFIX}associations_active", "Associations that were asked for and are not over.", labels=("side",)
        )
        for side in Side:
            gauge.add_metric((str(side),), active[side])
        yield gauge
        yield counter_of(
            "associations_requested",
            "Associations that were asked for.",
            ("side",),
            {(str(side),): counts.requested[side] for side in Side},
        )
        yield counter_of(
            "associations_established",
            "Associations that were answered with an A-ASSOCIATE-AC.",
            ("side",),
            {(str(side),): counts.established[side] for side in Side},
        )
        yield counter_of(
            "associations_refused",
            "Associations that were refused, by the A-ASSOCIATE-RJ and the proxy's own code.",
            ("side", "result", "source", "reason", "code"),
            counts.refused,
        )
        yield counter_of(
            "associations_ended",
            "Associations that are over, by what ended them; released is the good one.",
            ("side", "cause"),
            {(side, "released"): 0 for side in Side} | dict(counts.ended),
        )
        yield histogram_of(
            "association_duration_seconds",
            "From the request to the end of an association.",
            ("side",),
            {(str(side),): histogram for side, histogram in counts.durations.items()},
        )
        yield histogram_of(
            "association_establishment_seconds",
            "From the request to its acceptance. Side requestor: waiting for the target. Side acceptor: that, and the "
            "tunnel.",
            ("side",),
            {(str(side),): histogram for side, histogram in counts.establishments.items()},
        )
        yield counter_of(
            "connections_without_association",
            "Connections that never asked for an association.",
            ("kind",),
            {(kind,): counts.without_association[kind] for kind in ("idle", "turned-away", "not-dicom")},
        )

    def _messages(self) -> Iterator[Metric]:
        counts = self._sources.counts
        labels = ("service", "direction")
        yield counter_of("requests", "DIMSE requests that passed as a whole.", labels, counts.requests)
        yield counter_of(
            "responses",
            "DIMSE responses that passed as a whole, by class of their status.",
            (*labels, "status"),
            counts.responses,
        )
        yield counter_of("data_set_bytes", "Bytes of data sets that passed.", labels, counts.data_set_bytes)
        yield counter_of(
            "p_data_bytes",
            "Bytes of P-DATA-TF PDUs that passed, running associations included.",
            ("direction",),
            {(direction,): count for direction, count in counts.p_data_bytes().items()},
        )
        yield counter_of(
            "operations_refused",
            "Requests that DIMSE_ALLOWED_OPERATIONS_IN or _OUT does not allow.",
            labels,
            counts.operations_refused,
        )
        yield histogram_of(
            "response_seconds",
            "From a request to its response. Waited for the end point: of this side's own network. Waited for the "
            "tunnel: for the other side, its end point included.",
            ("service", "waited_for"),
            counts.response_times,
        )

    def _tunnel(self) -> Iterator[Metric]:
        tunnel, counts = self._sources.tunnel, self._sources.counts
        peers, counters = tunnel.peers(), tunnel.counters
        now = self._sources.clock()
        states = Counter(_state_of(peer, now) for peer in peers if peer.accepts)
        gauge = GaugeMetricFamily(f"{PREFIX}tunnel_peers", "Proxies of the other side.", labels=("state",))
        for state in ("present", "silent", "going-away", "incompatible"):
            gauge.add_metric((state,), states[state])
        yield gauge
        yield gauge_of("tunnel_sessions", "Sessions that are not over.", len(tunnel.sessions()))
        yield gauge_of(
            "tunnel_in_flight_bytes", "Bytes sent and not acknowledged.", sum(peer.in_flight for peer in peers)
        )
        trips = [peer.round_trip for peer in peers if peer.round_trip is not None]
        yield gauge_of(
            "tunnel_round_trip_seconds",
            "Shortest round trip to a peer, the longest of all peers; absent before there was data.",
            max(trips, default=None),
        )
        for name, text in _TUNNEL.items():
            yield counter_of(f"tunnel_{name}", text, (), {(): getattr(counters, name)})
        yield counter_of(
            "tunnel_discarded",
            "Messages that were received and not used.",
            ("reason",),
            {(reason,): getattr(counters, name) for name, reason in _DISCARDED.items()},
        )
        yield counter_of("tunnel_peers_appeared", "Peers that came, or came back.", (), {(): counts.peers_appeared})
        yield counter_of(
            "tunnel_peers_lost",
            "Peers that fell silent or were lost.",
            ("code",),
            {(code,): count for code, count in counts.peers_lost.items()},
        )

    def _nats(self) -> Iterator[Metric]:
        nats, counts = self._sources.nats, self._sources.counts
        yield gauge_of("nats_connected", "Whether NATS is connected: 1 or 0.", self._sources.tunnel.is_connected)
        server = GaugeMetricFamily(
            f"{PREFIX}nats_server_info", "The server of NATS that is connected; always 1.", labels=("server",)
        )
        if nats.server:
            server.add_metric((nats.server,), 1)
        yield server
        yield gauge_of("nats_max_payload_bytes", "Longest message that the server takes.", nats.max_payload)
        yield gauge_of("nats_unsent_bytes", "Bytes published that have not left this process.", nats.unsent)
        yield gauge_of(
            "nats_round_trip_seconds", "Of the last PING, behind what was published before it.", nats.round_trip
        )
        yield counter_of("nats_connections", "Connections that were made.", (), {(): counts.nats_connections})
        reconnects = max(0, counts.nats_connections - 1)
        yield counter_of("nats_reconnects", "Connections that were made after the first one.", (), {(): reconnects})
        yield counter_of("nats_disconnections", "Connections that were lost.", (), {(): counts.nats_disconnections})
        yield counter_of(
            "nats_errors",
            "Troubles with NATS; fatal ones stay until somebody changes a secret or a permission.",
            ("fatal",),
            {(str(fatal).lower(),): counts.nats_errors[fatal] for fatal in (False, True)},
        )

    def _audit(self) -> Iterator[Metric]:
        audit = self._sources.audit
        deliveries = () if audit is None else audit.deliveries
        yield counter_of(
            "audit_messages",
            "Audit messages that were made.",
            ("event",),
            {} if audit is None else {(event.word,): audit.made.get(event.word, 0) for event in EVENTS},
        )
        yield counter_of(
            "audit_sent",
            "Audit messages that their target took.",
            ("target",),
            {(delivery.name,): delivery.sent for delivery in deliveries},
        )
        yield counter_of(
            "audit_dropped",
            "Audit messages that are lost, because more wait than there is room for, or no datagram takes them.",
            ("target", "reason"),
            {(delivery.name, "no-room"): delivery.dropped for delivery in deliveries}
            | {(delivery.name, "too-long"): delivery.too_long for delivery in deliveries},
        )
        for name, text, values in (
            ("audit_waiting", "Audit messages that are not sent yet.", [each.waiting for each in deliveries]),
            ("audit_waiting_bytes", "Bytes of them.", [each.waiting_bytes for each in deliveries]),
            (
                "audit_reachable",
                "Whether the target took messages when it was tried last: 1 or 0.",
                [int(each.is_reachable) for each in deliveries],
            ),
        ):
            gauge = GaugeMetricFamily(PREFIX + name, text, labels=("target",))
            for delivery, value in zip(deliveries, values, strict=True):
                gauge.add_metric((delivery.name,), value)
            yield gauge
        yield counter_of(
            "audit_contents_unread",
            "Data sets whose patient and study could not be read for the audit.",
            (),
            {} if audit is None else {(): audit.contents_unread},
        )


def _state_of(peer: Peer, now: float) -> str:
    if not is_heard(peer, now):
        return "silent"
    if peer.going_away:
        return "going-away"
    return "present" if peer.compatible else "incompatible"
