"""With a tunnel key: the same delivery on a bad bus, and on a hostile one never a byte that was not sent so."""

import dataclasses
import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from dimse_proxy.tunnel import Message, SessionAcknowledged, TunnelSettings
from tests.property.tunnel.test_tunnel_delivery import FAULTS, SIZES, SMALL, Transfer, check_sound
from tests.unit.tunnel.network import Fault, Network, Node, random_source

KEY, OTHER_KEY = random_source(11)(32), random_source(12)(32)
SEALED = dataclasses.replace(SMALL, keys=(KEY,))
ROTATING = (
    ((KEY,), (KEY,)),
    ((KEY, OTHER_KEY), (OTHER_KEY,)),
    ((OTHER_KEY, KEY), (KEY, OTHER_KEY)),
    ((KEY,), (OTHER_KEY, KEY)),
)


def keyed(settings: TunnelSettings, keys: tuple[bytes, ...]) -> TunnelSettings:
    return dataclasses.replace(settings, keys=keys)


@settings(deadline=None, max_examples=40)
@given(
    fault=FAULTS,
    sizes=SIZES,
    step=st.sampled_from([100, 5000, 70_000]),
    seed=st.integers(0, 1 << 16),
    keys=st.sampled_from(ROTATING),
    outages=st.lists(st.tuples(st.booleans(), st.floats(0.0, 3.0), st.floats(0.1, 50.0)), max_size=2),
    max_payloads=st.lists(st.sampled_from([1024, 4096, 1 << 20]), min_size=2, max_size=2),
)
def test_sealed_streams_arrive_complete_and_in_order(
    fault: Fault,
    sizes: list[int],
    step: int,
    seed: int,
    keys: tuple[tuple[bytes, ...], tuple[bytes, ...]],
    outages: list[tuple[bool, float, float]],
    max_payloads: list[int],
) -> None:
    a, b = Node("A", "a1", ("B",), keyed(SMALL, keys[0])), Node("B", "b1", ("A",), keyed(SMALL, keys[1]))
    network = Network(a, b, seed=seed)
    network.connect()
    network.fault = fault
    transfer = Transfer(network, a, [b], sizes, step)
    assert network.run(60, transfer.is_acknowledged)
    for (is_a, before, length), max_payload in zip(outages, max_payloads, strict=False):
        network.run(before, transfer.feed)
        node = a if is_a else b
        network.disconnect(node)
        network.run(length, transfer.feed)
        network.max_payload = min(network.max_payload, max_payload)
        network.connect(a, b)
        network.run(5, transfer.feed)
    assert network.run(5000, transfer.feed)
    network.fault = Fault()
    network.run(10)
    transfer.check_complete()
    check_sound(a, b)
    for node in (a, b):
        assert node.tunnel.counters.forged == node.tunnel.counters.mismatches == 0


class HostileNetwork(Network):
    """A bus that belongs to somebody else, who knows all that ever passed and changes, holds back and repeats it."""

    def __init__(self, *nodes: Node, seed: int, rates: dict[str, float]) -> None:
        super().__init__(*nodes, seed=seed)
        self.rates = rates
        self.choice = random.Random(seed + 1)
        self.known: list[tuple[str, bytes]] = []
        self.held: list[Message] = []

    def publish(self, message: Message, sender: str = "") -> None:
        payload = b"".join(message.parts)
        if self.rates:
            self.known.append((message.subject, payload))
        kinds, weights = ["deliver", *self.rates], [1.0, *self.rates.values()]
        for sent in getattr(self, self.choice.choices(kinds, weights)[0])(message.subject, payload):
            super().publish(sent, sender)

    def stop(self) -> None:
        self.rates = {}

    def deliver(self, subject: str, payload: bytes) -> list[Message]:
        return [Message(subject, (payload,))]

    def lose(self, subject: str, payload: bytes) -> list[Message]:
        return []

    def rewrite(self, subject: str, payload: bytes) -> list[Message]:
        changed = bytearray(payload)
        for _ in range(self.choice.randint(1, 3)):
            position = self.choice.randrange(len(changed)) if self.choice.random() < 0.5 else self.choice.randrange(64)
            changed[position] ^= self.choice.randint(1, 255)
        return self.deliver(subject, bytes(changed))

    def truncate(self, subject: str, payload: bytes) -> list[Message]:
        return self.deliver(subject, payload[: self.choice.randrange(len(payload))])

    def extend(self, subject: str, payload: bytes) -> list[Message]:
        return self.deliver(subject, payload + self.choice.randbytes(self.choice.randint(1, 40)))

    def replay(self, subject: str, payload: bytes) -> list[Message]:
        old = [Message(*self._aged(self.choice.choice(self.known))) for _ in range(3)]
        return [*old, *self.deliver(subject, payload)]

    def swap(self, subject: str, payload: bytes) -> list[Message]:
        """Another message's body behind this one's header."""
        other = self.choice.choice(self.known)[1]
        return self.deliver(subject, payload[:64] + other[64:])

    def misdirect(self, subject: str, payload: bytes) -> list[Message]:
        return self.deliver(self.choice.choice(self.known)[0], payload)

    def hold(self, subject: str, payload: bytes) -> list[Message]:
        self.held.append(Message(subject, (payload,)))
        if len(self.held) < 5:
            return []
        released, self.held = self.held, []
        self.choice.shuffle(released)
        return released

    def _aged(self, entry: tuple[str, bytes]) -> tuple[str, tuple[bytes]]:
        return entry[0], (entry[1],)


