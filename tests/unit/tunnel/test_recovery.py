"""Lost, doubled and late messages, reconnects, resets: what asks for what, and that nothing is sent in vain."""

import json

import pytest

from dimse_proxy.tunnel import Message, TunnelCode, TunnelSettings
from dimse_proxy.tunnel.frames import NO_SESSION, FrameType
from tests.unit.tunnel.network import Fault, Network, Node, frame, is_kind, kinds, offset_of, open_session, pair

SMALL = TunnelSettings(window=65536, chunk_size=8192)


def drop_nth(network: Network, kind: FrameType, *numbers: int) -> None:
    """Lose the frames of a type with these numbers, counted from 1."""
    count = 0

    def drop(message: Message) -> bool:
        nonlocal count
        if not is_kind(message, kind):
            return False
        count += 1
        return count in numbers

    network.drop = drop


def bodies(network: Network, kind: FrameType) -> list[dict[str, object]]:
    return [json.loads(bytes(message.parts[1])) for message in kinds(network, kind)]


def test_a_gap_is_asked_for_once_and_filled() -> None:
    network, a, b = pair(SMALL)
    ours, theirs = open_session(network, a, b)
    drop_nth(network, FrameType.DATA, 2)
    ours.send_data(bytes(40_000), network.now)
    network.settle()
    assert len(b.sides[theirs.id].received) == 40_000
    assert len(kinds(network, FrameType.GAP)) == 1
    assert offset_of(kinds(network, FrameType.GAP)[0]) == 8192
    assert b.tunnel.counters.gaps == 1
    assert a.tunnel.counters.resends == 1
    assert a.tunnel.counters.resent_bytes == 40_000 - 8192
    assert b.tunnel.counters.duplicates == 0


def test_a_lost_tail_is_found_by_a_probe() -> None:
    network, a, b = pair(SMALL)
    ours, theirs = open_session(network, a, b)
    drop_nth(network, FrameType.DATA, 1)
    ours.send_data(b"tail", network.now)
    network.run(0.4)
    assert kinds(network, FrameType.PROBE) == []
    network.run(0.2)
    assert b.sides[theirs.id].received == b"tail"
    assert len(kinds(network, FrameType.PROBE)) == 1
    assert len(kinds(network, FrameType.DATA)) == 2


def test_probes_become_rare_and_never_resend() -> None:
    network, a, b = pair(SMALL)
    ours, _ = open_session(network, a, b)
    network.run(1)
    network.log.clear()
    network.drop = lambda message: message.subject.startswith("DIMSE.B.A.i.")
    ours.send_data(b"tail", network.now)
    network.run(18)
    assert len(kinds(network, FrameType.PROBE)) == 6  # after 0.5, 1, 2, 4, 5 and 5 seconds
    assert len(kinds(network, FrameType.DATA)) == 1


def test_progress_makes_probes_frequent_again() -> None:
    network, a, b = pair(SMALL)
    ours, theirs = open_session(network, a, b)
    b.consumes = False
    ours.send_data(bytes(70_000), network.now)
    network.run(30)
    theirs.consumed(65536, network.now)
    network.settle()
    theirs.consumed(70_000 - 65536, network.now)
    network.run(1)
    drop_nth(network, FrameType.DATA, 1)
    ours.send_data(b"tail", network.now)
    network.run(0.6)
    assert b.sides[theirs.id].received[-4:] == b"tail"


@pytest.mark.parametrize("kind", [FrameType.GAP, FrameType.PROBE, FrameType.ACK])
def test_a_lost_request_heals(kind: FrameType) -> None:
    network, a, b = pair(SMALL)
    ours, theirs = open_session(network, a, b)
    drop_nth(network, FrameType.DATA, 1)
    lose_data = network.drop
    drop_nth(network, kind, 1)
    lose_request = network.drop
    network.drop = lambda message: lose_data(message) or lose_request(message)
    ours.send_data(bytes(40_000), network.now)
    network.run(3)
    assert len(b.sides[theirs.id].received) == 40_000
    assert ours.sender._queue.acked == 40_000


