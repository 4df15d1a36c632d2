"""Who is asked for a session, how often, and what becomes of it if nobody takes it."""

import pytest

from dimse_proxy.tunnel import Message, SessionFailed, TunnelCode, TunnelSettings
from dimse_proxy.tunnel.frames import FrameType
from tests.unit.tunnel.network import Network, Node, frame, is_kind, kinds, pair

SETTINGS = TunnelSettings()


def farm(count: int = 2, settings: TunnelSettings = SETTINGS) -> tuple[Network, Node, list[Node]]:
    """One opener, some instances of the other channel."""
    a = Node("A", "a1", ("B",), settings)
    takers = [Node("B", f"b{number}", ("A",), settings) for number in range(count)]
    network = Network(a, *takers)
    network.connect()
    network.run(4)
    a.forget()
    return network, a, takers


def to(node: Node) -> str:
    return f".i.{node.tunnel.identity.instance}"


def test_an_instance_takes_it() -> None:
    network, a, b = pair()
    session = a.tunnel.open_session("B", {"called": "PACS", "calling": "CT"}, network.now)
    network.settle()
    assert a.names() == ["SessionAcknowledged"]
    (theirs,) = b.opened()
    assert theirs.info == {"called": "PACS", "calling": "CT"}
    assert session.peer == "b1"


def test_nobody_is_present() -> None:
    node = Node("A", "a1", ("B",), SETTINGS)
    network = Network(node)
    network.connect()
    network.run(3.5)
    session = node.tunnel.open_session("B", {}, network.now)
    assert session.is_over
    network.settle()
    assert node.codes() == [TunnelCode.NO_PEER]
    assert session.peer is None


def test_soon_after_our_connect_a_hello_is_waited_for() -> None:
    a, b = Node("A", "a1", ("B",), SETTINGS), Node("B", "b1", ("A",), SETTINGS)
    network = Network(a, b)
    network.connect(a)
    session = a.tunnel.open_session("B", {}, network.now)
    lonely = a.tunnel.open_session("B", {}, network.now)
    lonely.send_abort({}, network.now)
    network.run(2)
    assert not session.is_over
    network.connect(b)
    assert "SessionAcknowledged" in a.names()
    assert lonely.is_over


def test_soon_after_our_connect_nobody_comes() -> None:
    node = Node("A", "a1", ("B",), SETTINGS)
    network = Network(node)
    network.connect()
    node.tunnel.open_session("B", {}, network.now)
    network.run(2.9)
    assert node.codes() == []
    network.run(0.2)
    assert node.codes() == [TunnelCode.NO_PEER]


def test_never_connected() -> None:
    node = Node("A", "a1", ("B",), SETTINGS)
    network = Network(node)
    node.tunnel.open_session("B", {}, network.now)
    network.settle()
    assert node.codes() == [TunnelCode.DISCONNECTED]


def test_disconnected_for_a_moment() -> None:
    network, a, b = pair()
    network.disconnect(a)
    a.tunnel.open_session("B", {}, network.now)
    network.run(2)
    network.connect(a)
    assert "SessionAcknowledged" in a.names()
    a.forget()
    network.disconnect(a)
    a.tunnel.open_session("B", {}, network.now)
    network.run(3.1)
    assert a.codes() == [TunnelCode.DISCONNECTED]
    assert len(b.opened()) == 1


def test_a_peer_that_is_silent_is_waited_for() -> None:
    network, a, b = pair()
    b.is_frozen = True
    network.run(12)
    assert not a.tunnel.peers()[0].present
    a.tunnel.open_session("B", {}, network.now)
    network.run(2)
    b.is_frozen = False
    network.run(1)
    assert "SessionAcknowledged" in a.names()
    assert "PeerAppeared" in a.names()
    b.is_frozen = True
    network.run(12)
    a.tunnel.open_session("B", {}, network.now)
    network.run(3.1)
    assert a.codes() == [TunnelCode.NO_PEER]


def test_after_our_reconnect_a_peer_counts_when_it_is_heard() -> None:
    network, a, (b0, b1) = farm()
    network.disconnect(a)
    b0.is_frozen = True
    network.run(1)
    network.connect(a)
    for _ in range(4):
        a.tunnel.open_session("B", {}, network.now)
    network.settle()
    assert len(b1.opened()) == 4


