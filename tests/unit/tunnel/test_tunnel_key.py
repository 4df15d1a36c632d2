"""With a tunnel key: who is believed, what passes, and that nothing counts twice."""

import dataclasses
import json

import pytest

from dimse_proxy.errors import LocalProtocolError
from dimse_proxy.tunnel import (
    Message,
    PeerAppeared,
    PeerLost,
    PeerRefused,
    SessionAcknowledged,
    SessionFailed,
    SessionOpened,
    TunnelCode,
    TunnelSettings,
    sealing,
)
from dimse_proxy.tunnel.frames import HEADER, HEADER_SIZE, FrameType, KeyId, encode_body
from dimse_proxy.tunnel.graveyard import LONGEST
from dimse_proxy.tunnel.hello import add_codes, split_codes
from dimse_proxy.tunnel.peer import PeerState
from dimse_proxy.tunnel.sealed_line import SealedLine
from tests.unit.tunnel.network import Network, Node, frame, is_kind, kinds, open_session, pair, random_source

OLD, NEW, OTHER = random_source(1)(32), random_source(2)(32), random_source(3)(32)
SEALED = TunnelSettings(keys=(OLD,))


def nodes(keys_a: tuple[bytes, ...], keys_b: tuple[bytes, ...]) -> tuple[Network, Node, Node]:
    """A network of two nodes, not yet connected."""
    a = Node("A", "a1", ("B",), TunnelSettings(keys=keys_a))
    b = Node("B", "b1", ("A",), TunnelSettings(keys=keys_b))
    return Network(a, b), a, b


def peer_of(node: Node) -> PeerState:
    (peer,) = node.tunnel._presence.peers()
    return peer


def payload_of(message: Message) -> bytes:
    return b"".join(message.parts)


def give(node: Node, network: Network, message: Message) -> None:
    node.tunnel.receive_message(message.subject, payload_of(message), network.now)
    node.take_events(network.now)


def key_id(message: Message) -> int:
    return int(HEADER.unpack_from(payload_of(message))[3])


def transfer(network: Network, a: Node, b: Node) -> None:
    """Open a session, send both ways, end it."""
    ours, theirs = open_session(network, a, b)
    ours.send_data(b"question" * 5000, network.now)
    theirs.send_data(b"answer" * 5000, network.now)
    ours.send_end(network.now)
    theirs.send_end(network.now)
    network.run(1)
    assert bytes(b.sides[ours.id].received) == b"question" * 5000
    assert bytes(a.sides[ours.id].received) == b"answer" * 5000
    assert ours.is_over
    assert theirs.is_over


# Frames.


def test_a_key_has_32_bytes() -> None:
    with pytest.raises(LocalProtocolError):
        TunnelSettings(keys=(b"short",))


def test_a_key_is_in_no_text() -> None:
    assert OLD.hex() not in repr(SEALED)
    assert repr(OLD) not in repr(SEALED)


def test_every_frame_is_sealed_with_the_key_of_its_kind() -> None:
    network, a, b = pair(SEALED)
    ours = a.tunnel.open_session("B", {"called": "PACS"}, network.now)
    ours.send_data(b"early", network.now)
    network.settle()
    assert [key_id(message) for message in kinds(network, FrameType.DATA)] == [KeyId.OFFER]
    ours.send_data(b"later", network.now)
    (theirs,) = b.opened()
    theirs.send_data(b"answer", network.now)
    network.run(1)
    assert [key_id(message) for message in kinds(network, FrameType.DATA)] == [KeyId.OFFER] + 2 * [KeyId.SESSION]
    assert bytes(b.sides[ours.id].received) == b"earlylater"
    others = [m for m in network.log if not m.subject.endswith(".hello") and not is_kind(m, FrameType.DATA)]
    assert {key_id(message) for message in others} == {KeyId.PAIR}
    assert not [message for message in network.log if b"PACS" in payload_of(message)]


