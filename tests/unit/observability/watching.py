"""What the tests of counts, state, metrics and page share: records, messages, and parts that say what they are told."""

from dataclasses import dataclass, field

from dimse_proxy.dimse.command_set import CommandSet
from dimse_proxy.dimse.status import StatusClass, status_class
from dimse_proxy.dimse.tracking import MessageSeen
from dimse_proxy.observability.counts import Counts
from dimse_proxy.observability.health import Health
from dimse_proxy.observability.queue_view import FlowCounts, FlowView, TargetView
from dimse_proxy.observability.snapshot import Identity, Snapshot
from dimse_proxy.observability.state import LiveState
from dimse_proxy.proxy.depth import Depth
from dimse_proxy.proxy.hooks import AssociationRecord, EndCause, Ending, Refusal, Side
from dimse_proxy.proxy.routes import ANY, LocalAe, MoveAlias, Routes, Target
from dimse_proxy.transports.streams import Address
from dimse_proxy.tunnel.events import Peer, TunnelCounters
from dimse_proxy.upper_layer.codec import decode_pdu
from dimse_proxy.upper_layer.pdu import AssociateAccept, AssociateRequest
from tests.playbook.conftest import accept, request

RAW_REQUEST = decode_pdu(request())
RAW_ACCEPT = decode_pdu(accept())
assert isinstance(RAW_REQUEST, AssociateRequest)
assert isinstance(RAW_ACCEPT, AssociateAccept)
REQUEST, ACCEPT = RAW_REQUEST, RAW_ACCEPT


def command(**values: bytes) -> CommandSet:
    encoded = b""
    for name, value in values.items():
        tag = int(name.removeprefix("t"), 16)
        encoded += b"\0\0" + tag.to_bytes(2, "little") + len(value).to_bytes(4, "little") + value
    return CommandSet.decode(encoded)


STORE_RQ = command(t0100=b"\1\0", t0110=b"\7\0", t0800=b"\0\0")
STORE_RSP = command(t0100=b"\1\x80", t0120=b"\7\0", t0800=b"\1\1", t0900=b"\0\xa7")
NO_STATUS = command(t0100=b"\1\x80", t0120=b"\7\0", t0800=b"\1\1")


TARGET = "PACS@pacs:104"


def routes(**changes: object) -> Routes:
    """A pair with one target and one alias, as the variables make it; `changes` are arguments of `Routes`."""
    values: dict[str, object] = {
        "own_ae_title": "INGESTION",
        "channels": ("B",),
        "default_channel": "B",
        "local_aes": [LocalAe(called=title, channel="B") for title in ("INGESTION", ANY)],
        "targets": [Target(asked_for=(ANY,), channels=("B",), hosts=(Address("pacs", 104),), ae_title="PACS")],
        "move_aliases": [MoveAlias(asker="WS1", alias="WS1_REMOTE", channel="B")],
    }
    return Routes(**{**values, **changes})  # type: ignore[arg-type]


def record(side: Side = Side.ACCEPTOR, **values: object) -> AssociationRecord:
    known: dict[str, object] = {"started": 100.0, "peer": "10.0.0.7:4000", "calling": "CT1", "called": "INGESTION"}
    known["target_name"] = TARGET if side is Side.REQUESTOR else ""
    return AssociationRecord(side=side, **(known | values))  # type: ignore[arg-type]


def message(
    content: CommandSet, *, from_requestor: bool, length: int = 0, duration: float | None = None
) -> MessageSeen:
    of_response = StatusClass.FAILURE if content.status is None else status_class(content.status)
    return MessageSeen(
        from_requestor=from_requestor,
        context_id=3,
        abstract_syntax="",
        service="C-STORE",
        command=content,
        status_class=of_response if content.is_response else None,
        data_set_length=length,
        duration=duration,
    )


def ending(cause: EndCause = EndCause.RELEASED, outcome: str = "released", duration: float = 2.0) -> Ending:
    return Ending(cause=cause, outcome=outcome, is_released=cause is EndCause.RELEASED, services=(), duration=duration)


def refusal(code: str = "limit", result: int = 2, source: int = 3, reason: int = 2, cause: str = "full") -> Refusal:
    return Refusal(result=result, source=source, reason=reason, cause=cause, code=code)


