"""Messages that come late over an old route, after a server switch, change nothing, however late and however many."""

from hypothesis import given, settings
from hypothesis import strategies as st

from dimse_proxy.tunnel import TunnelSettings
from tests.property.tunnel.test_tunnel_delivery import Transfer, check_sound
from tests.unit.tunnel.network import Network, Node, subscribes

SMALL = TunnelSettings(window=65536, chunk_size=8192, open_attempts=50)


@settings(deadline=None, max_examples=40)
@given(
    sizes=st.lists(st.integers(0, 150_000), min_size=1, max_size=3),
    seed=st.integers(0, 1 << 16),
    rounds=st.lists(
        st.tuples(
            st.sampled_from(["a", "b", "both"]), st.floats(0.0, 2.0), st.lists(st.integers(0, 1 << 16), max_size=40)
        ),
        min_size=1,
        max_size=3,
    ),
)
def test_frames_of_an_old_route_change_nothing(
    sizes: list[int], seed: int, rounds: list[tuple[str, float, list[int]]]
) -> None:
    a, b = Node("A", "a1", ("B",), SMALL), Node("B", "b1", ("A",), SMALL)
    network = Network(a, b, seed=seed)
    network.connect()
    network.fault.delay = 0.02
    transfer = Transfer(network, a, [b], sizes, 5000)
    assert network.run(60, transfer.is_acknowledged)
    nodes = {"a": [a], "b": [b], "both": [a, b]}
    for who, before, stale in rounds:
        network.run(before, transfer.feed)
        network.disconnect(*nodes[who])
        network.run(0.5, transfer.feed)
        network.connect(*nodes[who])
        for number in stale:
            replay(network, number)
            network.run(0.01, transfer.feed)
    assert network.run(5000, transfer.feed)
    for number in range(0, len(network.log), 7):
        replay(network, number)  # and once more when all is over
    network.settle()
    network.run(10)
    transfer.check_complete()
    check_sound(a, b)


def replay(network: Network, number: int) -> None:
    """Deliver one of the messages published so far a second time."""
    message = network.log[number % len(network.log)]
    for node in network.nodes:
        if subscribes(node.tunnel, message.subject):
            node.tunnel.receive_message(message.subject, b"".join(message.parts), network.now)
