"""END, ABORT and everything else that ends a session, with and without losses."""

import pytest

from dimse_proxy.tunnel import Message, Session, TunnelCode, TunnelSettings
from dimse_proxy.tunnel.frames import FrameType
from dimse_proxy.tunnel.line import Line
from tests.unit.tunnel.network import Network, Node, is_kind, kinds, open_session, pair

SMALL = TunnelSettings(window=65536, chunk_size=8192)


def drop_first(network: Network, kind: FrameType, count: int = 1) -> None:
    """Lose the first `count` frames of a type."""
    left = count

    def drop(message: Message) -> bool:
        nonlocal left
        if left and is_kind(message, kind):
            left -= 1
            return True
        return False

    network.drop = drop


def check_closed(network: Network, *nodes: Node) -> None:
    for node in nodes:
        assert node.tunnel.sessions() == ()
        for peer in node.tunnel._presence.peers():
            assert peer.in_flight == 0
            assert peer.snapshot().sessions == 0


def test_both_ends() -> None:
    network, a, b = pair()
    ours, theirs = open_session(network, a, b)
    ours.send_data(b"data", network.now)
    ours.send_end(network.now)
    ours.send_end(network.now)
    network.settle()
    assert b.names() == ["DataReceived", "EndReceived"]
    assert a.names() == []
    theirs.send_data(b"late", network.now)
    theirs.send_end(network.now)
    network.settle()
    assert a.names() == ["DataReceived", "EndReceived", "SessionClosed"]
    assert b.names() == ["DataReceived", "EndReceived", "SessionClosed"]
    assert ours.is_over
    assert theirs.is_over
    assert ours.peer == "b1"
    check_closed(network, a, b)
    for session in (ours, theirs):  # nothing raises, nothing is sent
        session.send_data(b"x", network.now)
        session.consumed(1, network.now)
        session.send_end(network.now)
        session.send_abort({}, network.now)
    network.log.clear()
    network.settle()
    assert network.log == []


def test_end_waits_for_credit() -> None:
    network, a, b = pair(SMALL)
    b.consumes = False
    ours, theirs = open_session(network, a, b)
    ours.send_data(bytes(100_000), network.now)
    ours.send_end(network.now)
    network.run(20)
    assert "EndReceived" not in b.names()
    theirs.consumed(65536, network.now)
    network.settle()
    assert b.names()[-1] == "EndReceived"


@pytest.mark.parametrize("kind", [FrameType.END, FrameType.CLOSED])
@pytest.mark.parametrize("count", [1, 4])
def test_a_lost_end_heals(kind: FrameType, count: int) -> None:
    network, a, b = pair()
    ours, theirs = open_session(network, a, b)
    drop_first(network, kind, count)
    ours.send_end(network.now)
    theirs.send_end(network.now)
    network.run(30)
    assert [name for name in a.names() if name != "PeerAppeared"] == ["EndReceived", "SessionClosed"]
    assert b.names() == ["EndReceived", "SessionClosed"]


def test_lost_data_before_the_end_heals_at_once() -> None:
    network, a, b = pair()
    ours, theirs = open_session(network, a, b)
    drop_first(network, FrameType.DATA)
    ours.send_data(b"data", network.now)
    ours.send_end(network.now)
    network.settle()
    assert b.sides[theirs.id].received == b"data"
    assert b.names() == ["DataReceived", "EndReceived"]


def test_abort_is_behind_the_bytes() -> None:
    network, a, b = pair()
    ours, theirs = open_session(network, a, b)
    ours.send_data(bytes(3_000_000), network.now)
    ours.send_abort({"abort": [0, 0]}, network.now)
    ours.send_abort({"abort": [2, 2]}, network.now)
    network.settle()
    side = b.sides[theirs.id]
    assert len(side.received) == 3_000_000
    assert side.endings == ["abort", "closed"]
    assert side.abort is not None
    assert side.abort.detail == {"abort": [0, 0]}
    assert side.abort.complete
    assert [name for name in a.names() if name != "SessionWritable"] == ["SessionClosed"]
    check_closed(network, a, b)