def test_a_lost_credit_at_a_closed_window_heals() -> None:
    network, a, b = pair(SMALL)
    b.consumes = False
    ours, theirs = open_session(network, a, b)
    ours.send_data(bytes(100_000), network.now)
    network.run(10)
    network.drop = lambda message: is_kind(message, FrameType.ACK) or is_kind(message, FrameType.SYNC)
    theirs.consumed(65536, network.now)
    network.run(1)
    assert len(b.sides[theirs.id].received) == 65536
    network.drop = lambda message: is_kind(message, FrameType.SYNC)
    network.run(5)
    assert len(b.sides[theirs.id].received) == 100_000


def test_a_gap_and_a_probe_make_a_loss_good_once() -> None:
    network, a, b = pair(SMALL)
    ours, theirs = open_session(network, a, b)
    network.fault = Fault(delay=0.4)  # longer than a probe waits
    drop_nth(network, FrameType.DATA, 1)
    ours.send_data(bytes(40_000), network.now)
    network.run(5)
    assert len(b.sides[theirs.id].received) == 40_000
    assert a.tunnel.counters.probes >= 1
    assert a.tunnel.counters.resends == 1
    assert b.tunnel.counters.duplicates == 0


def test_old_and_doubled_requests_are_not_followed() -> None:
    network, a, b = pair(SMALL)
    ours, _ = open_session(network, a, b)
    drop_nth(network, FrameType.DATA, 2)
    ours.send_data(bytes(40_000), network.now)
    network.run(1)
    (gap,) = kinds(network, FrameType.GAP)
    network.publish(gap)
    network.settle()
    assert a.tunnel.counters.resends == 1
    ours.send_data(bytes(1000), network.now)
    a.take_events(network.now)
    a.tunnel.messages_to_send(network.now)  # lost
    network.publish(gap)
    network.settle()
    assert a.tunnel.counters.resends == 1


def test_duplicates_are_dropped_and_acknowledged() -> None:
    network, a, b = pair(SMALL)
    ours, theirs = open_session(network, a, b)
    ours.send_data(b"data", network.now)
    network.run(1)
    (data,) = kinds(network, FrameType.DATA)
    network.log.clear()
    network.publish(data)
    network.settle()
    assert b.sides[theirs.id].received == b"data"
    assert b.tunnel.counters.duplicates == 1
    assert len(kinds(network, FrameType.ACK)) == 1


def test_a_resend_has_other_borders_after_a_smaller_max_payload() -> None:
    network, a, b = pair()
    ours, theirs = open_session(network, a, b)
    data = bytes(range(256)) * 400
    drop_nth(network, FrameType.DATA, 2)
    ours.send_data(data[:30_000], network.now)
    network.settle()
    ours.send_data(data[30_000:], network.now)
    network.settle()
    network.max_payload = 1000
    network.connect(a)
    network.run(1)
    assert b.sides[theirs.id].received == data


def test_acknowledgements_reach_a_sender_that_went_back() -> None:
    network, a, b = pair(SMALL)
    ours, theirs = open_session(network, a, b)
    ours.send_data(bytes(30_000), network.now)
    network.drop = lambda message: not message.subject.endswith("hello") and message.subject.startswith("DIMSE.A.")
    network.settle()
    network.drop = lambda message: False
    body = b'{"limit":70000,"seen":%d}' % ours.line.counter
    a.tunnel.receive_message(*joined(frame(b, a, FrameType.GAP, ours.id, 10_000, body)), network.now)
    assert ours.sender.sent == 10_000
    a.tunnel.receive_message(*joined(frame(b, a, FrameType.ACK, ours.id, 30_000, b'{"limit":70000}')), network.now)
    assert ours.sender.sent == 30_000
    assert a.tunnel._presence.peers()[0].in_flight == 0
    network.run(5)
    assert len(b.sides[theirs.id].received) == 30_000