def test_no_nonce_is_used_twice() -> None:
    network, a, _b = pair(dataclasses.replace(SEALED, chunk_size=2048))
    network.fault.loss = 0.2
    for _ in range(3):
        session = a.tunnel.open_session("B", {}, network.now)
        session.send_data(bytes(100_000), network.now)
        network.run(60)
        network.disconnect(a)
        network.connect(a)
        network.run(60)
        network.fault.loss = 0.0
    data = [HEADER.unpack_from(payload_of(message)) for message in kinds(network, FrameType.DATA)]
    assert len(data) > 100
    assert len({(key, session, route, counter) for *_, key, session, route, counter, _ in data}) == len(data)
    numbers = []
    for message in network.log:
        if not message.subject.endswith(".hello") and not is_kind(message, FrameType.DATA):
            start = HEADER_SIZE + (32 if is_kind(message, FrameType.OPEN) else 0)
            numbers.append((message.subject, payload_of(message)[start : start + 8]))
    assert len(set(numbers)) == len(numbers)


def test_plain_frames_are_refused_by_who_has_a_key_and_sealed_ones_by_who_has_none() -> None:
    network, a, b = pair(SEALED)
    _, theirs = open_session(network, a, b)
    for kind in (FrameType.DATA, FrameType.ABORT, FrameType.OPEN):
        give(b, network, frame(a, b, kind, theirs.id))
    assert b.tunnel.counters.bad_frames == 3
    assert not theirs.is_over
    plain_network, c, d = pair()
    give(
        d,
        plain_network,
        Message(frame(c, d, FrameType.DATA, bytes(16)).subject, kinds(network, FrameType.OPEN)[0].parts),
    )
    assert d.tunnel.counters.bad_frames == 1


def test_what_is_no_frame_is_counted() -> None:
    network, a, b = pair(SEALED)
    open_session(network, a, b)
    opened = payload_of(kinds(network, FrameType.OPEN)[0])
    subject = kinds(network, FrameType.OPEN)[0].subject
    for payload in (b"", opened[:63], b"\1\x63" + opened[2:], opened[:2] + b"\x80\0" + opened[4:]):
        give(b, network, Message(subject, (payload,)))
    assert b.tunnel.counters.bad_frames == 4
    give(b, network, Message(subject, (b"\7" + opened[1:],)))
    assert b.tunnel.counters.unknown_versions == 1
    for length in (HEADER_SIZE, HEADER_SIZE + 31, HEADER_SIZE + 39):
        give(b, network, Message(subject, (opened[:length],)))
    assert b.tunnel.counters.forged == 3


def test_a_frame_that_was_altered_changes_nothing_and_is_no_sign_of_life() -> None:
    network, a, b = pair(SEALED)
    ours, theirs = open_session(network, a, b)
    network.drop = lambda message: is_kind(message, FrameType.DATA)
    ours.send_data(b"x" * 1000, network.now)
    network.settle()
    (message,) = kinds(network, FrameType.DATA)
    payload = payload_of(message)
    seen = peer_of(b).last_seen
    network.now += 0.1
    positions = [at for at in range(len(payload)) if at not in range(8, 48) and at != 0]
    for position in positions[::7]:
        changed = bytearray(payload)
        changed[position] ^= 1
        give(b, network, Message(message.subject, (bytes(changed),)))
    assert theirs.id not in b.sides or not b.sides[theirs.id].received
    assert peer_of(b).last_seen == seen
    give(b, network, message)
    assert bytes(b.sides[theirs.id].received) == b"x" * 1000


def test_data_of_a_session_that_is_not_there_is_answered_with_a_reset_and_from_a_stranger_with_nothing() -> None:
    network, a, b = pair(SEALED)
    ours, _ = open_session(network, a, b)
    ours.send_data(b"x", network.now)
    network.settle()
    (message,) = kinds(network, FrameType.DATA)
    payload = payload_of(message)
    give(b, network, Message(message.subject, (payload[:8] + bytes(15) + b"\1" + payload[24:],)))
    network.run(1)
    assert len(kinds(network, FrameType.RESET)) == 1
    give(b, network, Message(message.subject, (payload[:24] + bytes(24) + payload[48:],)))
    network.run(1)
    assert len(kinds(network, FrameType.RESET)) == 1
    assert not ours.is_over


