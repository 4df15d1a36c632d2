"""What the API says, as values that JSON has: made of the live state, the health and the parts, when it is asked for.

Read-only. The names of the keys are part of the API (`docs/observability.md`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dimse_proxy.observability.exposition import NatsNumbers, TunnelNumbers
from dimse_proxy.observability.health import Health, is_heard, is_usable
from dimse_proxy.observability.queue_view import FlowView, TargetView, no_flows
from dimse_proxy.observability.state import BIN_SECONDS, Ended, Live, LiveState, bytes_out_and_in
from dimse_proxy.proxy.hooks import AssociationRecord, Side
from dimse_proxy.proxy.routes import ANY, Routes

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What this process is; nothing of it changes."""

    version: str
    instance: str
    channel: str
    listens_on: str
    settings: Sequence[tuple[str, str, str]] = ()
    """Variable, value (masked), where it came from."""
    nats_servers: Sequence[str] = ()
    limit: int = 0
    """Associations at the same time; 0 for no limit."""
    can_act: bool = False
    """There is a token, so who has it can abort an association and test the target."""


class Snapshot:
    """Makes the values."""

    def __init__(
        self,
        *,
        identity: Identity,
        routes: Callable[[], Routes],
        state: LiveState,
        health: Health,
        tunnel: TunnelNumbers,
        nats: NatsNumbers,
        totals: Callable[[], Mapping[str, int]],
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
        flows: Callable[[], Sequence[FlowView]] = no_flows,
    ) -> None:
        """Ask nothing yet.

        Args:
            identity: of this process.
            routes: the table in use.
            state: live associations and the last ended ones.
            health: ready or not.
            tunnel: peers and sessions.
            nats: the connection.
            totals: associations requested, established, refused and ended so far.
            clock: seconds, that of `AssociationRecord.started`.
            wall_clock: seconds since the epoch.
            flows: of store and forward.
        """
        self.identity: Final = identity
        self.state: Final = state
        self._routes: Final = routes
        self._health: Final = health
        self._tunnel: Final = tunnel
        self._nats: Final = nats
        self._totals: Final = totals
        self._clock: Final = clock
        self._wall_clock: Final = wall_clock
        self._flows: Final = flows
        self._started: Final = wall_clock()

    @property
    def peer_channels(self) -> str:
        """The channels that this process talks to, for people."""
        return ", ".join(self._routes().channels)

    def ready(self) -> Json:
        """Return whether an association would be carried now, and why not; and what is wrong all the same."""
        reasons = dict(self._health.reasons)
        return {"ready": not reasons, "reasons": reasons, "degraded": dict(self._health.degraded)}

    def status(self) -> Json:
        """Return the state of the parts."""
        identity, health = self.identity, self._health
        now = self._wall_clock()
        sides = [live.record.side for live in self.state.live.values()]
        out, into = self.state.rate
        targets = self._targets()
        return {
            **self.ready(),
            "version": identity.version,
            "instance": identity.instance,
            "channel": identity.channel,
            "peer_channel": self.peer_channels,
            "time": now,
            "started": self._started,
            "uptime": now - self._started,
            "can_act": identity.can_act,
            "listener": {"listening": health.is_listening, "address": identity.listens_on},
            "nats": {
                "connected": self._tunnel.is_connected,
                "server": self._nats.server,
                "servers": list(identity.nats_servers),
                "max_payload": self._nats.max_payload,
                "round_trip": self._nats.round_trip,
                "reason": None if self._tunnel.is_connected else health.nats_trouble,
            },
            "peers": {
                "usable": health.peer_trouble() is None,
                "reason": "; ".join(health.peer_troubles()) or None,
                "channels": list(self._routes().channels),
                "list": self._peers(),
            },
            "target": {
                "configured": bool(targets),
                "address": targets[0]["address"] if len(targets) == 1 else f"{len(targets)} targets" if targets else "",
                "reachable": health.target_trouble is None if health.is_target_known else None,
                "reason": health.target_trouble,
                "list": targets,
            },
            "associations": {
                "active": len(sides),
                "accepted_here": sides.count(Side.ACCEPTOR),
                "requested_here": sides.count(Side.REQUESTOR),
                "limit": identity.limit or None,
                **self._totals(),
            },
            "rate": {"out": out, "in": into},
            "queues": self.queues(),
        }

    def queues(self) -> list[Json]:
        """Return how the flows of store and forward are; empty where it is off."""
        return [self._flow(flow) for flow in self._flows()]

    def live(self, most: int | None = None) -> list[Json]:
        """Return the live associations, the newest first; at most `most`."""
        lives = list(self.state.live.values())[::-1]
        return [self._live(live) for live in lives[:most]]

    def ended(self) -> list[Json]:
        """Return the last ended associations, the newest first."""
        return [self._ended(ended) for ended in reversed(self.state.ended)]

    def throughput(self) -> Json:
        """Return bytes a second in each direction, the oldest first."""
        points = list(self.state.throughput.points)
        return {"seconds": BIN_SECONDS, "out": [out for out, _ in points], "in": [into for _, into in points]}

    def routes(self) -> list[Json]:
        """Return what goes where."""
        routes = self._routes()
        here = f"local network, {self.identity.listens_on}"
        together: dict[str, list[str]] = {}
        for local in routes.local_aes:
            together.setdefault(_there(local.channel, local.ask_for), []).append(local.called)
        rows = [{"from": here, "called": _titles(titles), "to": there} for there, titles in together.items()]
        rows += [
            {"from": here, "called": entry.alias, "to": _there(entry.channel, entry.asker)}
            for entry in routes.move_aliases
        ]
        return [*rows, *self._routes_in(routes)]

    def _routes_in(self, routes: Routes) -> Iterator[Json]:
        for target in routes.targets:
            channels = f"channel {', '.join(target.channels)}"
            yield {"from": channels, "called": _titles(target.asked_for), "to": target.name}
        reached = {channel for target in routes.targets for channel in target.channels}
        for channel in routes.channels:
            if channel not in reached:
                text = "refused: there is no target (DIMSE_TARGET_HOST)"
                yield {"from": f"channel {channel}", "called": _titles((ANY,)), "to": text}

    def settings(self) -> list[Json]:
        """Return every setting, secrets masked."""
        return [{"variable": name, "value": value, "from": origin} for name, value, origin in self.identity.settings]

    def _targets(self) -> list[Json]:
        known = self._health.targets
        return [
            {
                "address": target.name,
                "reachable": None if target.name not in known else known[target.name] is None,
                "reason": known.get(target.name),
            }
            for target in self._routes().targets
        ]

    def _peers(self) -> list[Json]:
        now = self._clock()
        return [
            {
                "channel": peer.channel,
                "instance": peer.instance,
                "version": peer.version,
                "usable": is_usable(peer, now),
                "present": is_heard(peer, now),
                "going_away": peer.going_away,
                "compatible": peer.compatible,
                "associations": peer.load,
                "limit": peer.limit,
                "sessions": peer.sessions,
                "in_flight": peer.in_flight,
                "round_trip": peer.round_trip,
                "heard": max(0.0, now - peer.last_seen),
            }
            for peer in self._tunnel.peers()
            if peer.accepts
        ]

    def _live(self, live: Live) -> Json:
        record = live.record
        return {
            **_described(live),
            "state": "open" if record.established is not None else "asking",
            "rate": live.rate,
            "age": max(0.0, self._clock() - record.started),
            "in_progress": self._in_progress(record),
        }

    def _flow(self, flow: FlowView) -> Json:
        depth, counts, now = flow.depth, flow.counts, self._wall_clock()
        oldest = None if depth is None or depth.oldest is None else max(0.0, now - depth.oldest)
        return {
            "channel": flow.channel,
            "direction": flow.direction,
            "state": flow.state,
            "usable": not flow.trouble,
            "reason": flow.trouble or flow.said or None,
            "waiting": None if depth is None else depth.waiting,
            "bytes": None if depth is None else depth.bytes,
            "limit": None if depth is None else depth.limit or None,
            "oldest": oldest,
            "dead": None if depth is None else depth.dead,
            "unreadable": flow.unreadable,
            "measured": None if depth is None else max(0.0, now - depth.at),
            "rate": {"objects": flow.objects_rate, "bytes": flow.bytes_rate},
            "since_start": {
                "queued": counts.queued,
                "refused": sum(counts.refused.values()),
                "delivered": sum(counts.delivered.values()),
                "warnings": counts.delivered[True],
                "retried": counts.retried,
                "given_up": sum(counts.dead.values()),
            },
            "last_trouble": None
            if flow.last_trouble is None
            else {"at": flow.last_trouble[0], "text": flow.last_trouble[1]},
            "targets": [_queue_target(target) for target in flow.targets],
        }

    def _in_progress(self, record: AssociationRecord) -> Json | None:
        """Return the oldest request without a final response, and who is waited for; None without one."""
        requests = record.in_progress()
        if not requests:
            return None
        oldest = requests[0]
        is_from_end_point = oldest.from_requestor is (record.side is Side.ACCEPTOR)
        return {
            "requests": len(requests),
            "service": oldest.service,
            "message_id": oldest.message_id,
            "whole": oldest.is_whole,
            "seconds": max(0.0, self._clock() - max(oldest.since, oldest.heard or oldest.since)),
            "waits_for": "other side" if is_from_end_point else "end point",
        }

    def _ended(self, ended: Ended) -> Json:
        return {
            **_described(ended.live),
            "ended": ended.at,
            "duration": ended.duration,
            "unanswered": ended.unanswered,
            "outcome": ended.outcome,
            "cause": ended.cause,
            "code": ended.code,
        }


def _queue_target(target: TargetView) -> Json:
    return {
        "called": target.called,
        "state": target.state,
        "objects": target.objects,
        "given_up": target.dead,
        "rests_for": target.rests_for,
        "reason": target.text or None,
    }


def _there(channel: str, title: str | None) -> str:
    return f"{'' if title is None else f'{title} at '}channel {channel}, the target of its proxy"


def _titles(titles: Sequence[str]) -> str:
    return ", ".join("any AE title" if title == ANY else title for title in titles)


def _described(live: Live) -> Json:
    record = live.record
    out, into = bytes_out_and_in(record)
    return {
        "number": live.number,
        "session": record.session,
        "side": str(record.side),
        "calling": record.calling,
        "called": record.called,
        "peer": record.peer,
        "target": record.target,
        "channel": record.channel,
        "services": dict(live.services),
        "failures": live.failures,
        "operations_refused": dict(record.operations_refused),
        "bytes_out": out,
        "bytes_in": into,
    }