def test_the_least_loaded_is_asked() -> None:
    network, a, (b0, b1) = farm()
    b0.tunnel.set_load(5, None)
    network.run(6)
    for _ in range(7):
        a.tunnel.open_session("B", {}, network.now)
    assert sorted(peer.load for peer in a.tunnel.peers()) == [6, 6]
    network.settle()
    assert (len(b0.opened()), len(b1.opened())) == (1, 6)


def test_equals_share() -> None:
    network, a, takers = farm(3)
    for _ in range(30):
        a.tunnel.open_session("B", {}, network.now)
    network.settle()
    assert [len(node.opened()) for node in takers] == [10, 10, 10]


def test_a_full_instance_is_not_asked() -> None:
    network, a, (b0, b1) = farm()
    b0.tunnel.set_load(0, 2)
    b1.tunnel.set_load(0, 2)
    network.run(6)
    for _ in range(5):
        a.tunnel.open_session("B", {}, network.now)
        network.settle()
    assert (len(b0.opened()), len(b1.opened())) == (2, 2)
    assert a.codes() == [TunnelCode.REFUSED_LIMIT]
    b1.tunnel.set_load(1, 2)
    network.settle()
    a.tunnel.open_session("B", {}, network.now)
    network.settle()
    assert len(b1.opened()) == 3


def test_a_full_instance_refuses_and_another_one_is_asked() -> None:
    network, a, (b0, b1) = farm()
    b0.tunnel.set_load(0, 1)
    b1.tunnel.set_load(0, 1)
    network.run(6)
    for _ in range(4):  # before anybody can say that it is full
        a.tunnel.open_session("B", {}, network.now)
    network.settle()
    assert (len(b0.opened()), len(b1.opened())) == (1, 1)
    assert a.codes() == [TunnelCode.REFUSED_LIMIT] * 2


def test_the_tunnels_own_limit() -> None:
    network, a, (b,) = farm(1, TunnelSettings(session_limit=1))
    for _ in range(2):
        a.tunnel.open_session("B", {}, network.now)
    network.settle()
    assert len(b.opened()) == 1
    assert a.codes() == [TunnelCode.REFUSED_LIMIT]


def test_an_instance_that_goes_away_is_not_asked() -> None:
    network, a, (b0, b1) = farm()
    b0.tunnel.go_away(network.now)
    network.settle()
    for _ in range(3):
        a.tunnel.open_session("B", {}, network.now)
    network.settle()
    assert (len(b0.opened()), len(b1.opened())) == (0, 3)
    b1.tunnel.go_away(network.now)
    network.settle()
    assert all(peer.going_away for peer in a.tunnel.peers())
    a.tunnel.open_session("B", {}, network.now)
    network.settle()
    assert a.codes() == [TunnelCode.GOING_AWAY]
    assert len([session for session in a.tunnel.sessions() if not session.is_over]) == 3


def test_an_instance_that_goes_away_refuses() -> None:
    network, a, (b0, b1) = farm()
    for node in (b0, b1):
        node.tunnel.go_away(network.now)
    network.drop = lambda message: message.subject.endswith("hello")
    a.tunnel.open_session("B", {}, network.now)
    network.settle()
    assert a.codes() == [TunnelCode.GOING_AWAY]
    assert len(kinds(network, FrameType.REFUSED)) == 2


def test_who_never_takes_sessions() -> None:
    network, a, b = pair()
    echo = Node("A", "echo", ("B",), SETTINGS, accepts=False)
    network.nodes.append(echo)
    network.connect(echo)
    b.tunnel.open_session("A", {}, network.now)
    network.settle()
    assert len(a.opened()) == 1
    echo.tunnel.open_session("B", {}, network.now)
    network.settle()
    assert "SessionAcknowledged" in echo.names()
    forged = frame(b, echo, FrameType.OPEN, bytes(range(16)), body=b'{"instance":"b1","limit":9,"info":{}}')
    network.publish(forged)
    network.settle()
    assert echo.opened() == []


def test_a_refusal_that_is_lost_is_repeated() -> None:
    network, a, b = pair()
    b.tunnel.go_away(network.now)
    lost = 1

    def drop(message: Message) -> bool:
        nonlocal lost
        if message.subject.endswith("hello"):
            return True
        if is_kind(message, FrameType.REFUSED) and lost:
            lost -= 1
            return True
        return False

    network.drop = drop
    session = a.tunnel.open_session("B", {}, network.now)
    session.send_data(b"request", network.now)
    network.run(1)
    assert a.codes() == []
    network.run(1.1)
    assert a.codes() == [TunnelCode.GOING_AWAY]
    assert kinds(network, FrameType.RESET) == []


