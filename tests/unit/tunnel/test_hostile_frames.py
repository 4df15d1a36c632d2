"""Frames that no honest peer sends change nothing, are counted, and leave the session working."""

import json
from collections.abc import Callable

import pytest

from dimse_proxy.tunnel import TunnelCounters, TunnelSettings
from dimse_proxy.tunnel.frames import HEADER, NO_SESSION, FrameType
from tests.unit.tunnel.network import Node, frame, open_session, pair

SMALL = TunnelSettings(window=65536, chunk_size=8192)
Check = Callable[[TunnelCounters], int]


def forged(counters: TunnelCounters) -> int:
    return counters.forged_offsets


def bad(counters: TunnelCounters) -> int:
    return counters.bad_frames


def beyond(counters: TunnelCounters) -> int:
    return counters.beyond_limit


SYNC = [["00" * 16, 0, 0, 0]]


@pytest.mark.parametrize(
    ("kind", "offset", "body", "counted"),
    [
        (FrameType.DATA, 65540, b"x", beyond),
        (FrameType.DATA, (1 << 64) - 1, b"x", beyond),
        (FrameType.DATA, 0, b"", bad),
        (FrameType.ACK, 11, b'{"limit":70000}', forged),
        (FrameType.ACK, 10, b"{}", bad),
        (FrameType.ACK, 10, b'{"limit":-1}', bad),
        (FrameType.ACK, 10, b'{"limit":1e5}', bad),
        (FrameType.ACK, 10, b'{"limit":true}', bad),
        (FrameType.ACK, 10, b'{"limit":9223372036854775808}', bad),
        (FrameType.GAP, 11, b'{"limit":70000,"seen":1}', forged),
        (FrameType.GAP, 0, b'{"limit":70000}', bad),
        (FrameType.PROBE, 65541, b"{}", forged),
        (FrameType.PROBE, 0, b"x", bad),
        (FrameType.END, 3, b"", forged),
        (FrameType.END, 65541, b"", forged),
        (FrameType.ABORT, 3, b'{"sent":3,"detail":{}}', forged),
        (FrameType.ABORT, 20, b'{"sent":21,"detail":{}}', forged),
        (FrameType.ABORT, 80000, b'{"sent":70000,"detail":{}}', forged),
        (FrameType.ABORT, 20, b'{"sent":20,"detail":[]}', bad),
        (FrameType.ABORT, 20, b'{"sent":20,"detail":{"x":"\\ud800"}}', bad),
        (FrameType.ABORT, 20, b'{"detail":{}}', bad),
        (FrameType.CLOSED, 10, b'{"of":"end"}', forged),
        (FrameType.CLOSED, 10, b'{"of":"abort"}', forged),
        (FrameType.CLOSED, 10, b"{}", bad),
        (FrameType.OPEN, 0, b'{"instance":"b1","limit":1,"info":{}}', bad),
        (FrameType.CANCEL, 0, b"{}", bad),
        (FrameType.REFUSED, 0, b"{}", bad),
        (FrameType.SYNC, 0, b'{"sessions":[]}', bad),
        (FrameType.RESET, 0, b'{"sessions":[]}', bad),
        (0, 0, b"{}", bad),
        (200, 0, b"{}", bad),
    ],
)
def test_a_forged_frame_of_a_session(kind: int, offset: int, body: bytes, counted: Check) -> None:
    network, a, b = pair(SMALL)
    ours, theirs = open_session(network, a, b)
    ours.send_data(b"0123456789", network.now)
    theirs.send_data(b"abcd", network.now)
    network.run(1)
    network.publish(frame(b, a, kind, ours.id, offset, body))
    network.settle()
    assert counted(a.tunnel.counters) == 1
    ours.send_data(b"more", network.now)
    theirs.send_data(b"more", network.now)
    ours.send_end(network.now)
    theirs.send_end(network.now)
    network.run(10)
    assert b.sides[theirs.id].received == b"0123456789more"
    assert a.sides[ours.id].received == b"abcdmore"
    assert a.sides[ours.id].endings == b.sides[theirs.id].endings == ["end", "closed"]


def test_nothing_comes_behind_an_end() -> None:
    network, a, b = pair(SMALL)
    ours, theirs = open_session(network, a, b)
    theirs.send_end(network.now)
    network.settle()
    network.publish(frame(b, a, FrameType.DATA, ours.id, 0, b"x"))
    network.publish(frame(b, a, FrameType.END, ours.id, 5))
    network.settle()
    assert a.tunnel.counters.forged_offsets == 2
    assert a.names() == ["EndReceived"]