def test_abort_is_not_held_up_by_credit() -> None:
    network, a, b = pair(SMALL)
    b.consumes = False
    ours, theirs = open_session(network, a, b)
    ours.send_data(bytes(100_000), network.now)
    ours.send_abort({"why": "ä"}, network.now)
    network.run(4.9)
    assert b.sides[theirs.id].endings == []
    network.run(0.2)
    side = b.sides[theirs.id]
    assert side.endings == ["abort", "closed"]
    assert side.abort is not None
    assert not side.abort.complete
    assert side.abort.detail == {"why": "ä"}
    check_closed(network, a, b)


def test_abort_waits_for_lost_bytes() -> None:
    network, a, b = pair()
    ours, theirs = open_session(network, a, b)
    drop_first(network, FrameType.DATA, 2)
    ours.send_data(b"x" * 300_000, network.now)
    network.settle()
    ours.send_abort({}, network.now)
    network.settle()
    assert len(b.sides[theirs.id].received) == 300_000
    assert b.sides[theirs.id].endings == ["abort", "closed"]


def test_bytes_that_arrive_in_time_complete_an_abort() -> None:
    network, a, b = pair(SMALL)
    b.consumes = False
    ours, theirs = open_session(network, a, b)
    ours.send_data(bytes(100_000), network.now)
    ours.send_abort({}, network.now)
    network.run(1)
    theirs.consumed(65536, network.now)
    network.settle()
    side = b.sides[theirs.id]
    assert len(side.received) == 100_000
    assert side.abort is not None
    assert side.abort.complete
    network.run(10)
    assert side.endings == ["abort", "closed"]


@pytest.mark.parametrize("kind", [FrameType.ABORT, FrameType.CLOSED])
@pytest.mark.parametrize("count", [1, 4])
def test_a_lost_abort_heals(kind: FrameType, count: int) -> None:
    network, a, b = pair()
    ours, theirs = open_session(network, a, b)
    drop_first(network, kind, count)
    ours.send_abort({}, network.now)
    network.run(30)
    assert a.names() == ["SessionClosed"]
    assert b.names() == ["AbortReceived", "SessionClosed"]
    assert theirs.is_over


def test_aborts_that_cross() -> None:
    network, a, b = pair()
    ours, theirs = open_session(network, a, b)
    ours.send_abort({"from": "a"}, network.now)
    theirs.send_abort({"from": "b"}, network.now)
    network.settle()
    assert a.names() == b.names() == ["SessionClosed"]
    check_closed(network, a, b)


def test_after_an_abort_nothing_more_is_handed_out() -> None:
    network, a, b = pair()
    ours, theirs = open_session(network, a, b)
    drop_first(network, FrameType.ABORT, 1)
    ours.send_abort({}, network.now)
    theirs.send_data(b"data", network.now)
    theirs.send_end(network.now)
    network.settle()
    ours.consumed(0, network.now)
    network.run(0.45)
    assert a.names() == []
    network.run(10)
    assert a.names() == ["SessionClosed"]
    assert b.names() == ["AbortReceived", "SessionClosed"]


def test_a_probe_is_not_answered_after_an_abort() -> None:
    network, a, b = pair()
    ours, theirs = open_session(network, a, b)
    network.drop = lambda message: is_kind(message, FrameType.ABORT)
    ours.send_abort({}, network.now)
    theirs.send_data(b"data", network.now)
    network.run(3)
    assert kinds(network, FrameType.PROBE)
    assert kinds(network, FrameType.ACK) == []
    assert theirs.writable


def test_abort_after_end() -> None:
    network, a, b = pair()
    ours, theirs = open_session(network, a, b)
    ours.send_data(b"data", network.now)
    ours.send_end(network.now)
    ours.send_abort({}, network.now)
    ours.send_end(network.now)
    network.settle()
    assert b.names()[-2:] == ["AbortReceived", "SessionClosed"]
    assert a.names() == ["SessionClosed"]
    check_closed(network, a, b)
    assert theirs.is_over