RATE = st.sampled_from([0.0, 0.02, 0.2])
RATES = st.fixed_dictionaries(
    dict.fromkeys(("lose", "rewrite", "truncate", "extend", "replay", "swap", "misdirect", "hold"), RATE)
)


@settings(deadline=None, max_examples=40)
@given(rates=RATES, sizes=SIZES, seed=st.integers(0, 1 << 16), is_from_start=st.booleans())
def test_whoever_runs_the_bus_can_only_lose_time(
    rates: dict[str, float], sizes: list[int], seed: int, is_from_start: bool
) -> None:
    a, b = Node("A", "a1", ("B",), SEALED), Node("B", "b1", ("A",), SEALED)
    network = HostileNetwork(a, b, seed=seed, rates=rates if is_from_start else {})
    network.connect()
    network.rates = rates
    transfer = Transfer(network, a, [b], sizes, 5000)
    network.run(300, lambda: transfer.feed() or not a.tunnel.sessions())
    network.stop()
    network.run(400, lambda: transfer.feed() or not (a.tunnel.sessions() or b.tunnel.sessions()))
    network.run(10)
    check_nothing_changed(transfer, a, b)
    assert a.tunnel.sessions() == b.tunnel.sessions() == ()
    again = a.tunnel.open_session("B", {}, network.now)
    network.run(10)
    assert again in [event.session for event in a.events if isinstance(event, SessionAcknowledged)]
    taken = Counter(session.id for session in b.opened())
    for subject, payload in network.known:  # everything once more, much later
        for node in (a, b):
            node.tunnel.receive_message(subject, payload, network.now)
    network.run(200)
    assert Counter(session.id for session in b.opened()) == taken
    check_nothing_changed(transfer, a, b)


def check_nothing_changed(transfer: Transfer, a: Node, b: Node) -> None:
    assert set(Counter(session.id for session in b.opened()).values()) <= {1}
    assert a.opened() == []
    assert {session.info.get("number") for session in b.opened()} <= {None, "0", "1", "2"}
    for (direction, session_id), stream in transfer.streams.items():
        side = (b if direction == "out" else a).sides.get(session_id)
        if side is None:
            continue
        assert stream.data.startswith(bytes(side.received))
        if "end" in side.endings:
            assert bytes(side.received) == stream.data


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 1 << 16))
def test_nothing_of_a_session_can_be_read_on_the_bus(seed: int) -> None:
    a, b = Node("A", "a1", ("B",), SEALED), Node("B", "b1", ("A",), SEALED)
    network = Network(a, b, seed=seed)
    network.connect()
    session = a.tunnel.open_session("B", {"called": "SECRET_TITLE"}, network.now)
    session.send_data(b"SECRET_DATA" * 3000, network.now)
    network.run(1)
    (theirs,) = b.opened()
    assert theirs.info["called"] == "SECRET_TITLE"
    theirs.send_data(b"SECRET_ANSWER" * 3000, network.now)
    network.run(1)
    theirs.send_abort({"text": "SECRET_REASON"}, network.now)
    network.run(1)
    assert bytes(a.sides[session.id].received) == b"SECRET_ANSWER" * 3000
    assert a.sides[session.id].abort is not None
    assert not [message for message in network.log if b"SECRET" in b"".join(message.parts)]


SUBJECTS = st.sampled_from(["DIMSE.B.A.hello", "DIMSE.B.A.i.b1"])


@settings(deadline=None, max_examples=200)
@given(
    messages=st.lists(
        st.tuples(SUBJECTS, st.binary(max_size=200), st.integers(0, 3), st.integers(0, 255), st.integers(0, 200)),
        max_size=10,
    )
)
def test_whatever_comes_never_raises_and_opens_nothing(messages: list[tuple[str, bytes, int, int, int]]) -> None:
    """Noise, and the heads and tails of real messages with noise behind and before them."""
    a, b = Node("A", "a1", ("B",), SEALED), Node("B", "b1", ("A",), SEALED)
    network = Network(a, b)
    network.connect()
    session = a.tunnel.open_session("B", {}, network.now)
    session.send_data(b"data", network.now)
    network.run(1)
    real = [(message.subject, b"".join(message.parts)) for message in network.log]
    opened = len(b.opened())
    for subject, noise, how, which, cut in messages:
        like = [payload for other, payload in real if other == subject]
        text = like[which % len(like)]
        payload = (noise, text[:cut] + noise, noise + text[cut:], text[:cut] + noise + text[cut + len(noise) :])[how]
        b.tunnel.receive_message(subject, payload, network.now)
    network.run(1)
    assert len(b.opened()) == opened
    assert bytes(b.sides[session.id].received) == b"data"
    assert not session.is_over
