"""Whatever the bus loses, doubles, delays or reorders: both streams arrive complete, or both ends know they did not."""

from hypothesis import given, settings
from hypothesis import strategies as st

from dimse_proxy.tunnel import Session, SessionAcknowledged, TunnelSettings
from tests.unit.tunnel.network import Fault, Network, Node, random_source

SMALL = TunnelSettings(window=65536, chunk_size=8192, open_attempts=50)
FAULTS = st.builds(
    Fault,
    loss=st.sampled_from([0.0, 0.02, 0.2]),
    doubling=st.sampled_from([0.0, 0.1]),
    delay=st.sampled_from([0.0, 0.001, 0.08]),
    jitter=st.sampled_from([0.0, 0.01, 0.3]),
)
SIZES = st.lists(st.integers(0, 200_000), min_size=1, max_size=3)


class Stream:
    """Feeds one direction of a session as its window opens, and ends it."""

    def __init__(self, data: bytes, step: int, node: Node | None = None) -> None:
        self.data = data
        self.node = node
        self.step = step
        self.position = 0
        self.is_ended = False

    def feed(self, node: Node, session_id: bytes, now: float) -> None:
        session = node.sides[session_id].session
        while session.writable and self.position < len(self.data):
            session.send_data(self.data[self.position : self.position + self.step], now)
            self.position += self.step
        if self.position >= len(self.data) and not self.is_ended:
            session.send_end(now)
            self.is_ended = True