@pytest.mark.parametrize(
    ("session", "kind", "body"),
    [
        (bytes(range(16)), FrameType.OPEN, b""),
        (bytes(range(16)), FrameType.OPEN, b'{"instance":"b1","limit":"1","info":{}}'),
        (bytes(range(16)), FrameType.OPEN, b'{"instance":"b1","limit":1,"info":{"a":1}}'),
        (bytes(range(16)), FrameType.OPEN, b'{"instance":"b1","limit":1,"info":[]}'),
        (NO_SESSION, FrameType.OPEN, b'{"instance":"b1","limit":1,"info":{}}'),
        (NO_SESSION, FrameType.SYNC, b"{}"),
        (NO_SESSION, FrameType.SYNC, b'{"sessions":[],"answer":1}'),
        (NO_SESSION, FrameType.SYNC, b'{"sessions":[1],"answer":false}'),
        (NO_SESSION, FrameType.SYNC, json.dumps({"sessions": SYNC}).encode()),
        (NO_SESSION, FrameType.SYNC, b'{"sessions":[["xy",0,0,0,0]]}'),
        (NO_SESSION, FrameType.SYNC, json.dumps({"sessions": [["00" * 16, 0, 0, 0, -1]]}).encode()),
        (NO_SESSION, FrameType.RESET, b'{"sessions":{}}'),
        (NO_SESSION, FrameType.RESET, b'{"sessions":["x"]}'),
        (NO_SESSION, FrameType.RESET, b'{"sessions":[["0000000000000000000000000000000g",1]]}'),
        (NO_SESSION, FrameType.RESET, b'{"sessions":[["00 00 00 00 00 00 00 00 00 00 00",1]]}'),
    ],
)
def test_a_forged_frame_of_no_session(session: bytes, kind: FrameType, body: bytes) -> None:
    network, a, b = pair(SMALL)
    network.publish(frame(b, a, kind, session, body=body))
    network.settle()
    assert a.tunnel.counters.bad_frames == 1
    assert a.tunnel.sessions() == ()


def test_one_bad_entry_of_a_sync_does_not_spoil_the_others() -> None:
    network, a, b = pair(SMALL)
    ours, theirs = open_session(network, a, b)
    other, _ = open_session(network, a, b)
    ours.send_data(b"data", network.now)
    network.drop = lambda message: True
    network.settle()
    network.drop = lambda message: False
    entries = [[other.id.hex(), 99, 0, 0, 1], [ours.id.hex(), 0, 65536, 70_000, 1], [ours.id.hex(), 0, 70_000, 0, 1]]
    body = json.dumps({"sessions": entries, "answer": True}).encode()
    network.publish(frame(b, a, FrameType.SYNC, NO_SESSION, body=body))
    network.settle()
    assert a.tunnel.counters.forged_offsets == 2
    assert ours.sender._queue.limit == 70_000
    assert b.sides[theirs.id].received == b"data"


def test_an_open_with_the_id_of_anothers_session() -> None:
    network, a, b = pair(SMALL)
    other = Node("B", "b2", ("A",), SMALL)
    network.nodes.append(other)
    network.connect(other)
    ours, _ = open_session(network, a, b)
    network.publish(frame(other, a, FrameType.OPEN, ours.id, body=b'{"instance":"b2","limit":1,"info":{}}'))
    network.settle()
    assert a.tunnel.counters.bad_frames == 1
    assert ours.peer == "b1"


def test_a_replayed_open_opens_nothing() -> None:
    network, a, b = pair(SMALL)
    ours, theirs = open_session(network, a, b)
    (opened,) = [message for message in network.log if bytes(message.parts[0])[1] == FrameType.OPEN]
    ours.send_abort({}, network.now)
    network.settle()
    b.forget()
    network.publish(opened)
    network.run(130)
    network.publish(opened)
    network.run(3000)
    network.publish(opened)
    network.run(1)
    assert b.opened() == []
    assert theirs.is_over


@pytest.mark.parametrize("length", [0, 1, 63])
def test_shorter_than_a_header(length: int) -> None:
    network, a, b = pair(SMALL)
    a.tunnel.receive_message("DIMSE.A.B.i.a1", bytes([1] * length), network.now)
    assert a.tunnel.counters.bad_frames == 1
    assert b.tunnel.is_connected


def test_an_unknown_version_is_not_guessed_at() -> None:
    network, a, b = pair(SMALL)
    ours, _ = open_session(network, a, b)
    message = frame(b, a, FrameType.DATA, ours.id, 0, b"data")
    payload = b"".join(message.parts)
    for version in (0, 2, 255):
        a.tunnel.receive_message(message.subject, bytes([version]) + payload[1:], network.now)
    a.take_events(network.now)
    assert a.tunnel.counters.unknown_versions == 3
    assert a.names() == []


@pytest.mark.parametrize(("flags", "key"), [(2, 0), (0x8000, 0), (0, 1)])
def test_unknown_flags_and_keys_are_not_guessed_at(flags: int, key: int) -> None:
    network, a, b = pair(SMALL)
    ours, _ = open_session(network, a, b)
    message = frame(b, a, FrameType.DATA, ours.id, 0, b"data")
    fields = list(HEADER.unpack(message.parts[0]))
    fields[2:4] = flags, key
    a.tunnel.receive_message(message.subject, HEADER.pack(*fields) + b"data", network.now)
    a.take_events(network.now)
    assert a.tunnel.counters.bad_frames == 1
    assert a.names() == []


def test_a_channel_cannot_speak_for_another() -> None:
    hub = Node("H", "h1", ("A", "B"), SMALL)
    a, b = Node("A", "x1", ("H",), SMALL), Node("B", "x1", ("H",), SMALL)
    network, _, _ = pair(SMALL)
    network.nodes = [hub, a, b]
    network.connect()
    session = a.tunnel.open_session("H", {}, network.now)
    network.settle()
    network.publish(frame(b, hub, FrameType.DATA, session.id, 0, b"forged"))  # same instance name, same epoch
    network.settle()
    assert hub.tunnel.counters.unknown_sessions == 1
    assert hub.sides == {}
    assert not session.is_over
