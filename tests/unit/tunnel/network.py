"""Tunnels joined by a simulated message bus with virtual time, for the tests of the tunnel.

The bus publishes to every node whose subscription matches, in order and at once, unless it is told to lose, double or
delay. What is on its way to a node that is disconnected when it arrives is lost, as with core NATS.
"""

import heapq
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

from dimse_proxy.tunnel import (
    AbortReceived,
    DataReceived,
    EndReceived,
    Message,
    Session,
    SessionClosed,
    SessionFailed,
    SessionOpened,
    Tunnel,
    TunnelCode,
    TunnelEvent,
    TunnelIdentity,
    TunnelSettings,
)
from dimse_proxy.tunnel.frames import HEADER, VERSION, FrameType, instance_tag, make_route


def random_source(seed: int) -> Callable[[int], bytes]:
    return random.Random(seed).randbytes


@dataclass
class Side:
    """What the user of one end of a session saw of it."""

    session: Session
    received: bytearray = field(default_factory=bytearray)
    endings: list[str] = field(default_factory=list)
    abort: AbortReceived | None = None
    code: TunnelCode | None = None


class Node:
    """One process: a tunnel and its user, who keeps all bytes and, unless told not to, consumes them at once."""

    def __init__(
        self,
        channel: str,
        instance: str,
        peers: tuple[str, ...],
        settings: TunnelSettings,
        epoch: int = 1,
        accepts: bool = True,
    ) -> None:
        identity = TunnelIdentity(channel, instance, epoch, "1.0", accepts)
        self.tunnel = Tunnel(
            identity, settings, peers, random_source(zlib.crc32(f"{channel} {instance} {epoch}".encode()))
        )
        self.events: list[TunnelEvent] = []
        self.sides: dict[bytes, Side] = {}
        self.consumes = True
        self.is_frozen = False
        self.most_in_flight = 0

    def side(self, session: Session) -> Side:
        return self.sides.setdefault(session.id, Side(session))

    def codes(self) -> list[TunnelCode]:
        return [event.code for event in self.events if isinstance(event, SessionFailed)]

    def opened(self) -> list[Session]:
        return [event.session for event in self.events if isinstance(event, SessionOpened)]

    def names(self) -> list[str]:
        """Names of the events since the last call of `forget`."""
        return [type(event).__name__ for event in self.events]

    def forget(self) -> None:
        self.events.clear()

    def take_events(self, now: float) -> None:
        for event in self.tunnel.events_received():
            self.events.append(event)
            match event:
                case DataReceived():
                    side = self.side(event.session)
                    assert not side.endings, "data after the end"
                    side.received += event.data
                    if self.consumes:
                        event.session.consumed(len(event.data), now)
                case EndReceived():
                    self.side(event.session).endings.append("end")
                case AbortReceived():
                    self.side(event.session).abort = event
                    self.side(event.session).endings.append("abort")
                case SessionClosed():
                    self.side(event.session).endings.append("closed")
                case SessionFailed():
                    self.side(event.session).code = event.code
                    self.side(event.session).endings.append("failed")
                case _:
                    pass


@dataclass
class Fault:
    """What the bus does to messages."""

    loss: float = 0.0
    doubling: float = 0.0
    delay: float = 0.0
    jitter: float = 0.0
    """More than 0 reorders messages."""
    bandwidth: float = 0.0
    """Bytes a second that each node can publish; 0 for no limit."""


