"""Bytes of a session that nothing happens to: order, credit, acknowledgements, fairness, memory."""

import pytest

from dimse_proxy.errors import LocalProtocolError
from dimse_proxy.tunnel import DataReceived, Session, TunnelSettings
from dimse_proxy.tunnel.frames import FrameType
from tests.unit.tunnel.network import Network, Node, kinds, open_session, pair

SMALL = TunnelSettings(window=65536, chunk_size=8192)


def test_bytes_pass_both_ways_in_order() -> None:
    network, a, b = pair()
    ours, theirs = open_session(network, a, b)
    ours.send_data(b"ask", network.now)
    ours.send_data(b" this", network.now)
    theirs.send_data(memoryview(b"answer"), network.now)
    network.settle()
    assert b.sides[theirs.id].received == b"ask this"
    assert a.sides[ours.id].received == b"answer"
    assert ours.id == theirs.id
    assert len(ours.id) == 16
    assert (ours.is_opener, theirs.is_opener) == (True, False)
    assert (ours.channel, ours.peer, theirs.channel, theirs.peer) == ("B", "b1", "A", "a1")
    assert theirs.info == {"called": "PACS"}
    assert repr(ours) == f"Session({ours.id_text}, B/b1)"
    assert a.tunnel.sessions() == (ours,)


def test_bytes_follow_the_open_without_waiting() -> None:
    network, a, b = pair()
    session = a.tunnel.open_session("B", {}, network.now)
    session.send_data(b"request", network.now)
    open_frame, data = a.tunnel.messages_to_send(network.now)
    assert bytes(open_frame.parts[0])[1] == FrameType.OPEN
    assert data.parts[1] == b"request"
    for message in (open_frame, data):
        b.tunnel.receive_message(message.subject, b"".join(message.parts), network.now)
    b.take_events(network.now)
    assert b.names() == ["SessionOpened", "DataReceived"]


def test_what_is_sent_and_handed_out_is_not_copied() -> None:
    network, a, b = pair()
    ours, _ = open_session(network, a, b)
    data = bytes(600_000)
    ours.send_data(data, network.now)
    messages = a.tunnel.messages_to_send(network.now)
    assert [len(message.parts[1]) for message in messages] == [262144, 262144, 600_000 - 2 * 262144]
    for message in messages:
        part = message.parts[1]
        assert isinstance(part, memoryview)
        assert part.obj is data
        payload = b"".join(message.parts)
        b.tunnel.receive_message(message.subject, payload, network.now)
        (event,) = b.tunnel.events_received()
        assert isinstance(event, DataReceived)
        assert isinstance(event.data, memoryview)
        assert event.data.obj is payload


def test_frames_fit_the_server() -> None:
    network, a, b = pair(max_payload=4096)
    ours, theirs = open_session(network, a, b)
    ours.send_data(bytes(10_000), network.now)
    network.settle()
    assert len(b.sides[theirs.id].received) == 10_000
    assert max(sum(map(len, message.parts)) for message in kinds(network, FrameType.DATA)) == 4096
    network.max_payload = 2048
    network.connect(a)
    network.log.clear()
    ours.send_data(bytes(10_000), network.now)
    network.settle()
    assert max(sum(map(len, message.parts)) for message in kinds(network, FrameType.DATA)) == 2048


def test_sender_stops_at_the_limit_and_resumes_as_bytes_leave() -> None:
    network, a, b = pair(SMALL)
    b.consumes = False
    ours, theirs = open_session(network, a, b)
    ours.send_data(bytes(200_000), network.now)
    assert not ours.writable
    network.settle()
    assert len(b.sides[theirs.id].received) == 65536
    assert not ours.writable
    a.forget()
    theirs.consumed(65536, network.now)
    network.settle()
    assert len(b.sides[theirs.id].received) == 131072
    assert a.names() == []
    theirs.consumed(65536, network.now)
    network.settle()
    theirs.consumed(65536, network.now)
    network.settle()
    assert len(b.sides[theirs.id].received) == 200_000
    assert a.names() == ["SessionWritable"]
    assert ours.writable


def test_little_is_read_from_the_socket_while_it_cannot_be_sent() -> None:
    network, a, b = pair()
    ours, theirs = open_session(network, a, b)
    network.disconnect(a)
    given = 0
    while ours.writable:
        ours.send_data(bytes(65536), network.now)
        given += 65536
    assert given == 2 * 262144
    network.connect(a)
    assert "SessionWritable" in a.names()
    assert len(b.sides[theirs.id].received) == given


def test_many_frames_in_one_batch_are_acknowledged_once() -> None:
    network, a, b = pair()
    ours, _ = open_session(network, a, b)
    ours.send_data(bytes(1_000_000), network.now)
    for message in a.tunnel.messages_to_send(network.now):
        b.tunnel.receive_message(message.subject, b"".join(message.parts), network.now)
    b.take_events(network.now)
    assert len(b.tunnel.messages_to_send(network.now)) == 1
    assert b.tunnel.messages_to_send(network.now) == []


def test_little_news_waits_for_more() -> None:
    network, a, b = pair()
    ours, theirs = open_session(network, a, b)
    ours.send_data(b"marked", network.now)  # one small frame in a while measures the round trip
    network.settle()
    network.log.clear()
    for _ in range(10):
        ours.send_data(b"small", network.now)
        network.settle()
    assert kinds(network, FrameType.ACK) == []
    network.run(0.2)
    assert len(kinds(network, FrameType.ACK)) == 1
    assert ours.sender._queue.acked == ours.sender.sent == len(b.sides[theirs.id].received)