def test_an_unknown_refusal() -> None:
    network, a, b = pair()
    network.drop = lambda message: is_kind(message, FrameType.OPEN)
    session = a.tunnel.open_session("B", {}, network.now)
    network.settle()
    network.publish(frame(b, a, FrameType.REFUSED, session.id, body=b'{"code":"moon"}'))
    network.settle()
    assert a.codes() == [TunnelCode.PROTOCOL]
    network.publish(frame(b, a, FrameType.REFUSED, session.id, body=b'{"code":"moon"}'))
    network.settle()
    assert a.codes() == [TunnelCode.PROTOCOL]


def test_a_late_refusal_does_not_end_a_session() -> None:
    network, a, b = pair()
    session = a.tunnel.open_session("B", {}, network.now)
    network.settle()
    network.publish(frame(b, a, FrameType.REFUSED, session.id, body=b'{"code":"refused-limit"}'))
    network.settle()
    assert not session.is_over


def test_an_open_is_repeated() -> None:
    network, a, b = pair()
    network.drop = lambda message: is_kind(message, FrameType.OPEN) and network.now < 7
    session = a.tunnel.open_session("B", {}, network.now)
    network.run(3)
    assert len(kinds(network, FrameType.OPEN)) == 2
    session.send_data(b"request", network.now)
    network.run(1.5)
    assert "SessionAcknowledged" in a.names()
    assert b.sides[session.id].received == b"request"


def test_bytes_tell_that_the_open_was_lost() -> None:
    network, a, b = pair()
    network.drop = lambda message: is_kind(message, FrameType.OPEN) and len(kinds(network, FrameType.OPEN)) == 1
    session = a.tunnel.open_session("B", {}, network.now)
    network.run(0.5)
    session.send_data(b"request", network.now)
    network.settle()
    assert b.sides[session.id].received == b"request"
    assert a.codes() == []


def test_an_open_repeated_early_is_not_repeated_again_too_soon() -> None:
    network, a, _ = pair()
    network.drop = lambda message: is_kind(message, FrameType.OPEN)
    session = a.tunnel.open_session("B", {}, network.now)
    network.run(0.5)
    session.send_data(b"request", network.now)
    network.run(1.9)
    assert len(kinds(network, FrameType.OPEN)) == 2
    network.run(0.2)
    assert len(kinds(network, FrameType.OPEN)) == 3


def test_repeated_opens_open_once() -> None:
    network, a, b = pair()
    network.drop = lambda message: is_kind(message, FrameType.OPENED) and network.now < 7
    session = a.tunnel.open_session("B", {}, network.now)
    session.send_data(b"request", network.now)
    network.fault.doubling = 1.0
    network.run(5)
    assert len(b.opened()) == 1
    assert b.sides[session.id].received == b"request"
    assert a.names() == ["SessionAcknowledged"]


def test_any_answer_acknowledges() -> None:
    network, a, b = pair()
    network.drop = lambda message: is_kind(message, FrameType.OPENED)
    session = a.tunnel.open_session("B", {}, network.now)
    session.send_data(b"request", network.now)
    network.settle()
    assert a.names() == ["SessionAcknowledged"]  # by the ACK
    other = a.tunnel.open_session("B", {}, network.now)
    network.settle()
    b.opened()[-1].send_data(b"answer", network.now)
    network.settle()
    assert a.names()[1:] == ["SessionAcknowledged", "DataReceived"]
    assert b.opened()[-1].id == other.id


def test_another_instance_is_asked_and_the_first_one_cancelled() -> None:
    network, a, takers = farm()
    network.drop = lambda message: (
        (is_kind(message, FrameType.OPENED) or is_kind(message, FrameType.SYNC))
        and len(kinds(network, FrameType.CANCEL)) == 0
    )
    session = a.tunnel.open_session("B", {}, network.now)
    network.settle()
    first, second = sorted(takers, key=lambda node: -len(node.opened()))
    assert session.peer == first.tunnel.identity.instance
    network.run(0.4)
    assert second.opened() == []
    network.run(0.2)
    assert [event.code for event in first.events if isinstance(event, SessionFailed)] == [TunnelCode.CANCELLED]
    assert len(second.opened()) == 1
    assert session.peer == second.tunnel.identity.instance
    session.send_data(b"request", network.now)
    network.settle()
    assert second.sides[session.id].received == b"request"