class Network:
    """The bus, the clock and all nodes. `user` is called whenever something has happened."""

    def __init__(self, *nodes: Node, seed: int = 0, max_payload: int = 1 << 20) -> None:
        self.now = 0.0
        self.nodes = list(nodes)
        self.fault = Fault()
        self.max_payload = max_payload
        self.drop: Callable[[Message], bool] = lambda message: False
        self.log: list[Message] = []
        self.user: Callable[[], object] = lambda: None
        self._random = random.Random(seed)
        self._sequence = 0
        self._mail: list[tuple[float, int, str, bytes]] = []
        self._busy_until: dict[str, float] = {}

    def connect(self, *nodes: Node) -> None:
        for node in nodes or self.nodes:
            node.tunnel.connected(self.max_payload, self.now)
        self.settle()

    def disconnect(self, *nodes: Node) -> None:
        for node in nodes:
            node.tunnel.disconnected(self.now)

    def publish(self, message: Message, sender: str = "") -> None:
        self.log.append(message)
        if self.drop(message) or self._random.random() < self.fault.loss:
            return
        copies = 2 if self._random.random() < self.fault.doubling else 1
        payload = b"".join(message.parts)
        assert len(payload) <= self.max_payload
        start = self.now
        if self.fault.bandwidth:
            start = max(start, self._busy_until.get(sender, 0.0)) + len(payload) / self.fault.bandwidth
            self._busy_until[sender] = start
        for _ in range(copies):
            self._sequence += 1
            at = start + self.fault.delay + self._random.random() * self.fault.jitter
            heapq.heappush(self._mail, (at, self._sequence, message.subject, payload))

    def settle(self) -> None:
        """Let everything happen that happens now."""
        for _ in range(100_000):
            published = 0
            for node in self.nodes:
                if not node.is_frozen:
                    node.take_events(self.now)
                    self.user()
                    for message in node.tunnel.messages_to_send(self.now):
                        self.publish(message, node.tunnel.identity.instance)
                        published += 1
            if not self._deliver() and not published:
                return
        raise AssertionError("the tunnels never come to rest")

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Let time pass; return whether `until` came true, which ends it."""
        end = self.now + seconds
        self.settle()
        while not until():
            times = [mail[0] for mail in self._mail[:1]]
            times += [at for node in self.nodes if not node.is_frozen and (at := node.tunnel.next_timer()) is not None]
            if not times or min(times) > end:
                self.now = end
                self.settle()
                return until()
            self.now = max(self.now, min(times))
            for node in self.nodes:
                at = node.tunnel.next_timer()
                if at is not None and at <= self.now and not node.is_frozen:
                    node.tunnel.handle_timer(self.now)
            self.settle()
        return True

    def _deliver(self) -> bool:
        delivered = False
        while self._mail and self._mail[0][0] <= self.now:
            _, _, subject, payload = heapq.heappop(self._mail)
            delivered = True
            for node in self.nodes:
                if node.tunnel.is_connected and not node.is_frozen and subscribes(node.tunnel, subject):
                    node.tunnel.receive_message(subject, payload, self.now)
        return delivered


def subscribes(tunnel: Tunnel, subject: str) -> bool:
    tokens = subject.split(".")
    for pattern in tunnel.subscriptions():
        parts = pattern.split(".")
        if len(parts) == len(tokens) and all(part in ("*", token) for part, token in zip(parts, tokens, strict=True)):
            return True
    return False


def pair(
    settings: TunnelSettings | None = None, seed: int = 0, max_payload: int = 1 << 20
) -> tuple[Network, Node, Node]:
    """Return a network of two nodes that know each other, and have been connected for some seconds."""
    settings = settings or TunnelSettings()
    a = Node("A", "a1", ("B",), settings)
    b = Node("B", "b1", ("A",), settings)
    network = Network(a, b, seed=seed, max_payload=max_payload)
    network.connect()
    network.run(4)
    a.forget()
    b.forget()
    network.log.clear()
    return network, a, b


def open_session(network: Network, a: Node, b: Node) -> tuple[Session, Session]:
    """Open a session and return both its ends."""
    ours = a.tunnel.open_session(b.tunnel.identity.channel, {"called": "PACS"}, network.now)
    network.settle()
    theirs = next(session for session in b.tunnel.sessions() if session.id == ours.id)
    a.forget()
    b.forget()
    return ours, theirs


def frame(
    sender: Node,
    receiver: Node,
    kind: int,
    session_id: bytes,
    offset: int = 0,
    body: bytes = b"{}",
    counter: int = 1 << 32,
) -> Message:
    """Return a frame as `sender` would build it for `receiver`."""
    ours, theirs = sender.tunnel.identity, receiver.tunnel.identity
    route = make_route(instance_tag(ours.instance), ours.epoch, theirs.epoch)
    header = HEADER.pack(VERSION, kind, 0, 0, session_id, route, counter, offset)
    return Message(f"DIMSE.{theirs.channel}.{ours.channel}.i.{theirs.instance}", (header, body))


def kinds(network: Network, kind: FrameType) -> list[Message]:
    """Return the frames of one type among all messages published since the log was cleared."""
    return [message for message in network.log if is_kind(message, kind)]


def is_kind(message: Message, kind: FrameType) -> bool:
    return not message.subject.endswith(".hello") and bytes(message.parts[0])[1] == kind


def offset_of(message: Message) -> int:
    offset: int = HEADER.unpack(message.parts[0])[-1]
    return offset