def joined(message: Message) -> tuple[str, bytes]:
    return message.subject, b"".join(message.parts)


@pytest.mark.parametrize("who", ["a", "b", "both"])
def test_after_a_reconnect_offsets_are_exchanged_at_once(who: str) -> None:
    network, a, b = pair(SMALL)
    ours, theirs = open_session(network, a, b)
    nodes = {"a": [a], "b": [b], "both": [a, b]}[who]
    network.disconnect(*nodes)
    ours.send_data(b"x" * 20_000, network.now)
    theirs.send_data(b"y" * 20_000, network.now)
    network.run(20)
    network.connect(*nodes)
    assert b.sides[theirs.id].received == b"x" * 20_000
    assert a.sides[ours.id].received == b"y" * 20_000


def test_what_was_handed_out_before_the_disconnection_is_lost_and_sent_again() -> None:
    network, a, b = pair(SMALL)
    ours, theirs = open_session(network, a, b)
    ours.send_data(b"x" * 20_000, network.now)
    ours.send_end(network.now)
    assert len(a.tunnel.messages_to_send(network.now)) == 4
    network.disconnect(a)
    assert a.tunnel.messages_to_send(network.now) == []
    network.connect(a)
    assert b.sides[theirs.id].received == b"x" * 20_000
    assert b.names() == ["DataReceived"] * 3 + ["EndReceived"]


def test_an_end_and_an_abort_are_repeated_at_a_reconnect() -> None:
    network, a, b = pair()
    for _ in range(2):
        open_session(network, a, b)
    first, second = a.tunnel.sessions()
    first.send_end(network.now)
    second.send_abort({}, network.now)
    a.tunnel.messages_to_send(network.now)
    network.disconnect(a)
    network.connect(a)
    assert b.sides[first.id].endings == ["end"]
    assert b.sides[second.id].endings == ["abort", "closed"]


