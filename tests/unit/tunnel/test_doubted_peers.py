"""An instance that did not answer an open, before its hello is missed."""

from dimse_proxy.tunnel import Session, TunnelSettings
from tests.unit.tunnel.network import Network, Node


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
    network.run(2.1)
    assert ask(network, a).peer == "b2", "two seconds without an answer are a reason to doubt"
    network.run(4)
    assert first.peer == "b2"


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
