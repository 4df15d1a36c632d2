"""Who has missed two of its hellos is late: soon enough for a probe, and not for a little jitter or one loss."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from dimse_proxy.tunnel import Message, TunnelSettings
from dimse_proxy.tunnel.hello import decode_hello, encode_hello
from dimse_proxy.tunnel.peer import PeerState
from tests.unit.tunnel.network import Network, Node, open_session, pair

LATE = 2 * TunnelSettings().hello_interval + 0.25


def is_late(network: Network, node: Node) -> Callable[[], bool]:
    """Whether all peers of a node are late."""
    return lambda: all(network.now >= peer.late_at for peer in node.tunnel.peers())


def old_hello(**changes: object) -> bytes:
    body = {"instance": "b1", "epoch": 1, "version": "0.1", "protocols": [1], "load": 0, "limit": None}
    body |= {"accepts": True, "going_away": False, "start": False, "window": 1000, "share": 100_000}
    return json.dumps(body | changes).encode()


def test_a_crash_is_seen_within_two_seconds() -> None:
    network, a, b = pair()
    late = is_late(network, a)
    network.run(5)
    heard = a.tunnel.peers()[0].last_seen
    b.is_frozen = True
    network.run(heard + LATE - network.now - 0.01)
    assert not late()
    network.run(0.02)
    assert late()
    assert LATE < 2
    assert a.tunnel.peers()[0].present, "opens and sessions keep their own, longer rule"
    assert a.names() == []
    b.is_frozen = False
    network.run(0.1)
    assert not late()


@pytest.mark.parametrize("seed", range(5))
def test_jitter_does_not_make_anybody_late(seed: int) -> None:
    network, a, _ = pair(seed=seed)
    network.fault.delay, network.fault.jitter = 0.1, 0.2
    assert not network.run(600, until=is_late(network, a))


def test_one_lost_hello_with_jitter_does_not_either() -> None:
    network, a, b = pair()
    network.fault.jitter = 0.2
    count = 0

    def every_second(message: Message) -> bool:
        nonlocal count
        count += message.subject == "DIMSE.A.B.hello"
        return message.subject == "DIMSE.A.B.hello" and count % 2 == 0

    network.drop = every_second
    assert not network.run(300, until=is_late(network, a))
    assert count > 300
    assert b.names() == []


def test_data_in_front_of_the_hello_is_a_sign_of_life() -> None:
    network, a, b = pair()
    ours, _ = open_session(network, a, b)
    network.fault.bandwidth = 250_000  # 2 Mbit/s: 1 MiB in flight takes four seconds
    ours.send_data(bytes(8 << 20), network.now)
    assert not network.run(60, until=is_late(network, b))
    assert len(b.sides[ours.id].received) == 8 << 20


def test_a_version_that_does_not_tell_its_interval_has_the_longer_time() -> None:
    network, a, _ = pair()
    network.nodes.pop()
    untold = encode_hello(replace(decode_hello(old_hello(interval=750)), interval=None))
    assert b"interval" not in untold
    a.tunnel.receive_message("DIMSE.A.B.hello", untold, network.now)
    late = is_late(network, a)
    network.run(9.9)
    assert not late()
    network.run(0.2)
    assert late()
    assert not a.tunnel.peers()[0].present


@pytest.mark.parametrize(("interval", "patience"), [(0, 0.25), (100, 0.45), (5000, 10.0), (1 << 60, 10.0)])
def test_the_interval_is_the_peer_s_own_and_bounded(interval: int, patience: float) -> None:
    network, a, _ = pair()
    network.nodes.pop()
    a.tunnel.receive_message("DIMSE.A.B.hello", old_hello(interval=interval), network.now)
    assert a.tunnel.peers()[0].late_at == pytest.approx(network.now + patience)


@pytest.mark.parametrize("interval", [-1, 1.5, "often", None, True])
def test_an_interval_that_is_none(interval: object) -> None:
    network, a, _ = pair()
    a.tunnel.receive_message("DIMSE.A.B.hello", old_hello(interval=interval), network.now)
    assert a.tunnel.counters.bad_hellos == 1


def test_time_counts_from_our_own_reconnect() -> None:
    network, a, b = pair()
    b.is_frozen = True
    network.disconnect(a)
    network.run(5)
    network.connect(a)
    late = is_late(network, a)
    network.run(LATE - 0.01)
    assert not late()
    network.run(0.02)
    assert late()


def test_our_own_suspension_makes_nobody_late() -> None:
    network, a, b = pair()
    a.is_frozen = b.is_frozen = True
    network.run(30)
    a.is_frozen = False
    network.run(0)
    a.tunnel.handle_timer(network.now)
    assert not is_late(network, a)()


def test_an_open_goes_to_an_instance_in_time_before_a_less_loaded_one_that_is_late() -> None:
    settings = TunnelSettings()
    a = Node("A", "a1", ("B",), settings)
    b1, b2 = (Node("B", name, ("A",), settings) for name in ("b1", "b2"))
    network = Network(a, b1, b2)
    network.connect()
    b2.tunnel.set_load(5, None)
    network.run(2)
    b1.is_frozen = True
    network.run(LATE)
    session = a.tunnel.open_session("B", {}, network.now)
    network.settle()
    assert session.peer == "b2"
    b2.is_frozen = True
    network.run(LATE)
    assert a.tunnel.open_session("B", {}, network.now).peer == "b1", "all are late, so the least loaded one"


def test_who_was_only_met_by_a_frame_has_the_longer_time() -> None:
    network, a, _ = pair()
    stranger = a.tunnel._presence.meet("B", "b9", 1, network.now)
    assert isinstance(stranger, PeerState)
    assert stranger.late_at == network.now + TunnelSettings().presence_timeout