def test_many_sessions_are_told_in_frames_that_fit() -> None:
    network, a, b = pair(max_payload=4096)
    sessions = [open_session(network, a, b)[0] for _ in range(150)]
    network.disconnect(a)
    for session in sessions:
        session.send_data(b"data", network.now)
    network.log.clear()
    network.connect(a)
    assert all(bytes(b.sides[session.id].received) == b"data" for session in sessions)
    told = kinds(network, FrameType.SYNC)
    assert len(told) == 2 * -(-150 // 31)
    network.run(40)
    entries = [entry for body in bodies(network, FrameType.SYNC)[len(told) :] for entry in body["sessions"]]  # type: ignore[attr-defined]
    assert {entry[0] for entry in entries} == {session.id.hex() for session in sessions}


def test_an_idle_session_that_the_peer_forgot_is_found() -> None:
    network, a, b = pair()
    ours, theirs = open_session(network, a, b)
    theirs.fail(TunnelCode.PROTOCOL, "for the test", network.now)
    network.run(6)
    assert a.codes() == [TunnelCode.RESET]
    assert b.tunnel.counters.resets_sent == 1
    assert a.tunnel.counters.resets_received == 1
    assert ours.is_over


def test_resets_are_rate_limited() -> None:
    network, a, b = pair()
    for number in range(1000):
        network.publish(frame(a, b, FrameType.DATA, number.to_bytes(16, "big"), body=b"data", counter=1))
        network.run(0.001)
    assert len(kinds(network, FrameType.RESET)) <= 11
    assert b.tunnel.counters.unknown_sessions == 1000
    network.disconnect(b)
    network.run(1)
    network.connect(b)
    network.run(1)
    assert a.tunnel.counters.resets_received <= 13


def test_one_reset_frame_has_a_bounded_length() -> None:
    network, a, b = pair()
    network.publish(frame(a, b, FrameType.DATA, bytes(range(16)), body=b"data", counter=1))
    network.settle()
    network.log.clear()
    for number in range(150):
        for _ in range(2):
            network.publish(frame(a, b, FrameType.DATA, number.to_bytes(16, "big"), body=b"data", counter=1))
    network.run(1)
    assert [len(body["sessions"]) for body in bodies(network, FrameType.RESET)] == [100]  # type: ignore[arg-type]


def test_bytes_given_at_a_closed_window_are_watched() -> None:
    network, a, b = pair(SMALL)
    b.consumes = False
    ours, theirs = open_session(network, a, b)
    ours.send_data(bytes(65536), network.now)
    network.run(60)
    assert ours.sender.armed is None  # all is acknowledged, nothing waits
    ours.send_data(b"more", network.now)
    network.drop = lambda message: is_kind(message, FrameType.ACK) or is_kind(message, FrameType.SYNC)
    theirs.consumed(65536, network.now)
    network.run(0.4)
    network.drop = lambda message: is_kind(message, FrameType.SYNC)
    network.run(0.3)
    assert b.sides[theirs.id].received[-4:] == b"more"


def test_a_reset_older_than_the_acknowledgement_is_not_followed() -> None:
    network, a, b = pair()
    ours, _ = open_session(network, a, b)
    network.run(0.1)
    entry = [[ours.id.hex(), 1]]
    network.publish(frame(b, a, FrameType.RESET, NO_SESSION, body=json.dumps({"sessions": entry}).encode()))
    network.settle()
    assert not ours.is_over
    entry = [[ours.id.hex(), ours.line.counter + 1]]
    network.publish(frame(b, a, FrameType.RESET, NO_SESSION, body=json.dumps({"sessions": entry}).encode()))
    network.settle()
    assert a.codes() == [TunnelCode.RESET]


def test_a_reset_ends_the_repetition_of_an_abort() -> None:
    network, a, b = pair()
    ours, _ = open_session(network, a, b)
    network.drop = lambda message: is_kind(message, FrameType.ABORT)
    ours.send_abort({}, network.now)
    network.settle()
    entry = [[ours.id.hex(), 1 << 40]]
    network.publish(frame(b, a, FrameType.RESET, NO_SESSION, body=json.dumps({"sessions": entry}).encode()))
    network.settle()
    assert a.names() == ["SessionClosed"]


def test_a_reset_of_somebody_elses_session_is_not_followed() -> None:
    network, a, b = pair()
    ours, _ = open_session(network, a, b)
    other = Node("B", "b2", ("A",), TunnelSettings())
    network.nodes.append(other)
    network.connect(other)
    body = json.dumps({"sessions": [[ours.id.hex(), 1 << 40], ["00" * 16, 5]]}).encode()
    network.publish(frame(other, a, FrameType.RESET, NO_SESSION, body=body))
    for kind in (FrameType.DATA, FrameType.END, FrameType.ABORT, FrameType.CANCEL, FrameType.OPENED):
        network.publish(frame(other, a, kind, ours.id))
    network.settle()
    assert not ours.is_over
    assert a.tunnel.counters.unknown_sessions == 5


def test_data_waits_for_the_peers_share_after_losses() -> None:
    settings = TunnelSettings(receive_budget=200_000, chunk_size=8192)
    network, a, b = pair(settings)
    ours, theirs = open_session(network, a, b)
    network.drop = lambda message: is_kind(message, FrameType.DATA)
    for _ in range(100):
        if ours.writable:
            ours.send_data(bytes(8192), network.now)
        network.settle()
    (peer,) = a.tunnel._presence.peers()
    assert peer.in_flight <= 100_000 + 8192
    network.drop = lambda message: False
    network.run(3)
    assert len(b.sides[theirs.id].received) == ours.sender._queue.queued
    assert peer.in_flight == 0
