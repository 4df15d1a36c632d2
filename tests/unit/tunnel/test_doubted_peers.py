"""An instance that did not answer an open, before its hello is missed."""

from dimse_proxy.tunnel import Session, TunnelSettings
from dimse_proxy.tunnel.frames import FrameType
from tests.unit.tunnel.network import Network, Node, is_kind


def nodes() -> tuple[Network, Node, Node, Node]:
    """One proxy, and two instances that it may ask, of which the first has less to do."""
    settings = TunnelSettings()
    a = Node("A", "a1", ("B",), settings)
    b1, b2 = (Node("B", name, ("A",), settings) for name in ("b1", "b2"))
    network = Network(a, b1, b2)
    network.connect()
    b2.tunnel.set_load(5, None)
    network.run(2)
    return network, a, b1, b2


def ask(network: Network, a: Node) -> Session:
    session = a.tunnel.open_session("B", {}, network.now)
    network.settle()
    return session


def test_others_are_asked_before_it() -> None:
    network, a, b1, _ = nodes()
    b1.is_frozen = True
    first = ask(network, a)
    assert first.peer == "b1"
    assert ask(network, a).peer == "b1", "nothing is known yet"
    network.run(0.4)
    assert first.peer == "b1"
    network.run(0.2)
    assert first.peer == "b2", "half a second without a sign of life is too much while another one is there"
    assert ask(network, a).peer == "b2"


def test_one_that_is_heard_of_has_more_time() -> None:
    """It lives: that open may be lost, and is repeated."""
    network, a, b1, b2 = nodes()
    network.drop = lambda message: is_kind(message, FrameType.OPEN)
    session = ask(network, a)
    network.run(0.2)
    b1.tunnel.set_load(1, None)
    network.run(1.5)
    assert session.peer == "b1"
    network.drop = lambda message: False
    network.run(0.4)
    assert session.peer == "b1"
    assert [opened.id for opened in b1.opened()] == [session.id]
    assert b2.opened() == []


def test_one_that_is_far_away_has_twice_the_time_of_the_way() -> None:
    network, a, b1, _ = nodes()
    peer = next(peer for peer in a.tunnel._presence.peers() if peer.instance == "b1")
    peer.pace.round_trip = 0.4
    b1.is_frozen = True
    session = ask(network, a)
    network.run(0.7)
    assert session.peer == "b1"
    network.run(0.2)
    assert session.peer == "b2"


def test_it_is_asked_again_once_it_is_heard_of() -> None:
    network, a, b1, _ = nodes()
    b1.is_frozen = True
    ask(network, a)
    network.run(2.1)
    b1.is_frozen = False
    network.run(6)
    assert ask(network, a).peer == "b1"


def test_it_is_asked_if_there_is_no_other() -> None:
    network, a, b1, b2 = nodes()
    b2.tunnel.go_away(network.now)
    network.settle()
    b1.is_frozen = True
    ask(network, a)
    network.run(2.1)
    assert ask(network, a).peer == "b1"