def test_the_opener_takes_no_data_under_the_key_of_its_own_offer() -> None:
    network, a, b = pair(SEALED)
    ours, theirs = open_session(network, a, b)
    theirs.send_data(b"x", network.now)
    network.drop = lambda message: True
    network.settle()
    (message,) = kinds(network, FrameType.DATA)
    payload = payload_of(message)
    give(a, network, Message(message.subject, (payload[:4] + (2).to_bytes(4, "big") + payload[8:],)))
    assert a.tunnel.counters.forged == 1
    assert ours.id not in a.sides


def test_data_that_comes_after_our_abort_is_not_wanted() -> None:
    network, a, b = pair(SEALED)
    ours, theirs = open_session(network, a, b)
    network.drop = lambda message: is_kind(message, FrameType.ABORT)
    theirs.send_abort({}, network.now)
    ours.send_data(b"late", network.now)
    network.settle()
    assert theirs.id not in b.sides
    network.drop = lambda message: False
    network.run(5)
    assert a.sides[ours.id].endings == ["abort", "closed"]
    assert b.sides[theirs.id].endings == ["closed"]


# The key exchange of a session.


@pytest.mark.parametrize("lost", [FrameType.OPENED, FrameType.OPEN])
def test_an_open_or_its_answer_is_lost(lost: FrameType) -> None:
    network, a, b = pair(SEALED)
    left = [1]
    network.drop = lambda message: is_kind(message, lost) and bool(left) and bool(left.pop())
    ours = a.tunnel.open_session("B", {}, network.now)
    ours.send_data(b"question", network.now)
    network.settle()
    network.run(3)
    (theirs,) = b.opened()
    theirs.send_data(b"answer", network.now)
    network.run(1)
    assert bytes(b.sides[ours.id].received) == b"question"
    assert bytes(a.sides[ours.id].received) == b"answer"


def test_what_comes_before_the_answer_with_its_key_asks_for_it_and_is_not_used() -> None:
    network, a, b = pair(dataclasses.replace(SEALED, open_attempts=10))
    network.drop = lambda message: is_kind(message, FrameType.OPENED)
    ours = a.tunnel.open_session("B", {}, network.now)
    network.settle()
    (theirs,) = b.opened()
    network.now += 0.2
    theirs.send_data(b"answer", network.now)
    network.settle()
    assert a.tunnel.counters.unknown_sessions == 1
    assert ours.opening is not None
    theirs.send_end(network.now)
    network.settle()
    assert ours.opening is not None
    assert len(kinds(network, FrameType.OPEN)) == 2
    network.now += 0.2
    peer_of(b).sync_some()
    network.settle()
    assert ours.opening is not None
    assert len(kinds(network, FrameType.OPEN)) == 3
    network.drop = lambda message: False
    network.run(10)
    assert bytes(a.sides[ours.id].received) == b"answer"
    assert a.sides[ours.id].endings == ["end"]


def test_an_answer_with_another_key_is_refused() -> None:
    network, a, b = pair(SEALED)
    ours, theirs = open_session(network, a, b)
    body = encode_body({"limit": 1 << 20, "public_key": bytes(range(32)).hex()})
    give(a, network, peer_of(b).control_frame(FrameType.OPENED, theirs.id, 99, 0, body))
    assert a.tunnel.counters.bad_frames == 1
    for key in ("", "00", "zz" * 32, 7):
        body = encode_body({"limit": 1 << 20, "public_key": key})
        give(a, network, peer_of(b).control_frame(FrameType.OPENED, theirs.id, 99, 0, body))
    assert a.tunnel.counters.bad_frames == 5
    assert not ours.is_over