class Transfer:
    """Sessions between nodes, with streams both ways."""

    def __init__(self, network: Network, opener: Node, takers: list[Node], sizes: list[int], step: int) -> None:
        self.network = network
        self.opener = opener
        self.takers = takers
        self.streams: dict[tuple[str, bytes], Stream] = {}
        source = random_source(7)
        for number, size in enumerate(sizes):
            session = opener.tunnel.open_session("B", {"number": str(number)}, network.now)
            opener.side(session)
            self.streams["out", session.id] = Stream(source(size), step)
            self.streams["in", session.id] = Stream(source(size // 2), step)

    def taker(self, session_id: bytes) -> Node | None:
        """The node that has a session; one that was given up for another does not count."""
        found = None
        for node in self.takers:
            for session in node.tunnel.sessions():
                if session.id == session_id:
                    node.side(session)
            if session_id in node.sides and "failed" not in node.sides[session_id].endings:
                found = node
        return found

    def is_acknowledged(self) -> bool:
        """Tell whether an instance took every session."""
        return all(session.opening is None for session in self.opener.tunnel.sessions())

    def feed(self) -> bool:
        """Feed all streams; return whether all sessions are over at both ends."""
        done = True
        for (direction, session_id), stream in list(self.streams.items()):
            node = self.opener if direction == "out" else self.taker(session_id)
            if node is None:
                done = False
                continue
            if stream.node is not node:
                self.streams[direction, session_id] = stream = Stream(stream.data, stream.step, node)
            stream.feed(node, session_id, self.network.now)
            done = done and node.sides[session_id].session.is_over
        return done

    def check_complete(self) -> None:
        for (direction, session_id), stream in self.streams.items():
            receiver = self.taker(session_id) if direction == "out" else self.opener
            assert receiver is not None
            side = receiver.sides[session_id]
            assert side.endings == ["end", "closed"], side.code
            assert bytes(side.received) == stream.data


def check_sound(*nodes: Node) -> None:
    """Nothing is left over, and nobody took the other for a liar."""
    for node in nodes:
        counters = node.tunnel.counters
        assert node.tunnel.sessions() == ()
        assert counters.forged_offsets == counters.beyond_limit == counters.bad_frames == counters.bad_hellos == 0
        for peer in node.tunnel._presence.peers():
            assert peer.in_flight == 0
            assert peer.sessions == {}


@settings(deadline=None, max_examples=30)
@given(
    fault=FAULTS,
    sizes=SIZES,
    step=st.sampled_from([100, 5000, 70_000]),
    seed=st.integers(0, 1 << 16),
    outages=st.lists(st.tuples(st.booleans(), st.floats(0.0, 3.0), st.floats(0.1, 50.0)), max_size=3),
    max_payloads=st.lists(st.sampled_from([1024, 4096, 1 << 20]), min_size=3, max_size=3),
)
def test_streams_arrive_complete_and_in_order(
    fault: Fault,
    sizes: list[int],
    step: int,
    seed: int,
    outages: list[tuple[bool, float, float]],
    max_payloads: list[int],
) -> None:
    a, b = Node("A", "a1", ("B",), SMALL), Node("B", "b1", ("A",), SMALL)
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
        network.run(5, transfer.feed)  # so that they hear of each other between two outages
    assert network.run(5000, transfer.feed)
    network.fault = Fault()
    network.run(10)
    transfer.check_complete()
    check_sound(a, b)


@settings(deadline=None, max_examples=20)
@given(
    fault=FAULTS,
    sizes=SIZES,
    seed=st.integers(0, 1 << 16),
    before=st.floats(0.0, 5.0),
    length=st.floats(80.0, 300.0),
    outage=st.sampled_from(["a", "b", "both", "between"]),
)
def test_both_ends_know_of_a_failure_beyond_the_resume_time_out(
    fault: Fault, sizes: list[int], seed: int, before: float, length: float, outage: str
) -> None:
    a, b = Node("A", "a1", ("B",), SMALL), Node("B", "b1", ("A",), SMALL)
    network = Network(a, b, seed=seed)
    network.connect()
    network.fault = fault
    transfer = Transfer(network, a, [b], sizes, 5000)
    assert network.run(60, transfer.is_acknowledged)
    network.run(before, transfer.feed)
    alive = [session for session in a.tunnel.sessions() if session in b_sessions(transfer, b)]
    if outage == "between":
        network.drop = lambda message: True
    else:
        network.disconnect(*{"a": [a], "b": [b], "both": [a, b]}[outage])
    network.run(length)
    network.drop = lambda message: False
    network.connect()
    network.run(30)
    for session in alive:
        assert a.sides[session.id].endings[-1] == "failed"
        assert b.sides[session.id].endings[-1] == "failed"
    network.fault = Fault()
    network.run(30)
    check_sound(a, b)
    again = a.tunnel.open_session("B", {}, network.now)
    network.run(1)
    assert again in [event.session for event in a.events if isinstance(event, SessionAcknowledged)]


def b_sessions(transfer: Transfer, node: Node) -> list[Session]:
    """Sessions of the opener that live, unfinished, at the other end too."""
    known = {session.id for session in node.tunnel.sessions()}
    return [
        session
        for session in transfer.opener.tunnel.sessions()
        if session.id in known and not transfer.streams["out", session.id].is_ended
    ]


@settings(deadline=None, max_examples=25)
@given(
    fault=FAULTS,
    sizes=SIZES,
    seed=st.integers(0, 1 << 16),
    moment=st.floats(0.0, 3.0),
    manner=st.sampled_from(["killed", "restarted", "frozen"]),
)
def test_one_of_two_instances_stops(fault: Fault, sizes: list[int], seed: int, moment: float, manner: str) -> None:
    a = Node("A", "a1", ("B",), SMALL)
    b1, b2 = Node("B", "b1", ("A",), SMALL), Node("B", "b2", ("A",), SMALL)
    network = Network(a, b1, b2, seed=seed)
    network.connect()
    network.fault = fault
    transfer = Transfer(network, a, [b1, b2], sizes, 5000)
    network.run(moment, transfer.feed)
    takers = [b1, b2]
    if manner == "frozen":
        b1.is_frozen = True
        network.run(20, transfer.feed)
        b1.is_frozen = False
        network.run(5000, transfer.feed)
        network.fault = Fault()
        network.run(10)
        check_sound(a, b1, b2)
        assert [side.endings for side in a.sides.values()] == [["end", "closed"]] * len(sizes)
        return
    network.nodes.remove(b1)
    if manner == "restarted":
        takers[0] = Node("B", "b1", ("A",), SMALL, epoch=2)
        network.nodes.append(takers[0])
        network.connect(takers[0])
    transfer.takers = takers
    assert network.run(500, lambda: transfer.feed() or not a.tunnel.sessions())
    for node in takers:
        for session_id, side in node.sides.items():
            if side.endings and side.endings[-1] == "closed":
                assert bytes(side.received) == transfer.streams["out", session_id].data
    network.fault = Fault()
    network.run(100)
    check_sound(a, b2)