def peer(**values: object) -> Peer:
    known: dict[str, object] = {
        "channel": "B",
        "instance": "b1",
        "epoch": 1,
        "version": "0.1.0",
        "load": 2,
        "limit": None,
        "accepts": True,
        "going_away": False,
        "present": True,
        "compatible": True,
        "last_seen": 99.0,
        "sessions": 1,
    }
    return Peer(**(known | values))  # type: ignore[arg-type]


def depth(**values: object) -> Depth:
    known: dict[str, object] = {
        "waiting": 3,
        "dead": 0,
        "bytes": 3_000_000,
        "limit": 10_000_000,
        "oldest": 1_700_000_040.0,
        "at": 1_700_000_099.0,
    }
    return Depth(**(known | values))  # type: ignore[arg-type]


def flow(direction: str = "out", **values: object) -> FlowView:
    known: dict[str, object] = {
        "channel": "B",
        "direction": direction,
        "trouble": "",
        "said": "",
        "needs_target": False,
        "depth": depth(),
        "unreadable": 0,
        "counts": FlowCounts(),
        "objects_rate": 2.0,
        "bytes_rate": 2_000_000.0,
        "last_trouble": None,
        "targets": [],
    }
    return FlowView(**(known | values))  # type: ignore[arg-type]


def target(called: str = "ARCHIVE", **values: object) -> TargetView:
    known: dict[str, object] = {"objects": 5, "dead": 0, "rests_for": None, "is_alarm": False, "text": ""}
    return TargetView(called=called, **(known | values))  # type: ignore[arg-type]


@dataclass
class TunnelDouble:
    counters: TunnelCounters = field(default_factory=TunnelCounters)
    is_connected: bool = True
    known: list[Peer] = field(default_factory=lambda: [peer()])

    def peers(self) -> tuple[Peer, ...]:
        return tuple(self.known)

    def sessions(self) -> tuple[object, ...]:
        return (object(),)


@dataclass
class NatsDouble:
    server: str = "nats://nats:4222"
    max_payload: int = 1 << 20
    unsent: int = 0
    round_trip: float | None = 0.002


@dataclass
class Stage:
    """One process's parts, at a time that the test sets."""

    now: float = 100.0
    tunnel: TunnelDouble = field(default_factory=TunnelDouble)
    nats: NatsDouble = field(default_factory=NatsDouble)
    can_act: bool = False
    routes: Routes = field(default_factory=routes)
    flows: list[FlowView] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.counts = Counts()
        self.health = Health(
            self.tunnel, lambda: self.routes, lambda: self.now, lambda: 1_700_000_000 + self.now, lambda: self.flows
        )
        self.health.is_listening = True
        self.health.nats_connected("nats://nats:4222", 1 << 20)
        self.state = LiveState(self.counts.p_data_bytes, lambda: self.now, lambda: 1_700_000_000 + self.now)
        self.snapshot = Snapshot(
            identity=Identity(
                version="0.1.0",
                instance="a1",
                channel="A",
                listens_on="0.0.0.0:11112",
                settings=[("DIMSE_NATS_AUTH_TOKEN", "********", "environment")],
                nats_servers=("nats://nats:4222",),
                limit=64,
                can_act=self.can_act,
            ),
            routes=lambda: self.routes,
            state=self.state,
            health=self.health,
            tunnel=self.tunnel,
            nats=self.nats,
            totals=lambda: {"requested": 0, "established": 0, "refused": 0, "released": 0, "aborted": 0},
            clock=lambda: self.now,
            wall_clock=lambda: 1_700_000_000 + self.now,
            flows=lambda: self.flows,
        )

    def ask(self, **values: object) -> AssociationRecord:
        """An association that is asked for."""
        asked = record(**values)  # type: ignore[arg-type]
        for listener in (self.counts, self.state):
            listener.association_requested(asked, REQUEST)
        return asked

    def end(self, asked: AssociationRecord, how: Ending | Refusal) -> None:
        for listener in (self.counts, self.state):
            if isinstance(how, Refusal):
                listener.association_refused(asked, how)
            else:
                listener.association_ended(asked, how)