def test_the_same_answer_again_changes_nothing() -> None:
    network, a, b = pair(SEALED)
    ours, theirs = open_session(network, a, b)
    assert isinstance(theirs.line, SealedLine)
    assert theirs.line._seal is not None
    body = encode_body({"limit": 1 << 20, "public_key": theirs.line._seal.public.hex()})
    give(a, network, peer_of(b).control_frame(FrameType.OPENED, theirs.id, 99, 0, body))
    assert a.tunnel.counters.bad_frames == 0
    theirs.send_data(b"still", network.now)
    network.run(1)
    assert bytes(a.sides[ours.id].received) == b"still"


@pytest.mark.parametrize("key", [bytes(32), b"\1" + bytes(31)], ids=["zero", "low order"])
def test_an_open_with_a_key_that_is_none_is_not_taken(key: bytes) -> None:
    network, a, b = pair(SEALED)
    body = encode_body({"instance": "a1", "limit": 1, "info": {}, "public_key": key.hex()})
    give(b, network, peer_of(a).control_frame(FrameType.OPEN, b"s" * 16, 1, 0, body))
    assert b.tunnel.counters.bad_frames == 1
    assert b.tunnel.sessions() == ()


def test_another_instance_gets_other_keys() -> None:
    network, a, b1 = pair(SEALED)
    b2 = Node("B", "b2", ("A",), SEALED)
    network.nodes.append(b2)
    network.connect(b2)
    silent: list[str] = []
    network.drop = lambda message: ".i." in message.subject and message.subject.split(".")[-1] in silent
    ours = a.tunnel.open_session("B", {}, network.now)
    ours.send_data(b"question", network.now)
    first = {"b1": b1, "b2": b2}[ours.peer or ""]
    silent.append(ours.peer or "")
    network.run(20)
    second = b2 if first is b1 else b1
    (theirs,) = second.opened()
    assert bytes(second.sides[theirs.id].received) == b"question"
    assert first.opened() == []
    bodies = {message.subject[-2:]: payload_of(message) for message in kinds(network, FrameType.DATA)}
    assert bodies["b1"][HEADER_SIZE:] != bodies["b2"][HEADER_SIZE:]


# Replays.


def everything_again(network: Network, log: list[Message], *nodes: Node) -> None:
    for message in log:
        for node in nodes:
            give(node, network, message)


@pytest.mark.parametrize("later", [0.0, LONGEST + 100])
def test_everything_said_again_does_nothing(later: float) -> None:
    network, a, b = pair(SEALED)
    transfer(network, a, b)
    log = list(network.log)
    network.run(later)
    network.log.clear()
    a.forget()
    b.forget()
    before = b.tunnel.counters.replayed
    everything_again(network, log, a, b)
    network.run(1)
    assert b.tunnel.counters.replayed > before
    assert [event for event in a.events + b.events if not isinstance(event, PeerAppeared)] == []
    assert not [message for message in network.log if is_kind(message, FrameType.OPENED)]


def test_everything_said_again_within_a_session_does_nothing_but_repeat_an_acknowledgement() -> None:
    network, a, b = pair(SEALED)
    ours, theirs = open_session(network, a, b)
    ours.send_data(bytes(100_000), network.now)
    theirs.send_data(bytes(100_000), network.now)
    network.run(1)
    log = list(network.log)
    network.log.clear()
    everything_again(network, log, a, b)
    network.run(0.4)
    frames = [message for message in network.log if not message.subject.endswith(".hello")]
    assert {HEADER.unpack_from(payload_of(message))[1] for message in frames} <= {FrameType.ACK}
    assert (len(a.sides[ours.id].received), len(b.sides[ours.id].received)) == (100_000, 100_000)