def test_bytes_given_before_go_to_the_other_instance_too() -> None:
    network, a, takers = farm()
    session = a.tunnel.open_session("B", {}, network.now)
    first, second = sorted(takers, key=lambda node: node.tunnel.identity.instance != session.peer)
    first.is_frozen = True
    session.send_data(b"request", network.now)
    session.send_end(network.now)
    network.run(0.6)
    assert second.sides[session.id].received == b"request"
    assert second.sides[session.id].endings == ["end"]
    for peer in a.tunnel._presence.peers():
        assert peer.in_flight == 0
    first.is_frozen = False


def test_a_lost_cancel_heals() -> None:
    network, a, takers = farm()
    end = network.now + 6
    network.drop = lambda message: (
        is_kind(message, FrameType.CANCEL)
        or ((is_kind(message, FrameType.OPENED) or is_kind(message, FrameType.SYNC)) and network.now < end)
    )
    session = a.tunnel.open_session("B", {}, network.now)
    network.run(1.1)
    assert session.peer in [node.tunnel.identity.instance for node in takers]
    network.run(5.0)
    first = next(node for node in takers if node.tunnel.identity.instance != session.peer)
    assert session.id in [opened.id for opened in first.opened()]
    network.run(5.1)
    assert first.codes() == [TunnelCode.RESET]
    assert not session.is_over


def test_a_cancel_that_is_faster_than_its_open() -> None:
    network, a, b = pair()
    session_id = bytes(range(16))
    network.publish(frame(a, b, FrameType.CANCEL, session_id))
    network.publish(frame(a, b, FrameType.OPEN, session_id, body=b'{"instance":"a1","limit":9,"info":{}}'))
    network.settle()
    assert b.opened() == []


def test_nobody_answers() -> None:
    network, a, takers = farm()
    network.drop = lambda message: is_kind(message, FrameType.OPEN)
    session = a.tunnel.open_session("B", {}, network.now)
    network.run(6.4)
    assert not session.is_over
    network.run(0.2)
    assert a.codes() == [TunnelCode.OPEN_TIMEOUT]
    assert len(kinds(network, FrameType.CANCEL)) == 2
    assert [node.opened() for node in takers] == [[], []]


def test_the_whole_search_is_bounded() -> None:
    network, a, _ = farm(2, TunnelSettings(open_timeout=3.0))
    network.drop = lambda message: is_kind(message, FrameType.OPEN)
    a.tunnel.open_session("B", {}, network.now)
    network.run(3.1)
    assert a.codes() == [TunnelCode.OPEN_TIMEOUT]
    network.disconnect(a)
    a.tunnel.open_session("B", {}, network.now)
    network.run(3.1)
    assert a.codes()[1:] == [TunnelCode.DISCONNECTED]


def test_our_outage_while_asking() -> None:
    network, a, b = pair()
    network.drop = lambda message: is_kind(message, FrameType.OPEN)
    session = a.tunnel.open_session("B", {}, network.now)
    network.run(1)
    network.disconnect(a)
    network.run(20)
    assert not session.is_over
    network.drop = lambda message: False
    network.connect(a)
    assert "SessionAcknowledged" in a.names()
    assert len(b.opened()) == 1


def test_our_outage_while_asking_is_bounded() -> None:
    network, a, _ = pair()
    network.drop = lambda message: is_kind(message, FrameType.OPEN)
    a.tunnel.open_session("B", {}, network.now)
    network.run(1)
    network.disconnect(a)
    network.run(60)
    assert a.codes() == [TunnelCode.OPEN_TIMEOUT]


@pytest.mark.parametrize("is_restarted", [True, False])
def test_the_instance_asked_is_lost(is_restarted: bool) -> None:
    network, a, takers = farm(2, TunnelSettings(open_attempts=100, open_timeout=200.0))
    session = a.tunnel.open_session("B", {}, network.now)
    first = next(node for node in takers if node.tunnel.identity.instance == session.peer)
    network.nodes.remove(first)
    if is_restarted:
        network.nodes.append(Node("B", first.tunnel.identity.instance, ("A",), SETTINGS, epoch=2))
        network.connect(network.nodes[-1])
    else:
        network.run(66)
    assert "SessionAcknowledged" in a.names()
    assert a.codes() == []