@pytest.mark.parametrize("settings", [TunnelSettings(), TunnelSettings(receive_budget=262144, chunk_size=16384)])
def test_many_sessions_do_not_wait_for_the_timer_together(settings: TunnelSettings) -> None:
    """Each has too little news for an acknowledgement of its own, all of them have all that may be in flight."""
    network, a, b = pair(settings)
    pairs = [open_session(network, a, b) for _ in range(16)]
    for ours, _ in pairs:
        ours.send_data(bytes(400_000), network.now)
    network.settle()
    assert [len(b.sides[theirs.id].received) for _, theirs in pairs] == [400_000] * 16
    network.run(0.2)
    assert {peer.untold for peer in b.tunnel._presence.peers()} == {0}


def test_what_a_session_left_untold_is_forgotten_with_it() -> None:
    network, a, b = pair()
    ours, theirs = open_session(network, a, b)
    ours.send_data(b"marked", network.now)
    network.settle()
    ours.send_data(bytes(1000), network.now)
    network.settle()
    (peer,) = b.tunnel._presence.peers()
    assert peer.untold == 1000
    theirs.close(network.now)
    assert peer.untold == 0


def test_sessions_take_turns() -> None:
    network, a, b = pair(SMALL)
    sessions = [open_session(network, a, b)[0] for _ in range(3)]
    for session in sessions:
        session.send_data(bytes(32768), network.now)
    network.log.clear()
    messages = a.tunnel.messages_to_send(network.now)
    order = [bytes(message.parts[0])[8:24] for message in messages]
    assert order[:6] == [session.id for session in sessions] * 2


def test_little_goes_before_much() -> None:
    network, a, b = pair(SMALL)
    large, _ = open_session(network, a, b)
    small, _ = open_session(network, a, b)
    large.send_data(bytes(65536), network.now)
    small.send_data(b"echo", network.now)
    messages = a.tunnel.messages_to_send(network.now)
    assert bytes(messages[0].parts[0])[8:24] == small.id


def test_in_flight_is_bounded_by_the_share_of_each_peer() -> None:
    settings = TunnelSettings(receive_budget=600_000, chunk_size=65536)
    hub = Node("H", "h1", ("A", "B", "C"), settings)
    sites = [Node(channel, "x1", ("H",), settings) for channel in "ABC"]
    network = Network(hub, *sites)
    network.connect()
    sessions = [site.tunnel.open_session("H", {}, network.now) for site in sites for _ in range(20)]
    network.settle()
    for session in sessions:
        session.send_data(bytes(200_000), network.now)
    in_flight = 0
    for site in sites:
        for message in site.tunnel.messages_to_send(network.now):
            in_flight += sum(len(part) for part in message.parts[1:])
    shares = 3 * 600_000 // 4
    assert shares <= in_flight <= shares + 3 * 65536
    assert in_flight <= 2 * 600_000
    for site in sites:
        (peer,) = site.tunnel._presence.peers()
        assert peer.hello is not None
        assert peer.hello.share == 150_000


def test_shares_grow_again_when_peers_stop_sending() -> None:
    network, a, b = pair()
    ours, theirs = open_session(network, a, b)
    (peer,) = a.tunnel._presence.peers()
    assert peer.hello is not None
    assert peer.hello.share == 16 << 20
    ours.send_abort({}, network.now)
    network.run(70)
    assert peer.hello.share == 32 << 20
    assert theirs.is_over


def test_acknowledged_bytes_are_let_go() -> None:
    network, a, b = pair()
    ours, _ = open_session(network, a, b)
    ours.send_data(bytes(3_000_000), network.now)
    network.run(1)
    assert not ours.sender._queue._retained
    assert not ours.sender._queue._waiting
    (peer,) = a.tunnel._presence.peers()
    assert peer.in_flight == 0


def test_empty_data_is_nothing() -> None:
    network, a, b = pair()
    ours, _ = open_session(network, a, b)
    network.log.clear()
    ours.send_data(b"", network.now)
    network.settle()
    assert network.log == []


def misuse(session: Session, now: float) -> None:
    session.send_data(b"more", now)


def test_misuse_is_told() -> None:
    network, a, b = pair()
    ours, theirs = open_session(network, a, b)
    with pytest.raises(LocalProtocolError):
        ours.consumed(1, network.now)
    with pytest.raises(LocalProtocolError):
        a.tunnel.open_session("C", {}, network.now)
    with pytest.raises(LocalProtocolError):
        a.tunnel.open_session("B", {"long": "x" * 5000}, network.now)
    with pytest.raises(LocalProtocolError):
        ours.send_abort({"not": object()}, network.now)
    with pytest.raises(LocalProtocolError):
        ours.send_abort({"not": float("nan")}, network.now)
    ours.send_end(network.now)
    with pytest.raises(LocalProtocolError):
        misuse(ours, network.now)
    theirs.send_abort({}, network.now)
    with pytest.raises(LocalProtocolError):
        misuse(theirs, network.now)


def test_idle_sessions_cost_next_to_nothing() -> None:
    network, a, _ = pair()
    for _ in range(1000):
        a.tunnel.open_session("B", {}, network.now)
    network.settle()
    network.run(10)
    network.log.clear()
    network.run(5)
    assert len(kinds(network, FrameType.SYNC)) == 2  # whatever the number of sessions
    assert len([message for message in network.log if not message.subject.endswith(".hello")]) == 2
    assert max(sum(map(len, message.parts)) for message in network.log) < 13_000
    assert len(a.tunnel._context.timers._heap) < 20