def test_a_peer_that_was_lost_and_comes_back_is_not_believed_twice() -> None:
    network, a, b = pair(SEALED)
    transfer(network, a, b)
    log = list(network.log)
    network.drop = lambda message: True
    network.run(100)
    assert b.tunnel.peers() == ()
    network.log.clear()
    everything_again(network, log, a, b)
    assert b.tunnel.peers() == ()
    assert b.opened() == []
    network.drop = lambda message: False
    network.run(10)
    assert len(b.tunnel.peers()) == 1
    everything_again(network, log, a, b)
    assert b.opened() == []
    transfer(network, a, b)


def test_peers_beyond_memory_are_not_believed_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "MOST_REMEMBERED", 2)
    network, a, b = pair(SEALED)
    logs = []
    for epoch in range(2, 7):
        transfer(network, a, b)
        logs.append(list(network.log))
        network.log.clear()
        network.nodes.remove(a)
        a = Node("A", "a1", ("B",), SEALED, epoch=epoch)
        network.nodes.append(a)
        network.connect(a)
    network.nodes.remove(a)
    network.run(100)
    assert b.tunnel.peers() == ()
    b.forget()
    for log in logs:
        everything_again(network, log, b)
    assert b.tunnel.peers() == ()
    assert b.opened() == []
    hellos = sum(message.subject == "DIMSE.B.A.hello" for log in logs for message in log)
    assert b.tunnel.counters.replayed == hellos + len(logs)  # and the OPENs; all others are of strangers
    later = Node("A", "a2", ("B",), SEALED, epoch=50)
    network.nodes.append(later)
    network.connect(later)
    transfer(network, later, b)


# Hellos.


def hello_of(network: Network) -> Message:
    return next(m for m in reversed(network.log) if m.subject == "DIMSE.B.A.hello")


def test_a_hello_has_no_secret_and_is_signed() -> None:
    network, a, _ = pair(SEALED)
    network.run(10)
    hello = json.loads(payload_of(hello_of(network)))
    assert bytes.fromhex(hello["public_key"]) == a.tunnel._context.keyring.public  # type: ignore[union-attr]
    assert len(hello["codes"]) == 1
    assert OLD.hex() not in str(hello)


@pytest.mark.parametrize("change", ["text", "code", "no codes", "reflected", "repeated"])
def test_a_hello_that_was_altered_or_comes_again_changes_nothing(change: str) -> None:
    network, a, b = pair(SEALED)
    network.run(10)
    message = hello_of(network)
    payload = payload_of(message)
    match change:
        case "text":
            payload = payload.replace(b'"accepts":true', b'"accepts":fals').replace(b"fals,", b"false,")
        case "code":
            payload = payload[:-10] + (b"0" if payload[-10:-9] != b"0" else b"1") + payload[-9:]
        case "no codes":
            payload = split_codes(payload)[0]
        case _:
            pass
    receiver, subject = (a, "DIMSE.A.B.hello") if change == "reflected" else (b, message.subject)
    before = receiver.tunnel.peers()
    receiver.forget()
    give(receiver, network, Message(subject, (payload,)))
    after = receiver.tunnel.peers()
    assert [dataclasses.replace(peer, last_seen=0.0) for peer in after] == [
        dataclasses.replace(peer, last_seen=0.0) for peer in before
    ]
    counters = receiver.tunnel.counters
    assert counters.mismatches + counters.replayed == 1
    assert not [event for event in receiver.events if isinstance(event, PeerAppeared | PeerLost)]


@pytest.mark.parametrize(
    "payload",
    [
        b'{"a":1,"codes":}',
        b'{"a":1,"codes":[1]}',
        b'{"a":1,"codes":["\\ud800"]}',
        b'{"a":1,"codes":["a"]]',
        b'{"a":1,"codes":"a"}',
        b'{"a":1,"codes":[' + b'"a",' * 400 + b'"b"]}',
        b'{"a":1,"codes":' + b"[" * 900 + b"}",
        b'{"a":1}',
        b"",
    ],
)
def test_codes_that_are_none(payload: bytes) -> None:
    assert split_codes(payload) == (payload, ())