def test_abort_after_an_acknowledged_end() -> None:
    network, a, b = pair()
    ours, _ = open_session(network, a, b)
    ours.send_end(network.now)
    network.settle()
    ours.send_abort({}, network.now)
    network.settle()
    assert b.names() == ["EndReceived", "AbortReceived", "SessionClosed"]
    assert a.names() == ["SessionClosed"]


def test_abort_before_anybody_was_asked() -> None:
    node = Node("A", "a1", ("B",), TunnelSettings())
    network = Network(node)
    network.connect()
    session = node.tunnel.open_session("B", {}, network.now)
    session.send_abort({}, network.now)
    network.run(10)
    assert node.names() == ["SessionClosed"]
    assert node.tunnel.sessions() == ()


def test_abort_while_the_open_is_not_acknowledged() -> None:
    network, a, b = pair()
    drop_first(network, FrameType.OPENED)
    session = a.tunnel.open_session("B", {}, network.now)
    network.settle()
    session.send_abort({}, network.now)
    network.settle()
    assert a.names() == ["SessionClosed"]
    assert b.names() == ["SessionOpened", "AbortReceived", "SessionClosed"]


def test_abort_whose_open_was_lost_or_late() -> None:
    network, a, b = pair()
    network.drop = lambda message: is_kind(message, FrameType.OPEN)
    session = a.tunnel.open_session("B", {}, network.now)
    network.settle()
    session.send_abort({}, network.now)
    network.run(10)
    assert a.names() == ["SessionClosed"]
    (late,) = kinds(network, FrameType.OPEN)
    b.tunnel.receive_message(late.subject, b"".join(late.parts), network.now)
    network.settle()
    assert b.names() == []


def test_an_end_that_is_never_acknowledged_fails_the_session() -> None:
    network, a, b = pair()
    ours, theirs = open_session(network, a, b)
    network.drop = lambda message: is_kind(message, FrameType.END)
    ours.send_end(network.now)
    network.run(90)
    assert a.codes() == [TunnelCode.UNACKNOWLEDGED]
    assert b.codes() == [TunnelCode.RESET]
    assert theirs.is_over


def test_an_abort_that_is_never_acknowledged_is_over_some_day() -> None:
    network, a, b = pair()
    ours, theirs = open_session(network, a, b)
    network.drop = lambda message: is_kind(message, FrameType.ABORT)
    ours.send_abort({}, network.now)
    network.run(90)
    assert a.names() == ["SessionClosed"]
    assert b.codes() == [TunnelCode.RESET]
    assert theirs.is_over


def test_a_tombstone_answers_for_a_while() -> None:
    network, a, b = pair()
    ours, theirs = open_session(network, a, b)
    network.drop = lambda message: is_kind(message, FrameType.CLOSED) and message.subject.startswith("DIMSE.A.")
    ours.send_end(network.now)
    theirs.send_end(network.now)
    network.run(20)
    assert theirs.is_over
    assert not ours.is_over
    network.drop = lambda message: False
    network.run(10)
    assert a.names() == ["EndReceived", "SessionClosed"]
    assert a.tunnel.counters.resets_received == 0


def test_a_line_that_leads_nowhere_sends_nothing() -> None:
    network, a, _ = pair()
    Line(a.tunnel._context, bytes(16)).send(FrameType.PROBE, 0)
    network.log.clear()
    network.settle()
    assert network.log == []


def end_both(ours: Session, theirs: Session, network: Network) -> None:
    ours.send_end(network.now)
    theirs.send_end(network.now)
    network.settle()


def test_frames_that_come_after_the_end_change_nothing() -> None:
    network, a, b = pair()
    ours, theirs = open_session(network, a, b)
    ours.send_data(b"data", network.now)
    network.settle()
    end_both(ours, theirs, network)
    a.forget()
    b.forget()
    old = [message for message in network.log if not message.subject.endswith("hello")]
    network.log.clear()
    for message in old:
        for node in (a, b):
            node.tunnel.receive_message(message.subject, b"".join(message.parts), network.now)
    network.settle()
    assert a.names() == b.names() == []
    assert {bytes(message.parts[0])[1] for message in network.log} == {FrameType.CLOSED}
