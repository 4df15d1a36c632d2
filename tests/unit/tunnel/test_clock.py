"""One clock: silence and outages count only while it is known that we were there to hear."""

from dimse_proxy.tunnel import PeerLost, TunnelCode, TunnelSettings
from tests.unit.tunnel.network import Network, Node, open_session, pair


def test_an_outage_shorter_than_the_resume_time_out_ends_nothing() -> None:
    network, a, b = pair()
    ours, theirs = open_session(network, a, b)
    for length in (30, 55, 59):
        network.disconnect(a)
        network.disconnect(a)
        network.run(length)
        network.connect(a)
        network.run(11)
    assert not ours.is_over
    assert not theirs.is_over
    ours.send_data(b"still here", network.now)
    network.settle()
    assert b.sides[theirs.id].received == b"still here"


def test_a_longer_one_ends_the_sessions_at_both_ends() -> None:
    network, a, b = pair()
    ours, theirs = open_session(network, a, b)
    aborted, _ = open_session(network, a, b)
    network.disconnect(a)
    aborted.send_abort({}, network.now)
    network.run(59.9)
    assert a.codes() == []
    network.run(0.2)
    assert a.codes() == [TunnelCode.DISCONNECTED_TOO_LONG]
    assert a.names() == ["SessionFailed", "SessionClosed"]
    network.run(10)
    assert b.codes() == [TunnelCode.PEER_LOST] * 2
    assert theirs.is_over
    assert ours.is_over
    network.connect(a)
    a.forget()
    open_session(network, a, b)


def test_sessions_of_a_peer_that_was_faster_back_are_reset() -> None:
    network, a, b = pair()
    open_session(network, a, b)
    network.disconnect(a, b)
    network.run(30)
    network.connect(b)
    network.run(31)
    assert a.codes() == [TunnelCode.DISCONNECTED_TOO_LONG]
    assert b.codes() == []
    network.connect(a)
    assert b.codes() == [TunnelCode.RESET]


def test_silence_does_not_count_while_we_are_disconnected() -> None:
    network, a, b = pair()
    ours, _ = open_session(network, a, b)
    b.is_frozen = True
    network.run(50)
    network.disconnect(a)
    network.run(40)
    network.connect(a)
    network.run(50)
    assert not ours.is_over
    network.run(16)
    assert a.codes() == [TunnelCode.PEER_LOST]


def test_a_suspended_process_counts_anew() -> None:
    network, a, b = pair()
    ours, theirs = open_session(network, a, b)
    a.is_frozen = True
    network.run(40)
    b.is_frozen = True  # nothing of b's is there to be heard at once
    a.is_frozen = False
    network.run(0.1)
    assert [event for event in a.events if isinstance(event, PeerLost)] == []
    b.is_frozen = False
    network.run(10)
    assert not ours.is_over
    assert not theirs.is_over


def test_a_suspension_during_an_outage_counts_anew() -> None:
    network, a, b = pair()
    ours, _ = open_session(network, a, b)
    network.disconnect(a)
    a.is_frozen = True
    network.run(200)
    a.is_frozen = False
    network.run(30)
    assert not ours.is_over
    network.run(31)
    assert a.codes() == [TunnelCode.DISCONNECTED_TOO_LONG]


def test_an_outage_that_ended_is_forgotten() -> None:
    network, a, b = pair()
    ours, _ = open_session(network, a, b)
    network.disconnect(a)
    network.run(30)
    network.connect(a)
    network.run(29)
    network.disconnect(a)
    network.run(50)
    assert not ours.is_over


def test_no_timer_is_due_before_anything_happened() -> None:
    node = Node("A", "a1", ("B",), TunnelSettings())
    assert node.tunnel.next_timer() is None
    node.tunnel.handle_timer(5.0)
    network = Network(node)
    network.connect()
    network.disconnect(node)
    network.run(100)
    assert node.events == []


def test_heartbeats_stop_while_disconnected_and_go_on() -> None:
    network, a, _ = pair()
    network.disconnect(a)
    network.run(20)
    network.connect(a)
    network.log.clear()
    network.run(1.6)
    assert len([message for message in network.log if message.subject == "DIMSE.B.A.hello"]) == 2