def test_codes_are_found_where_they_were_put() -> None:
    assert split_codes(add_codes(b'{"a":",\\"codes\\":"}', ["x", "y"])) == (b'{"a":",\\"codes\\":"}', ("x", "y"))


def test_what_a_hello_says_behind_its_codes_is_not_believed() -> None:
    network, _, b = pair(SEALED)
    network.run(10)
    message = hello_of(network)
    give(b, network, Message(message.subject, (payload_of(message)[:-1] + b',"load":99}',)))
    assert b.tunnel.peers()[0].load == 0


def test_a_hello_of_a_holder_of_the_key_must_name_one_public_key_for_an_epoch() -> None:
    network, a, b = pair(SEALED)
    keyring = a.tunnel._context.keyring
    assert keyring is not None
    network.run(10)
    hello = json.loads(payload_of(hello_of(network)))
    del hello["codes"]
    for key in (bytes(range(32)).hex(), "00", 1):
        text = encode_body(hello | {"public_key": key, "number": 10_000})
        give(b, network, Message("DIMSE.B.A.hello", (add_codes(text, keyring.sign("B", text)),)))
    assert b.tunnel.counters.bad_hellos == 3
    text = encode_body({name: value for name, value in hello.items() if name != "public_key"})
    give(b, network, Message("DIMSE.B.A.hello", (add_codes(text, keyring.sign("B", text)),)))
    assert b.tunnel.counters.mismatches == 1


# Opens before hellos.


@pytest.mark.parametrize("keys", [((OLD,), (OLD,)), ((NEW, OLD), (OLD, NEW)), ((NEW, OLD), (OLD,))])
def test_an_open_that_comes_before_the_hello(keys: tuple[tuple[bytes, ...], tuple[bytes, ...]]) -> None:
    network, a, b = nodes(*keys)
    network.drop = lambda message: message.subject == "DIMSE.B.A.hello"
    network.connect()
    ours = a.tunnel.open_session("B", {"called": "PACS"}, network.now)
    ours.send_data(b"question", network.now)
    network.settle()
    (theirs,) = b.opened()
    assert theirs.info["called"] == "PACS"
    theirs.send_data(b"answer", network.now)
    network.run(1)
    assert bytes(a.sides[ours.id].received) == b"answer"
    network.drop = lambda message: False
    network.run(10)
    transfer(network, a, b)


def test_frames_of_strangers_are_not_believed() -> None:
    network, a, b = nodes((OLD,), (OLD,))
    network.drop = lambda message: message.subject.startswith("DIMSE.B.A.")
    network.connect()
    ours = a.tunnel.open_session("B", {}, network.now)
    ours.send_data(b"x", network.now)
    network.settle()
    (opened,) = kinds(network, FrameType.OPEN)
    payload = payload_of(opened)
    give(b, network, peer_of(a).control_frame(FrameType.CANCEL, ours.id, 9, 0, b"{}"))
    assert b.tunnel.counters.strangers == 1
    give(b, network, Message(opened.subject, (payload[:40] + bytes(8) + payload[48:],)))
    assert b.tunnel.counters.stale_epochs == 1
    for changed in (
        payload[:-1] + b"!",
        payload[:64] + bytes(range(32)) + payload[96:],
        payload[:24] + b"?" * 8 + payload[32:],
    ):
        give(b, network, Message(opened.subject, (changed,)))
    assert b.tunnel.counters.forged == 3
    give(b, network, Message(opened.subject, (payload[:64] + bytes(32) + payload[96:],)))
    assert b.tunnel.counters.bad_frames == 1
    assert b.tunnel.peers() == ()
    give(b, network, opened)
    assert [type(event) for event in b.events if isinstance(event, SessionOpened)] == [SessionOpened]


def test_an_open_of_an_older_process_than_is_known_is_not_taken() -> None:
    network, old, b = nodes((OLD,), (OLD,))
    network.drop = lambda message: message.subject.startswith("DIMSE.B.A.")
    network.connect()
    old.tunnel.open_session("B", {}, network.now)
    network.settle()
    (opened,) = kinds(network, FrameType.OPEN)
    network.nodes.remove(old)
    network.drop = lambda message: False
    network.nodes.append(Node("A", "a1", ("B",), SEALED, epoch=2))
    network.connect()
    give(b, network, opened)
    assert b.opened() == []
    assert b.tunnel.counters.stale_epochs == 1


# Keys that differ.


@pytest.mark.parametrize("keys", [((OLD,), (NEW,)), ((), (OLD,)), ((OLD,), ()), ((OLD, NEW), (OTHER,))])
def test_who_has_another_key_or_none_is_no_peer(keys: tuple[tuple[bytes, ...], tuple[bytes, ...]]) -> None:
    network, a, b = nodes(*keys)
    network.connect()
    for node, channel in ((a, "B"), (b, "A")):
        assert node.tunnel.peers() == ()
        (refused,) = [event for event in node.events if isinstance(event, PeerRefused)]
        assert (refused.channel, refused.code) == (channel, TunnelCode.KEY_MISMATCH)
        assert node.tunnel.counters.mismatches >= 1
        node.tunnel.open_session(channel, {}, network.now)
    network.settle()
    for node in (a, b):
        assert node.codes() == [TunnelCode.KEY_MISMATCH]
    assert not [message for message in network.log if not message.subject.endswith(".hello")]
    network.run(500)
    for node in (a, b):
        assert len([event for event in node.events if isinstance(event, PeerRefused)]) == 1
    network.run(200)
    for node in (a, b):
        assert len([event for event in node.events if isinstance(event, PeerRefused)]) == 2


def test_an_open_that_waits_is_told_of_the_mismatch_at_once() -> None:
    network, a, b = nodes((OLD,), (NEW,))
    network.connect(a)
    a.tunnel.open_session("B", {}, network.now)
    network.settle()
    assert a.codes() == []
    network.connect(b)
    network.settle()
    assert a.codes() == [TunnelCode.KEY_MISMATCH]


def test_a_peer_with_the_right_key_ends_the_mismatch() -> None:
    network, a, b = nodes((OLD,), (NEW,))
    network.connect()
    network.nodes.remove(b)
    right = Node("B", "b2", ("A",), SEALED)
    network.nodes.append(right)
    network.connect(right)
    session = a.tunnel.open_session("B", {}, network.now)
    network.settle()
    assert session in [event.session for event in a.events if isinstance(event, SessionAcknowledged)]
    network.nodes.remove(right)
    network.run(100)
    a.tunnel.open_session("B", {}, network.now)
    network.run(5)
    assert [event.code for event in a.events if isinstance(event, SessionFailed)][-1] is TunnelCode.NO_PEER


@pytest.mark.parametrize(
    ("keys_a", "keys_b"),
    [
        ((OLD, NEW), (OLD,)),
        ((OLD,), (NEW, OLD)),
        ((OLD, NEW), (NEW, OLD)),
        ((NEW, OLD), (OLD, NEW)),
        ((NEW,), (OLD, NEW)),
    ],
)
def test_keys_are_exchanged_one_side_at_a_time(keys_a: tuple[bytes, ...], keys_b: tuple[bytes, ...]) -> None:
    network, a, b = nodes(keys_a, keys_b)
    network.connect()
    transfer(network, a, b)
    transfer(network, b, a)
    for node in (a, b):
        assert node.tunnel.counters.forged == node.tunnel.counters.mismatches == 0


def test_frames_fit_the_smallest_messages() -> None:
    network, a, b = pair(dataclasses.replace(SEALED, chunk_size=1 << 20), max_payload=1024)
    transfer(network, a, b)
    assert max(len(payload_of(message)) for message in kinds(network, FrameType.DATA)) <= 1024
